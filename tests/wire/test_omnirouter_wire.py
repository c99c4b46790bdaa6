"""The hosted wire as pure functions: what is sent, what is read, which error is meant."""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omniserver import ANSWER, MODELS, OmniServer, event_bytes

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._request import DEFAULT_TEMPERATURE, ChatRequest, build_request, build_routing
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder, ServerSentEvent
from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InvalidRequestError,
    NotFoundError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
)
from omnilabs.providers._base import Built, Endpoint, ProviderSpec, Target
from omnilabs.providers._omnirouter import WIRE, image_request, models_request, parse_images, parse_models
from omnilabs.providers._usage_shapes import read_usage
from omnilabs.types import ChatChunk, ChatMessage, ChatResponse, ImagePart, ModelInfo, TextPart, ToolCall, Usage

SPEC = ProviderSpec("omnirouter", "omnirouter", "https://service.example")
ENDPOINT = Endpoint(SPEC, "https://service.example/", Secret("k-123"))
TARGET = Target(ENDPOINT, ModelInfo(id="claude-3-5-sonnet", provider="omnirouter", name="claude-3-5-sonnet-20241022"))
JOKE = [{"role": "user", "content": "Tell me a joke."}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SELECT = {"k": 5, "model_names": None, "rel_cost": 0.5, "rel_latency": 0.0, "rel_accuracy": 0.5, "verbose": False}


def chat(messages: object = JOKE, *, max_tokens: int | None = None, **options: Any) -> ChatRequest:
    temperature = options.pop("temperature", DEFAULT_TEMPERATURE)
    return build_request(messages, temperature=temperature, max_tokens=max_tokens, routing=None, options=options)


def select(messages: object = JOKE, routing: dict[str, Any] | None = None, **options: Any) -> ChatRequest:
    weights = build_routing(**{**SELECT, **(routing or {})})
    temperature = options.pop("temperature", DEFAULT_TEMPERATURE)
    return build_request(messages, temperature=temperature, max_tokens=None, routing=weights, options=options)


def body_of(request: ChatRequest, *, stream: bool = False, form: str = "") -> Any:
    return json.loads(WIRE.build(request, TARGET, stream=stream, form=form).http.body)


def reply(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def parse(body: Any, request: ChatRequest | None = None) -> ChatResponse:
    return WIRE.parse(reply(body), WIRE.build(request or chat(), TARGET, stream=False), TARGET)


def error(body: Any, status: int, **headers: str) -> OmniError:
    return WIRE.error(reply(body, status, **headers), TARGET)


# ---- what is sent


def test_a_plain_chat_has_exactly_the_published_clients_fields():
    built = WIRE.build(chat(), TARGET, stream=False)
    assert (built.http.method, built.http.url) == ("POST", "https://service.example/v1/chat/completions")
    assert json.loads(built.http.body) == {
        "model": "claude-3-5-sonnet",
        "messages": JOKE,
        "temperature": 0.7,
        "max_tokens": None,
        "stream": False,
    }


def test_a_plain_selection_has_exactly_the_published_clients_fields():
    built = WIRE.build(select(), TARGET, stream=False)
    assert built.http.url == "https://service.example/v1/router/select-model"
    assert json.loads(built.http.body) == {"messages": JOKE, **SELECT}


def test_a_selection_sends_the_weights_as_they_were_given():
    routing = {"k": 3, "model_names": ["gpt-4", "gpt-4o"], "rel_cost": 0.9, "rel_accuracy": 0.9, "verbose": True}
    assert body_of(select(routing=routing)) == {"messages": JOKE, **SELECT, **routing}


@pytest.mark.parametrize(
    ("request_", "stream", "form", "route"),
    [
        (chat(), False, "", "/v1/chat/completions"),
        (chat(), True, "", "/v1/chat/completions"),
        (chat(), False, "later", "/v1/chat/completions"),
        (chat(), True, "later", "/v1/chat/completions/stream"),
        (select(), False, "", "/v1/router/select-model"),
        (select(), True, "", "/v1/router/select-model-stream"),
        (select(), False, "later", "/v1/router/smart_select"),
        (select(), True, "later", "/v1/router/smart_select/stream"),
        (chat(reasoning_effort="low"), False, "", "/v1/reason/completions"),
        (chat(reasoning_effort="high"), True, "", "/v1/reason/completions/stream"),
        (chat(reasoning_effort="medium"), True, "later", "/v1/reason/completions/stream"),
        (chat(reasoning_effort="none"), False, "", "/v1/chat/completions"),
        (select(reasoning_effort="high"), False, "", "/v1/router/select-model"),
    ],
)
def test_each_call_goes_to_its_route(request_: ChatRequest, stream: bool, form: str, route: str):
    assert WIRE.build(request_, TARGET, stream=stream, form=form).http.url == f"https://service.example{route}"


def test_a_streamed_chat_says_so_and_a_streamed_selection_says_so_by_its_route():
    assert body_of(chat(), stream=True)["stream"] is True
    assert body_of(select(), stream=True) == {"messages": JOKE, **SELECT}


OPTIONS: dict[str, Any] = {
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logprobs": True,
    "top_logprobs": 2,
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "reasoning_budget_tokens": 1000,
}


@pytest.mark.parametrize("make", [chat, select])
def test_every_setting_that_is_given_is_sent_under_its_openai_name(make: Any):
    sent = body_of(make(**OPTIONS, temperature=0.2))
    assert {name: sent[name] for name in OPTIONS} == OPTIONS
    assert sent["temperature"] == 0.2


def test_a_setting_that_was_not_given_is_not_sent():
    assert "temperature" not in body_of(chat(temperature=None))
    assert body_of(chat(max_tokens=5))["max_tokens"] == 5


def test_a_tool_chosen_by_name_is_sent_in_openais_form():
    chosen = body_of(chat(tools=[TOOL], tool_choice="weather"))["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "weather"}}


def test_a_wanted_schema_is_sent_and_told_to_be_native():
    built = WIRE.build(chat(response_format={"type": "object", "properties": {}}), TARGET, stream=False)
    assert json.loads(built.http.body)["response_format"]["type"] == "json_schema"
    assert built.structured_by == "native"


def test_extra_body_comes_last_and_wins():
    assert (
        body_of(chat(extra_body={"temperature": 1.5, "user": "u1"})).items()
        >= {"temperature": 1.5, "user": "u1"}.items()
    )


def test_a_tool_loop_is_sent_as_calls_and_results():
    call = ToolCall("call_1", "weather", '{"city":"Zürich"}')
    sent = body_of(
        chat(
            [
                ChatMessage("user", "Weather?", name="ada"),
                ChatMessage("assistant", None, tool_calls=[call]),
                ChatMessage("tool", "12 °C", tool_call_id="call_1"),
            ]
        )
    )["messages"]
    assert sent == [
        {"role": "user", "content": "Weather?", "name": "ada"},
        {
            "role": "assistant",
            "content": "",  # published versions refuse null
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Zürich"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
    ]


def test_text_parts_become_the_string_that_published_versions_take():
    assert body_of(chat([ChatMessage("user", [TextPart("One, "), TextPart("two.")])]))["messages"] == [
        {"role": "user", "content": "One, two."}
    ]


def test_an_image_is_sent_as_openais_parts():
    parts = [TextPart("What is this?"), ImagePart(url="https://images.example/cat.png")]
    assert body_of(chat([ChatMessage("user", parts)]))["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}},
    ]


def test_reasoning_of_an_earlier_answer_is_left_out_and_reported():
    earlier = parse({"content": "12", "reasoning": "six and six", "model": "m"})
    built = WIRE.build(chat([*JOKE, earlier.message, *JOKE]), TARGET, stream=False)
    assert json.loads(built.http.body)["messages"][1] == {"role": "assistant", "content": "12"}
    assert built.dropped == ("reasoning",)


def test_text_that_is_no_valid_unicode_can_still_be_sent():
    assert body_of(chat([{"role": "user", "content": "\ud83c"}]))["messages"][0]["content"] == "\ud83c"


def test_the_key_is_a_bearer_token_that_never_shows():
    built = WIRE.build(chat(), TARGET, stream=False)
    assert built.http.headers["authorization"] == Secret("Bearer k-123")
    assert "k-123" not in repr(built)


def test_without_a_key_no_authorization_is_sent():
    keyless = Target(Endpoint(SPEC, "http://127.0.0.1:1"), TARGET.model)
    assert "authorization" not in WIRE.build(chat(), keyless, stream=False).http.headers


# ---- what is read


def test_the_documented_response_is_read():
    response = parse(
        {
            "model": "claude-3-5-sonnet-20241022",
            "content": "Generated content",
            "provider": "anthropic",
            "usage": {"all_tokens": 23, "total_cost": 0.00001},
            "explanation": "Selected claude-3-5-sonnet because it is best",
        }
    )
    assert response["content"] == "Generated content"
    assert response["model"] == "claude-3-5-sonnet-20241022"
    assert response["provider"] == "anthropic"
    assert response["usage"]["all_tokens"] == 23
    assert response["usage"]["total_cost"] == 0.00001
    assert response["explanation"] == "Selected claude-3-5-sonnet because it is best"
    assert response.decision is None


def test_what_the_service_does_not_say_is_the_request_or_unknown():
    response = parse({"content": ""})
    assert (response.model, response.provider, response.content) == ("claude-3-5-sonnet", "omnirouter", "")
    assert (response.usage.all_tokens, response.usage.total_cost, response.usage.cost_source) == (None, None, "unknown")
    assert (response.finish_reason, response.id, response.explanation) == (None, None, None)


USAGE_SHAPES: list[tuple[Any, Usage]] = [
    (
        {"all_tokens": 23, "total_cost": 1e-05},
        Usage(reported_total_tokens=23, cost_usd=Decimal("0.00001"), cost_source="provider"),
    ),
    ({"total_tokens": 23}, Usage(reported_total_tokens=23)),
    ({"prompt_tokens": 12, "completion_tokens": 11}, Usage(12, 11)),
    ({"prompt_tokens": 12, "completion_tokens": 11, "total_tokens": 23}, Usage(12, 11, reported_total_tokens=23)),
    ({"input_tokens": 12, "output_tokens": 11}, Usage(12, 11)),
    (
        {"input_tokens": 12, "output_tokens": 11, "reasoning_tokens": 5, "total_tokens": 23},
        Usage(12, 11, reasoning_tokens=5, reported_total_tokens=23),
    ),
    (  # a total that only adds up with the reasoning: it was counted apart
        {"input_tokens": 12, "output_tokens": 11, "reasoning_tokens": 5, "total_tokens": 28},
        Usage(12, 16, reasoning_tokens=5, reported_total_tokens=28),
    ),
    ({"input_tokens": 12, "output_tokens": 3, "reasoning_tokens": 5}, Usage(12, 8, reasoning_tokens=5)),
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 4},
        },
        Usage(30, 20, cache_read_tokens=60, input_audio_tokens=10, reasoning_tokens=8, output_audio_tokens=4),
    ),
    (  # more cached than input: the input was counted without them
        {"input_tokens": 4, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 60}},
        Usage(4, 2, cache_read_tokens=60),
    ),
    (
        {"total_tokens": 23.0, "total_cost": "0.25"},
        Usage(reported_total_tokens=23, cost_usd=Decimal("0.25"), cost_source="provider"),
    ),
    ({"all_tokens": 0, "total_cost": 0}, Usage(reported_total_tokens=0, cost_usd=Decimal(0), cost_source="provider")),
    ({"all_tokens": -1, "total_cost": -1}, Usage()),
    ({"all_tokens": "many", "total_cost": "free"}, Usage()),
    ({"all_tokens": True, "total_cost": float("nan")}, Usage()),
    ({"all_tokens": None, "total_tokens": 23, "prompt_tokens": None}, Usage(reported_total_tokens=23)),
    ({}, Usage()),
    (None, Usage()),
    ("23", Usage()),
]


