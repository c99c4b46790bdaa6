"""This package's answers -> LlamaIndex responses. Pure; one shape for whole answers and for the end of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_omni._attachments import carrier, information
from omnilabs import ChatResponse as OmniResponse
from omnilabs.types import ReasoningPart, TextPart, ToolCall, Usage

__all__ = ["arguments_of", "blocks_of", "log_probs", "to_chat_response", "to_completion", "usage_counts"]


def to_chat_response(
    response: OmniResponse, omni: dict[str, Any], *, delta: str | None = None, single_call: bool = False
) -> ChatResponse:
    """Return a whole answer.

    Args:
        response: What the client returned.
        omni: What to say about the routing, for `additional_kwargs["omni"]`.
        delta: For the end of a stream: the text since the chunk before.
        single_call: Keep only the first tool call.
    """
    extra: dict[str, Any] = {**usage_counts(response.usage), "omni": omni}
    if response.finish_reason is not None:
        extra["finish_reason"] = response.finish_reason
    if response.refusal is not None:
        extra["refusal"] = response.refusal
    if response.annotations:
        extra["annotations"] = [dict(annotation) for annotation in response.annotations]
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks_of(response, single_call=single_call)),
        raw=_raw(response),
        delta=delta,
        logprobs=log_probs(response.logprobs),
        additional_kwargs=extra,
    )


def to_completion(response: ChatResponse) -> CompletionResponse:
    """Return a chat response as a completion."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs=response.additional_kwargs,
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


def blocks_of(response: OmniResponse, *, single_call: bool = False) -> list[ContentBlock]:
    """Return thoughts and texts in the order they came, then calls, then citations."""
    calls = response.tool_calls[:1] if single_call else response.tool_calls
    blocks: list[ContentBlock] = []
    texts: list[TextPart] = []
    for part in response.parts or ((TextPart(response.content),) if response.content else ()):
        if isinstance(part, ReasoningPart):
            blocks.append(ThinkingBlock(content=part.text, additional_information=information(part.opaque)))
        elif isinstance(part, TextPart):
            texts.append(part)
            blocks.append(TextBlock(text=part.text))
    if response.usage.reasoning_tokens:
        _count_thought(blocks, response.usage.reasoning_tokens)
    if not texts and not calls:
        blocks.append(TextBlock(text=""))
    blocks += [_call_block(call) for call in calls]
    blocks += _citations(response)
    carried = carrier(texts, calls)
    return blocks if carried is None else [*blocks, carried]


def _count_thought(blocks: Iterable[ContentBlock], tokens: int) -> None:
    """Note the reasoning's tokens at the thought, where there is exactly one to note them at."""
    thoughts = [block for block in blocks if isinstance(block, ThinkingBlock)]
    if len(thoughts) == 1:
        thoughts[0].num_tokens = tokens


def _call_block(call: ToolCall) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments_of(call.arguments_json))


def arguments_of(text: str) -> dict[str, Any] | str:
    """Return a call's arguments as an object, or as the model wrote them where they are none (yet)."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else {} if value is None else text


def _citations(response: OmniResponse) -> list[CitationBlock]:
    """Return the citations of a known shape; all of them are in `additional_kwargs["annotations"]`."""
    found: list[CitationBlock] = []
    for annotation in response.annotations:
        cited = annotation.get("url_citation")
        if isinstance(cited, Mapping) and isinstance(cited.get("url"), str):
            spans = {name: cited[name] for name in ("start_index", "end_index") if isinstance(cited.get(name), int)}
            quoted = response.content[spans.get("start_index", 0) : spans.get("end_index", 0)]
            found.append(
                CitationBlock(
                    cited_content=TextBlock(text=str(cited.get("content") or quoted)),
                    source=cited["url"],
                    title=str(cited.get("title") or cited["url"]),
                    additional_location_info=spans,
                )
            )
    return found


def usage_counts(usage: Usage) -> dict[str, int]:
    """Return the token counts by OpenAI's names, as far as they are known."""
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.all_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _raw(response: OmniResponse) -> dict[str, Any]:
    """Return the provider's JSON, its usage also by OpenAI's names: LlamaIndex counts tokens by them."""
    raw: dict[str, Any] = dict(response.raw) if response.raw is not None else _instead_of_json(response)
    theirs = raw.get("usage")
    ours = usage_counts(response.usage)
    if isinstance(theirs, Mapping):
        raw["usage"] = {**theirs, **ours}
    elif ours:
        raw["usage"] = {**ours, **_details(response.usage)}
    return raw


def _instead_of_json(response: OmniResponse) -> dict[str, Any]:
    """Return what a stream, which has no one JSON, says of itself."""
    return {
        "id": response.id,
        "model": response.model,
        "provider": response.provider,
        "finish_reason": response.finish_reason,
    }


def _details(usage: Usage) -> dict[str, Any]:
    """Return the cached and reasoning tokens the way OpenAI's usage holds them."""
    details: dict[str, Any] = {}
    if usage.cache_read_tokens:
        details["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_tokens}
    if usage.reasoning_tokens:
        details["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return details


def log_probs(tokens: Sequence[Mapping[str, Any]]) -> list[list[LogProb]] | None:
    """Return log-probabilities per token, each with its alternatives, or None where none were asked for."""
    if not tokens:
        return None
    return [[_log_prob(one) for one in token.get("top_logprobs") or (token,)] for token in tokens]


def _log_prob(token: Mapping[str, Any]) -> LogProb:
    return LogProb(token=token["token"], logprob=token["logprob"], bytes=token.get("bytes") or [])
