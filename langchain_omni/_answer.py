"""An answer as LangChain wants it: whole responses and chunks as messages, with usage, cost and the decision. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall, ToolCallChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.utils.json import parse_partial_json

from langchain_omni._convert import REPLAY
from langchain_omni._routing import Choice
from omnilabs import ChatChunk, ChatResponse
from omnilabs.errors import ResponseFormatError
from omnilabs.types import Decision, ReasoningPart, Usage

__all__ = ["PROVIDER", "decision_json", "facts_of", "to_chunk", "to_first_chunk", "to_last_chunk", "to_message"]

PROVIDER = "omni"
"""`model_provider` of every message; the vendor that answered is in `response_metadata["provider"]`."""


def to_message(response: ChatResponse, choice: Choice) -> AIMessage:
    """Return a whole response as a message; `choice` says how its model came to answer."""
    calls, invalid = _tool_calls(response)
    given = {"additional_kwargs": _additional(response), "tool_calls": calls, "invalid_tool_calls": invalid}
    return AIMessage(
        content=response.content,
        response_metadata=facts_of(response, choice) | _logprobs(response.logprobs),
        usage_metadata=usage_metadata(response.usage),
        **{name: value for name, value in given.items() if value},  # each field given costs, and most answers have none
    )


def to_chunk(chunk: ChatChunk) -> AIMessageChunk:
    """Return a piece of a streamed answer: its text, reasoning, citations and pieces of tool calls."""
    if not (chunk.tool_calls or chunk.reasoning or chunk.refusal or chunk.annotations):
        return AIMessageChunk(content=chunk.content)  # nearly every chunk; each field more costs at every one
    extra: dict[str, Any] = {}
    if chunk.reasoning:
        extra["reasoning_content"] = chunk.reasoning
    if chunk.refusal:
        extra["refusal"] = chunk.refusal
    if chunk.annotations:
        extra["annotations"] = [dict(item) for item in chunk.annotations]
    return AIMessageChunk(
        content=chunk.content,
        additional_kwargs=extra,
        # Names the translator of content blocks; LangChain's merge takes this key, if equal, only once.
        response_metadata={"model_provider": PROVIDER},
        tool_call_chunks=[
            ToolCallChunk(
                name=call.name, args=call.arguments_json, id=call.id, index=call.index, type="tool_call_chunk"
            )
            for call in chunk.tool_calls
        ],
    )


def to_first_chunk(chunk: ChatChunk, decision: Decision | None, choice: Choice) -> AIMessageChunk:
    """Return the first piece, which tells who answers and why before the text comes."""
    message = to_chunk(chunk)
    message.response_metadata |= _who(chunk.model, chunk.provider, decision, choice)
    return message


def to_last_chunk(
    response: ChatResponse, told: Mapping[str, Any], choice: Choice, arguments: Mapping[int, str]
) -> AIMessageChunk:
    """Return what comes once, at the end: usage, cost and every fact that is not in `told` already.

    `arguments` are those of the tool calls, by index, as they came. LangChain would complete what is cut off in them,
    and an agent run the half of it.
    """
    extra = _additional(response)
    cut = max(arguments, default=None) if response.finish_reason == "length" else None
    ends = {index: end for index, text in arguments.items() if (end := _end_that_shows(text, is_cut=index == cut))}
    facts = _untold(facts_of(response, choice), told) | {"model_provider": PROVIDER}
    return AIMessageChunk(
        content="",
        additional_kwargs={REPLAY: extra[REPLAY]} if REPLAY in extra else {},
        response_metadata=facts | _logprobs(response.logprobs),
        usage_metadata=usage_metadata(response.usage),
        tool_call_chunks=[
            ToolCallChunk(name=None, args=end, id=None, index=index, type="tool_call_chunk")
            for index, end in ends.items()
        ],
        chunk_position="last",
    )


def _end_that_shows(arguments: str, *, is_cut: bool) -> str:
    """Return a wrong end for arguments that are cut off, with which they are an invalid call, as in a whole answer."""
    try:
        json.loads(arguments or "{}", strict=False)
    except ValueError:
        is_cut = True
    wrong = (end for end in _WRONG_ENDS if (arguments + end) and not _is_completed(arguments + end))
    return next(wrong, "") if is_cut else ""


_WRONG_ENDS = ("", "]", "}", '"]', '"}', '""]', '""}')


def _is_completed(arguments: str) -> bool:
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except ValueError:
        return False


def facts_of(response: ChatResponse, choice: Choice) -> dict[str, Any]:
    """Return the response metadata: who answered, at what cost, chosen how. Plain JSON, each fact once."""
    facts = _who(response.model, response.provider, response.decision, choice)
    facts |= {"finish_reason": response.finish_reason, "id": response.id, "cost": response.usage.total_cost}
    facts["omni_call"] = {
        "model_id": response.model_id,
        "cost_source": response.usage.cost_source,
        "usage_is_estimated": response.usage.is_estimated,
        "latency_s": response.latency_s,
        "structured_by": response.structured_by,
        "attempts": [attempt.to_dict() for attempt in response.attempts],
        "dropped_params": list(response.dropped_params),
        "warnings": list(response.warnings),
    }
    return facts


def _who(model: str, provider: str, decision: Decision | None, choice: Choice) -> dict[str, Any]:
    return {
        "model_name": model,
        "model_provider": PROVIDER,
        "provider": provider,
        "omni": {
            "reason": choice.reason,
            "decision": None if decision is None else decision_json(decision, verbose=choice.verbose),
        },
    }


def _untold(facts: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts not told before.

    LangChain merges chunks by adding in one place and by overwriting in another: only what comes once survives both.
    """
    return {name: value for name, value in facts.items() if name not in told}


