"""Writing a conversation as Gemini's `contents` and `systemInstruction`.

What Gemini has no place for goes where it means the same:
- System messages at the beginning are the `systemInstruction`. A later one stays where it stands, as text of the user's
  turn in <system> tags, because moving it up would change what it refers to.
- Messages that follow one another in a role are one turn, and the results of tools come first in theirs: Gemini wants
  them right after the calls.
- Cache marks, a speaker's name, an image's detail, a file's name and the reasoning of another provider's model are left
  out and reported.

Source: the types of the `google-genai` package 3.4 and https://ai.google.dev/api/caching#Content, read 2026-11-23.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, Opaque, Part, ReasoningPart, TextPart
from omnilabs.errors import InvalidRequestError
from omnilabs.providers._base import Target

__all__ = ["encode_messages", "takes_levels"]


def takes_levels(model_name: str) -> bool:
    """Whether the model is of the generation that thinks by level and checks signatures, which began with Gemini 3.

    `thinkingLevel` is an error for a model before it, and `thinkingBudget` is taken after it only for compatibility.

    Source: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking, read 2026-11-23.
    """
    generation = re.search(r"gemini-(\d+)", model_name)
    return generation is None or int(generation[1]) >= 3


def encode_messages(messages: Sequence[ChatMessage], target: Target, dropped: set[str]) -> dict[str, Any]:
    """Return `contents` and, if there is one, `systemInstruction`.

    System messages alone are the user's turn: Gemini answers no request without contents.
    """
    leading = next((index for index, message in enumerate(messages) if message.role != "system"), 0)
    has_others = any(message.role != "system" for message in messages)
    encode = _MessageEncoder(target, dropped)
    system = [part for message in messages[:leading] for part in encode(message)]
    turns: list[dict[str, Any]] = []
    for message in messages[leading:]:
        role = "model" if message.role == "assistant" else "user"
        parts = list(encode(message)) or [{"text": ""}]
        if message.role == "system" and has_others:
            parts = [{"text": "<system>\n"}, *parts, {"text": "\n</system>"}]
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    for turn in turns:
        turn["parts"].sort(key=_is_no_result)
        if turn["role"] == "model" and encode.takes_levels:
            _excuse_unsigned_call(turn["parts"])
    return {"contents": turns} | ({"systemInstruction": {"parts": system}} if system else {})


def _is_no_result(part: Mapping[str, Any]) -> bool:
    return "functionResponse" not in part


def _excuse_unsigned_call(parts: Sequence[dict[str, Any]]) -> None:
    """Mark a turn whose first call has no signature as not of this model's making.

    Gemini 3 refuses history in which the first call of a turn is unsigned, and a call that another provider's model
    made always is. This value, which is Google's own for that case, makes it accept the call.

    Source: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs, read 2026-11-23.
    """
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", "skip_thought_signature_validator")


class _MessageEncoder:
    """Writes messages as parts, in the order of the conversation: a result is named after the call before it."""

    def __init__(self, target: Target, dropped: set[str]) -> None:
        self.takes_levels = takes_levels(target.model.name)
        self._provider = target.provider
        self._dropped = dropped
        self._called: dict[str, str] = {}

    def __call__(self, message: ChatMessage) -> Iterator[dict[str, Any]]:
        if message.role == "tool":
            yield from self._result(message)
            return
        if message.name:
            self._dropped.add("name")
        for part in message.parts:
            yield from self._part(part)
        for call in message.calls:
            self._called[call.id] = call.name
            body: dict[str, Any] = {"name": call.name, "args": _object(call.arguments_json, "arguments")}
            if call.id:
                body["id"] = call.id
            yield {"functionCall": body, **self._own(call.opaque)}

    def _own(self, opaque: Opaque | None) -> Mapping[str, Any]:
        """Return what this provider attached; what another one attached is left out and reported."""
        if opaque is None:
            return {}
        if opaque.provider == self._provider:
            return opaque.data
        self._dropped.add("reasoning")
        return {}

    def _part(self, part: Part) -> Iterator[dict[str, Any]]:
        """Yield the wire's part: none for an empty text, or for another provider's signed reasoning."""
        if getattr(part, "cache", None):
            self._dropped.add("cache")  # Gemini caches by itself; a mark is a hint it has no place for
        match part:
            case TextPart():
                own = self._own(part.opaque)
                if part.text or own:
                    yield {"text": part.text, **own}
            case ReasoningPart():
                yield from self._thought(part)
            case ImagePart() | FilePart() | AudioPart():
                yield self._medium(part)

    def _thought(self, part: ReasoningPart) -> Iterator[dict[str, Any]]:
        """Yield this provider's own thought, signed or not, or the part that its opaque data keep whole."""
        if part.opaque is None or part.opaque.provider != self._provider:
            self._dropped.add("reasoning")
            return
        signature = dict(part.opaque.data)
        whole = signature.pop("part", None)
        if isinstance(whole, Mapping):
            yield {**whole, **signature}
        elif part.text or signature:
            yield {"text": part.text, "thought": True, **signature}

    def _medium(self, part: ImagePart | FilePart | AudioPart) -> dict[str, Any]:
        """Return a medium as data or address.

        Gemini fetches public and signed https addresses, those of its Files API and of registered Cloud Storage files.

        Source: https://ai.google.dev/gemini-api/docs/file-input-methods, read 2026-11-23.
        """
        if isinstance(part, ImagePart) and part.detail in ("low", "high"):
            self._dropped.add("detail")
        if isinstance(part, FilePart) and part.filename:
            self._dropped.add("filename")
        if part.url is None:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        address = urlsplit(part.url)
        if address.scheme.lower() not in ("https", "gs"):
            raise InvalidRequestError(
                f"Gemini fetches from https and gs addresses only, and this {part.type} is at {part.url[:80]!r}: "
                "pass its bytes (from_bytes)",
                parameter="messages",
            )
        media_type = part.media_type or _MEDIA_TYPES.get(address.path.rpartition(".")[2].lower())
        return {"fileData": {"fileUri": part.url} | ({"mimeType": media_type} if media_type else {})}

    def _result(self, message: ChatMessage) -> Iterator[dict[str, Any]]:
        """Yield a tool's result. Its media go into it, or after it for models that read only an object there.

        Source: `types.FunctionResponse.parts` of the `google-genai` package 3.4, read 2026-11-23.
        """
        name = self._called.get(message.tool_call_id or "") or message.name
        if name is None:
            raise InvalidRequestError(
                f"a tool's result answers the call {message.tool_call_id!r}, which no message before it made, and "
                "Gemini needs the tool's name: keep the assistant's message, or give the result a name",
                parameter="messages",
            )
        body: dict[str, Any] = {"name": name}
        if message.tool_call_id:
            body["id"] = message.tool_call_id
        body["response"] = {"error": message.text} if message.is_error else _object(message.text, "result")
        if any(part.cache for part in message.parts if isinstance(part, TextPart)):
            self._dropped.add("cache")
        rest = [wire for part in message.parts if not isinstance(part, TextPart) for wire in self._part(part)]
        if rest and self.takes_levels:
            body["parts"] = rest
            rest = []
        yield {"functionResponse": body}
        yield from rest


def _object(text: str, otherwise: str) -> dict[str, Any]:
    """Return JSON text of an object as that object, no text as none, any other text under the name `otherwise`."""
    if not text.strip() and otherwise == "arguments":
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {otherwise: text}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {otherwise: text}


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which Python reads and no other JSON reader takes."""
    raise ValueError(constant)


_MEDIA_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "pdf": "application/pdf",
    "json": "application/json",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "xml": "text/xml",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "aiff": "audio/aiff",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/m4a",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
}
"""An address's suffix -> its media type. Without one the field stays out, as for an address of the Files API."""
