"""An answer given by a forced tool is its arguments alone, whatever the model says beside the call, on every wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges.scenarios import BY_SCHEMA, LIST_SCHEMA, WEATHER
from loopback import event_bytes
from wire import anthropic_kit, gemini_kit

from omnilabs import ChatChunk, ChatResponse, OmniClient
from omnilabs._accumulate import Accumulator
from omnilabs._frozen import evolve
from omnilabs._http import HttpResponse
from omnilabs._request import build_request
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.errors import OmniError, RequestTimeoutError, StreamInterruptedError, TransportError
from omnilabs.providers import PROVIDERS, Endpoint, Target, wire_named
from omnilabs.providers._base import Built
from omnilabs.providers._structured import AnswerReader
from omnilabs.testing import AsyncScriptedTransport, ScriptedTransport
from omnilabs.types import Capabilities, ModelInfo, Price, ReasoningPart, TextPart, ToolCallDelta

if TYPE_CHECKING:
    from conftest import Omni

ROWS = ("deepseek", "anthropic", "gemini")
EVERY_WIRE = pytest.mark.parametrize("row", ROWS)
ARGUMENTS = {"city": "Tromsø", "days": 2}
ANSWER = json.dumps(ARGUMENTS, ensure_ascii=False)
CALL = {"city": "Oslo"}

Said = Sequence[tuple[str, Any]]
"""What the model says, in order: ("text" | "thought", text), ("answer" | "call", arguments)."""


def whom(row: str) -> Target:
    spec = PROVIDERS[row]
    able = Capabilities(reasoning=True)
    return Target(Endpoint(spec, spec.base_url, Secret("k")), ModelInfo(f"{row}/m", row, "m", capabilities=able))


def built_for(to: Target, wanted: Mapping[str, Any] = BY_SCHEMA, messages: Sequence[Any] = ()) -> Built:
    options = {"tools": [WEATHER], "response_format": wanted}
    asked = [{"role": "user", "content": "Where?"}, *messages]
    request = build_request(asked, temperature=None, max_tokens=None, routing=None, options=options)
    built = wire_named(to.endpoint.spec.wire).build(request, to, stream=True)
    assert built.answer_tool is not None
    return built


# ---- the dialects


def pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def named(said: Said, answer_tool: str) -> list[tuple[int, str, Any]]:
    """Return the calls with their numbers and the names of their tools."""
    calls = [(answer_tool if kind == "answer" else "get_weather", value) for kind, value in said if kind in TOOLS]
    return [(index, *call) for index, call in enumerate(calls)]


TOOLS = ("answer", "call")
OPENAI_FIELD = {"text": "content", "thought": "reasoning_content"}


def openai_whole(said: Said, answer_tool: str, finish: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for kind, field in OPENAI_FIELD.items():
        message[field] = "".join(value for its, value in said if its == kind) or None
    calls = [
        {"id": f"c{index}", "function": {"name": name, "arguments": json.dumps(value, ensure_ascii=False)}}
        for index, name, value in named(said, answer_tool)
    ]
    message |= {"tool_calls": calls} if calls else {}
    return {"id": "1", "model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def openai_events(said: Said, answer_tool: str, finish: str | None) -> list[Any]:
    deltas: list[dict[str, Any]] = []
    calls = iter(named(said, answer_tool))
    for kind, value in said:
        if kind in OPENAI_FIELD:
            deltas += [{OPENAI_FIELD[kind]: piece} for piece in pieces(value)]
            continue
        index, name, arguments = next(calls)
        deltas.append({"tool_calls": [{"index": index, "id": f"c{index}", "function": {"name": name}}]})
        written = json.dumps(arguments, ensure_ascii=False)
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": p}}]} for p in pieces(written)]
    chunks: list[dict[str, Any]] = [{"index": 0, "delta": delta} for delta in deltas]
    if finish is not None:
        chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
    return [*({"id": "1", "model": "m-1", "choices": [chunk]} for chunk in chunks), "[DONE]"]


STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", None: None}


def anthropic_whole(said: Said, answer_tool: str, finish: str | None) -> dict[str, Any]:
    kit = anthropic_kit
    calls = iter(named(said, answer_tool))
    blocks: list[Any] = []
    for kind, value in said:
        if kind in TOOLS:
            index, name, arguments = next(calls)
            blocks.append(kit.tool_use(name, f"c{index}", **arguments))
        else:
            blocks.append(kit.text(value) if kind == "text" else kit.thinking(value))
    return kit.message(*blocks, stop=STOPS[finish])


def anthropic_events(said: Said, answer_tool: str, finish: str | None) -> list[Any]:
    events = anthropic_kit.stream_events(anthropic_whole(said, answer_tool, finish), piece=3)
    return [(event["type"], event) for event in events]


REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", None: None}


def gemini_parts(said: Said, answer_tool: str, *, split: bool) -> list[dict[str, Any]]:
    calls = iter(named(said, answer_tool))
    parts: list[dict[str, Any]] = []
    for kind, value in said:
        if kind in TOOLS:
            _, name, arguments = next(calls)
            parts.append({"functionCall": {"name": name, "args": arguments}})
        else:
            thought = {"thought": True} if kind == "thought" else {}
            parts += [{"text": piece, **thought} for piece in (pieces(value) if split else [value])]
    return parts


def gemini_whole(said: Said, answer_tool: str, finish: str | None) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(
        gemini_kit.sdk_json(gemini_parts(said, answer_tool, split=False), REASONS[finish], modelVersion="m-1")
    )
    return whole


def gemini_events(said: Said, answer_tool: str, finish: str | None) -> list[Any]:
    parts = gemini_parts(said, answer_tool, split=True)
    texts = [gemini_kit.sdk_json([part], None, modelVersion="m-1") for part in parts]
    return [json.loads(text) for text in (*texts, gemini_kit.sdk_json([], REASONS[finish], modelVersion="m-1"))]


WHOLE = {"deepseek": openai_whole, "anthropic": anthropic_whole, "gemini": gemini_whole}
EVENTS = {"deepseek": openai_events, "anthropic": anthropic_events, "gemini": gemini_events}


# ---- reading them


def parsed(row: str, said: Said, finish: str | None, wanted: Mapping[str, Any] = BY_SCHEMA) -> ChatResponse:
    to = whom(row)
    built = built_for(to, wanted)
    body = json.dumps(WHOLE[row](said, built.answer_tool or "", finish)).encode()
    return wire_named(to.endpoint.spec.wire).parse(HttpResponse(200, {}, body), built, to)


def streamed_events(row: str, said: Said, finish: str | None, wanted: Mapping[str, Any]) -> list[list[ChatChunk]]:
    """Return what each event of a stream shows."""
    to = whom(row)
    built = built_for(to, wanted)
    decoder, events = wire_named(to.endpoint.spec.wire).decoder(built, to), EventDecoder()
    data = b"".join(event_bytes(event) for event in EVENTS[row](said, built.answer_tool or "", finish))
    shown = [list(decoder.feed(event)) for event in (*events.feed(data), *events.flush())]
    assert decoder.is_complete
    return shown


def streamed(row: str, said: Said, finish: str | None, wanted: Mapping[str, Any] = BY_SCHEMA) -> ChatResponse:
    seen = Accumulator()
    for chunks in streamed_events(row, said, finish, wanted):
        for chunk in chunks:
            seen.add(chunk)
    return seen.response()


def both(row: str, said: Said, finish: str | None, wanted: Mapping[str, Any] = BY_SCHEMA) -> list[ChatResponse]:
    return [parsed(row, said, finish, wanted), streamed(row, said, finish, wanted)]


# ---- text beside the answer


@EVERY_WIRE
@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize(
    ("said", "reasoning"),
    [
        ([("answer", ARGUMENTS)], None),
        ([("text", "Here: "), ("answer", ARGUMENTS)], "Here: "),
        ([("answer", ARGUMENTS), ("text", "That is it.")], "That is it."),
        ([("text", "Here: "), ("answer", ARGUMENTS), ("text", "Good?")], "Here: Good?"),
        ([("thought", "Hm. "), ("text", "Here: "), ("answer", ARGUMENTS)], "Hm. Here: "),
        ([("text", '{"city": "'), ("answer", ARGUMENTS), ("answer", {"city": "twice"})], '{"city": "'),
    ],
)
def test_the_answer_is_the_arguments_and_text_beside_it_is_reasoning(
    row: str, said: Said, reasoning: str | None, finish: str
):
    for answer in both(row, said, finish):
        assert (answer.content, answer.reasoning) == (ANSWER, reasoning)
        assert (answer.tool_calls, answer.finish_reason) == ((), "stop")


@EVERY_WIRE
def test_an_answer_that_is_no_object_is_taken_out_of_its_arguments_beside_text(row: str):
    said = [("text", "These: "), ("answer", {"value": ["a", "ü"]})]
    for answer in both(row, said, "tool_calls", LIST_SCHEMA):
        assert (answer.content, answer.reasoning, answer.finish_reason) == ('["a", "ü"]', "These: ", "stop")
        assert answer.model == parsed(row, said, "tool_calls", LIST_SCHEMA).model


@EVERY_WIRE
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_text_alone_is_the_answer(row: str, finish: str):
    for answer in both(row, [("text", "I would rather talk.")], finish):
        assert (answer.content, answer.reasoning) == ("I would rather talk.", None)
        assert (answer.parts, answer.finish_reason) == ((TextPart("I would rather talk."),), finish)


@pytest.mark.parametrize(("row", "read"), [*((row, parsed) for row in ROWS), *((row, streamed) for row in ROWS[:2])])
def test_text_alone_is_the_answer_without_a_finish_reason(row: str, read: Callable[..., ChatResponse]):
    answer = read(row, [("thought", "Hm."), ("text", "I would rather talk.")], None)
    assert (answer.content, answer.reasoning, answer.finish_reason) == ("I would rather talk.", "Hm.", None)


@EVERY_WIRE
def test_text_beside_an_ordinary_call_stays_text(row: str):
    for answer in both(row, [("text", "Let me see."), ("call", CALL), ("text", " Wait.")], "tool_calls"):
        assert (answer.content, answer.reasoning) == ("Let me see. Wait.", None)
        assert [(call.name, call.arguments) for call in answer.tool_calls] == [("get_weather", CALL)]
        assert answer.finish_reason == "tool_calls"


@EVERY_WIRE
@pytest.mark.parametrize("order", [("text", "call", "answer"), ("call", "text", "answer"), ("text", "answer", "call")])
def test_an_ordinary_call_beside_text_and_the_answer_is_still_to_be_made(row: str, order: Sequence[str]):
    values = {"text": "Both: ", "call": CALL, "answer": ARGUMENTS}
    for answer in both(row, [(kind, values[kind]) for kind in order], "tool_calls"):
        assert (answer.content, answer.reasoning) == (ANSWER, "Both: ")
        assert [(call.name, call.arguments) for call in answer.tool_calls] == [("get_weather", CALL)]
        assert answer.finish_reason == "tool_calls"


KINDS: Mapping[str, Any] = {"text": "word", "call": CALL, "answer": ARGUMENTS}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ROWS), st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5), st.booleans())
def test_whatever_is_said_is_read_alike_streamed_and_whole(row: str, kinds: list[str], thinks: bool):
    said = [("thought", "Hm. ")] * thinks + [(kind, KINDS[kind]) for kind in kinds]
    finish = "tool_calls" if set(kinds) - {"text"} else "stop"
    whole, live = both(row, said, finish)
    text, thought = "word" * kinds.count("text"), "Hm. " * thinks
    answered = "answer" in kinds
    assert whole.content == live.content == (ANSWER if answered else text)
    assert (whole.reasoning or "") == (live.reasoning or "") == thought + text * answered
    assert whole.finish_reason == live.finish_reason == ("tool_calls" if "call" in kinds else "stop")
    assert whole.tool_calls == live.tool_calls
    assert len(live.tool_calls) == kinds.count("call")
    # A whole completion does not say whether its text came before its calls; in a stream it is where it came.
    if row != "deepseek" or "text" not in kinds[kinds.index("answer") if answered else len(kinds) :]:
        assert whole.message == live.message


# ---- what a stream shows, and when


@EVERY_WIRE
def test_text_is_held_back_until_it_is_known_what_it_is(row: str):
    shown = streamed_events(row, [("text", "I would rather talk.")], "stop", BY_SCHEMA)
    assert not any(chunk.content or chunk.reasoning for chunks in shown[:-2] for chunk in chunks)
    held = streamed_events(row, [("text", "Here: "), ("answer", ARGUMENTS)], "tool_calls", BY_SCHEMA)
    said = [chunk for chunks in held for chunk in chunks if chunk.content or chunk.reasoning]
    first = next(index for index, chunk in enumerate(said) if chunk.content)
    assert "".join(chunk.reasoning or "" for chunk in said[:first]) == "Here: "
    assert not any(chunk.reasoning for chunk in said[first:])
    assert len(said[first:]) == (1 if row == "gemini" else len(pieces(ANSWER)))


@EVERY_WIRE
def test_an_ordinary_call_is_shown_as_it_comes_while_text_is_held_back(row: str):
    shown = streamed_events(row, [("text", "Let me see."), ("call", CALL), ("text", "Wait.")], "tool_calls", BY_SCHEMA)
    chunks = [chunk for chunks in shown for chunk in chunks if chunk.content or chunk.tool_calls]
    calls = [index for index, chunk in enumerate(chunks) if chunk.tool_calls]
    assert calls == list(range(len(calls)))
    assert "".join(chunk.content for chunk in chunks[len(calls) :]) == "Let me see.Wait."


@pytest.mark.parametrize("arguments", ['{"value": ["a", "b', '{"answer": ["a"]}'])
def test_arguments_that_were_cut_off_or_misshapen_are_shown_as_they_came(arguments: str):
    reader = AnswerReader("give_answer_value")
    calls = [ToolCallDelta(0, "c0", "give_answer_value"), *(ToolCallDelta(0, None, None, p) for p in pieces(arguments))]
    early = reader.read([ChatChunk("Here: "), *(ChatChunk(tool_calls=(call,)) for call in calls)], is_over=False)
    assert [chunk.content or chunk.reasoning for chunk in early if chunk.content or chunk.reasoning] == ["Here: "]
    assert [chunk.content for chunk in reader.read((), is_over=True)] == [arguments]


# ---- what only one wire has


def test_a_refusal_beside_the_answer_is_told_once():
    to = whom("deepseek")
    built = built_for(to)
    call = {"index": 0, "id": "c0", "function": {"name": built.answer_tool, "arguments": '{"city":'}}
    whole = {"choices": [{"message": {"refusal": "No more.", "tool_calls": [call]}, "finish_reason": "content_filter"}]}
    deltas: list[dict[str, Any]] = [{"tool_calls": [call]}, *({"refusal": part} for part in pieces("No more."))]
    wire = wire_named("openai")
    decoder, seen = wire.decoder(built, to), Accumulator()
    data = b"".join(event_bytes({"choices": [{"delta": delta}]}) for delta in deltas)
    for event in EventDecoder().feed(data + event_bytes("[DONE]")):
        for chunk in decoder.feed(event):
            seen.add(chunk)
    for answer in (wire.parse(HttpResponse(200, {}, json.dumps(whole).encode()), built, to), seen.response()):
        assert (answer.content, answer.refusal, answer.reasoning) == ('{"city":', "No more.", None)


def test_text_after_the_answer_keeps_its_signature_to_itself():
    to = whom("gemini")
    built = built_for(to)
    answer = {"functionCall": {"name": built.answer_tool, "args": ARGUMENTS}, "thoughtSignature": "AAEC"}
    said = gemini_kit.sdk_json([{"text": "Here: "}, answer, {"text": "Good?", "thoughtSignature": "c2ln"}])
    for got in (gemini_kit.parsed(said, built, to), gemini_kit.streamed([said], built, to)):
        before, own, after = got.parts
        assert (before, own) == (ReasoningPart("Here: "), TextPart(ANSWER))
        assert isinstance(after, ReasoningPart)
        assert after.opaque is not None
        assert (after.text, after.opaque.data) == ("Good?", {"thoughtSignature": "c2ln"})


@pytest.mark.parametrize("row", PROVIDERS)
def test_a_row_that_may_end_without_a_mark_is_asked_by_no_forced_tool(row: str):
    # Nothing would say that what is held back can be given out.
    assert not PROVIDERS[row].ends_without_mark or "tool_choice" in PROVIDERS[row].unsupported


# ---- the whole way


@EVERY_WIRE
def test_the_answer_goes_back_without_what_was_said_beside_it(row: str):
    message = parsed(row, [("text", "Here: "), ("answer", ARGUMENTS)], "tool_calls").message
    built = built_for(whom(row), messages=[message, {"role": "user", "content": "And then?"}])
    assert built.dropped == ("reasoning",)
    assert b"Here: " not in built.http.body
    assert json.dumps(ANSWER, ensure_ascii=False).encode() in built.http.body


@EVERY_WIRE
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_gives_the_answer_and_the_text_apart(row: str, stream: bool):
    said = [("text", "Here: "), ("answer", ARGUMENTS)]
    events = [event_bytes(event) for event in EVENTS[row](said, "give_answer", "tool_calls")]
    whole = HttpResponse(200, {}, json.dumps(WHOLE[row](said, "give_answer", "tool_calls")).encode())
    transport = ScriptedTransport([events if stream else whole])
    client = OmniClient(providers={row: {"api_key": "k"}}, models=[whom(row).model], transport=transport)
    asked = [{"role": "user", "content": "Where?"}]
    if stream:
        answers = client.chat(asked, f"{row}/m", response_format=BY_SCHEMA, stream=True)
        text = "".join(chunk.content for chunk in answers)
        answer = answers.response
    else:
        answer = client.chat(asked, f"{row}/m", response_format=BY_SCHEMA)
        text = answer.content
    assert (text, answer.content, answer.reasoning) == (ANSWER, ANSWER, "Here: ")
    assert (answer.finish_reason, answer.structured_by) == ("stop", "tool")


# ---- what is held back when the stream ends too early

TEXT = "I would rather talk. " * 20
LIST = {"value": ["one", "two", "three"]}
HELD = pytest.mark.parametrize(
    ("said", "wanted", "shown"),
    [([("text", TEXT)], BY_SCHEMA, TEXT), ([("answer", LIST)], LIST_SCHEMA, json.dumps(LIST))],
    ids=["text", "wrapped answer"],
)


def unfinished(omni: Omni, row: str, said: Said, wanted: Any, then: Sequence[OmniError] = ()) -> tuple[Any, Any]:
    """Return a client, and its transport, whose every stream breaks off while what came is held back."""
    answer_tool = "give_answer_value" if wanted is LIST_SCHEMA else "give_answer"
    pieces = [event_bytes(event) for event in EVENTS[row](said, answer_tool, "stop")]
    reply: list[bytes | OmniError] = [*pieces[: 1 if row == "gemini" else 8], *then]
    transport = (ScriptedTransport if omni.mode == "sync" else AsyncScriptedTransport)([reply] * 3)
    model = evolve(whom(row).model, price=Price(Decimal(1), Decimal(2)))
    return omni.client(providers={row: {"api_key": "k"}}, models=[model], transport=transport), transport


@EVERY_WIRE
@HELD
@pytest.mark.parametrize(
    ("then", "kind"),
    [
        ([], StreamInterruptedError),
        ([TransportError("gone", phase="body", maybe_billed=True)], StreamInterruptedError),
        ([RequestTimeoutError("late", phase="body")], RequestTimeoutError),
    ],
    ids=["ends", "breaks", "is late"],
)
def test_a_break_while_text_is_held_is_paid_and_not_tried_again(
    omni: Omni, row: str, said: Said, wanted: Any, shown: str, then: Sequence[OmniError], kind: type[OmniError]
):
    client, transport = unfinished(omni, row, said, wanted, then)
    with pytest.raises(kind) as caught:
        list(client.chat([{"role": "user", "content": "Where?"}], f"{row}/m", response_format=wanted, stream=True))
    partial = caught.value.partial
    assert partial is not None
    assert partial.content
    assert partial.content in shown
    assert partial.usage.is_estimated
    assert partial.usage.output_tokens
    assert len(transport.requests) == 1
    assert 0 < client.spend.cost_usd == partial.usage.cost_usd


@EVERY_WIRE
@HELD
def test_a_stream_left_while_text_is_held_is_paid(omni: Omni, row: str, said: Said, wanted: Any, shown: str):
    client, _ = unfinished(omni, row, said, wanted)
    asked = [{"role": "user", "content": "Where?"}]
    left = client.chat(asked, f"{row}/m", response_format=wanted, stream=True)
    left.close()
    response = left.response
    assert response.content
    assert response.content in shown
    assert 0 < client.spend.cost_usd == response.usage.cost_usd