@pytest.mark.parametrize(("shape", "usage"), USAGE_SHAPES)
def test_every_usage_shape_reads_as_one(shape: Any, usage: Usage):
    assert read_usage(shape) == usage
    assert parse({"content": "x", "usage": shape}).usage == usage


TOKEN_FIELDS = ("all_tokens", "total_tokens", "prompt_tokens", "output_tokens", "reasoning_tokens", "total_cost")
NUMBERS = st.integers(-5, 500) | st.sampled_from([None, "", "7", True, 2.5, -0.0, float("nan"), float("inf"), [1], {}])
DETAILS = st.dictionaries(st.sampled_from(["cached_tokens", "audio_tokens", "reasoning_tokens"]), NUMBERS)


@given(st.dictionaries(st.sampled_from(TOKEN_FIELDS), NUMBERS), DETAILS)
def test_no_usage_gives_negative_tokens_or_a_part_larger_than_its_whole(shape: dict[str, Any], details: dict[str, Any]):
    usage = read_usage({**shape, "input_tokens_details": details, "output_tokens_details": details})
    counts = (usage.uncached_input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reported_total_tokens)
    assert all(tokens is None or tokens >= 0 for tokens in counts)
    parts = max(usage.reasoning_tokens, usage.output_audio_tokens)
    assert usage.output_tokens is None or parts <= usage.output_tokens
    assert (usage.cost_usd is None) == (usage.cost_source == "unknown")


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        (
            {"function_calls": [{"name": "weather", "arguments": {"city": "Zürich"}, "id": "c1"}]},
            (ToolCall("c1", "weather", '{"city":"Zürich"}'),),
        ),
        (
            {"function_calls": [{"name": "a", "arguments": None}, {"name": "b", "arguments": "{}"}], "content": None},
            (ToolCall("call_0", "a", "{}"), ToolCall("call_1", "b", "{}")),
        ),
        (
            {"tool_calls": [{"id": "c2", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
            (ToolCall("c2", "f", '{"x": 1}'),),
        ),
        ({"function_calls": None, "tool_calls": [], "content": "text"}, ()),
    ],
)
def test_function_calls_are_read(body: Any, calls: tuple[ToolCall, ...]):
    response = parse(body)
    assert response.tool_calls == calls
    assert response.content == (body.get("content") or "")


@pytest.mark.parametrize(
    "calls", [[{"arguments": {}}], [{"name": "f", "arguments": [1]}], [{"function": "f"}], ["f"], [{"name": ""}]]
)
def test_a_function_call_of_another_shape_is_a_format_error(calls: Any):
    with pytest.raises(ResponseFormatError, match=r"function_calls\[0\]"):
        parse({"content": "", "function_calls": calls})


def test_a_body_in_openais_shape_is_read_too():
    response = parse(
        {
            "id": "chatcmpl-1",
            "model": "gpt-4",
            "provider": "openai",
            "choices": [
                {
                    "finish_reason": "tool_calls",
                    "message": {
                        "content": None,
                        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
                    },
                }
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_cost": 0.5},
        }
    )
    assert (response.model, response.provider, response.id) == ("gpt-4", "openai", "chatcmpl-1")
    assert response.tool_calls == (ToolCall("c", "f", "{}"),)
    assert response.finish_reason == "tool_calls"
    assert (response.usage.all_tokens, response.usage.cost_usd) == (7, Decimal("0.5"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "m"}, "'content' is not text"),
        ({"content": None}, "'content' is not text"),
        ({"content": ["a"]}, "'content' is not text"),
        ([], "not an object"),
        (b'"text"', "not an object"),
        (b"<html>", "not JSON"),
        (b"", "an empty body"),
        (b'{"content": "cut', "not JSON"),
    ],
)
def test_a_body_of_another_shape_is_a_format_error(body: Any, said: str):
    with pytest.raises(ResponseFormatError, match=said):
        parse(body)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"message": "boom", "type": "server_error", "code": 503}}, OverloadedError, 503),
        ({"error": {"message": "bad key", "type": "authentication_error"}}, AuthenticationError, 401),
        ({"error": {"message": "slow down", "code": "429"}}, RateLimitError, 429),
        ({"error": {"message": "Token quota reached", "code": 429}}, QuotaExceededError, 429),
        ({"error": "provider failed"}, ServerError, 500),
        ({"detail": "provider failed"}, ServerError, 500),
        ({"detail": [{"loc": ["body", "k"], "msg": "too large"}]}, BadRequestError, 422),
    ],
)
def test_an_error_in_a_200_is_an_error(body: Any, kind: type[APIStatusError], status: int):
    with pytest.raises(kind) as caught:
        parse(body)
    assert caught.value.status == status
    assert type(caught.value) is kind


