"""The OpenAI chat-completions wire, which most providers and local servers speak.

Source: https://platform.openai.com/docs/api-reference/chat and the types of the `openai` package 3.54, read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Literal, cast

from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, Part, ReasoningPart, TextPart
from omnilabs._request import SETTINGS, ChatRequest
from omnilabs._response import ChatResponse
from omnilabs._secret import Secret
from omnilabs.errors import APIStatusError, OmniError, ResponseFormatError, UnsupportedParameterError
from omnilabs.providers._base import Built, Target, status_error
from omnilabs.providers._openai_stream import OpenAIDecoder, chunk_of, read_tool_calls, read_usage

__all__ = ["WIRE", "OpenAIWire"]

_NO_STREAM_OPTIONS = "no-stream-options"
_AUDIO_FORMATS: Mapping[str, str] = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav"}
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

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the chat-completions request.

        Raises:
            UnsupportedParameterError: A part that this wire has no place for, such as a sound by address.
        """
        spec = target.endpoint.spec
        dropped: set[str] = set()
        body: dict[str, Any] = {
            "model": target.model.name,
            "messages": list(_encode_messages(request.messages, target, dropped)),
        }
        structured_by, answer_tool = _put_settings(body, request, target)
        if stream:
            body["stream"] = True
            if spec.stream_usage and form != _NO_STREAM_OPTIONS:
                body["stream_options"] = {"include_usage": True}
        body |= request.extra_body or {}
        http = HttpRequest(
            "POST",
            f"{target.endpoint.base_url}/chat/completions",
            headers(target.endpoint.api_key, target.endpoint.headers),
            json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
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
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict) and choice.get("error"):
            raise in_band_error(choice["error"], target)
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise _bad_shape("choices[0].message", "an object", reply, target)
        return _read_choice(body, choice, built, target)

    def decoder(self, built: Built, target: Target) -> OpenAIDecoder:
        """Return a fresh decoder for one stream."""
        return OpenAIDecoder(target, built.answer_tool, in_band_error)

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
        fields["authorization"] = Secret(f"Bearer {api_key.reveal()}")
    return fields


# ---- request


def _encode_messages(messages: Sequence[ChatMessage], target: Target, dropped: set[str]) -> Iterable[dict[str, Any]]:
    """Yield wire messages. Media in a tool's result follow in a user message: this wire takes only text there."""
    pending: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool" and pending:
            yield {"role": "user", "content": pending}
            pending = []
        if message.role == "tool":
            yield {"role": "tool", "tool_call_id": message.tool_call_id, "content": _tool_text(message)}
            media = [part for part in message.parts if isinstance(part, ImagePart | FilePart | AudioPart)]
            pending += [_encode_part(part, target, dropped) for part in media]
        else:
            yield _encode_message(message, target, dropped)
    if pending:
        yield {"role": "user", "content": pending}


def _tool_text(message: ChatMessage) -> str:
    """Return a tool's result as text; this wire has no field that says it is an error."""
    text = message.text
    return f"Error: {text}" if message.is_error and not text.lower().startswith("error") else text


def _encode_message(message: ChatMessage, target: Target, dropped: set[str]) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role}
    if isinstance(message.content, str):
        wire["content"] = message.content
    else:
        parts = message.parts
        _put_reasoning(wire, parts, target, dropped)
        shown = [_encode_part(part, target, dropped) for part in parts if not isinstance(part, ReasoningPart)]
        # An assistant's text goes as a string: several servers take no parts there.
        wire["content"] = (message.text or None) if message.role == "assistant" else shown
    if message.name:
        wire["name"] = message.name
    if message.tool_calls:
        calls = message.calls
        if any(call.opaque is not None and call.opaque.provider != target.provider for call in calls):
            dropped.add("reasoning")
        wire["tool_calls"] = [{"id": c.id, "type": "function", "function": c.function} for c in calls]
    elif wire["content"] is None:
        wire["content"] = ""
    return wire


def _put_reasoning(wire: dict[str, Any], parts: Sequence[Part], target: Target, dropped: set[str]) -> None:
    """Give a provider its own reasoning back where its row names a field for it; otherwise report it as left out."""
    place = target.endpoint.spec.replays_reasoning
    for part in parts:
        if isinstance(part, ReasoningPart):
            own = part.opaque if part.opaque is not None and part.opaque.provider == target.provider else None
            if place is not None and own is not None and place in own.data:
                wire[place] = own.data[place]
            else:
                dropped.add("reasoning")
        elif isinstance(part, TextPart) and part.opaque is not None:
            dropped.add("reasoning")


