"""Another provider in the middle of a conversation: tool loops and reasoning go on, in all nine pairs of wires."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from judges.answers import (
    ANSWERS,
    WHOLE,
    Answer,
    anthropic_events,
    gemini_events,
    openai_events,
    openai_whole,
)
from judges.dialects import KEY, VALIDATE, body_of, build, target
from judges.scenarios import CLOCK, WEATHER, Scenario, result, user
from loopback import Loopback, Reply, event_bytes, events

from omnilabs import ChatResponse
from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._sse import EventDecoder
from omnilabs.providers import Target, wire_named

if TYPE_CHECKING:
    from conftest import Omni

# The OpenAI-shaped wire signs nothing by itself; OpenRouter's details on it are signed.
ROWS: Mapping[str, tuple[str, str]] = {
    "openai": ("openrouter", "anthropic/claude-sonnet-5.5"),
    "anthropic": ("anthropic", "claude-sonnet-4-6"),
    "gemini": ("gemini", "gemini-3.5-flash"),
}
PAIRS = list(product(ROWS, ROWS))
TOOLS: dict[str, Any] = {"tools": [WEATHER, CLOCK]}
CALLS = {"calls": ("thinking, then a call", TOOLS), "text": ("thinking", {})}


def whom(wire: str) -> Target:
    return target(*ROWS[wire])


def whole_of(wire: str, answer: Answer) -> dict[str, Any]:
    return openai_whole(answer, details=True) if wire == "openai" else WHOLE[wire](answer)


def events_of(wire: str, answer: Answer) -> list[Any]:
    if wire == "openai":
        return list(openai_events(answer, details=True))
    return list(anthropic_events(answer) if wire == "anthropic" else gemini_events(answer))


def answer_of(wire: str, answer: Answer, options: Mapping[str, Any], *, stream: bool) -> ChatResponse:
    """Return the response of a wire's answer to a question."""
    to = whom(wire)
    built = build(to, Scenario("", [user("What now?")], options), stream=stream)
    reader = wire_named(to.endpoint.spec.wire)
    if not stream:
        return reader.parse(HttpResponse(200, {}, json.dumps(whole_of(wire, answer)).encode()), built, to)
    decoder, seen = reader.decoder(built, to), Accumulator()
    data = b"".join(map(event_bytes, events_of(wire, answer)))
    decode = EventDecoder()
    for event in [*decode.feed(data), *decode.flush()]:
        for chunk in decoder.feed(event):
            seen.add(chunk)
    return seen.response()