def test_a_detail_beside_an_answer_is_no_error():
    assert parse({"content": "fine", "detail": "cached"}).content == "fine"


# ---- streams


def stream(data: bytes | list[bytes], request: ChatRequest | None = None) -> tuple[ChatResponse, list[ChatChunk], bool]:
    built = WIRE.build(request or chat(), TARGET, stream=True)
    events, decoder, seen = EventDecoder(), WIRE.decoder(built, TARGET), Accumulator()
    chunks: list[ChatChunk] = []
    for piece in [data] if isinstance(data, bytes) else data:
        for event in events.feed(piece):
            chunks += decoder.feed(event)
    for event in events.flush():
        chunks += decoder.feed(event)
    for chunk in chunks:
        seen.add(chunk)
    return seen.response(), chunks, decoder.is_complete


def sse(*items: Any) -> bytes:
    return b"".join(event_bytes(item) for item in items)


USAGE = {"prompt_tokens": 12, "completion_tokens": 11}
CALL = {"name": "weather", "arguments": {"city": "Zürich"}, "id": "c1"}
WHOLE = {"content": "Hi ñ 日本", "model": "m-1", "provider": "openai"}
PLAIN = sse({"content": "Hi "}, {"content": "ñ "}, {"content": "日本", "model": "m-1", "provider": "openai"}, "[DONE]")
NAMED = [
    ("metadata", {"model": "m-1", "provider": "openai"}),
    ("thinking_start", {"content": ""}),
    ("block_start", {}),
    ("reasoning", {"content": "six "}),
    ("reasoning", {"content": "and six"}),
    ("block_stop", {}),
    ("content", {"content": "Hi "}),
    ("content", {"content": "ñ 日本"}),
    ("usage", USAGE),
]
STREAMS: list[tuple[bytes, dict[str, Any]]] = [
    (PLAIN, WHOLE),
    (PLAIN.replace(b"\n", b"\r\n"), WHOLE),
    (
        sse({"content": "Hi ñ 日本", "model": "m-1", "provider": "openai", "usage": USAGE}, "[DONE]"),
        {**WHOLE, "usage": USAGE},
    ),
    (
        sse({"content": "Hi ñ 日本"}, {"model": "m-1", "provider": "openai", "explanation": "best"}, "[DONE]"),
        {**WHOLE, "explanation": "best"},
    ),
    (
        sse({"content": "Hi ñ 日本", "model": "m-1", "provider": "openai", "finish_reason": "length"}),
        {**WHOLE, "finish_reason": "length"},
    ),
    (sse(*NAMED), {**WHOLE, "reasoning": "six and six", "usage": USAGE}),
    (
        sse(*({"type": name, **data} for name, data in NAMED), "[DONE]"),
        {**WHOLE, "reasoning": "six and six", "usage": USAGE},
    ),
    (sse(*NAMED[:-1], ("usage", {"usage": USAGE})), {**WHOLE, "reasoning": "six and six", "usage": USAGE}),
    (sse({"content": ""}, {"function_calls": [CALL]}, "[DONE]"), {"content": "", "function_calls": [CALL]}),
    (
        sse({"function_calls": [CALL]}, {"function_calls": [{"name": "f", "arguments": {}}]}, "[DONE]"),
        {"content": "", "function_calls": [CALL, {"name": "f", "arguments": {}}]},
    ),
    (  # later versions tell a call as it grows, and once more when it is whole
        sse(
            ("metadata", {"model": "m-1", "provider": "openai"}),
            ("function_call", {"id": "c1", "name": "weather", "arguments": '{"city"'}),
            ("usage", USAGE),
            ("function_call_complete", CALL),
        ),
        {**WHOLE, "content": "", "usage": USAGE, "function_calls": [CALL]},
    ),
    (
        sse(("message", {"content": "Hi ñ 日本", "model": "m-1", "provider": "openai"}))
        + b"event: done\ndata: {'provider': 'x'}\n\n",
        WHOLE,
    ),
    (sse({"status": "choosing"}, ("ping", {}), {"content": "x"}, "[DONE]"), {"content": "x"}),
    (
        sse(
            {"model": "m-1", "choices": [{"delta": {"content": "Hi "}}]},
            {"model": "m-1", "choices": [{"delta": {"content": "there"}, "finish_reason": "stop"}], "usage": USAGE},
            "[DONE]",
        ),
        {"model": "m-1", "content": "Hi there", "finish_reason": "stop", "usage": USAGE},
    ),
]


