"""Who can answer at all: one reason per model that cannot. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from omnilabs._frozen import frozen
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import SETTINGS, ChatRequest
from omnilabs.providers import PROVIDERS, ProviderSpec, wire_named
from omnilabs.providers._base import is_documented_default, unsupported_params

__all__ = ["Demand", "demand_of", "reason_against"]

_ANY_PROVIDER = ProviderSpec("", "", "")
_ANY_SETTING = frozenset(SETTINGS)
_EVERYWHERE = frozenset({"max_tokens", "tools", "response_format"})
"""Settings that are limits or needs of the request, and judged as such."""


@frozen
class Demand:
    """What a request asks of a model, worked out once for all candidates.

    Attributes:
        input_tokens: Estimated tokens of the prompt.
        max_tokens: Longest answer asked for, or None.
        needs: Capabilities the request cannot do without.
        settings: Settings the caller set himself; empty where dropping them is allowed.
        named: Ids the choice is restricted to, or None.
        request: The request itself.
    """

    input_tokens: float
    max_tokens: int | None
    needs: tuple[str, ...]
    settings: frozenset[str]
    named: Collection[str] | None
    request: ChatRequest


def demand_of(request: ChatRequest, *, input_tokens: float, named: Collection[str] | None) -> Demand:
    """Return what `request` asks of a model."""
    asked = frozenset[str]()
    if request.unsupported == "error":
        asked = frozenset(
            name for name in request.given_params().keys() - _EVERYWHERE if not is_documented_default(request, name)
        )
    return Demand(input_tokens, request.max_tokens, tuple(sorted(request.needs())), asked, named, request)


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
    lacks = _lacks(model.capabilities, demand) if demand.needs else None
    refuses = _refuses(model, demand) if demand.settings and lacks is None else None
    return lacks or refuses or available(model)


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


def _lacks(able: Capabilities, demand: Demand) -> str | None:
    for need in demand.needs:
        # A schema can be asked for by a forced tool, so tools are enough.
        if not (getattr(able, need) or (need == "json_schema" and able.tools)):
            return _LACKS[need]
    return None


def _refuses(model: ModelInfo, demand: Demand) -> str | None:
    """Return which of the caller's settings this model, or its provider's route, does not take."""
    row = PROVIDERS.get(model.provider)
    # Of a provider of the user's own nothing is known here; whoever calls it knows its route.
    spec, taken = (row, wire_named(row.wire).params) if row is not None else (_ANY_PROVIDER, _ANY_SETTING)
    refused = [name for name in unsupported_params(demand.request, model, spec, taken) if name in demand.settings]
    return f"it takes no {', '.join(refused)}" if refused else None
