"""Errors of the Anthropic wire: by status, inside a body and inside a stream."""

from __future__ import annotations

import json

import pytest
from wire.anthropic_kit import (
    OLD,
    built_for,
    chunks,
    message,
    parse,
    reply,
    sse,
    stream_events,
    streamed,
    text,
)

from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
)
from omnilabs.providers._anthropic import WIRE


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", BadRequestError),
        (401, "authentication_error", AuthenticationError),
        (402, "billing_error", QuotaExceededError),
        (403, "permission_error", AuthenticationError),
        (404, "not_found_error", NotFoundError),
        (413, "request_too_large", ContextLengthError),
        (429, "rate_limit_error", RateLimitError),
        (500, "api_error", ServerError),
        (504, "timeout_error", ServerError),
        (529, "overloaded_error", OverloadedError),
    ],
)
def test_the_class_of_an_error_is_the_same_by_status_in_a_body_and_in_a_stream(status, kind, error):
    body = {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"}
    by_status = WIRE.error(reply(body, status), OLD)
    with pytest.raises(APIStatusError) as in_body:
        parse(body)
    with pytest.raises(APIStatusError) as in_stream:
        chunks(sse([*stream_events(message(text("Hello!")))[:4], body]))
    for caught in (by_status, in_body.value, in_stream.value):
        assert type(caught) is error
        assert (caught.status, caught.request_id, caught.model) == (status, "req_1", "claude-sonnet-4-5")
        assert "No." in str(caught)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (
            429,
            {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}},
            QuotaExceededError,
        ),
        (429, {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}, RateLimitError),
        (
            403,
            {"type": "permission_error", "details": {"error_code": "user_profile_billing_not_authorized"}},
            QuotaExceededError,
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
            ContextLengthError,
        ),
        (
            400,
            {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 9 + 9 > 10",
            },
            ContextLengthError,
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "Your credit balance is too low to access"},
            QuotaExceededError,
        ),
        (400, {"type": "invalid_request_error", "message": "max_tokens: too high"}, BadRequestError),
        (500, {"type": "api_error", "message": "prompt is too long"}, ServerError),
    ],
)
def test_codes_refine_the_class_and_words_only_where_there_is_no_code(status, error, expected):
    assert type(WIRE.error(reply({"type": "error", "error": error}, status), OLD)) is expected


def test_an_error_carries_the_wait_and_the_requests_id_from_its_headers():
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
    error = WIRE.error(reply(body, 429, retry_after="7", request_id="req_9"), OLD)
    assert (error.retry_after_s, error.request_id, error.retryable) == (7.0, "req_9", True)


def test_no_key_gets_out_through_an_error():
    said = "invalid x-api-key: sk-ant-api03-abcdefghijklmnop"
    body = {"type": "error", "error": {"type": "authentication_error", "message": said}}
    error = WIRE.error(reply(body, 401), OLD)
    assert "sk-ant-api03" not in str(error)
    assert isinstance(error, AuthenticationError)
    assert "sk-ant-api03" not in repr(error.body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>" + b"x" * 900 + b"</html>", "instead of a JSON error"),
        (b"", "instead of a JSON error"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": "overloaded"}', "overloaded"),
        (b'{"error": {}}', "instead of a JSON error"),
        (b'{"type": "error"}', "without a message"),
    ],
)
def test_an_error_of_any_shape_is_an_error_of_its_status(body, said):
    error = WIRE.error(reply(body, 502, content_type="text/html"), OLD)
    assert type(error) is ServerError
    assert said in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"content": "text"}',
        b'{"content": [5]}',
        b'{"content": [{"text": "x"}]}',
        b'{"content": [{"type": "text"}]}',
        b'{"content": [{"type": "tool_use", "id": "x"}]}',
    ],
)
def test_an_answer_of_another_shape_is_a_format_error_that_shows_it(body):
    with pytest.raises(ResponseFormatError) as caught:
        WIRE.parse(reply(body, request_id="req_2"), built_for(), OLD)
    error: OmniError = caught.value
    assert (error.status, error.request_id) == (200, "req_2")
    assert caught.value.body_prefix == body.decode()


def test_bytes_that_are_not_utf8_become_replacement_characters():
    body = json.dumps(message(text("a?b"))).encode().replace(b"?", b"\xff")
    assert WIRE.parse(reply(body), built_for(), OLD).content == "a\ufffdb"
    stream = sse(stream_events(message(text("a?b")))).replace(b"a?b", b"a\xffb")
    assert streamed(stream).content == "a\ufffdb"
