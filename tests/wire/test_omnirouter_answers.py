"""What is read from the hosted service's answers: every usage shape, calls, and bodies that are no answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.omnirouter_kit import (
    parse,
)

from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
)
from omnilabs.providers._usage_shapes import read_usage
from omnilabs.types import ToolCall, Usage


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
NUMBERS: st.SearchStrategy[Any] = st.integers(-5, 500) | st.sampled_from(
    [None, "", "7", True, 2.5, -0.0, float("nan"), float("inf"), [1], {}]
)
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
