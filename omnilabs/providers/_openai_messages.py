"""A conversation on the OpenAI chat-completions wire.

Source: https://platform.openai.com/docs/api-reference/chat and the types of the `openai` package 3.54, read 2026-11-23.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omnilabs._frozen import evolve
from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, Part, ReasoningPart, TextPart, ToolCall
from omnilabs.errors import UnsupportedParameterError
from omnilabs.providers._base import Target
from omnilabs.providers._openai_stream import joined

__all__ = ["encode_messages"]

_AUDIO_FORMATS: Mapping[str, str] = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav"}


def encode_messages(messages: Sequence[ChatMessage], target: Target, dropped: set[str]) -> Iterable[dict[str, Any]]:
    """Yield wire messages. Media in a tool's result follow in a user message: this wire takes only text there."""
    pending: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool" and pending:
            yield {"role": "user", "content": pending}
            pending = []
        if message.role == "tool":
            call_id = _call_id(message.tool_call_id or "", target)
            yield {"role": "tool", "tool_call_id": call_id, "content": _tool_content(message, target, dropped)}
            media = [part for part in message.parts if isinstance(part, ImagePart | FilePart | AudioPart)]
            pending += [_encode_part(part, target, dropped) for part in media]
        else:
            yield _encode_message(message, target, dropped)
    if pending:
        yield {"role": "user", "content": pending}


def _tool_content(message: ChatMessage, target: Target, dropped: set[str]) -> str | list[dict[str, Any]]:
    """Return a tool's result: text, or a marked part where marks are honoured; no field says that it is an error."""
    text = message.text
    if message.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    marked = [part for part in message.parts if isinstance(part, TextPart) and part.cache]
    if not marked:
        return text
    part = _encode_part(evolve(marked[-1], text=text), target, dropped)
    return [part] if "cache_control" in part else text


def _encode_message(message: ChatMessage, target: Target, dropped: set[str]) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role}
    if isinstance(message.content, str):
        wire["content"] = message.content
    else:
        _put_reasoning(wire, message.parts, target, dropped)
        wire["content"] = _encode_content(message, target, dropped)
    if message.name and "name" in target.endpoint.spec.unsupported:
        dropped.add("name")
    elif message.name:
        wire["name"] = message.name
    if message.tool_calls:
        calls = message.calls
        if any(call.opaque is not None and call.opaque.provider != target.provider for call in calls):
            dropped.add("reasoning")
        wire["tool_calls"] = [_encode_call(call, target) for call in calls]
    elif wire["content"] is None:
        wire["content"] = ""
    return wire


def _encode_content(message: ChatMessage, target: Target, dropped: set[str]) -> str | list[dict[str, Any]] | None:
    """Return the parts but for reasoning. An assistant's go as one text: several servers take no parts there."""
    parts = [part for part in message.parts if not isinstance(part, ReasoningPart)]
    shown = [_encode_part(part, target, dropped) for part in parts]
    if message.role != "assistant" or any("cache_control" in part for part in shown):
        return shown
    for part in parts:
        if not isinstance(part, TextPart):
            raise UnsupportedParameterError(
                f"{target.provider} takes no {part.type} in an assistant's message: give it in a user's",
                parameters=("messages",),
                provider=target.provider,
                model=target.model.id,
            )
    return message.text or None


def _encode_call(call: ToolCall, target: Target) -> dict[str, Any]:
    # Servers that read the arguments as JSON fail on an empty text.
    function = {"name": call.name, "arguments": call.arguments_json or "{}"}
    return {"id": _call_id(call.id, target), "type": "function", "function": function}


def _call_id(call_id: str, target: Target) -> str:
    """Return a call's id, or one made from it where the provider takes none of this form."""
    length = target.endpoint.spec.call_id_length
    if length is None or (len(call_id) == length and call_id.isascii() and call_id.isalnum()):
        return call_id
    return hashlib.blake2s(call_id.encode("utf-8", "backslashreplace")).hexdigest()[:length]


def _put_reasoning(wire: dict[str, Any], parts: Sequence[Part], target: Target, dropped: set[str]) -> None:
    """Give a provider its own reasoning back where its row names a field for it; otherwise report it as left out."""
    place = target.endpoint.spec.replays_reasoning
    for part in parts:
        if isinstance(part, ReasoningPart):
            own = part.opaque if part.opaque is not None and part.opaque.provider == target.provider else None
            if place is not None and own is not None and place in own.data:
                wire[place] = joined(wire[place], own.data[place]) if place in wire else own.data[place]
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
