"""LangChain's messages as `omnilabs` takes them. Pure: nothing here asks anybody or changes its input."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, FunctionMessage, ToolMessage

from omnilabs.errors import InvalidRequestError

__all__ = ["REPLAY", "to_omni_messages"]

REPLAY = "omni_replay"
"""Key in an AIMessage's `additional_kwargs` of what its provider must get back on the next turn."""

_log = logging.getLogger("langchain_omni")
_ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_Block: TypeAlias = Mapping[str, Any]


def to_omni_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return the messages as plain dicts of `omnilabs`.

    Content may hold LangChain's standard blocks, OpenAI's parts, and Anthropic's `image`, `document`, `thinking` and
    `tool_use` blocks.

    Raises:
        InvalidRequestError: A message or block that has no counterpart, such as a video.
    """
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, AIMessage):
        return _assistant(message)
    role = (
        message.role
        if isinstance(message, ChatMessage)
        else _ROLES.get(message.type.removesuffix("MessageChunk").lower())
    )
    if role is None or isinstance(message, FunctionMessage):
        raise InvalidRequestError(
            f"a {type(message).__name__} cannot be sent to a model: use HumanMessage, AIMessage, SystemMessage or "
            "ToolMessage",
            parameter="messages",
        )
    content = message.content
    plain: dict[str, Any] = {"role": role, "content": content if isinstance(content, str) else _parts(content)}
    if message.name:
        plain["name"] = message.name
    if isinstance(message, ToolMessage):
        plain["tool_call_id"] = message.tool_call_id
        if message.status == "error":
            plain["is_error"] = True
    return plain


def _parts(content: Iterable[str | _Block]) -> list[dict[str, Any]]:
    return [part for block in content if (part := _part(block)) is not None]


def _part(block: str | _Block) -> dict[str, Any] | None:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kind = str(block.get("type"))
    if kind in _CALLS:
        return None
    read = _READERS.get(kind)
    # What is not LangChain's own (OpenAI's parts, or a mistake) is read, or refused by name, by `omnilabs`.
    part = dict(block) if read is None else read(block)
    control = block.get("cache_control") or _extras(block).get("cache_control")
    if isinstance(control, Mapping):
        part["cache_control"] = control
    return part


# ---- the assistant's own messages


_CALLS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call", "input_json_delta"}
)
"""Blocks that repeat what is in `tool_calls`."""


def _assistant(message: AIMessage) -> dict[str, Any]:
    replay: Mapping[str, Any] = message.additional_kwargs.get(REPLAY) or {}
    calls = [_call(call, replay.get("calls", {})) for call in message.tool_calls]
    calls += [
        {"id": call["id"], "function": {"name": call["name"] or "", "arguments": call["args"] or ""}}
        for call in message.invalid_tool_calls
    ]
    plain: dict[str, Any] = {"role": "assistant", "content": _said(message, replay)}
    if calls:
        plain["tool_calls"] = calls
        plain["content"] = plain["content"] or None
    if message.name:
        plain["name"] = message.name
    return plain


def _call(call: Mapping[str, Any], opaque: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    plain: dict[str, Any] = {"id": call["id"], "function": {"name": call["name"], "arguments": arguments}}
    if call["id"] in opaque:
        plain["opaque"] = opaque[call["id"]]
    return plain


def _said(message: AIMessage, replay: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    """Return an answer's text, with the signed thoughts its provider wants back unless its text was edited since."""
    parts: list[dict[str, Any]] = list(replay.get("parts") or ())
    text = str(message.text)
    if parts:
        if "".join(part["text"] for part in parts if part["type"] == "text") == text:
            return parts
        return [part for part in parts if part["type"] == "reasoning"] + (
            [{"type": "text", "text": text}] if text else []
        )
    if isinstance(message.content, str):
        return message.content
    return [part for block in message.content if (part := _own_part(block)) is not None]