@pytest.mark.parametrize(("data", "whole"), STREAMS)
def test_a_stream_ends_in_the_response_of_an_unstreamed_call(data: bytes, whole: dict[str, Any]):
    response, _, is_complete = stream(data)
    assert is_complete
    assert response == parse(whole)


@pytest.mark.parametrize(("data", "whole"), STREAMS)
def test_a_stream_split_at_every_byte_reads_the_same(data: bytes, whole: dict[str, Any]):
    response, _, is_complete = stream([data[i : i + 1] for i in range(len(data))])
    assert is_complete
    assert response == parse(whole)


@given(st.data())
@settings(max_examples=60)
def test_a_stream_cut_anywhere_gives_no_other_chunks(data: st.DataObject):
    whole, _ = data.draw(st.sampled_from(STREAMS))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert stream(pieces)[1] == stream(whole)[1]


def test_a_chunk_has_the_responses_keys():
    _, chunks, _ = stream(PLAIN)
    assert [chunk["content"] for chunk in chunks] == ["Hi ", "ñ ", "日本"]
    assert (chunks[0]["model"], chunks[0]["provider"]) == ("claude-3-5-sonnet", "omnirouter")
    assert (chunks[2]["model"], chunks[2]["provider"]) == ("m-1", "openai")


@pytest.mark.parametrize("data", [PLAIN[: PLAIN.index(b"data: [DONE]")], sse(*NAMED[:-1])])
def test_a_stream_without_its_end_is_not_complete(data: bytes):
    assert not stream(data)[2]


