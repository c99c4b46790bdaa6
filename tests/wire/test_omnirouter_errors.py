"""Which error an answer of the hosted service means, and when it asks for the later routes."""

from __future__ import annotations

from typing import Any

import pytest
from wire.omnirouter_kit import (
    error,
    reply,
)

from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from omnilabs.providers._omnirouter import WIRE


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