def decision_json(decision: Decision, *, verbose: bool = False) -> dict[str, Any]:
    """Return a decision in plain JSON types. The rejected models are counted; `verbose` gives each one's reason too."""
    weights = decision.weights
    plain: dict[str, Any] = {
        "model": decision.model,
        "provider": decision.provider,
        "ranking": [
            {
                "model": candidate.model,
                "provider": candidate.provider,
                "quality": candidate.quality,
                "cost_usd": None if candidate.cost_usd is None else float(candidate.cost_usd),
                "latency_s": candidate.latency_s,
                "utility": candidate.utility,
            }
            for candidate in decision.ranked
        ],
        "weights": None if weights is None else weights.to_dict(),
        "policy": decision.policy,
        "catalog_version": decision.catalog_version,
        "task_type": dict(decision.task_type),
        "explanation": decision.explanation,
        "select_ms": decision.select_ms,
        "source": decision.source,
        "rejected_count": len(decision.rejected),
    }
    if verbose:
        plain |= {"rejected": dict(decision.rejected), "what_if": list(decision.what_if)}
    return plain


def usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Return token counts as LangChain counts them, whole numbers only; None where the provider reported none."""
    sent, made = usage.input_tokens, usage.output_tokens
    if sent is None or made is None:
        return None
    counts = UsageMetadata(input_tokens=sent, output_tokens=made, total_tokens=sent + made)
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    if usage.cache_read_tokens or written or usage.input_audio_tokens:
        counts["input_token_details"] = InputTokenDetails(
            cache_read=usage.cache_read_tokens, cache_creation=written, audio=usage.input_audio_tokens
        )
    if usage.reasoning_tokens or usage.output_audio_tokens:
        counts["output_token_details"] = OutputTokenDetails(
            reasoning=usage.reasoning_tokens, audio=usage.output_audio_tokens
        )
    return counts


_CUT = "the answer was cut off there, so the arguments may be half; raise max_tokens"
"""Said of arguments that can be read, too: some providers close an object where they stop."""


def _tool_calls(response: ChatResponse) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for number, call in enumerate(response.tool_calls, 1):
        try:
            if response.finish_reason == "length" and number == len(response.tool_calls):
                raise ResponseFormatError(_CUT)
            calls.append(ToolCall(name=call.name, args=call.arguments, id=call.id, type="tool_call"))
        except ResponseFormatError as error:
            invalid.append(
                InvalidToolCall(
                    name=call.name, args=call.arguments_json, id=call.id, error=error.message, type="invalid_tool_call"
                )
            )
    return calls, invalid


def _additional(response: ChatResponse) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if response.reasoning:
        extra["reasoning_content"] = response.reasoning
    if response.refusal:
        extra["refusal"] = response.refusal
    if response.annotations:
        extra["annotations"] = [dict(item) for item in response.annotations]
    replay: dict[str, Any] = {}
    if any(part.opaque for part in response.parts if isinstance(part, ReasoningPart) or part.type == "text"):
        replay["parts"] = [part.to_dict() for part in response.parts]
    signed = {call.id: call.opaque.to_dict() for call in response.tool_calls if call.opaque is not None}
    if signed:
        replay["calls"] = signed
    if replay:
        extra[REPLAY] = replay
    return extra


def _logprobs(tokens: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    return {"logprobs": {"content": [dict(token) for token in tokens]}} if tokens else {}