@pytest.mark.parametrize(
    ("event", "kind", "status", "said"),
    [
        ({"error": {"message": "boom", "type": "provider_error", "code": 500}}, ServerError, 500, "boom"),
        ({"error": {"message": "boom", "type": "provider_error", "code": "502"}}, ServerError, 502, "boom"),
        ({"error": {"message": "boom", "type": "rate_limit_error", "code": None}}, RateLimitError, 429, "boom"),
        ({"error": {"message": "boom", "type": "overloaded_error", "code": "x"}}, OverloadedError, 503, "boom"),
        ({"error": {"message": "Token quota reached", "code": 429}}, QuotaExceededError, 429, "quota"),
        ({"error": {"message": "bad key", "code": 401}}, AuthenticationError, 401, "bad key"),
        ({"error": "it broke"}, ServerError, 500, "it broke"),
        ({"detail": "it broke"}, ServerError, 500, "it broke"),
        (("error", {"error": "it broke"}), ServerError, 500, "it broke"),
        (("error", {"message": "it broke", "code": 429}), RateLimitError, 429, "it broke"),
    ],
)
def test_an_error_in_a_stream_is_the_error_of_its_code(event: Any, kind: type[APIStatusError], status: int, said: str):
    with pytest.raises(kind, match=said) as caught:
        stream(sse({"content": "Hi"}, event))
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_an_error_event_that_is_only_text_is_an_error():
    with pytest.raises(ServerError, match="it broke"):
        stream(b"event: error\ndata: it broke\n\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (sse("{'content': 1}"), "not JSON"),
        (sse("[1]"), "not an object"),
        (sse({"content": 7}), "not text"),
        (sse({"content": "x", "function_calls": [{"arguments": {}}]}), "without a name"),
        (sse(("function_call_error", {"id": "c", "name": "f", "error": "bad"})), "arguments of a function call"),
        (sse("[DONE]"), "without an answer"),
        (sse({"text": "another dialect"}, "[DONE]"), "without an answer"),
    ],
)
def test_an_event_of_another_shape_is_a_format_error(data: bytes, said: str):
    with pytest.raises(ResponseFormatError, match=said) as caught:
        stream(data)
    assert (caught.value.provider, caught.value.model) == ("omnirouter", "claude-3-5-sonnet")


