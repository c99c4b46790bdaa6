"""Answers as LangChain's standard content blocks: reasoning, text with citations, tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as blocks
from langchain_core.messages.block_translators import register_translator

from langchain_omni._answer import PROVIDER
from langchain_omni._convert import REPLAY

__all__ = ["register_blocks", "translate", "translate_chunk"]


def register_blocks() -> None:
    """Tell langchain-core how to read messages whose `model_provider` is ours."""
    register_translator(PROVIDER, translate, translate_chunk)


def translate(message: AIMessage) -> list[blocks.ContentBlock]:
    """Return a whole answer's blocks: its reasoning, its text with citations, its tool calls."""
    return [*_spoken(message), *_calls(message), *_invalid_calls(message)]


def translate_chunk(message: AIMessageChunk) -> list[blocks.ContentBlock]:
    """Return a chunk's blocks; tool calls stay in pieces until the last chunk has been merged in."""
    if message.chunk_position == "last":
        return translate(message)
    pieces: list[blocks.ContentBlock] = []
    for piece in message.tool_call_chunks:
        block = blocks.ToolCallChunk(
            type="tool_call_chunk", id=piece.get("id"), name=piece.get("name"), args=piece.get("args")
        )
        index = piece.get("index")
        if index is not None:
            block["index"] = f"lc_tc_{index}"  # LangChain numbers text and reasoning itself, from 0 too
        pieces.append(block)
    return [*_spoken(message), *pieces]


def _spoken(message: AIMessage) -> list[blocks.ContentBlock]:
    if not isinstance(message.content, str):
        # Blocks already, as under output_version="v1".
        spoken = [block for block in message.content if isinstance(block, dict)]
        return [cast("blocks.ContentBlock", block) for block in spoken if "tool_call" not in str(block.get("type"))]
    extra = message.additional_kwargs
    parts = (extra.get(REPLAY) or {}).get("parts")
    found = [_replayed(part) for part in parts] if parts else []
    if not found and extra.get("reasoning_content"):
        found.append(blocks.ReasoningContentBlock(type="reasoning", reasoning=extra["reasoning_content"]))
    annotations = [_citation(item) for item in extra.get("annotations") or ()]
    if parts and annotations:
        _annotate_last_text(found, annotations)
    elif not parts and (message.content or annotations):
        text = blocks.TextContentBlock(type="text", text=message.content)
        if annotations:
            text["annotations"] = annotations
        found.append(text)
    return found


def _replayed(part: Mapping[str, Any]) -> blocks.ContentBlock:
    """Return the block of a part whose provider must get something back, which goes along in `extras`."""
    block: Any = (
        blocks.ReasoningContentBlock(type="reasoning", reasoning=part["text"])
        if part["type"] == "reasoning"
        else blocks.TextContentBlock(type="text", text=part["text"])
    )
    if part.get("opaque"):
        block["extras"] = {"opaque": part["opaque"]}
    return cast("blocks.ContentBlock", block)


def _annotate_last_text(found: list[blocks.ContentBlock], annotations: list[blocks.Annotation]) -> None:
    for block in reversed(found):
        if block["type"] == "text":
            block["annotations"] = annotations
            return


def _citation(item: Mapping[str, Any]) -> blocks.Annotation:
    """Return a citation from OpenAI's `url_citation`, or from the same fields without the wrapping."""
    given: Mapping[str, Any] = item.get("url_citation") or item
    known = {name: given[name] for name in _CITATION_FIELDS if given.get(name) is not None}
    if "url" not in known and "cited_text" not in known and "title" not in known:
        return blocks.NonStandardAnnotation(type="non_standard_annotation", value=dict(item))
    rest = {name: value for name, value in given.items() if name not in {*_CITATION_FIELDS, "type"}}
    citation: Any = {"type": "citation", **known}
    return cast("blocks.Citation", citation | ({"extras": rest} if rest else {}))


_CITATION_FIELDS = ("url", "title", "start_index", "end_index", "cited_text")


def _calls(message: AIMessage) -> list[blocks.ContentBlock]:
    signed = (message.additional_kwargs.get(REPLAY) or {}).get("calls") or {}
    found: list[blocks.ContentBlock] = []
    for call in message.tool_calls:
        block = blocks.ToolCall(type="tool_call", id=call["id"], name=call["name"], args=call["args"])
        if call["id"] in signed:
            block["extras"] = {"opaque": signed[call["id"]]}
        found.append(block)
    return found


def _invalid_calls(message: AIMessage) -> list[blocks.ContentBlock]:
    return [
        blocks.InvalidToolCall(
            type="invalid_tool_call", id=call["id"], name=call["name"], args=call["args"], error=call["error"]
        )
        for call in message.invalid_tool_calls
        if call["name"]  # without one it is a piece, which the last chunk of a stream may have
    ]
