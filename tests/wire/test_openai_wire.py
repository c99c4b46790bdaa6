"""The OpenAI-shaped wire: what each row's API wants otherwise, and what servers of this shape answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges.scenarios import BY_SCHEMA, CLOCK, LIST_SCHEMA, PNG, WEATHER
from loopback import event_bytes

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._request import build_request
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
    UnsupportedParameterError,
)
from omnilabs.providers import PROVIDERS, Endpoint, Target
from omnilabs.providers._base import Built, fit
from omnilabs.providers._openai_compat import WIRE
from omnilabs.types import (
    AudioPart,
    Capabilities,
    ChatChunk,
    ChatMessage,
    ChatResponse,
    FilePart,
    ImagePart,
    ModelInfo,
    Opaque,
    ReasoningPart,
    TextPart,
    ToolCall,
)

ABLE = Capabilities(images=True, pdf=True, audio=True, json_schema=True, reasoning=True)
NO_SCHEMA = replace(ABLE, json_schema=False)


def whom(row: str = "openai", able: Capabilities = ABLE, **spec: Any) -> Target:
    made = replace(PROVIDERS[row], **spec)
    return Target(Endpoint(made, made.base_url, Secret("k")), ModelInfo(f"{row}/m", row, "m", capabilities=able))


def build(
    messages: object = "Hi", to: Target | None = None, *, stream: bool = False, form: str = "", **given: Any
) -> Built:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    request = build_request(
        messages,
        temperature=given.pop("temperature", None),
        max_tokens=given.pop("max_tokens", None),
        routing=None,
        options=given,
    )
    to = to or whom()
    fitted, dropped = fit(request, to, WIRE.params)
    built = WIRE.build(fitted, to, stream=stream, form=form)
    return replace(built, dropped=tuple(sorted({*dropped, *built.dropped})))


def body_of(messages: object = "Hi", to: Target | None = None, **given: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(build(messages, to, **given).http.body)
    return body


def sent(messages: object, to: Target | None = None, **given: Any) -> list[dict[str, Any]]:
    """Return the messages as they go out."""
    messages_sent: list[dict[str, Any]] = body_of(messages, to, **given)["messages"]
    return messages_sent


def completion(message: Mapping[str, Any], finish: str | None = "stop", **body: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **body}


def parse(body: object, to: Target | None = None, built: Built | None = None) -> ChatResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    to = to or whom()
    return WIRE.parse(HttpResponse(200, {}, data), built or build(to=to), to)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def streamed(events: Iterable[Any], to: Target | None = None, built: Built | None = None) -> ChatResponse:
    to = to or whom()
    decoder, seen, decode = WIRE.decoder(built or build(to=to), to), Accumulator(), EventDecoder()
    for event in decode.feed(b"".join(map(event_bytes, events))):
        for chunk in decoder.feed(event):
            seen.add(chunk)
    assert decoder.is_complete
    return seen.response()


# ---- settings, by row


@pytest.mark.parametrize(
    ("row", "given", "fields"),
    [
        ("openai", {"max_tokens": 9}, {"max_completion_tokens": 9}),
        ("groq", {"max_tokens": 9}, {"max_completion_tokens": 9}),
        ("deepseek", {"max_tokens": 9}, {"max_tokens": 9}),
        ("mistral", {"seed": 3}, {"random_seed": 3}),
        ("together", {"seed": 3}, {"seed": 3}),
        ("openrouter", {"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (
            "openrouter",
            {
                "reasoning_budget_tokens": 900,
                "extra_body": {"reasoning": {"exclude": True}, "provider": {"sort": "price"}},
            },
            {
                "reasoning": {"max_tokens": 900, "exclude": True},
                "provider": {"sort": "price"},
            },
        ),
        ("openai", {"stop": "x", "temperature": 1}, {"stop": ["x"], "temperature": 1.0}),
        ("openai", {"top_logprobs": 2}, {"top_logprobs": 2, "logprobs": True}),
        ("openai", {"tools": [CLOCK], "tool_choice": "required"}, {"tools": [CLOCK], "tool_choice": "required"}),
        (
            "openai",
            {"tools": [CLOCK], "tool_choice": "get_time"},
            {"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        ),
        ("openai", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        ("openai", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ],
)
def test_a_setting_goes_by_the_name_its_row_gives_it(row: str, given: dict[str, Any], fields: dict[str, Any]):
    body = body_of(to=whom(row), **given)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == fields


def test_a_model_that_names_its_effort_with_tools_gets_it():
    to = whom(able=replace(ABLE, tools_effort="none"))
    assert body_of(to=to, tools=[CLOCK])["reasoning_effort"] == "none"
    assert body_of(to=to, tools=[CLOCK], reasoning_effort="low")["reasoning_effort"] == "low"
    assert "reasoning_effort" not in body_of(to=to)


@pytest.mark.parametrize(
    ("row", "stream", "form", "options"),
    [
        ("openai", True, "", {"include_usage": True}),
        ("openai", False, "", None),
        ("openai", True, "no-stream-options", None),
        ("mistral", True, "", None),  # it tells them unasked
        ("ollama", True, "", {"include_usage": True}),
    ],
)
def test_usage_is_asked_for_in_streams(row: str, stream: bool, form: str, options: Any):
    body = json.loads(build(to=whom(row), stream=stream, form=form).http.body)
    assert body.get("stream_options") == options
    assert body.get("stream", False) is stream


def test_another_form_is_tried_only_where_the_field_was_refused():
    about = HttpResponse(400, {}, b'{"error": {"message": "unknown field stream_options"}}')
    assert WIRE.other_form("", about) == "no-stream-options"
    assert WIRE.other_form("no-stream-options", about) is None
    assert WIRE.other_form("", HttpResponse(400, {}, b'{"error": "temperature"}')) is None
    assert WIRE.other_form("", HttpResponse(500, {}, b"stream_options")) is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"reasoning_effort": "low", "reasoning_budget_tokens": 5}, "reasoning_effort"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_or_reported(given: dict[str, Any], named: str):
    with pytest.raises(UnsupportedParameterError) as refused:
        build(to=whom("openrouter"), **given)
    assert refused.value.parameters == (named,)
    built = build(to=whom("openrouter"), unsupported="drop", **given)
    assert built.dropped == (named,)
    assert named not in json.loads(built.http.body)


@pytest.mark.parametrize("choice", ["none", "required", "get_time"])
def test_a_choice_that_ollama_would_ignore_is_refused(choice: str):
    assert body_of(to=whom("ollama"), tools=[CLOCK], tool_choice="auto")["tool_choice"] == "auto"
    with pytest.raises(UnsupportedParameterError, match="tool_choice"):
        build(to=whom("ollama"), tools=[CLOCK], tool_choice=choice)
    with pytest.raises(UnsupportedParameterError, match="no tool can be forced"):
        build(to=whom("ollama", NO_SCHEMA), response_format=BY_SCHEMA)


def test_extra_body_joins_objects_appends_to_lists_and_replaces_the_rest():
    extra = {"tools": [{"type": "web_search"}], "stream_options": {"include_obfuscation": False}, "temperature": 0.1}
    body = json.loads(build(stream=True, tools=[CLOCK], temperature=0.9, extra_body=extra).http.body)
    assert body["tools"] == [CLOCK, {"type": "web_search"}]
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert body["temperature"] == 0.1


def test_the_callers_own_values_are_not_changed_by_extra_body():
    schema: dict[str, Any] = json.loads(json.dumps(BY_SCHEMA))
    body_of(response_format=schema, extra_body={"response_format": {"json_schema": {"strict": True}}})
    assert schema == BY_SCHEMA


# ---- messages


def test_messages_go_in_order_whatever_their_roles():
    talk = [
        ChatMessage("user", "Hi", name="ada"),
        {"role": "developer", "content": "Be brief."},
        ChatMessage("assistant", "Hello."),
        {"role": "system", "content": [{"type": "text", "text": "In French."}]},
    ]
    assert sent(talk) == [
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "system", "content": [{"type": "text", "text": "In French."}]},
    ]


PARTS: Sequence[tuple[Any, Any]] = [
    (TextPart("a"), {"type": "text", "text": "a"}),
    (ImagePart(url="https://h/a.png"), {"type": "image_url", "image_url": {"url": "https://h/a.png"}}),
    (
        ImagePart.from_bytes(PNG, "image/png", "low"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgr//g==", "detail": "low"}},
    ),
    (
        AudioPart.from_bytes(b"a", "audio/mpeg"),
        {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "mp3"}},
    ),
    (
        AudioPart.from_bytes(b"a", "audio/wav"),
        {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}},
    ),
    (
        FilePart.from_bytes(b"a", filename="b.pdf"),
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,YQ=="}},
    ),
]


@pytest.mark.parametrize(("part", "wire"), PARTS)
def test_a_part_is_written_as_openai_has_it(part: Any, wire: Any):
    assert sent([ChatMessage("user", [part])]) == [{"role": "user", "content": [wire]}]


@pytest.mark.parametrize("part", [AudioPart(url="https://h/a.wav"), FilePart(url="https://h/a.pdf")])
def test_a_sound_or_file_by_address_is_refused(part: Any):
    with pytest.raises(UnsupportedParameterError, match="from_bytes"):
        build([ChatMessage("user", [part])])


def test_an_image_in_an_assistants_message_is_refused_and_not_lost():
    with pytest.raises(UnsupportedParameterError, match="assistant"):
        build([ChatMessage("user", "Draw"), ChatMessage("assistant", [ImagePart(url="https://h/a.png")])])


def test_calls_and_results_keep_their_ids_and_media_follow_the_results():
    talk = [
        ChatMessage("user", "Look"),
        ChatMessage("assistant", None, tool_calls=[ToolCall("a", "see", '{"x": 1}'), ToolCall("b", "get_time", "")]),
        ChatMessage("tool", [TextPart("here"), ImagePart(url="https://h/a.png")], tool_call_id="a"),
        ChatMessage("tool", "no clock", tool_call_id="b", is_error=True),
        ChatMessage("user", "And?"),
    ]
    assert sent(talk)[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "see", "arguments": '{"x": 1}'}},
                # Servers that read the arguments as JSON fail on an empty text.
                {"id": "b", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "here"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no clock"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}]},
        {"role": "user", "content": "And?"},
    ]


def test_cache_marks_go_where_they_are_honoured_and_are_reported_elsewhere():
    tool = {**CLOCK, "cache_control": {"type": "ephemeral"}}
    talk = [
        ChatMessage("user", [TextPart("a", cache="5m"), TextPart("b", cache="1h")]),
        ChatMessage("assistant", [TextPart("c", cache="5m")], tool_calls=[ToolCall("x", "get_time")]),
        ChatMessage("tool", [TextPart("d", cache="5m")], tool_call_id="x"),
    ]
    five: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
    body = body_of(talk, whom("openrouter"), tools=[tool])
    assert body["tools"] == [tool]
    assert [message["content"] for message in body["messages"]] == [
        [
            {"type": "text", "text": "a", **five},
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        [{"type": "text", "text": "c", **five}],
        [{"type": "text", "text": "d", **five}],
    ]
    for one in ([talk[0]], [ChatMessage("user", "q"), *talk[1:]]):
        assert build(one, tools=[CLOCK]).dropped == ("cache",)
    built = build("Hi", tools=[tool])
    assert (built.dropped, json.loads(built.http.body)["tools"]) == (("cache",), [CLOCK])


def test_mistral_gets_no_names_and_ids_of_nine_letters_and_digits():
    talk = [
        ChatMessage("user", "Hi", name="ada"),
        ChatMessage("assistant", None, tool_calls=[ToolCall("call_1", "get_time"), ToolCall("abcDEF123", "get_time")]),
        ChatMessage("tool", "noon", tool_call_id="call_1"),
        ChatMessage("tool", "noon", tool_call_id="abcDEF123"),
    ]
    built = build(talk, whom("mistral"))
    user, assistant, *results = json.loads(built.http.body)["messages"]
    assert built.dropped == ("name",)
    assert "name" not in user
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert ids == [result["tool_call_id"] for result in results]
    assert ids[1] == "abcDEF123"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()


# ---- reasoning that goes back


def test_deepseek_gets_its_reasoning_back_and_others_do_not():
    to = whom("deepseek")
    answer = parse(completion({"content": "Yes.", "reasoning_content": "Hm."}), to)
    assert (answer.content, answer.reasoning) == ("Yes.", "Hm.")
    talk = [{"role": "user", "content": "?"}, answer.message]
    assert sent(talk, to)[1] == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    other = build(talk, whom("xai"))
    assert other.dropped == ("reasoning",)
    assert b"Hm." not in other.http.body
    stream = [
        delta(reasoning_content="H"),
        delta(reasoning_content="m."),
        delta(content="Yes."),
        delta("stop"),
        "[DONE]",
    ]
    assert streamed(stream, to).message == answer.message


DETAILS = [
    {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "AAEC", "format": "x", "index": 1},
]


def test_openrouters_details_go_back_as_they_came_streamed_or_not():
    to = whom("openrouter")
    whole = parse(completion({"content": "Yes.", "reasoning": "Hm.", "reasoning_details": DETAILS}), to)
    pieces = [
        {**DETAILS[0], "text": "H", "signature": None},
        {**DETAILS[0], "text": "m.", "signature": None},
        {**DETAILS[0], "text": ""},
        DETAILS[1],
    ]
    stream: list[Any] = [delta(reasoning=p.get("text"), reasoning_details=[p]) for p in pieces]
    stream += [delta(content="Yes."), delta("stop"), "[DONE]"]
    for answer in (whole, streamed(stream, to)):
        assert answer.reasoning == "Hm."
        assert sent([{"role": "user", "content": "?"}, answer.message], to)[1] == {
            "role": "assistant",
            "content": "Yes.",
            "reasoning_details": DETAILS,
        }


def test_details_of_thinking_between_two_texts_are_all_kept():
    to = whom("openrouter")
    parts = [
        ReasoningPart("a", Opaque("openrouter", {"reasoning_details": [DETAILS[0]]})),
        TextPart("one"),
        ReasoningPart("b", Opaque("openrouter", {"reasoning_details": [DETAILS[1]]})),
        TextPart("two"),
    ]
    assert sent([ChatMessage("user", "?"), ChatMessage("assistant", parts)], to)[1]["reasoning_details"] == DETAILS


def test_mistrals_thinking_comes_as_content_parts():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    content = [thinking, {"type": "text", "text": "Yes."}]
    to = whom("mistral")
    stream = [delta(content=[thinking]), delta(content="Yes."), delta("stop"), "[DONE]"]
    for answer in (parse(completion({"content": content}), to), streamed(stream, to)):
        assert (answer.content, answer.reasoning) == ("Yes.", "Hm.")


# ---- structured answers


def test_a_schema_goes_natively_or_by_a_forced_tool():
    native = build(response_format=BY_SCHEMA)
    assert (native.structured_by, native.answer_tool) == ("native", None)
    assert json.loads(native.http.body)["response_format"] == BY_SCHEMA
    for to in (whom(able=NO_SCHEMA), whom("deepseek")):
        built = build(to=to, response_format=BY_SCHEMA)
        body = json.loads(built.http.body)
        assert (built.structured_by, built.answer_tool) == ("tool", "give_answer")
        assert "response_format" not in body
        assert body["tools"][0]["function"]["parameters"] == BY_SCHEMA["json_schema"]["schema"]
        assert body["tool_choice"] == {"type": "function", "function": {"name": "give_answer"}}


def call_of(name: str | None, arguments: str, call_id: str | None = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize(
    ("wanted", "arguments", "content"),
    [
        (BY_SCHEMA, '{"city": "Oslo", "days": 2}', '{"city": "Oslo", "days": 2}'),
        (LIST_SCHEMA, '{"value": ["a"]}', '["a"]'),
    ],
)
def test_the_forced_tools_arguments_are_the_text(wanted: Any, arguments: str, content: str, finish: str):
    to = whom(able=NO_SCHEMA)
    built = build(to=to, response_format=wanted)
    assert built.answer_tool is not None
    calls = [call_of(built.answer_tool, arguments), call_of(built.answer_tool, "{}", "c2")]
    pieces = [delta(tool_calls=[{"index": i, **call_of(c["function"]["name"], "")}]) for i, c in enumerate(calls)]
    pieces += [delta(tool_calls=[{"index": 0, "function": {"arguments": char}}]) for char in arguments]
    whole = parse(completion({"content": None, "tool_calls": calls}, finish), to, built)
    for answer in (whole, streamed([*pieces, delta(finish), "[DONE]"], to, built)):
        assert (answer.content, answer.tool_calls, answer.finish_reason) == (content, (), "stop")
    unmarked = streamed([*pieces, "[DONE]"], to, built)
    assert unmarked.content == content


def test_a_call_of_the_callers_beside_the_answer_stays_a_call():
    to = whom(able=NO_SCHEMA)
    built = build(to=to, response_format=BY_SCHEMA, tools=[WEATHER])
    assert json.loads(built.http.body)["tool_choice"] == "required"
    calls = [call_of("get_weather", '{"city": "Oslo"}'), call_of(built.answer_tool, '{"city": "x"}', "c2")]
    pieces = [delta(tool_calls=[{"index": i, **call}]) for i, call in enumerate(calls)]
    whole = parse(completion({"content": None, "tool_calls": calls}, "tool_calls"), to, built)
    for answer in (whole, streamed([*pieces, delta("tool_calls"), "[DONE]"], to, built)):
        assert [call.name for call in answer.tool_calls] == ["get_weather"]
        assert (answer.content, answer.finish_reason) == ('{"city": "x"}', "tool_calls")


def test_the_forced_tool_never_has_the_name_of_the_callers():
    own = {"type": "function", "function": {"name": "give_answer"}}
    built = build(to=whom(able=NO_SCHEMA), response_format=BY_SCHEMA, tools=[own])
    assert built.answer_tool == "give_answer_"


@pytest.mark.parametrize(
    ("able", "given", "said"),
    [
        (NO_SCHEMA, {"tools": [WEATHER], "tool_choice": "required"}, "tool_choice forces another"),
        (NO_SCHEMA, {"tools": [WEATHER], "tool_choice": "get_weather"}, "tool_choice forces another"),
        (replace(NO_SCHEMA, forced_tools=False), {}, "no tool can be forced"),
        (replace(NO_SCHEMA, tools=False), {}, "takes no tools"),
    ],
)
def test_a_schema_is_refused_where_no_tool_can_be_forced_for_it(able: Capabilities, given: dict[str, Any], said: str):
    with pytest.raises(UnsupportedParameterError, match=said) as refused:
        build(to=whom(able=able), response_format=BY_SCHEMA, **given)
    assert refused.value.parameters == ("response_format",)
    built = build(to=whom(able=able), response_format=BY_SCHEMA, unsupported="drop", **given)
    assert (built.dropped, built.structured_by, built.answer_tool) == (("response_format",), None, None)


# ---- tool calls in streams


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        pytest.param(
            [[{"index": 0, **call_of("f", "")}, {"index": 1, **call_of("g", "{}", "c2")}]],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="several in one chunk",
        ),
        pytest.param(
            [[call_of("f", '{"a"')], [{"function": {"arguments": ": 1}"}}], [call_of("g", "{}", "c2")]],
            [("c1", "f", '{"a": 1}'), ("c2", "g", "{}")],
            id="no index",
        ),
        pytest.param(
            [[call_of("f", "{}")], [call_of("g", "{}", "c2")], [{"id": "c1", "function": {"arguments": " "}}]],
            [("c1", "f", "{} "), ("c2", "g", "{}")],
            id="no index, but ids",
        ),
        pytest.param(
            [[{"index": 0, **call_of("f", "")}], [{"index": 1, **call_of("g", "", "c2")}]]
            + [[{"index": n % 2, "function": {"arguments": char}}] for char in '{"a":1}' for n in (0, 1)],
            [("c1", "f", '{"a":1}'), ("c2", "g", '{"a":1}')],
            id="interleaved",
        ),
        pytest.param(
            [[{"index": 0, **call_of("f", "{")}], [{"index": 0, **call_of(None, "}")}]],
            [("c1", "f", "{}")],
            id="the id repeated",
        ),
        pytest.param(
            [[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]],
            [("c1", "f", '{"a": 1}')],
            id="an object",
        ),
        pytest.param(
            [[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": None}}]], [("c1", "f", "{}")], id="null"
        ),
        pytest.param([[{"index": 0, "id": "c1", "function": {"name": "f"}}]], [("c1", "f", "{}")], id="nothing"),
        pytest.param([[{"index": 1, **call_of("f", "{}")}]], [("c1", "f", "{}")], id="counted from one"),
    ],
)
def test_calls_are_told_apart_however_they_come(chunks: list[Any], calls: list[tuple[str, str, str]]):
    answer = streamed([*(delta(tool_calls=chunk) for chunk in chunks), delta("tool_calls"), "[DONE]"])
    assert [(call.id, call.name, call.arguments_json) for call in answer.tool_calls] == calls
    assert answer.finish_reason == "tool_calls"


def test_a_call_without_an_id_gets_one_that_no_other_turn_has():
    calls = [call_of("f", "{}", None), call_of("g", "{}", "")]
    first, second = build("one"), build("two")
    stream = [delta(tool_calls=[{"index": i, **call}]) for i, call in enumerate(calls)] + [delta("stop"), "[DONE]"]
    whole = parse(completion({"content": None, "tool_calls": calls}), built=first)
    assert streamed(stream, built=first).tool_calls == whole.tool_calls
    later = parse(completion({"content": None, "tool_calls": calls}), built=second)
    assert len({call.id for call in (*whole.tool_calls, *later.tool_calls)}) == 4
    assert parse(completion({"content": None, "tool_calls": calls}), built=first).tool_calls == whole.tool_calls


@pytest.mark.parametrize(
    ("word", "calls", "told"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),  # OpenAI says so of a call the request named
        ("tool_calls", True, "tool_calls"),
        ("function_call", True, "tool_calls"),
        ("length", True, "length"),
        ("eos", False, "stop"),
        ("model_length", False, "length"),
        ("content_filter", False, "content_filter"),
        ("a_new_word", False, "a_new_word"),
    ],
)
def test_finish_words_are_the_same_streamed_or_not(word: str, calls: bool, told: str):
    given: dict[str, Any] = {"tool_calls": [call_of("f", "{}")]} if calls else {}
    assert parse(completion({"content": "x", **given}, word)).finish_reason == told
    assert streamed([delta(content="x", **given), delta(word), "[DONE]"]).finish_reason == told


def test_of_several_choices_the_first_is_the_answer_and_the_others_are_told_of():
    other = {"index": 1, "message": {"content": "B"}, "finish_reason": "stop"}
    body = completion({"content": "A"})
    body["choices"].insert(0, other)
    answer = parse(body)
    assert answer.content == "A"
    assert "2 choices" in answer.warnings[0]
    mixed: list[Any] = []
    for text in "abc":
        mixed += [{**delta(content=text)}, {"choices": [{"index": 1, "delta": {"content": text.upper()}}]}]
    assert streamed([*mixed, delta("stop"), "[DONE]"]).content == "abc"


# ---- usage


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 0, 0, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (6, 4, 0, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, (6, 4, 0, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}, (6, 4, 0, 5, 0)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            },
            (3, 4, 3, 5, 0),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (10, 0, 0, 12, 7),  # xAI counts reasoning beside the completion
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "total_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (10, 0, 0, 9, 7),
        ),
        ({"prompt_tokens": 10, "total_tokens": 15}, (10, 0, 0, 5, 0)),
        ({"prompt_tokens": 10.0, "completion_tokens": "5", "total_tokens": 15}, (10, 0, 0, 5, 0)),
        ({"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (0, 4, 0, 5, 0)),
    ],
)
def test_usage_is_read_in_disjoint_buckets(usage: dict[str, Any], counts: tuple[int, ...]):
    stream = [delta(content="x"), {"choices": [], "usage": usage}, delta("stop"), "[DONE]"]
    groq = [delta(content="x"), {**delta("stop"), "x_groq": {"usage": usage}}, "[DONE]"]
    for answer in (parse(completion({"content": "x"}, usage=usage)), streamed(stream), streamed(groq)):
        used = answer.usage
        assert counts == (
            used.uncached_input_tokens,
            used.cache_read_tokens,
            used.cache_write_tokens,
            used.output_tokens,
            used.reasoning_tokens,
        )


@pytest.mark.parametrize(
    "usage", [None, [], "x", {}, {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": True}]
)
def test_a_usage_that_cannot_be_one_counts_as_not_reported(usage: Any):
    used = parse(completion({"content": "x"}, usage=usage)).usage
    assert (used.input_tokens, used.output_tokens, used.cost_usd) == (None, None, None)


@pytest.mark.parametrize(
    ("cost", "told"), [(0.0123, "0.0123"), ("0.5", "0.5"), (0, "0"), (-1, None), ("x", None), (True, None)]
)
def test_the_cost_a_provider_reports_is_taken_as_it_was_written(cost: Any, told: str | None):
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": cost}
    used = parse(completion({"content": "x"}, usage=usage), whom("openrouter")).usage
    assert (None if used.cost_usd is None else str(used.cost_usd)) == told
    assert used.cost_source == ("unknown" if told is None else "provider")


# ---- answers and errors


def test_annotations_logprobs_and_refusals_are_read_alike():
    token = {"token": "x", "logprob": -0.1, "bytes": [120], "top_logprobs": []}
    note = {"type": "url_citation", "url_citation": {"url": "https://h"}}
    body = completion({"content": None, "refusal": "No.", "annotations": [note]})
    body["choices"][0]["logprobs"] = {"content": [token]}
    piece = delta(refusal="No.", annotations=[note])
    piece["choices"][0]["logprobs"] = {"content": [token]}
    for answer in (parse(body), streamed([piece, delta("stop"), "[DONE]"])):
        assert (answer.content, answer.refusal) == ("No.", "No.")
        assert answer.annotations == (note,)
        assert answer.logprobs == (token,)


ERRORS: Sequence[tuple[int, Any, type[Exception]]] = [
    (400, {"error": {"message": "bad", "type": "invalid_request_error"}}, BadRequestError),
    (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, ContextLengthError),
    (
        400,
        {"error": {"message": "maximum context length is 8192 tokens", "type": "invalid_request_error"}},
        ContextLengthError,
    ),
    (401, {"error": {"message": "bad key", "code": "invalid_api_key"}}, AuthenticationError),
    (429, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}, RateLimitError),
    (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, QuotaExceededError),
    (402, {"error": {"message": "pay", "code": 402}}, QuotaExceededError),
    (422, {"detail": [{"loc": ["body"], "msg": "extra"}]}, BadRequestError),
    (500, {"error": "broken"}, ServerError),
    (503, {"message": "busy"}, OverloadedError),
    (502, "<html>", ServerError),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_an_error_has_its_class(status: int, body: Any, kind: type[Exception]):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = WIRE.error(HttpResponse(status, {"content-type": "x"}, data), whom())
    assert type(error) is kind


IN_BAND: Sequence[tuple[Any, type[Exception], int]] = [
    ({"message": "x", "code": 429}, RateLimitError, 429),
    ({"message": "x", "code": "503"}, OverloadedError, 503),
    ({"message": "x", "type": "overloaded_error"}, OverloadedError, 503),
    ({"message": "x", "code": "insufficient_quota"}, QuotaExceededError, 429),
    ({"message": "x", "code": "context_length_exceeded"}, ContextLengthError, 400),
    ({"message": "x"}, ServerError, 500),
    ("x", ServerError, 500),
]


@pytest.mark.parametrize(("error", "kind", "status"), IN_BAND)
def test_an_error_inside_an_answer_is_mapped_as_if_it_were_the_status(error: Any, kind: type[Exception], status: int):
    of_choice = completion({"content": ""})
    of_choice["choices"][0]["error"] = error
    piece = delta()
    piece["choices"][0]["error"] = error
    ways: list[Callable[[], object]] = [
        lambda: parse({"error": error}),
        lambda: parse(of_choice),
        lambda: streamed([delta(content="x"), {"error": error}]),
        lambda: streamed([delta(content="x"), piece]),
    ]
    for tried in ways:
        with pytest.raises(APIStatusError) as raised:
            tried()
        assert type(raised.value) is kind
        assert raised.value.status == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": "x"}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {}}]}}]}',
        b"[" * 100_000,
    ],
)
def test_an_answer_of_another_shape_is_our_error(body: bytes):
    with pytest.raises(ResponseFormatError) as bad:
        parse(body)
    assert len(str(bad.value)) < 1_000


@pytest.mark.parametrize("data", ["x", "[]", "1", '{"a":', "[" * 100_000])
def test_an_event_of_another_shape_is_our_error(data: str):
    with pytest.raises(ResponseFormatError):
        streamed([delta(content="x"), data])


FIELDS = (
    "content tool_calls function name arguments index id text type annotations refusal reasoning reasoning_content "
    "reasoning_details prompt_tokens completion_tokens cost prompt_tokens_details completion_tokens_details thinking"
).split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "x", "text", "thinking"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, JSON)
def test_whatever_a_server_sends_only_our_errors_are_raised(message: Any, usage: Any, finish: Any):
    to = whom("openrouter", NO_SCHEMA)
    built = build(to=to, response_format=BY_SCHEMA)
    choice = {"message": message, "delta": message, "finish_reason": finish, "logprobs": message}
    decoder = WIRE.decoder(built, to)
    seen = Accumulator()
    for body in ({"choices": [choice], "usage": usage}, {"choices": message, "id": finish}, {"choices": [message]}):
        with suppress(ResponseFormatError, APIStatusError):
            seen.add(ChatChunk(usage=parse(body, to, built).usage))
        for event in EventDecoder().feed(event_bytes(body)):
            with suppress(ResponseFormatError, APIStatusError):
                for chunk in decoder.feed(event):
                    seen.add(chunk)
    assert seen.response().message.role == "assistant"
