"""One call: whom to ask with which settings, and what is told about it afterwards. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Self
from uuid import uuid4

from llamaindex_omni.events import OmniAbandonedEvent, OmniFallbackEvent, OmniRoutingEvent
from omnilabs import ChatMessage as OmniMessage
from omnilabs import ChatResponse as OmniResponse
from omnilabs.types import Attempt, Candidate, Decision

__all__ = ["ROUTING", "Ask", "fallback_events", "report"]

ROUTING = ("k", "model_names", "rel_cost", "rel_latency", "rel_accuracy", "verbose")


@dataclass(frozen=True, slots=True)
class Ask:
    """A call ready for either client.

    Attributes:
        messages: The conversation.
        model: Whom to ask; None leaves it to the router.
        settings: `temperature`, `max_tokens` and the client's options.
        routing: How to choose, where `model` is None.
        source: pinned, route, sticky, router or server.
        single_call: Keep only the first tool call of an answer.
        began: The model that began the tool loop these messages are in the middle of, if it should go on.
        id: Names the decision in responses and events.
    """

    messages: Sequence[OmniMessage]
    model: str | Decision | None
    settings: Mapping[str, Any]
    routing: Mapping[str, Any]
    source: str
    single_call: bool = False
    began: Candidate | None = None
    id: str = field(default_factory=lambda: uuid4().hex)

    def staying(self, decision: Decision, *, is_known: bool) -> Self:
        """Return the call with the model that began its tool loop in front of a fresh decision.

        Unless that model cannot answer now, or not these messages: then the router chooses anew.

        Args:
            decision: What the router chooses for these messages; it says why a model cannot answer them.
            is_known: The router knows the model that began.
        """
        began = self.began
        if began is None or not is_known or began.model in decision.rejected:
            return self
        first = next((one for one in decision.ranked if one.model == began.model), began)
        stays = decision.led_by(first, f"{began.model} began this tool loop and goes on with it")
        return replace(self, model=stays, source="sticky")

    def routed(
        self, model: str, provider: str, decision: dict[str, Any] | None, span_id: str | None
    ) -> OmniRoutingEvent:
        """Return the event of the choice; where a server took it there is no decision to read."""
        return OmniRoutingEvent(
            model=model,
            provider=provider,
            source=self.source,
            decision_id=self.id,
            decision=decision,
            span_id=span_id,
        )

    def abandoned(self, response: OmniResponse, span_id: str | None) -> OmniAbandonedEvent:
        """Return the event of a stream that was closed before its end."""
        return OmniAbandonedEvent(
            model=response.model,
            provider=response.provider,
            prompt_tokens=response.usage.input_tokens,
            completion_tokens=response.usage.output_tokens,
            cost_usd=response.usage.total_cost,
            decision_id=self.id,
            span_id=span_id,
        )


def report(ask: Ask, response: OmniResponse) -> dict[str, Any]:
    """Return what a whole answer tells about its routing, in JSON types."""
    told: dict[str, Any] = {
        "model": response.model,
        "id": response.id,
        "decision_id": ask.id,
        "source": ask.source,
        "model_id": response.model_id,
        "provider": response.provider,
        "cost_usd": response.usage.total_cost,
        "cost_source": response.usage.cost_source,
        "latency_s": response.latency_s,
        "fallbacks": _given_up(response.attempts, response.model_id),
    }
    if response.decision is not None:
        told["decision"] = response.decision.to_dict()
    if response.explanation is not None:
        told["explanation"] = response.explanation
    if response.attempts:
        told["attempts"] = [attempt.to_dict() for attempt in response.attempts]
    if response.structured_by is not None:
        told["structured_by"] = response.structured_by
    for name in ("dropped_params", "warnings"):
        if getattr(response, name):
            told[name] = list(getattr(response, name))
    return told


def _given_up(attempts: Sequence[Attempt], answered_by: str | None) -> list[str]:
    """Return the models that failed before the one that answered, in the order tried."""
    return list(dict.fromkeys(attempt.model for attempt in attempts if attempt.model != answered_by))


def fallback_events(
    ask: Ask, attempts: Sequence[Attempt], answered_by: str | None, span_id: str | None
) -> list[OmniFallbackEvent]:
    """Return one event per model that was given up; `answered_by` is None where the call failed."""
    runs = [(model, list(run)) for model, run in groupby(attempts, key=lambda attempt: attempt.model)]
    following = [*[model for model, _ in runs[1:]], answered_by]
    return [
        OmniFallbackEvent(
            failed_model=model,
            failed_provider=run[-1].provider,
            next_model=after,
            error_type=run[-1].error_type,
            message=run[-1].message,
            status=run[-1].status,
            attempts=len(run),
            decision_id=ask.id,
            span_id=span_id,
        )
        for (model, run), after in zip(runs, following, strict=False)
        if model != after
    ]
