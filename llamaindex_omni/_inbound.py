"""LlamaIndex messages -> this package's messages. Pure: nothing that is passed in is changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llamaindex_omni._attachments import Attachments
from omnilabs import ChatMessage as OmniMessage
from omnilabs.errors import InvalidRequestError
from omnilabs.types import AudioPart, FilePart, ImagePart, Part, ReasoningPart, TextPart, ToolCall

__all__ = ["to_omni_messages"]

_log = logging.getLogger("llamaindex_omni")

_ROLES: Mapping[MessageRole, str] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.FUNCTION: "tool",
    MessageRole.TOOL: "tool",
}
_CAN_BE_CACHED: TypeAlias = TextPart | ImagePart | FilePart
_DETAILS: tuple[Literal["low", "high", "auto"], ...] = ("low", "high", "auto")


def to_omni_messages(messages: Sequence[ChatMessage]) -> list[OmniMessage]:
    """Return the messages for the client.

    Raises:
        InvalidRequestError: A block that no model here can take, named by its type; also a `ValueError`.
    """
    return [_to_omni(message) for message in messages]


def _to_omni(message: ChatMessage) -> OmniMessage:
    role = _ROLES[message.role]
    blocks = message.blocks
    attached = Attachments.of(blocks)
    calls = tuple(_calls(message, attached))
    name = message.additional_kwargs.get("name")
    return OmniMessage(
        role,
        _content(blocks, role, attached),
        name if isinstance(name, str) else None,
        calls,
        message.additional_kwargs.get("tool_call_id") if role == "tool" else None,
    )


def _content(blocks: Sequence[ContentBlock], role: str, attached: Attachments) -> str | list[Part]:
    if len(blocks) == 1 and isinstance(blocks[0], TextBlock):
        return blocks[0].text
    parts: list[Part] = []
    for block in blocks:
        if isinstance(block, CachePoint):
            _mark_cached(parts, block)
        else:
            parts += _parts(block, role, attached)
    return parts or ""


def _parts(block: ContentBlock, role: str, attached: Attachments) -> Iterator[Part]:
    match block:
        case TextBlock():
            yield TextPart(block.text, opaque=attached.next_text())
        case ThinkingBlock():
            if not Attachments.is_carrier(block):
                yield ReasoningPart(block.content or "", Attachments.of_thinking(block))
        case CitableBlock():
            yield TextPart(f"{block.title}\nSource: {block.source}")
            for inner in block.content:
                yield from _parts(inner, role, attached)
        case CitationBlock():
            # In an answer it repeats what was quoted beside the text; in a question it is the material itself.
            if role != "assistant":
                yield TextPart(f"{block.title}\nSource: {block.source}")
                yield from _parts(block.cited_content, role, attached)
        case ToolCallBlock() | CachePoint():
            pass  # calls travel beside the content; cache points mark the part before them
        case _:
            yield _medium(block)


def _medium(block: ImageBlock | AudioBlock | DocumentBlock | VideoBlock) -> Part:
    match block:
        case ImageBlock():
            return _image(block)
        case AudioBlock():
            return _audio(block)
        case DocumentBlock():
            return _document(block)
        case VideoBlock():
            raise InvalidRequestError(
                "a message holds a VideoBlock, and no provider here takes video: send frames as ImageBlocks",
                parameter="messages",
            )


def _mark_cached(parts: list[Part], point: CachePoint) -> None:
    """Ask the provider to cache the prompt up to the last part that can carry the mark."""
    ttl: Literal["5m", "1h"] = "1h" if point.cache_control.ttl == "1h" else "5m"
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, _CAN_BE_CACHED):
            parts[index] = replace(part, cache=ttl)
            return
    _log.warning("a CachePoint has nothing before it in its message; it is left out")


def _image(block: ImageBlock) -> ImagePart:
    detail = block.detail if block.detail in _DETAILS else None
    if block.url is not None and block.image is None and block.path is None:
        return ImagePart(**_address(str(block.url), block.image_mimetype), detail=detail)
    data = block.resolve_image(as_base64=block.image is not None).read()
    if block.image is None:
        return ImagePart.from_bytes(data, _known(block.image_mimetype, block), detail)
    return ImagePart(data=data.decode(), media_type=_known(block.image_mimetype, block), detail=detail)


def _audio(block: AudioBlock) -> AudioPart:
    if block.url is not None and block.audio is None and block.path is None:
        return AudioPart(**_address(str(block.url), None))
    data = block.resolve_audio().read()
    return AudioPart.from_bytes(data, f"audio/{_known(block.format, block)}")


def _document(block: DocumentBlock) -> Part:
    media_type = block.document_mimetype
    if block.url is not None and block.data is None and block.path is None:
        return FilePart(**_address(block.url, media_type), filename=block.title)
    data = block.resolve_document().read()
    if media_type is not None and media_type.startswith("text/"):
        # Every model reads text; only some read files.
        return TextPart(data.decode("utf-8", errors="replace"))
    return FilePart.from_bytes(data, media_type or "application/pdf", block.title)


def _address(url: str, media_type: str | None) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"url": url, "media_type": media_type}
    head, _, data = url[5:].partition(",")
    return {"data": data, "media_type": head.split(";")[0] or media_type}


def _known(media_type: str | None, block: ImageBlock | AudioBlock) -> str:
    if media_type is None:
        raise InvalidRequestError(
            f"the type of an {type(block).__name__} cannot be told from its data: set its image_mimetype or format",
            parameter="messages",
        )
    return media_type


def _calls(message: ChatMessage, attached: Attachments) -> Iterator[ToolCall]:
    found = False
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            found = True
            call_id = block.tool_call_id or ""
            yield ToolCall(call_id, block.tool_name, _json(block.tool_kwargs), attached.of_call(call_id))
    if found:
        return
    # Older classes leave the calls here: dicts, or objects of the openai package.
    for call in message.additional_kwargs.get("tool_calls") or ():
        fields: Any = call if isinstance(call, Mapping) else call.model_dump()
        function = fields.get("function") or fields
        yield ToolCall(str(fields.get("id") or ""), str(function["name"]), _json(function.get("arguments") or {}))


def _json(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