def _own_part(block: str | _Block) -> dict[str, Any] | None:
    """Return a block of an assistant's message. Another integration's own blocks mean nothing elsewhere: left out."""
    kind = "text" if isinstance(block, str) else str(block.get("type"))
    if kind not in _ASSISTANT_BLOCKS:
        if kind not in _CALLS:
            _log.warning("left a %r block of an earlier answer out: it has no meaning for another provider", kind)
        return None
    return _part(block)


# ---- standard blocks


def _extras(block: _Block) -> Mapping[str, Any]:
    extras = block.get("extras")
    return cast("Mapping[str, Any]", extras) if isinstance(extras, Mapping) else {}


def _text(block: _Block) -> dict[str, Any]:
    return {"type": "text", "text": block.get("text") or ""}


def _reasoning(block: _Block) -> dict[str, Any]:
    part = {"type": "reasoning", "text": block.get("reasoning") or block.get("thinking") or block.get("text") or ""}
    opaque = _extras(block).get("opaque")
    return part if opaque is None else {**part, "opaque": opaque}


def _medium(block: _Block) -> dict[str, Any]:
    """Read an image, file or sound: LangChain's standard block, or Anthropic's with a `source`."""
    kind = "file" if block["type"] == "document" else str(block["type"])
    if kind == "file" and "file" in block:
        return dict(block)
    source = block.get("source")
    given: _Block = source if isinstance(source, Mapping) else block
    if given.get("type") in ("text", "content") and given is not block:
        return _document(given, block.get("title"))
    data = given.get("base64") or given.get("data")
    media_type = given.get("mime_type") or given.get("media_type")
    part: dict[str, Any] = {"type": kind}
    if given.get("url"):
        part["url"] = given["url"]
    elif data:
        part |= {"data": data, "media_type": media_type or _MEDIA_TYPES[kind]}
    else:
        where = "a file_id" if given.get("file_id") else "neither url nor base64"
        raise InvalidRequestError(
            f"a content block of type {kind!r} has {where}: pass url= or base64= with mime_type=", parameter="messages"
        )
    if kind == "image" and block.get("detail"):
        part["detail"] = block["detail"]
    if kind == "file" and (filename := _filename(block)):
        part["filename"] = filename
    return part


def _document(source: _Block, title: object) -> dict[str, Any]:
    """Read the text of Anthropic's `document`, plain or in text blocks."""
    given = source.get("data") if source["type"] == "text" else source.get("content")
    texts = (
        [given] if isinstance(given, str) else [item.get("text") for item in given or () if isinstance(item, Mapping)]
    )
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError(
            "a 'document' block holds its text in source.data, or text blocks in source.content", parameter="messages"
        )
    return _plain_text({"text": "\n".join(cast("list[str]", texts)), "title": title})


_MEDIA_TYPES: Mapping[str, str] = {"image": "image/png", "file": "application/pdf", "audio": "audio/wav"}


def _filename(block: _Block) -> str | None:
    extras = _extras(block)
    return block.get("filename") or extras.get("filename") or extras.get("name") or extras.get("title")


def _plain_text(block: _Block) -> dict[str, Any]:
    if not isinstance(block.get("text"), str):
        raise InvalidRequestError("a 'text-plain' block needs its text: read the file first", parameter="messages")
    title = block.get("title")
    return {"type": "text", "text": f"{title}\n{block['text']}" if title else block["text"]}


def _non_standard(block: _Block) -> dict[str, Any]:
    value = block.get("value")
    part = _part(cast("_Block", value)) if isinstance(value, Mapping) else None
    if part is None:
        raise InvalidRequestError("a 'non_standard' block holds no content part", parameter="messages")
    return part


_READERS: Mapping[str, Callable[[_Block], dict[str, Any]]] = {
    "text": _text,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "image": _medium,
    "file": _medium,
    "document": _medium,
    "audio": _medium,
    "text-plain": _plain_text,
    "non_standard": _non_standard,
}
_ASSISTANT_BLOCKS = frozenset({"text", "reasoning", "thinking", "output_text", "refusal"})