def _encode_part(part: Part, target: Target, dropped: set[str]) -> dict[str, Any]:
    wire = _part_body(part, target)
    mark = getattr(part, "cache", None)
    if mark:
        if target.endpoint.spec.caches_on_mark:
            wire["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if mark == "1h" else {})
        else:
            dropped.add("cache")
    return wire


def _part_body(part: Part, target: Target) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            image: dict[str, Any] = {"url": part.data_url}
            return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
        case AudioPart(data=str(data), media_type=str(media_type)):
            kind = _AUDIO_FORMATS.get(media_type, media_type.partition("/")[2])
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case FilePart(data=str()):
            return {"type": "file", "file": {"filename": part.filename or "file.pdf", "file_data": part.data_url}}
        case _:
            raise UnsupportedParameterError(
                f"{target.provider} takes a {part.type} only as data: pass its bytes (from_bytes), not an address",
                parameters=("messages",),
                provider=target.provider,
                model=target.model.id,
            )


def _put_settings(
    body: dict[str, Any], request: ChatRequest, target: Target
) -> tuple[Literal["native", "tool"] | None, str | None]:
    """Put what the caller set into the body; return how a schema is asked for, and the forced tool's name."""
    spec = target.endpoint.spec
    given = request.given_params()
    structured_by: Literal["native", "tool"] | None = None
    answer_tool: str | None = None
    able = target.model.capabilities
    if request.tools:
        given["tools"] = list(request.tools)
        if able.tools_effort is not None and request.reasoning_effort is None:
            given["reasoning_effort"] = able.tools_effort
    if request.stop:
        given["stop"] = list(request.stop)
    if request.temperature is not None:
        given["temperature"] = float(request.temperature)
    choice = request.tool_choice
    if choice not in (None, "auto", "none", "required"):
        given["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if request.response_format and request.response_format["type"] == "json_schema":
        if spec.native_schema and able.json_schema:
            structured_by = "native"
        else:
            structured_by = "tool"
            answer_tool = _ask_by_tool(given, request.response_format["json_schema"])
    for name, value in given.items():
        _put(body, spec.renamed.get(name, name), value)
    return structured_by, answer_tool


def _ask_by_tool(given: dict[str, Any], wanted: Mapping[str, Any]) -> str:
    """Ask for a schema through a tool the model must call, for models without native schemas."""
    name = str(wanted.get("name") or "answer")
    function = {
        "name": name,
        "description": str(wanted.get("description") or "Give the final answer in this form."),
        "parameters": wanted["schema"],
    }
    own = given.get("tools", [])
    given["tools"] = [*own, {"type": "function", "function": function}]
    given["tool_choice"] = "required" if own else {"type": "function", "function": {"name": name}}
    del given["response_format"]
    return name


def _put(body: MutableMapping[str, Any], path: str, value: object) -> None:
    """Put `value` at a field, or at a path such as `reasoning.effort`."""
    *outer, last = path.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value


# ---- response


def _read_choice(body: Mapping[str, Any], choice: Mapping[str, Any], built: Built, target: Target) -> ChatResponse:
    chunk = chunk_of(body, choice, choice["message"], target)
    calls = read_tool_calls(choice["message"], target)
    finish = chunk.finish_reason
    content = chunk.content
    if built.answer_tool is not None:
        answers = [call for call in calls if call.name == built.answer_tool]
        if answers:
            content = answers[0].arguments_json
            calls = tuple(call for call in calls if call.name != built.answer_tool)
            finish = "tool_calls" if calls else "stop"
    parts: list[Part] = []
    if chunk.reasoning or chunk.opaque:
        parts.append(ReasoningPart(chunk.reasoning or "", chunk.opaque))
    if content:
        parts.append(TextPart(content))
    return ChatResponse(
        model=chunk.model,
        content=content,
        provider=target.provider,
        usage=read_usage(body),
        finish_reason=finish,
        tool_calls=calls,
        id=chunk.id,
        reasoning=chunk.reasoning,
        parts=tuple(parts),
        annotations=chunk.annotations,
        logprobs=chunk.logprobs,
        refusal=chunk.refusal,
        structured_by=built.structured_by,
        raw=body,
    )


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
