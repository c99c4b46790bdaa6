"""The OpenAI chat-completions wire, which most providers and local servers speak.

Source: https://platform.openai.com/docs/api-reference/chat and the types of the `openai` package 3.54, read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Literal, cast

from omnilabs._accumulate import Accumulator
from omnilabs._frozen import evolve
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._request import SETTINGS, ChatRequest
from omnilabs._response import ChatChunk, ChatResponse, ToolCallDelta
from omnilabs._secret import Secret
from omnilabs.errors import APIStatusError, OmniError, ResponseFormatError
from omnilabs.providers._base import Built, Target, encode_json, merge, refuse, status_error
from omnilabs.providers._openai_messages import encode_messages
from omnilabs.providers._openai_stream import (
    OpenAIDecoder,
    chunk_of,
    finish_word,
    first_choice,
    read_tool_calls,
)
from omnilabs.providers._structured import AnswerReader, answer_function, why_no_forced_answer

__all__ = ["WIRE", "OpenAIWire"]

_NO_STREAM_OPTIONS = "no-stream-options"
# What providers put into an error's `type` or `code` instead of a number.
_STATUS_BY_CODE: Mapping[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "timeout": 504,
}


class OpenAIWire:
    """Builds and reads OpenAI-shaped requests; rows say where a provider differs."""

    params = frozenset(SETTINGS)
    forms_by_model = False

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the chat-completions request.

        Raises:
            UnsupportedParameterError: A part that this wire has no place for, such as a sound by address, or settings
                that do not go together.
        """
        spec = target.endpoint.spec
        dropped: set[str] = set()
        body: dict[str, Any] = {
            "model": target.model.name,
            "messages": list(encode_messages(request.messages, target, dropped)),
        }
        structured_by, answer_tool = _put_settings(body, request, target, dropped)
        if stream:
            body["stream"] = True
            if spec.stream_usage and form != _NO_STREAM_OPTIONS:
                body["stream_options"] = {"include_usage": True}
        merge(body, request.extra_body or {})
        http = HttpRequest(
            "POST",
            f"{target.endpoint.base_url}/chat/completions",
            headers(target.endpoint.api_key, target.endpoint.headers),
            encode_json(body),
        )
        return Built(http, tuple(sorted(dropped)), structured_by, answer_tool)

    def parse(self, reply: HttpResponse, built: Built, target: Target) -> ChatResponse:
        """Return the response of a 2xx answer, unpriced.

        Raises:
            ResponseFormatError: No `choices[0].message`.
            APIStatusError: An `error` object in spite of the status, mapped by its code.
        """
        body = reply.json()
        if not isinstance(body, dict):
            raise _bad_shape("the answer", "an object", reply, target)
        if body.get("error"):
            raise in_band_error(body["error"], target)
        choice = first_choice(body)
        if choice.get("error"):
            raise in_band_error(choice["error"], target)
        if not isinstance(choice.get("message"), dict):
            raise _bad_shape("choices[0].message", "an object", reply, target)
        return _read_choice(body, choice, built, target)

    def decoder(self, built: Built, target: Target) -> OpenAIDecoder:
        """Return a fresh decoder for one stream."""
        return OpenAIDecoder(target, built, in_band_error)

    def error(self, reply: HttpResponse, target: Target) -> OmniError:
        """Return the error of an answer with status 400 or more."""
        try:
            body = reply.json()
        except ResponseFormatError:
            body = reply.text
        message, code = describe_error(body)
        if message is None:
            message = f"{reply.headers.get('content-type', 'a body')} instead of a JSON error"
        return status_error(reply, target, message=message, code=code, body=body)

    def other_form(self, form: str, reply: HttpResponse) -> str | None:
        """Return the form without `stream_options` for servers that refuse the field."""
        if form == "" and reply.status in (400, 422) and b"stream_options" in reply.body:
            return _NO_STREAM_OPTIONS
        return None


WIRE = OpenAIWire()


def headers(api_key: Secret | None, extra: Mapping[str, str | Secret]) -> dict[str, str | Secret]:
    """Return the headers of a JSON request with a bearer key, if there is one."""
    fields: dict[str, str | Secret] = {"content-type": "application/json", **extra}
    if api_key is not None:
        fields["authorization"] = api_key.after("Bearer ")
    return fields


# ---- request


def _put_settings(
    body: dict[str, Any], request: ChatRequest, target: Target, dropped: set[str]
) -> tuple[Literal["native", "tool"] | None, str | None]:
    """Put what the caller set into the body; return how a schema is asked for, and the forced tool's name."""
    given = request.given_params()
    if request.stop:
        given["stop"] = list(request.stop)
    if request.temperature is not None:
        given["temperature"] = float(request.temperature)
    if request.top_logprobs is not None:
        given.setdefault("logprobs", True)  # a number alone is an error
    _put_tools(given, request, target, dropped)
    if request.reasoning_effort is not None and request.reasoning_budget_tokens is not None:
        refuse(request, target, "reasoning_effort", "reasoning_budget_tokens says it already", dropped)
        del given["reasoning_effort"]
    structured_by, answer_tool = _put_form(given, request, target, dropped)
    for name, value in given.items():
        _put(body, target.endpoint.spec.renamed.get(name, name), value)
    return structured_by, answer_tool


