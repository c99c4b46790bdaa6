"""The Anthropic Messages wire.

Sources: https://platform.claude.com/docs/en/api/errors and the types of the `anthropic` package 2.12, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping

from omnilabs._accumulate import Accumulator
from omnilabs._frozen import evolve
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._request import ChatRequest
from omnilabs._response import ChatResponse
from omnilabs._secret import Secret
from omnilabs.errors import OmniError, ResponseFormatError
from omnilabs.providers._anthropic_errors import Fault, fault_error, fault_of
from omnilabs.providers._anthropic_messages import encode_conversation
from omnilabs.providers._anthropic_settings import (
    ADAPTIVE,
    BUDGETED,
    DECLARED,
    FOLDED,
    UNFORCED,
    UNSAMPLED,
    Draft,
    put_settings,
)
from omnilabs.providers._anthropic_stream import AnthropicDecoder
from omnilabs.providers._base import Built, Target, encode_json, merge

__all__ = ["WIRE", "AnthropicWire"]

API_VERSION = "2023-06-01"
"""The version after it, 2026-10-21, refuses `temperature` and `top_p` for every model, even at their defaults; this one
leaves that to the model. Source: https://apidog.com/blog/claude-api-version-2026-10-21/, read 2026-11-23."""

# Words of a refusal -> the form that avoids it. https://platform.claude.com/docs/en/api/errors quotes most of them.
_FORM_BY_WORDS: Mapping[str, str] = {
    "thinking.type.enabled": ADAPTIVE,
    "adaptive thinking is not supported": BUDGETED,
    'type "tool" and "any" are not supported': UNFORCED,
    "tool_choice forces tool use": UNFORCED,
    "temperature": UNSAMPLED,
    "must define tools": DECLARED,
    "role": FOLDED,
}


class AnthropicWire:
    """Builds and reads Anthropic Messages requests."""

    params = frozenset(
        {
            "temperature",
            "max_tokens",
            "top_p",
            "stop",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "reasoning_effort",
            "reasoning_budget_tokens",
        }
    )
    forms_by_model = True

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the Messages request.

        - `max_tokens` is required here. Not given, it is the model's longest answer, at most `MOST_UNSTREAMED_TOKENS`.
        - `temperature` goes to 1, not 2, and neither it nor a `top_p` below 0.95 goes with thinking.
        - `reasoning_effort`: models that take no sampling settings (from Claude 4.7 on) think adaptively and get the
          effort itself, `minimal` as `low`; the others get a budget (`BUDGET_TOKENS`) that leaves room for the answer,
          and no forced tool. `none`, and a budget of 0, turn thinking off.
        - A JSON schema is asked for natively where the model can and the schema fits, else through a tool the model
          must call; `json_object` always through such a tool, as this wire has no mode for it.

        Raises:
            UnsupportedParameterError: A setting or a part that has no place on this wire, or not beside the others.
            InvalidRequestError: There is nothing to send.
        """
        draft = Draft(request, target, frozenset(form.split(",")))
        body = draft.body
        # Models take system turns from 4.8 on; who takes a temperature is older than that.
        system_turns = not target.model.capabilities.temperature and FOLDED not in draft.form
        system, body["messages"] = encode_conversation(
            request.messages, target, draft.dropped, system_turns=system_turns
        )
        if system:
            body["system"] = system
        if stream:
            body["stream"] = True
        structured_by, answer_tool = put_settings(draft)
        merge(body, request.extra_body or {})
        http = HttpRequest("POST", _url(target), _headers(target), encode_json(body))
        return Built(http, tuple(sorted(draft.dropped)), structured_by, answer_tool)

    def parse(self, reply: HttpResponse, built: Built, target: Target) -> ChatResponse:
        """Return the response of a 2xx answer, unpriced.

        Raises:
            ResponseFormatError: Not a message with a list of content blocks.
            APIStatusError: An error in spite of the status, mapped by its type.
        """
        body = reply.json()
        fault = fault_of(body)
        if fault is not None:
            raise fault_error(fault, reply, target, in_band=True, body=body)
        seen = Accumulator()
        try:
            if not isinstance(body, dict):
                raise ResponseFormatError(f"{target.provider} answered {reply.status} but not with an object")
            for chunk in AnthropicDecoder(target, built.answer_tool).whole(body):
                seen.add(chunk)
        except ResponseFormatError as error:
            raise ResponseFormatError(
                error.message,
                body_prefix=reply.text,
                provider=target.provider,
                model=target.model.id,
                status=reply.status,
                request_id=reply.request_id,
            ) from None
        return evolve(seen.response(), structured_by=built.structured_by, dropped_params=built.dropped, raw=body)

    def decoder(self, built: Built, target: Target) -> AnthropicDecoder:
        """Return a fresh decoder for one stream."""
        return AnthropicDecoder(target, built.answer_tool)

    def error(self, reply: HttpResponse, target: Target) -> OmniError:
        """Return the error of an answer with status 400 or more."""
        body = _error_body(reply)
        fault = fault_of(body)
        if fault is None:
            said = body.get("message") or body.get("detail") if isinstance(body, dict) else None
            kind = reply.headers.get("content-type", "a body")
            fault = Fault("", None, str(said) if said else f"{kind} instead of a JSON error", None)
        return fault_error(fault, reply, target, body=body)

    def other_form(self, form: str, reply: HttpResponse) -> str | None:
        """Return the form without what this answer refuses, where the model's generation decides what is taken.

        Words of the refusal decide, as the API has no codes for these. A word taken wrongly costs one more request; the
        error that comes of it is still the provider's own.
        """
        if reply.status not in (400, 422):
            return None
        fault = fault_of(_error_body(reply))
        said = fault.message.lower() if fault is not None else ""
        forms = form.split(",") if form else []
        for words, other in _FORM_BY_WORDS.items():
            if words in said and other not in forms:
                return ",".join([*forms, other])
        return None


WIRE = AnthropicWire()


def _url(target: Target) -> str:
    # The SDK's base URL goes without /v1; who configures it with one means the same.
    return f"{target.endpoint.base_url.rstrip('/').removesuffix('/v1')}/v1/messages"


def _headers(target: Target) -> dict[str, str | Secret]:
    fields: dict[str, str | Secret] = {"content-type": "application/json", "anthropic-version": API_VERSION}
    if target.endpoint.api_key is not None:
        fields["x-api-key"] = target.endpoint.api_key
    return fields | dict(target.endpoint.headers)


def _error_body(reply: HttpResponse) -> object:
    try:
        return reply.json()
    except ResponseFormatError:
        return reply.text
