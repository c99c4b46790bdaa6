"""One stream's chunks -> LlamaIndex responses, each a snapshot of the answer so far. Pure; both drivers share it."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_omni._calls import Ask
from llamaindex_omni._outbound import arguments_of, log_probs
from omnilabs import ChatChunk
from omnilabs.types import ToolCallDelta

__all__ = ["Snapshots"]


class _OpenCall:
    """A tool call that is still growing; its id never changes once it was shown."""

    def __init__(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or f"call_{delta.index}"
        self.name = ""
        self.arguments = ""

    def add(self, delta: ToolCallDelta) -> None:
        """Take in the next piece."""
        self.name = self.name or delta.name or ""
        self.arguments += delta.arguments_json

    def block(self) -> ToolCallBlock:
        """Return the call so far; arguments that are not whole yet stay text."""
        return ToolCallBlock(tool_call_id=self.id, tool_name=self.name, tool_kwargs=arguments_of(self.arguments))


class Snapshots:
    """Collects chunks and returns what a reader may keep: a later chunk changes no earlier response.

    The blocks before the growing one are shared between snapshots, which keeps a long stream linear.
    """

    def __init__(self, ask: Ask) -> None:
        # What is read of it may be half a call's arguments, so it is marked: whoever reads calls looks for it.
        self._omni = {"decision_id": ask.id, "source": ask.source, "is_partial": True}
        self._single_call = ask.single_call
        self._closed: list[ContentBlock] = []
        self._text: str | None = None
        self._thought: str | None = None
        self._texts = 0
        self._calls: dict[int, _OpenCall] = {}

    def start(self) -> ChatResponse:
        """Return the answer before its first chunk."""
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT), delta="")

    def add(self, chunk: ChatChunk) -> ChatResponse:
        """Return the answer so far, with what this chunk added as its delta."""
        extra: dict[str, Any] = {"omni": {"model": chunk.model, "id": chunk.id, **self._omni}}
        if chunk.reasoning:
            self._think(chunk.reasoning)
            extra["thinking_delta"] = chunk.reasoning
        delta = self._write(chunk.content) if chunk.content else ""
        for call in chunk.tool_calls:
            self._calls.setdefault(call.index, _OpenCall(call)).add(call)
        raw: dict[str, Any] = {"id": chunk.id, "model": chunk.model, "provider": chunk.provider, "delta": chunk.content}
        # Built from checked values, so they are not checked again: this runs once per token.
        message = ChatMessage.model_construct(role=MessageRole.ASSISTANT, blocks=self._blocks(), additional_kwargs={})
        return ChatResponse.model_construct(
            message=message,
            raw=raw,
            delta=delta,
            logprobs=log_probs(chunk.logprobs) if chunk.logprobs else None,
            additional_kwargs=extra,
        )

    def _think(self, text: str) -> None:
        if self._text is not None:
            self._closed.append(TextBlock(text=self._text))
            self._text = None
        self._thought = (self._thought or "") + text

    def _write(self, text: str) -> str:
        """Take in text; return the delta, which keeps the deltas' sum equal to the message's content.

        `ChatMessage.content` joins text blocks with a newline, so a second block begins with one.
        """
        if self._thought is not None:
            self._closed.append(ThinkingBlock(content=self._thought))
            self._thought = None
        if self._text is not None:
            self._text += text
            return text
        self._text = text
        self._texts += 1
        return text if self._texts == 1 else "\n" + text

    def _blocks(self) -> list[ContentBlock]:
        blocks = list(self._closed)
        if self._text is not None:
            blocks.append(TextBlock.model_construct(block_type="text", text=self._text))
        elif self._thought is not None:
            blocks.append(ThinkingBlock(content=self._thought))
        calls = [call for _, call in sorted(self._calls.items())] if self._calls else []
        blocks += [call.block() for call in (calls[:1] if self._single_call else calls) if call.name]
        return blocks
