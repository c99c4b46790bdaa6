"""Who can answer at all: one reason per model that cannot. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import ChatRequest
from omnilabs.providers._base import SAMPLING, is_documented_default

__all__ = ["Demand", "demand_of", "reason_against"]

_REASONING = ("reasoning_effort", "reasoning_budget_tokens")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks of a model, worked out once for all candidates.

    Attributes:
        input_tokens: Estimated tokens of the prompt.
        max_tokens: Longest answer asked for, or None.
        needs: Capabilities the request cannot do without.
        sampling: Sampling settings the caller set himself; empty where dropping them is allowed.
        reasoning: Reasoning settings the caller set himself; empty where dropping them is allowed.
        named: Ids the choice is restricted to, or None.
    """

    input_tokens: float
    max_tokens: int | None
    needs: tuple[str, ...]
    sampling: tuple[str, ...]
    reasoning: tuple[str, ...]
    named: Collection[str] | None


def demand_of(request: ChatRequest, *, input_tokens: float, named: Collection[str] | None) -> Demand:
    """Return what `request` asks of a model."""
    asked: set[str] = set()
    if request.unsupported == "error":
        asked = {name for name in request.given_params() if not is_documented_default(request, name)}
    return Demand(
        input_tokens,
        request.max_tokens,
        tuple(sorted(request.needs())),
        tuple(sorted(asked & SAMPLING)),
        tuple(name for name in _REASONING if name in asked),
        named,
    )


def reason_against(model: ModelInfo, demand: Demand, available: Callable[[ModelInfo], str | None]) -> str | None:
    """Return why `model` cannot answer, or None when it can. `available` tells the same of keys and breakers."""
    if demand.named is not None and model.id not in demand.named:
        return "not in model_names"
    if model.kind != "chat":
        return f"it is for {model.kind}s, not for chat"
    if model.retired and demand.named is None:
        return "its provider has retired it; it answers when named in model_names"
    context, longest, asked = model.context_tokens, model.max_output_tokens, demand.max_tokens or 0
    if (context is not None and demand.input_tokens + asked > context) or (longest is not None and asked > longest):
        return _beyond(model, demand)
    if demand.needs or demand.sampling or demand.reasoning:
        return _cannot(model.capabilities, demand) or available(model)
    return available(model)


def _beyond(model: ModelInfo, demand: Demand) -> str:
    context, asked = model.context_tokens, demand.max_tokens or 0
    if context is not None and demand.input_tokens + asked > context:
        answer = f" and an answer of {asked:,}" if asked else ""
        return f"a prompt of about {demand.input_tokens:,.0f} tokens{answer} exceeds its context of {context:,}"
    return f"max_tokens={asked} exceeds its longest answer of {model.max_output_tokens:,} tokens"


_LACKS = {
    "tools": "it takes no tools",
    "images": "it takes no images",
    "pdf": "it takes no documents",
    "audio": "it takes no sound",
    "json_schema": "it takes neither a JSON schema nor a tool to stand in for one",
}


def _cannot(able: Capabilities, demand: Demand) -> str | None:
    for need in demand.needs:
        # A schema can be asked for by a forced tool, so tools are enough.
        if not (getattr(able, need) or (need == "json_schema" and able.tools)):
            return _LACKS[need]
    if demand.sampling and not able.temperature:
        return f"it takes no {', '.join(demand.sampling)}"
    if demand.reasoning and not able.reasoning:
        return f"it takes no {', '.join(demand.reasoning)}"
    return None
