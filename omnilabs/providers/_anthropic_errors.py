"""What an Anthropic error says, and which of our errors it is.

Sources: https://platform.claude.com/docs/en/api/errors and the error classes of the `anthropic` package 2.12 with their
codes, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from omnilabs._http import HttpResponse
from omnilabs._retry import retry_after_s
from omnilabs.errors import APIStatusError
from omnilabs.providers._base import Target, status_error

__all__ = ["Fault", "fault_error", "fault_of"]

Fields = Mapping[str, Any]


class Fault(NamedTuple):
    """What an error body says: the broad `type`, the stable `details.error_code`, the words, the request's id."""

    kind: str
    code: str | None
    message: str
    request_id: str | None


_STATUS_BY_KIND: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_NO_CREDIT = "insufficient_quota"
_TOO_LONG = "context_length_exceeded"
_MEANING: Mapping[str, str] = {
    "billing_error": _NO_CREDIT,
    "contract_spend_limit_reached": _NO_CREDIT,
    "enforced_spend_limit_reached": _NO_CREDIT,
    "linked_organization_billing_unavailable": _NO_CREDIT,
    "linked_organization_spend_limit_reached": _NO_CREDIT,
    "user_profile_billing_not_authorized": _NO_CREDIT,
    "user_profile_not_billable": _NO_CREDIT,
}
# The API has no code for these: all three are a plain invalid_request_error with status 400.
_MEANING_BY_WORDS: Mapping[str, str] = {
    "prompt is too long": _TOO_LONG,
    "exceed context limit": _TOO_LONG,
    "credit balance is too low": _NO_CREDIT,
    "reached your specified api usage limits": _NO_CREDIT,
}


def fault_of(body: object) -> Fault | None:
    """Return what an error body says, or None if it is none."""
    if not isinstance(body, Mapping) or not (body.get("error") or body.get("type") == "error"):
        return None
    fields = cast("Fields", body)
    error: Any = fields.get("error")
    words = error
    kind = code = None
    if isinstance(error, Mapping):
        kind, words, details = error.get("type"), error.get("message"), error.get("details")
        code = details.get("error_code") if isinstance(details, Mapping) else None
    request_id = fields.get("request_id")
    return Fault(
        str(kind or ""),
        code if isinstance(code, str) else None,
        words if isinstance(words, str) and words else "an error without a message",
        request_id if isinstance(request_id, str) else None,
    )


def fault_error(
    fault: Fault, reply: HttpResponse, target: Target, *, in_band: bool = False, body: object = None
) -> APIStatusError:
    """Return the typed error: its class from the status and the provider's codes, from words only where it has none.

    An error inside a 2xx answer (`in_band`) counts as the status its type stands for.
    """
    meaning = _MEANING.get(fault.code or "") or _MEANING.get(fault.kind)
    if meaning is None and fault.kind == "invalid_request_error":
        said = fault.message.lower()
        meaning = next((meaning for words, meaning in _MEANING_BY_WORDS.items() if words in said), None)
    headers = {"request-id": fault.request_id, **reply.headers} if fault.request_id else reply.headers
    status = _STATUS_BY_KIND.get(fault.kind, 500) if in_band else reply.status
    return status_error(
        HttpResponse(status, headers, reply.body),
        target,
        message=fault.message,
        code=meaning or fault.kind,  # other servers of this wire put codes there
        retry_after_s=retry_after_s(reply.headers),
        body=body,
    )