@given(st.text('{}[]":,0 abcdelnortu', max_size=40), st.sampled_from(["", "usage", "error", "content", "done"]))
@settings(max_examples=150)
def test_no_event_raises_anything_but_our_errors(data: str, name: str):
    decoder = WIRE.decoder(Built(WIRE.build(chat(), TARGET, stream=True).http), TARGET)
    with suppress(OmniError):
        assert all(isinstance(chunk, ChatChunk) for chunk in decoder.feed(ServerSentEvent(name, data)))


# ---- errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, {"detail": "Unknown model: gpt-9"}, BadRequestError, "Unknown model: gpt-9"),
        (401, {"detail": "Invalid API key"}, AuthenticationError, "Invalid API key"),
        (403, {"detail": "Not authenticated"}, AuthenticationError, "Not authenticated"),
        (404, {"detail": "Not Found"}, NotFoundError, "Not Found"),
        (429, {"detail": "Token quota reached"}, QuotaExceededError, "Token quota reached"),
        (429, {"detail": "User has reached the maximum number of tokens"}, QuotaExceededError, "maximum number"),
        (429, {"detail": "Too many requests"}, RateLimitError, "Too many requests"),
        (500, {"detail": "Anthropic API error: boom"}, ServerError, "Anthropic API error: boom"),
        (500, {"detail": "400: Unknown model: gpt-9"}, BadRequestError, "answered 400 .*: Unknown model: gpt-9"),
        (
            502,
            b"<html><head><title>x</title></head><body><h1>Bad  gateway</h1></body></html>",
            ServerError,
            ": Bad gateway$",
        ),
        (503, b"", OverloadedError, "HTTP 503"),
        (500, {"detail": {"message": "nested", "code": "x"}}, ServerError, "nested"),
        (500, {"error": {"message": "openai's way"}}, ServerError, "openai's way"),
        (500, b'"only text"', ServerError, "only text"),
        (418, {"unheard": "of"}, APIStatusError, "HTTP 418"),
        (
            422,
            {
                "detail": [
                    {"loc": ["body", "messages", 0, "role"], "msg": "field required", "type": "missing"},
                    {"loc": ["body", "k"], "msg": "too large"},
                    {"msg": "no place"},
                    "odd",
                ]
            },
            BadRequestError,
            "messages.0.role: field required; k: too large; no place; odd$",
        ),
    ],
)
def test_an_error_answer_is_the_typed_error_with_the_services_words(
    status: int, body: Any, kind: type[OmniError], said: str
):
    raised = error(body, status)
    assert type(raised) is kind
    assert raised.provider == "omnirouter"
    assert raised.model == "claude-3-5-sonnet"
    with pytest.raises(kind, match=said):
        raise raised


