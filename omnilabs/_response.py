"""What comes back: the whole response, the chunks of a stream, and the attempts that failed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Literal

from omnilabs._decision import Decision
from omnilabs._frozen import frozen
from omnilabs._messages import ChatMessage, Opaque, Part, ReasoningPart, TextPart, ToolCall
from omnilabs._record import Record
from omnilabs._usage import Usage

__all__ = ["Attempt", "ChatChunk", "ChatResponse", "ToolCallDelta"]


@frozen
class Attempt(Record):
    """One attempt that failed, with what happened and what it may have cost."""

    provider: str
    model: str
    error_type: str
    message: str
    status: int | None = None
    elapsed_s: float | None = None
    maybe_billed: bool = False

    _keys: ClassVar[tuple[str, ...]] = (
        "provider",
        "model",
        "error_type",
        "message",
        "status",
        "elapsed_s",
        "maybe_billed",
    )


@frozen
class ToolCallDelta(Record):
    """A piece of a tool call in a stream: `arguments_json` pieces of one `index` are to be joined."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments_json: str = ""
    opaque: Opaque | None = None

    _keys: ClassVar[tuple[str, ...]] = ("index", "id", "name", "arguments_json")


@frozen
class ChatChunk(Record):
    """A piece of a streamed answer, with the keys of the whole response.

    `content` is the text that is new; `usage`, `finish_reason` and `explanation` come once, near the end.
    """

    content: str = ""
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str | None = None
    id: str | None = None
    explanation: str | None = None
    opaque: Opaque | None = None
    annotations: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None

    _keys: ClassVar[tuple[str, ...]] = (
        "model",
        "content",
        "provider",
        "usage",
        "finish_reason",
        "tool_calls",
        "reasoning",
        "id",
        "explanation",
    )
    _optional: ClassVar[frozenset[str]] = frozenset({"explanation"})


@frozen
class ChatResponse(Record):
    """The answer of `chat()` and `smart_select()`: `response["content"]`, `response.usage.total_cost`.

    Attributes:
        model: The provider's full name of the model that answered.
        content: The answer's text.
        provider: Who answered.
        usage: Tokens and US dollars.
        explanation: Why this model was chosen, if asked for with `verbose=True`.
        finish_reason: stop, length, tool_calls, content_filter, or what the provider said.
        tool_calls: The tools the model asks to call.
        id: The provider's id of the response.
        reasoning: The model's thinking, where the provider shows it.
        decision: The router's decision, when it chose the model.
        attempts: Every attempt that failed before this one succeeded.
        dropped_params: Settings that were left out because this model cannot take them.
        structured_by: How a `response_format` was asked for: by the provider's own means, or by a forced tool.
        parts: Text and reasoning in the order they came, with what the provider must get back.
        annotations: Citations, as the provider gave them.
        logprobs: Log-probabilities per token, as OpenAI's wire has them.
        refusal: Why the model will not answer, where it says so apart; `content` holds it too if it holds nothing else.
        warnings: What a careful reader should know, such as a body that was not valid UTF-8.
        latency_s: Seconds from sending to the whole answer.
        ttft_s: Seconds from sending to the first piece of a streamed answer.
        model_id: The catalogue's id of the model that answered.
        raw: The provider's JSON, for what this class does not show; None for a stream.
    """

    model: str
    content: str
    provider: str
    usage: Usage
    explanation: str | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    id: str | None = None
    reasoning: str | None = None
    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    dropped_params: tuple[str, ...] = ()
    structured_by: Literal["native", "tool"] | None = None
    parts: tuple[Part, ...] = ()
    annotations: tuple[Mapping[str, Any], ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None
    warnings: tuple[str, ...] = ()
    latency_s: float | None = None
    ttft_s: float | None = None
    model_id: str | None = None
    raw: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    _keys: ClassVar[tuple[str, ...]] = (
        "model",
        "content",
        "provider",
        "usage",
        "explanation",
        "finish_reason",
        "tool_calls",
        "id",
        "reasoning",
        "decision",
        "attempts",
        "dropped_params",
        "structured_by",
        "annotations",
        "logprobs",
        "refusal",
        "warnings",
        "latency_s",
        "ttft_s",
        "model_id",
    )
    _optional: ClassVar[frozenset[str]] = frozenset({"explanation"})

    @property
    def message(self) -> ChatMessage:
        """The answer as a message to append to the conversation, reasoning and signatures included."""
        needs_parts = any(isinstance(part, ReasoningPart) or getattr(part, "opaque", None) for part in self.parts)
        content: str | tuple[Part, ...] = self.parts if needs_parts else self.content
        return ChatMessage("assistant", content or (None if self.tool_calls else ""), tool_calls=self.tool_calls)


def parts_of(content: str, reasoning: str | None) -> tuple[Part, ...]:
    """Return the parts of a plain answer: its reasoning, if any, then its text."""
    thought: tuple[Part, ...] = (ReasoningPart(reasoning),) if reasoning else ()
    return (*thought, TextPart(content)) if content else thought
