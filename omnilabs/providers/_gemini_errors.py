"""Gemini's errors, as answers and inside answers, as typed errors.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting and
https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from omnilabs._http import HttpResponse
from omnilabs.errors import APIStatusError
from omnilabs.providers._base import Target, status_error

__all__ = ["describe_error", "in_band_error", "typed_error"]

_NOTHING: Mapping[str, Any] = {}
_STATUS_BY_WORD: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""https://cloud.google.com/apis/design/errors#handling_errors; any other word is a 500."""
_TOO_LONG = "exceeds the maximum number of tokens"
"""A prompt that is too long has no code: INVALID_ARGUMENT is any bad request, this sentence only that one."""


def describe_error(body: object) -> Mapping[str, Any]:
    """Return the `error` object of a body, alone or first in an array; empty if there is none."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str) and error:
        return {"message": error}
    return cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else _NOTHING


def in_band_error(error: Mapping[str, Any], target: Target) -> APIStatusError:
    """Return the error of an `error` object found in a 2xx answer, as if its code were the HTTP status."""
    number = error.get("code")
    if not isinstance(number, int) or not 400 <= number <= 599:
        number = _STATUS_BY_WORD.get(str(error.get("status")), 500)
    return typed_error(HttpResponse(number, {}, b""), error, target)


def typed_error(reply: HttpResponse, error: Mapping[str, Any], target: Target, body: object = None) -> APIStatusError:
    """Return the typed error of an `error` object: its class by status, refined by the details Google attaches.

    `RetryInfo` tells how long to wait; a `QuotaFailure` over a quota per day is exhausted until tomorrow, whatever
    `RetryInfo` says; `ErrorInfo` with an API_KEY reason is a bad key although the status is 400.
    """
    rows: Any = error.get("details")
    details = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    message = str(error.get("message") or error.get("status") or "an error without a message")
    code: str | None = None
    if reply.status == 429 and any("PerDay" in quota for row in details for quota in _quotas(row)):
        code = "quota_exceeded"
    elif reply.status == 400 and _TOO_LONG in message:
        code = "context_length_exceeded"
    has_bad_key = reply.status == 400 and any(str(row.get("reason", "")).startswith("API_KEY_") for row in details)
    return status_error(
        reply,
        target,
        message=message,
        code=code,
        status=401 if has_bad_key else reply.status,
        retry_after_s=next((wait for row in details if (wait := _seconds(row.get("retryDelay"))) is not None), None),
        body=error if body is None else body,
    )


def _quotas(detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the quotas that a `QuotaFailure` or an `ErrorInfo` names."""
    violations: Any = detail.get("violations") or ()
    for violation in violations:
        if isinstance(violation, Mapping):
            yield str(violation.get("quotaId", ""))
    metadata = detail.get("metadata")
    if isinstance(metadata, Mapping):
        yield str(metadata.get("quota_limit", ""))


def _seconds(delay: object) -> float | None:
    """Return the seconds of a protobuf duration such as "17s" or "1.5s"."""
    if not isinstance(delay, str) or not delay.endswith("s"):
        return None
    try:
        seconds = float(delay[:-1])
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