def _put_tools(given: dict[str, Any], request: ChatRequest, target: Target, dropped: set[str]) -> None:
    able = target.model.capabilities
    if request.tools:
        given["tools"] = [_encode_tool(tool, target, dropped) for tool in request.tools]
        if able.tools_effort is not None and request.reasoning_effort is None:
            given["reasoning_effort"] = able.tools_effort
    elif request.parallel_tool_calls is not None:
        refuse(request, target, "parallel_tool_calls", "it needs tools", dropped)
        del given["parallel_tool_calls"]
    choice = request.tool_choice
    if choice not in (None, "auto", "none", "required"):
        given["tool_choice"] = {"type": "function", "function": {"name": choice}}


def _encode_tool(tool: Mapping[str, Any], target: Target, dropped: set[str]) -> Mapping[str, Any]:
    if "cache_control" not in tool or target.endpoint.spec.caches_on_mark:
        return tool
    dropped.add("cache")
    return {name: value for name, value in tool.items() if name != "cache_control"}


def _put_form(
    given: dict[str, Any], request: ChatRequest, target: Target, dropped: set[str]
) -> tuple[Literal["native", "tool"] | None, str | None]:
    """Put how the form of the answer is asked for: natively, or by a tool the model must call."""
    wanted = request.response_format
    if wanted is None:
        return None, None
    has_schema = target.endpoint.spec.native_schema and target.model.capabilities.json_schema
    if has_schema or wanted["type"] != "json_schema":
        return "native", None
    del given["response_format"]
    why = why_no_forced_answer(request, target)
    if why is not None:
        refuse(request, target, "response_format", f"the answer would have to be a forced tool's, and {why}", dropped)
        return None, None
    function = answer_function(request)
    own = given.get("tools", [])
    given["tools"] = [*own, {"type": "function", "function": function}]
    alone = not own or request.tool_choice == "none"
    given["tool_choice"] = {"type": "function", "function": {"name": function["name"]}} if alone else "required"
    return "tool", function["name"]


def _put(body: MutableMapping[str, Any], path: str, value: object) -> None:
    """Put `value` at a field, or at a path such as `reasoning.effort`."""
    *outer, last = path.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value


# ---- response


def _read_choice(body: Mapping[str, Any], choice: Mapping[str, Any], built: Built, target: Target) -> ChatResponse:
    seen = Accumulator()
    for chunk in _chunks_of(body, choice, built, target):
        seen.add(chunk)
    count = len(body["choices"])
    return evolve(
        seen.response(),
        structured_by=built.structured_by,
        warnings=(f"the answer has {count} choices; all but the first are only in raw",) if count > 1 else (),
        raw=body,
    )


def _chunks_of(body: Mapping[str, Any], choice: Mapping[str, Any], built: Built, target: Target) -> Sequence[ChatChunk]:
    """Return a whole message as a stream would have it: the reasoning with what belongs to it, then the rest."""
    calls = tuple(
        ToolCallDelta(index, call.id, call.name, call.arguments_json)
        for index, call in enumerate(read_tool_calls(choice["message"], built, target))
    )
    chunk = chunk_of(body, choice, choice["message"], target, calls)
    if calls:
        chunk = evolve(chunk, finish_reason=finish_word(chunk.finish_reason, has_calls=True))
    chunks = [chunk]
    if chunk.reasoning or chunk.opaque:
        thought = ChatChunk(model=chunk.model, reasoning=chunk.reasoning or "", opaque=chunk.opaque)
        chunks = [thought, evolve(chunk, reasoning=None, opaque=None)]
    return chunks if built.answer_tool is None else AnswerReader(built.answer_tool).read(chunks, is_over=True)


def _bad_shape(path: str, wanted: str, reply: HttpResponse, target: Target) -> ResponseFormatError:
    return ResponseFormatError(
        f"{target.provider} answered {reply.status} but {path} is not {wanted}",
        body_prefix=reply.text,
        provider=target.provider,
        model=target.model.id,
        status=reply.status,
        request_id=reply.request_id,
    )


# ---- errors


def describe_error(body: object) -> tuple[str | None, str | None]:
    """Return an error body's message and the provider's code for it, in any of the shapes seen on this wire."""
    if not isinstance(body, Mapping):
        return None, None
    fields = cast("Mapping[str, Any]", body)
    error = fields.get("error", fields)
    if isinstance(error, str):
        return error, None
    if not isinstance(error, Mapping):
        return None, None
    message = error.get("message") or error.get("detail") or error.get("msg")
    text = message if isinstance(message, str) else json.dumps(message) if message else None
    return text, _error_code(error, text)


def _error_code(error: Mapping[str, Any], text: str | None) -> str | None:
    for word in (error.get("code"), error.get("type")):
        if isinstance(word, str) and word and not word.isdigit():
            if word == "invalid_request_error" and text and "maximum context length" in text:
                break
            return word
    # vLLM, DeepSeek and OpenRouter have no code for it; all write OpenAI's sentence.
    return "context_length_exceeded" if text and "maximum context length" in text else None


def in_band_error(error: object, target: Target) -> APIStatusError:
    """Return the error of an `error` object found in a 2xx body or stream, as if its code were the HTTP status."""
    message, code = describe_error({"error": error})
    number = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(number, str) and number.isdigit():
        number = int(number)
    if not isinstance(number, int) or not 400 <= number <= 599:
        number = _STATUS_BY_CODE.get(code or "", 500)
    reply = HttpResponse(number, {}, b"")
    return status_error(reply, target, message=message or "an error without a message", code=code, body=error)