def test_a_429_that_says_how_long_to_wait_is_a_passing_limit():
    raised = error({"detail": "Token quota reached"}, 429, retry_after="7")
    assert type(raised) is RateLimitError
    assert raised.retryable
    assert raised.retry_after_s == 7


def test_an_error_keeps_the_body_and_the_request_id_but_no_key():
    raised = error({"detail": "key sk-abcdefgh12345678 is unknown"}, 401, x_request_id="r-1")
    assert isinstance(raised, APIStatusError)
    assert raised.body == {"detail": "key [key] is unknown"}
    assert raised.request_id == "r-1"
    assert "sk-abc" not in str(raised)


def test_a_huge_page_does_not_fill_the_message():
    raised = error(b"<p>" + b"<script>x" * 100_000 + b"word " * 100_000, 502)
    assert len(str(raised)) < 300
    assert isinstance(raised, ServerError)


@pytest.mark.parametrize(
    ("status", "body", "form"),
    [
        (404, {"detail": "Not Found"}, "later"),
        (405, {"detail": "Method Not Allowed"}, "later"),
        (404, b"<html>The page could not be found</html>", "later"),
        (404, b"", "later"),
        (404, {"error": {"code": "404", "message": "The page could not be found"}}, "later"),
        (404, {"detail": "Model gpt-9 not found"}, None),
        (404, {"error": {"message": "no such model"}}, None),
        (400, {"detail": "Not Found"}, None),
        (500, {"detail": "boom"}, None),
    ],
)
def test_the_later_routes_are_asked_when_the_published_one_is_missing(status: int, body: Any, form: str | None):
    assert WIRE.other_form("", reply(body, status)) == form
    assert WIRE.other_form("later", reply(body, status)) is None


# ---- models and images


@pytest.mark.parametrize(
    ("model_type", "route"),
    [
        (None, "/v1/models"),
        ("chat", "/v1/models/chat"),
        ("image", "/v1/models/image"),
        ("reasoning", "/v1/models/reasoning"),
    ],
)
def test_model_records_are_asked_by_type(model_type: str | None, route: str):
    sent = models_request(ENDPOINT, model_type)
    assert (sent.method, sent.url, sent.body) == ("GET", f"https://service.example{route}", b"")
    assert sent.headers["authorization"] == Secret("Bearer k-123")


