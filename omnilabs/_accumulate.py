"""Chunks of a stream -> the whole response, equal to the one an unstreamed call would have given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnilabs._frozen import evolve
from omnilabs._messages import Opaque, Part, ReasoningPart, TextPart, ToolCall
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._usage import Usage

__all__ = ["Accumulator"]


class _OpenPart:
    """A part that is still growing."""

    def __init__(self, kind: type[TextPart] | type[ReasoningPart]) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.opaque: Opaque | None = None

    def close(self) -> Part:
        return self.kind("".join(self.pieces), opaque=self.opaque)


class _OpenCall:
    """A tool call that is still growing."""

    def __init__(self, index: int) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.opaque: Opaque | None = None
        self.fallback_id = f"call_{index}"

    def close(self) -> ToolCall:
        return ToolCall(self.id or self.fallback_id, self.name, "".join(self.pieces) or "{}", self.opaque)


class Accumulator:
    """Collects chunks. `response()` may be asked for at any time; before the end it is partial."""

    def __init__(self) -> None:
        self._parts: list[_OpenPart] = []
        self._text: list[str] | None = None  # where a piece of plain text goes
        self._calls: dict[int, _OpenCall] = {}
        self._model = ""
        self._provider = ""
        self._id: str | None = None
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._explanation: str | None = None
        self._refusal: list[str] = []
        self._annotations: list[Mapping[str, Any]] = []
        self._logprobs: list[Mapping[str, Any]] = []

    @property
    def usage(self) -> Usage | None:
        """The last usage reported, or None."""
        return self._usage

    @property
    def has_content(self) -> bool:
        """Whether anything of the answer has arrived."""
        return bool(self._parts or self._calls)

    def add(self, chunk: ChatChunk) -> None:
        """Take in the next chunk."""
        if chunk.content and self._text is not None and self._is_only_text(chunk):
            self._text.append(chunk.content)
            return
        self._text = None
        if chunk.reasoning is not None:
            self._grow(ReasoningPart, chunk.reasoning, fresh=chunk.opaque is not None and not chunk.reasoning)
        if chunk.content:
            self._grow(TextPart, chunk.content)
        if chunk.opaque is not None:
            if not self._parts:
                self._parts.append(_OpenPart(ReasoningPart))
            self._parts[-1].opaque = chunk.opaque
        if chunk.tool_calls:
            self._add_calls(chunk)
        self._add_facts(chunk)
        last = self._parts[-1] if self._parts else None
        if last is not None and last.kind is TextPart and last.opaque is None:
            self._text = last.pieces

    def _is_only_text(self, chunk: ChatChunk) -> bool:
        """Whether a chunk says nothing but more text, by the model that spoke before."""
        return (
            chunk.model == self._model
            and chunk.provider == self._provider
            and chunk.reasoning is None
            and chunk.opaque is None
            and chunk.usage is None
            and chunk.finish_reason is None
            and chunk.explanation is None
            and not (chunk.tool_calls or chunk.annotations or chunk.logprobs or chunk.refusal)
        )

    def _add_facts(self, chunk: ChatChunk) -> None:
        if chunk.model:
            self._model = chunk.model
        if chunk.provider:
            self._provider = chunk.provider
        if chunk.id is not None:
            self._id = chunk.id
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        self._annotations += chunk.annotations
        self._logprobs += chunk.logprobs
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.explanation is not None:
            self._explanation = chunk.explanation

    def _grow(self, kind: type[TextPart] | type[ReasoningPart], text: str, *, fresh: bool = False) -> None:
        last = self._parts[-1] if self._parts else None
        if last is None or last.kind is not kind or last.opaque is not None or fresh:
            last = _OpenPart(kind)
            self._parts.append(last)
        last.pieces.append(text)

    def _add_calls(self, chunk: ChatChunk) -> None:
        for delta in chunk.tool_calls:
            call = self._calls.get(delta.index)
            if call is None:
                call = self._calls[delta.index] = _OpenCall(delta.index)
            call.id = call.id or delta.id or ""
            call.name = call.name or delta.name or ""
            call.opaque = call.opaque or delta.opaque
            call.pieces.append(delta.arguments_json)

    def response(self) -> ChatResponse:
        """Return what has arrived so far as a response, unpriced."""
        parts = [part.close() for part in self._parts]
        content = "".join(part.text for part in parts if isinstance(part, TextPart))
        reasoning = "".join(part.text for part in parts if isinstance(part, ReasoningPart))
        return ChatResponse(
            model=self._model,
            content=content,
            provider=self._provider,
            usage=self._usage or Usage(),
            explanation=self._explanation,
            finish_reason=self._finish,
            tool_calls=tuple(call.close() for _, call in sorted(self._calls.items())),
            id=self._id,
            reasoning=reasoning or None,
            parts=tuple(parts),
            annotations=tuple(self._annotations),
            logprobs=tuple(self._logprobs),
            refusal="".join(self._refusal) or None,
        )

    def partial(self, usage: Usage) -> ChatResponse:
        """Return what arrived of a stream that ended early, with `usage` estimated by the caller."""
        return evolve(self.response(), usage=usage)
