"""Errors of the Gemini wire: the class, the wait, and nothing of the key."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from wire.gemini_kit import KEY, target

from omnilabs._http import HttpResponse
from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from omnilabs.providers._gemini import WIRE
from omnilabs.providers._gemini_errors import in_band_error

RPC = "type.googleapis.com/google.rpc."
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


def retry_info(delay: Any) -> dict[str, Any]:
    return {"@type": f"{RPC}RetryInfo", "retryDelay": delay}


def quota(name: str) -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": name}]}


def error_info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}


def error_of(
    code: int, word: str, *details: dict[str, Any], message: str = "no", array: bool = False
) -> APIStatusError:
    body: Any = {"error": {"code": code, "message": message, "status": word, "details": list(details)}}
    reply = HttpResponse(code, {"x-goog-request-id": "q1"}, json.dumps([body] if array else body).encode())
    error = WIRE.error(reply, target())
    assert isinstance(error, APIStatusError)
    return error


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("code", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", BadRequestError),
        (400, "FAILED_PRECONDITION", BadRequestError),
        (401, "UNAUTHENTICATED", AuthenticationError),
        (403, "PERMISSION_DENIED", AuthenticationError),
        (404, "NOT_FOUND", NotFoundError),
        (429, "RESOURCE_EXHAUSTED", RateLimitError),
        (500, "INTERNAL", ServerError),
        (503, "UNAVAILABLE", OverloadedError),
        (504, "DEADLINE_EXCEEDED", ServerError),
    ],
)
def test_the_class_follows_the_status(code: int, word: str, kind: type[APIStatusError], array: bool):
    error = error_of(code, word, array=array)
    assert type(error) is kind
    assert (error.status, error.provider, error.model, error.request_id) == (code, "gemini", "gemini-3.5-flash", "q1")
    assert "no" in str(error)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("17s", 17.0), ("1.5s", 1.5), ("36.429760048s", 36.429760048), ("0s", 0.0), ("soon", None), (17, None)],
)
def test_rate_limit_tells_the_wait_of_retry_info(delay: Any, seconds: float | None):
    error = error_of(429, "RESOURCE_EXHAUSTED", quota(PER_MINUTE), retry_info(delay))
    assert type(error) is RateLimitError
    assert error.retryable
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    "details",
    [[quota(PER_DAY), retry_info("36s")], [error_info("RATE_LIMIT_EXCEEDED", quota_limit="Gemini25ProRequestsPerDay")]],
)
def test_a_quota_per_day_is_exhausted_and_not_worth_a_retry(details: list[dict[str, Any]]):
    error = error_of(429, "RESOURCE_EXHAUSTED", *details)
    assert type(error) is QuotaExceededError
    assert not error.retryable


def test_a_quota_detail_does_not_change_an_error_of_another_status():
    assert type(error_of(403, "PERMISSION_DENIED", quota(PER_DAY))) is AuthenticationError


def test_a_bad_key_is_an_authentication_error_although_the_status_is_400():
    message = f"API key not valid: {KEY}. Please pass a valid API key."
    error = error_of(400, "INVALID_ARGUMENT", error_info("API_KEY_INVALID"), message=message)
    assert type(error) is AuthenticationError
    assert not error.retryable
    assert KEY not in str(error) + repr(error.body) + repr(error)
    assert "[key]" in str(error)


def test_a_prompt_that_is_too_long_is_a_context_length_error():
    assert type(error_of(400, "INVALID_ARGUMENT", message=TOO_LONG)) is ContextLengthError
    assert type(error_of(400, "INVALID_ARGUMENT", message="maximum of 5 stop sequences")) is BadRequestError
    assert type(error_of(500, "INTERNAL", message=TOO_LONG)) is ServerError


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><h1>502</h1></html>", "text/html instead of a JSON error"),
        (b"", "text/html instead of a JSON error"),
        (b"[]", "text/html instead of a JSON error"),
        (b'{"error": "upstream died"}', "upstream died"),
        (b'{"error": {"status": "UNAVAILABLE"}}', "UNAVAILABLE"),
        (b'{"error": {"code": 1, "details": 5}}', "an error without a message"),
        (b'{"error": {"message": "x", "details": [7, {"violations": [1]}]}}', "x"),
    ],
)
def test_a_body_of_any_shape_is_still_a_typed_error(body: bytes, said: str):
    error = WIRE.error(HttpResponse(502, {"content-type": "text/html"}, body), target())
    assert type(error) is ServerError
    assert said in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 503, "message": "m"}, 503),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"status": "NEW_WORD"}, 500),
        ({"code": 7, "status": "PERMISSION_DENIED"}, 403),
    ],
)
def test_an_error_inside_an_answer_has_the_status_its_code_or_word_stands_for(error: dict[str, Any], status: int):
    assert in_band_error(error, target()).status == status


def test_errors_survive_pickling():
    error = error_of(429, "RESOURCE_EXHAUSTED", quota(PER_DAY), retry_info("2s"))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.retry_after_s) == (QuotaExceededError, str(error), 2.0)