def test_an_unknown_model_type_is_refused_before_any_request():
    with pytest.raises(InvalidRequestError, match="'video'"):
        models_request(ENDPOINT, "video")


def test_model_records_are_given_as_they_came():
    records = [{"id": "gpt-4", "name": "gpt-4", "provider": "openai", "tokenCost": 30.0, "new_field": [1]}]
    assert parse_models(reply({"models": records})) == records


@pytest.mark.parametrize("body", [{"models": "x"}, {"models": ["gpt-4"]}, {}, [], {"models": None}])
def test_model_records_of_another_shape_are_a_format_error(body: Any):
    with pytest.raises(ResponseFormatError):
        parse_models(reply(body))


def test_images_are_asked_and_read_as_documented():
    sent = image_request(ENDPOINT, prompt="a cat", model="dall-e-3", size="1024x1024", quality="standard", n=2)
    assert (sent.method, sent.url) == ("POST", "https://service.example/v1/images/generate")
    assert json.loads(sent.body) == {
        "model": "dall-e-3",
        "prompt": "a cat",
        "size": "1024x1024",
        "quality": "standard",
        "n": 2,
    }
    answer = {"urls": ["https://images.example/1.png", "data:image/png;base64,AAAA"], "model": "m", "provider": "p"}
    assert parse_images(reply(answer)) == answer


@pytest.mark.parametrize("body", [{"urls": "x"}, {"urls": [1]}, {}])
def test_images_of_another_shape_are_a_format_error(body: Any):
    with pytest.raises(ResponseFormatError, match="urls"):
        parse_images(reply(body))


# ---- the loopback server keeps to the protocol


def ask(server: OmniServer, method: str, path: str, body: Any = None, key: str | None = "k") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=5)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    is_stream = answer.headers["Content-Type"] == "text/event-stream"
    return answer.status, data if is_stream else json.loads(data)


CHAT = {"model": "gpt-4", "messages": JOKE, "temperature": 0.7, "max_tokens": None, "stream": False}


def test_the_server_answers_as_documented():
    with OmniServer(api_key="k") as server:
        assert ask(server, "POST", "/v1/chat/completions", CHAT) == (
            200,
            {
                "model": "gpt-4",
                "provider": "openai",
                "content": "".join(ANSWER),
                "usage": {"all_tokens": 23, "total_cost": 0.00001},
            },
        )
        assert ask(server, "GET", "/v1/models/image")[1]["models"][0]["id"] == "dall-e-3"
        assert len(ask(server, "GET", "/v1/models")[1]["models"]) == len(MODELS)
        assert [seen.path for seen in server.requests] == ["/v1/chat/completions", "/v1/models/image", "/v1/models"]
        assert server.requests[0].json == CHAT


@pytest.mark.parametrize(
    ("change", "key", "status", "detail"),
    [
        ({}, "other", 401, "Invalid API key"),
        ({}, None, 403, "Not authenticated"),
        ({"model": "gpt-9"}, "k", 400, "Unknown model: gpt-9"),
        (
            {"messages": [{"content": "x"}]},
            "k",
            422,
            [{"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing"}],
        ),
        (
            {"messages": [{"role": "user"}]},
            "k",
            422,
            [{"loc": ["body", "messages", 0, "content"], "msg": "Field required", "type": "missing"}],
        ),
    ],
)
def test_the_server_refuses_what_the_service_refuses(change: Any, key: str | None, status: int, detail: Any):
    with OmniServer(api_key="k") as server:
        assert ask(server, "POST", "/v1/chat/completions", {**CHAT, **change}, key) == (status, {"detail": detail})


def test_the_server_has_only_its_generations_routes():
    gone = (404, {"detail": "Not Found"})
    with OmniServer("published") as published, OmniServer("later") as later:
        assert ask(published, "POST", "/v1/router/smart_select", {"messages": JOKE, **SELECT}) == gone
        assert ask(later, "POST", "/v1/router/select-model", {"messages": JOKE, **SELECT}) == gone
        assert ask(later, "POST", "/v1/chat/completions", {**CHAT, "stream": True}) == gone
        assert ask(published, "POST", "/v1/chat/completions", {**CHAT, "stream": True})[0] == 200
        assert ask(later, "POST", "/v1/chat/completions/stream", CHAT)[1].endswith(b"data: [DONE]\n\n")
