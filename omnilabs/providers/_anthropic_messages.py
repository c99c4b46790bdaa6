"""A conversation on the Anthropic Messages wire: the system prompt, the turns and their content blocks.

Sources: the types of the `anthropic` package 2.12 (`MessageParam`, `ContentBlockParam`) and
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages, read 2026-11-23.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from omnilabs._frozen import evolve
from omnilabs._messages import (
    AudioPart,
    ChatMessage,
    FilePart,
    ImagePart,
    Opaque,
    Part,
    ReasoningPart,
    TextPart,
    ToolCall,
    _from_url,
)
from omnilabs.errors import InvalidRequestError, ResponseFormatError, UnsupportedParameterError
from omnilabs.providers._base import Target

__all__ = ["THOUGHTS_BEFORE", "encode_conversation"]

Block = dict[str, Any]

THOUGHTS_BEFORE = "thoughts_before"
"""Key in a tool call's `opaque`: how many of the message's signed blocks came before the call."""

_Medium = TypeVar("_Medium", ImagePart, FilePart)
_PDF = "application/pdf"
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def encode_conversation(
    messages: Sequence[ChatMessage], target: Target, dropped: set[str], *, system_turns: bool
) -> tuple[list[Block], list[Block]]:
    """Return the `system` blocks and the `messages` of a conversation.

    System messages at the beginning become `system`. A later one keeps its place: as a turn of its own where the wire
    allows one (after a user's turn and before an assistant's or the end) and the model takes it (`system_turns`), else
    marked as `<system>` inside the user's turn it stands in. A conversation of nothing but system messages is asked as
    the user's, since the wire needs a turn. Messages of one role in a row share a turn.

    Args:
        messages: The conversation.
        target: Whom it goes to; only this provider's own signed blocks are replayed.
        dropped: Receives the name of everything that has no place on this wire.
        system_turns: Whether the model takes the role `system` among the turns.

    Raises:
        UnsupportedParameterError: A sound, a document that is neither PDF nor text, or a medium in a system message.
        InvalidRequestError: Nothing is left to send.
    """
    turns = _Turns(system_turns=system_turns)
    encoder = _Encoder(target, dropped)
    for message in messages:
        turns.add(message.role, encoder.encode(message))
    return turns.finish()


class _Turns:
    """Collects turns; system messages wait until it is known what follows them."""

    def __init__(self, *, system_turns: bool) -> None:
        self._system_turns = system_turns
        self._system: list[Block] = []
        self._waiting: list[Block] = []
        self._turns: list[Block] = []

    def add(self, role: str, blocks: list[Block]) -> None:
        if role == "system":
            (self._waiting if self._turns else self._system).extend(blocks)
        elif blocks:
            speaker = "assistant" if role == "assistant" else "user"
            self._place_waiting(before=speaker)
            self._extend(speaker, blocks)

    def finish(self) -> tuple[list[Block], list[Block]]:
        self._place_waiting(before=None)
        if not self._turns:
            self._extend("user", self._system)
            self._system = []
        if not self._turns:
            raise InvalidRequestError("messages hold nothing but blank text: say something", parameter="messages")
        for turn in self._turns:
            # Results answer the turn before and must come first in theirs, whatever was said in between.
            turn["content"].sort(key=_is_not_result)
        return self._system, self._turns

    def _place_waiting(self, *, before: str | None) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if self._system_turns and self._turns[-1]["role"] == "user" and before != "user":
            self._turns.append({"role": "system", "content": waiting})
        else:
            self._extend("user", [{**block, "text": f"<system>\n{block['text']}\n</system>"} for block in waiting])

    def _extend(self, role: str, blocks: list[Block]) -> None:
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"].extend(blocks)
        elif blocks:
            self._turns.append({"role": role, "content": list(blocks)})


def _is_not_result(block: Block) -> bool:
    return bool(block["type"] != "tool_result")


class _Encoder:
    """Turns messages into content blocks for one target."""

    def __init__(self, target: Target, dropped: set[str]) -> None:
        self._target = target
        self._dropped = dropped

    def encode(self, message: ChatMessage) -> list[Block]:
        if message.name and message.role != "tool":
            self._dropped.add("name")
        if message.role == "tool":
            return [self._result(message)]
        if message.role == "assistant":
            return self._assistant(message)
        if message.role == "system" and any(not isinstance(part, TextPart) for part in message.parts):
            self._refuse("a system message of anything but text")
        return self._blocks(message.parts)

    def _blocks(self, parts: Sequence[Part]) -> list[Block]:
        return [block for part in parts if (block := self._block(part)) is not None]

    def _assistant(self, message: ChatMessage) -> list[Block]:
        """Return an assistant's blocks in the order the model made them: signed blocks must not move."""
        blocks: list[Block] = []
        calls = list(message.calls)
        thoughts = 0
        for part in message.parts:
            own = self._own(part.opaque) if isinstance(part, ReasoningPart) else None
            if own is not None:
                while calls and self._thoughts_before(calls[0]) <= thoughts:
                    blocks.append(self._call(calls.pop(0)))
                blocks.append(dict(own))
                thoughts += 1
            elif (block := self._block(part)) is not None:
                blocks.append(block)
        return blocks + [self._call(call) for call in calls]

    def _own(self, opaque: Opaque | None) -> Mapping[str, Any] | None:
        return opaque.data if opaque is not None and opaque.provider == self._target.provider else None

    def _thoughts_before(self, call: ToolCall) -> float:
        place = (self._own(call.opaque) or {}).get(THOUGHTS_BEFORE)
        return place if isinstance(place, int) else float("inf")

    def _call(self, call: ToolCall) -> Block:
        if call.opaque is not None and self._own(call.opaque) is None:
            self._dropped.add("reasoning")
        return {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": _tool_input(call)}

    def _result(self, message: ChatMessage) -> Block:
        result: Block = {"type": "tool_result", "tool_use_id": _tool_id(message.tool_call_id or "")}
        content = self._blocks(message.parts)
        for block in content:
            # What is cached is the result as a whole.
            if (mark := block.pop("cache_control", None)) is not None:
                result["cache_control"] = mark
        if content:
            result["content"] = content
        if message.is_error:
            result["is_error"] = True
            # The API refuses an error without content.
            result.setdefault("content", "error")
        return result

    def _block(self, part: Part) -> Block | None:
        """Return a part as a block, or None for one the wire has no place for: blank text, others' reasoning."""
        match part:
            case TextPart():
                if part.opaque is not None and self._own(part.opaque) is None:
                    self._dropped.add("reasoning")
                # The API refuses blank text blocks; nothing is said by leaving them out.
                block = {"type": "text", "text": part.text} if part.text.strip() else None
            case ImagePart():
                block = self._image(part)
            case FilePart():
                block = self._document(part)
            case AudioPart():
                self._refuse("sound (an audio part)")
            case ReasoningPart():
                self._dropped.add("reasoning")
                return None
        self._mark(block, part.cache)
        return block

    def _mark(self, block: Block | None, mark: str | None) -> None:
        if mark is None:
            return
        if block is None or not self._target.endpoint.spec.caches_on_mark:
            self._dropped.add("cache")
        else:
            block["cache_control"] = {"type": "ephemeral", "ttl": mark}

    def _image(self, part: ImagePart) -> Block:
        if part.detail in ("low", "high"):
            self._dropped.add("detail")
        part = _inline(part)
        if part.url is not None:
            return {"type": "image", "source": {"type": "url", "url": part.url}}
        media_type = "image/jpeg" if part.media_type == "image/jpg" else part.media_type
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": part.data}}

    def _document(self, part: FilePart) -> Block:
        part = _inline(part)
        kind = part.media_type or _PDF
        source: Block
        if kind == _PDF and part.url is not None:
            source = {"type": "url", "url": part.url}
        elif kind == _PDF:
            source = {"type": "base64", "media_type": _PDF, "data": part.data}
        elif kind.startswith("text/") and part.data is not None:
            source = {"type": "text", "media_type": "text/plain", "data": _decoded(part.data)}
        else:
            self._refuse(f"a document of type {kind!r} (only PDF, and text given as data)")
        return {"type": "document", "source": source} | ({"title": part.filename} if part.filename else {})

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedParameterError(
            f"{self._target.model.id!r} at {self._target.provider} does not take {what}: leave it out of messages or "
            "choose another model",
            parameters=("messages",),
            provider=self._target.provider,
            model=self._target.model.id,
        )


def _inline(part: _Medium) -> _Medium:
    """Return a medium given as a `data:` address as data, the only way this wire takes it."""
    if part.url is not None and part.url.startswith("data:"):
        return evolve(part, url=None, **_from_url(part.url, part.media_type))
    return part


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequestError("a text document must be base64 of UTF-8", parameter="messages") from None


def _tool_id(call_id: str) -> str:
    """Return a call's id in the letters this wire allows; other providers' ids may hold dots and colons."""
    return _NOT_IN_IDS.sub(lambda char: f"_{ord(char[0]):x}_", call_id)


def _tool_input(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments as an object.

    What a model wrote instead of a JSON object goes back under a name that says so.

    Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/fine-grained-tool-streaming, read 2026-11-23.
    """
    try:
        return call.arguments
    except ResponseFormatError:
        return {"INVALID_JSON": call.arguments_json}