def judged(wire: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body after the SDK's types have accepted it, but for what OpenRouter adds to OpenAI's."""
    plain = json.loads(json.dumps(body))
    for message in plain.get("messages", ()):
        message.pop("reasoning_details", None)
    VALIDATE[wire](plain, frozenset({"reasoning"}))
    return body


def goes_on(response: ChatResponse) -> list[Any]:
    """Return the conversation with the answer and the results of its calls in it."""
    results: list[Any] = [result(call.id, "4 °C") for call in response.tool_calls]
    return [user("What now?"), response.message, *(results or [user("Are you sure?")])]


def ids(value: Any) -> tuple[list[str], list[str]]:
    """Return the ids of calls and of results anywhere in a body."""
    found: tuple[list[str], list[str]] = ([], [])

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for name, item in node.items():
                if name == "functionCall" or node.get("type") in ("tool_use", "function"):
                    call = item if name == "functionCall" else node
                    if call.get("id") and call["id"] not in found[0]:
                        found[0].append(call["id"])
                if name in ("tool_use_id", "tool_call_id"):
                    found[1].append(item)
                if name == "functionResponse":
                    found[1].append(item["id"])
                walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(value)
    return found


SIGNATURES = {"openai": "EqQBCgIYAhIM", "anthropic": "EqQBCgIYAhIM", "gemini": "c2lnbmF0dXJl"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize(("first", "then"), PAIRS)
def test_a_conversation_goes_on_at_another_wire(first: str, then: str, kind: str, stream: bool):
    name, options = CALLS[kind]
    response = answer_of(first, ANSWERS[name], options, stream=stream)
    assert response.reasoning == ANSWERS[name].thinking
    asked = Scenario("", goes_on(response), options)
    built = build(whom(then), asked, unsupported="error")
    body = judged(then, body_of(built))
    assert ("reasoning" in built.dropped) == (first != then)
    assert (ANSWERS[name].thinking in json.dumps(body, ensure_ascii=False)) == (first == then)
    called, answered = ids(body)
    assert called == answered
    assert len(called) == len(response.tool_calls)
    # A conversation may rest in a database between two turns.
    stored = json.loads(json.dumps([dict(m) if isinstance(m, dict) else m.to_dict() for m in asked.messages]))
    assert body_of(build(whom(then), Scenario("", stored, options))) == body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", ROWS)
def test_the_same_wire_gets_its_signature_back_byte_for_byte(wire: str, stream: bool):
    answer = ANSWERS["thinking, then a call"]
    response = answer_of(wire, answer, TOOLS, stream=stream)
    body = body_of(build(whom(wire), Scenario("", goes_on(response), TOOLS)))
    sent = whole_of(wire, answer)
    match wire:
        case "openai":
            given = sent["choices"][0]["message"]["reasoning_details"]
            assert body["messages"][1]["reasoning_details"] == given
        case "anthropic":
            assert body["messages"][1]["content"] == sent["content"]
        case _:
            parts = body["contents"][1]["parts"]
            assert [_without_id(part) for part in parts] == sent["candidates"][0]["content"]["parts"]
    assert SIGNATURES[wire] in json.dumps(body)


def _without_id(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return Gemini's part as it came: a call without the id we gave it."""
    call = {name: value for name, value in part.get("functionCall", {}).items() if name != "id"}
    return {**part, **({"functionCall": call} if call else {})}


@pytest.mark.parametrize(("first", "then"), PAIRS)
def test_a_signature_survives_a_turn_at_another_wire(first: str, then: str):
    signed = answer_of(first, ANSWERS["thinking, then a call"], TOOLS, stream=False)
    other = answer_of(then, ANSWERS["text"], TOOLS, stream=False)
    talk = [*goes_on(signed), other.message, user("Go on.")]
    body = judged(first, body_of(build(whom(first), Scenario("", talk, TOOLS))))
    assert SIGNATURES[first] in json.dumps(body)


@pytest.mark.parametrize(
    "row", ["mistral/mistral-large-2512", "deepseek/deepseek-v4-flash", "groq/llama-3.3-70b-versatile"]
)
@pytest.mark.parametrize("first", ROWS)
def test_a_tool_loop_goes_on_at_other_rows(first: str, row: str):
    response = answer_of(first, ANSWERS["parallel calls"], TOOLS, stream=False)
    assert len({call.id for call in response.tool_calls}) == 3
    body = judged("openai", body_of(build(target(*row.split("/", 1)), Scenario("", goes_on(response), TOOLS))))
    called, answered = ids(body)
    assert called == answered
    assert len(set(called)) == 3
    if row.startswith("mistral"):
        assert all(len(call_id) == 9 and call_id.isalnum() for call_id in called)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("first", "then"), PAIRS)
def test_a_client_changes_only_the_model_between_two_turns(omni: Omni, first: str, then: str, stream: bool):
    with Loopback() as server:
        paths = {"openrouter": "/v1", "anthropic": "", "gemini": "/v1beta"}
        client = omni.client(
            providers={name: {"api_key": KEY, "base_url": server.url + path} for name, path in paths.items()}
        )
        turns = [(first, ANSWERS["thinking, then a call"]), (then, ANSWERS["text"])]
        server.script(*(events(*events_of(w, a)) if stream else Reply(body=whole_of(w, a)) for w, a in turns))
        messages: list[Any] = [user("What is the weather in Oslo?")]

        def ask(wire: str) -> ChatResponse:
            answer = client.chat(messages, "/".join(ROWS[wire]), stream=stream, **TOOLS)
            if stream:
                assert list(answer)
            response: ChatResponse = answer.response if stream else answer
            return response

        response = ask(first)
        messages.append(response.message)
        messages += [result(call.id, "4 °C") for call in response.tool_calls]
        last = ask(then)
        assert last.content == ANSWERS["text"].text
        assert last.dropped_params == (() if first == then else ("reasoning",))


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": "", "signature": "c2ln"}, {"type": "text", "text": "Yes."}],
        [
            {"type": "redacted_thinking", "data": "AAEC"},
            {"type": "thinking", "thinking": "Hm. 😀", "signature": "c2ln"},
            {"type": "tool_use", "id": "t1", "name": "get_time", "input": {}},
            {"type": "thinking", "thinking": "Then.", "signature": "AAEC"},
            {"type": "tool_use", "id": "t2", "name": "get_time", "input": {"a": 1.0}},
        ],
    ],
)
def test_hidden_empty_and_interleaved_thinking_goes_back_as_it_came(content: list[dict[str, Any]]):
    to = whom("anthropic")
    body = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": {}}
    built = build(to, Scenario("", [user("?")], TOOLS))
    response = wire_named("anthropic").parse(HttpResponse(200, {}, json.dumps(body).encode()), built, to)
    back = judged("anthropic", body_of(build(to, Scenario("", goes_on(response), TOOLS))))
    assert back["messages"][1]["content"] == content
    for other in ("openai", "gemini"):
        moved = build(whom(other), Scenario("", goes_on(response), TOOLS))
        assert "reasoning" in moved.dropped
        assert b"c2ln" not in moved.http.body
        judged(other, body_of(moved))
