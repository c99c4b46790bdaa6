"""What is read from the hosted service's streams, in both forms and however they are cut."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.omnirouter_kit import (
    TARGET,
    chat,
    parse,
    sse,
    stream,
)

from omnilabs._sse import ServerSentEvent
from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
)
from omnilabs.providers._base import Built
from omnilabs.providers._omnirouter import WIRE
from omnilabs.types import ChatChunk

USAGE = {"prompt_tokens": 12, "completion_tokens": 11}
CALL = {"name": "weather", "arguments": {"city": "Zürich"}, "id": "c1"}
WHOLE = {"content": "Hi ñ 日本", "model": "m-1", "provider": "openai"}
PLAIN = sse({"content": "Hi "}, {"content": "ñ "}, {"content": "日本", "model": "m-1", "provider": "openai"}, "[DONE]")
NAMED: list[tuple[str, dict[str, Any]]] = [
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
        sse(*(dict(data, type=name) for name, data in NAMED), "[DONE]"),
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
