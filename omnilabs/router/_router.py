"""`Router`: one method that turns a request into a `Decision`, by what is known of the models."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Unpack

from omnilabs._decision import Candidate, Decision
from omnilabs._models import ModelInfo
from omnilabs._request import ChatOptions, ChatRequest, Routing, build_request, build_routing
from omnilabs.errors import UnknownModelError
from omnilabs.router._eligible import Demand, demand_of, reason_against
from omnilabs.router._explain import explain, summarise, what_if
from omnilabs.router._forecast import estimates_of, interval, named, sigmoid
from omnilabs.router._knowledge import Knowledge
from omnilabs.router._limits import NO_LIMITS, Limits, none_left, within
from omnilabs.router._outlook import Outlook
from omnilabs.router._prior import Entry
from omnilabs.router._selector import Scored, rank

__all__ = ["Router"]

POLICY = "prior-1"


def _always(model: ModelInfo) -> str | None:
    """Every model can be called: what `select` assumes when nobody says otherwise."""


class Router(Knowledge):
    """Chooses models for prompts: by ability, price and speed, and by what it was told of earlier answers.

    Args:
        models: The models to choose from; the package's catalogue, read at first use, when None.
        clock: Seconds, monotonic; for the decay of what was measured.
        explore: Share of choices, at most 0.02, that go to another good candidate so that ratings of it come in.
        random: Where exploration draws from.

    A router is thread-safe. It learns only from what it is told: `observe`, `feedback`, `fit`.
    """

    def select(
        self,
        messages: Sequence[Any],
        *,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> Decision:
        """Return which models should answer, best first; nothing is sent and nothing spent.

        Args:
            messages: `ChatMessage` values or dicts.
            k: How many models to rank, 1 to 10: the pick and those to fall back on.
            model_names: Choose among these only.
            rel_cost: Weight of the expected cost, 0 to 1.
            rel_latency: Weight of the expected time, 0 to 1.
            rel_accuracy: Weight of the expected quality, 0 to 1. All weights 0 means the defaults.
            verbose: Explain at length, and say what other weights would choose.
            temperature: As in `chat`: a model that takes none is not eligible when this is set.
            max_tokens: Longest answer asked for.
            **options: The settings of the call (`tools`, `response_format`, ...) and its limits (`max_cost_usd`,
                `max_latency_s`, `min_quality`), which decide who can answer.

        Raises:
            InvalidRequestError: Bad input, naming the parameter.
            UnknownModelError: A name in `model_names` is not known.
            NoEligibleModelError: No model can answer; `.rejected` holds the reason of each.
        """
        routing = build_routing(
            k=k,
            model_names=model_names,
            rel_cost=rel_cost,
            rel_latency=rel_latency,
            rel_accuracy=rel_accuracy,
            verbose=verbose,
        )
        request = build_request(
            messages, temperature=temperature, max_tokens=max_tokens, routing=routing, options=options
        )
        return self.plan(
            request,
            max_cost_usd=options.get("max_cost_usd"),
            max_latency_s=options.get("max_latency_s"),
            min_quality=options.get("min_quality"),
        )

    def plan(
        self,
        request: ChatRequest,
        *,
        available: Callable[[ModelInfo], str | None] = _always,
        max_cost_usd: float | None = None,
        max_latency_s: float | None = None,
        min_quality: float | None = None,
    ) -> Decision:
        """Return the decision for a checked request, chosen as `request.routing` says.

        Args:
            request: What to answer; without `routing` the documented defaults apply.
            available: Returns None when a model can be called now, otherwise the reason why not.
            max_cost_usd: See `Limits`.
            max_latency_s: See `Limits`.
            min_quality: See `Limits`.

        Raises:
            UnknownModelError: A name in `model_names` is not known.
            NoEligibleModelError: No model can answer; `.rejected` holds the reason of each.
            BudgetExceededError: The same, where `max_cost_usd` ruled out the last ones.
        """
        started = time.perf_counter()
        routing = request.routing or Routing()
        limits = NO_LIMITS
        if max_cost_usd is not None or max_latency_s is not None or min_quality is not None:
            limits = Limits(max_cost_usd, max_latency_s, min_quality)
        reading = self._forecaster.read(request, self._health.token_ratio)
        demand = demand_of(request, input_tokens=reading.input_tokens, named=self._named(routing))
        eligible, rejected = self._sorted_out(demand, available)
        view = self._outlook(eligible, reading)
        health = self._health if self._health.knows else None
        estimates = estimates_of(eligible, reading, view.logits, health)
        if limits is not NO_LIMITS:
            estimates = within(limits, estimates, eligible, reading, rejected)
        if not estimates:
            raise none_left(rejected, limits)
        best_first = rank(estimates, routing.weights, in_full=routing.verbose)
        scored, propensity = self._explored(best_first, routing.k)
        ranked = tuple(_candidate(score, eligible[score.estimate.place], view) for score in scored[: routing.k])
        task_type = named(reading.mix)
        other_weights: tuple[str, ...] = ()
        if routing.verbose:
            other_weights = what_if(best_first, routing)
            text = explain(
                ranked,
                rejected,
                eligible=len(scored),
                weights=routing.weights,
                task_type=task_type,
                notes=other_weights,
            )
        else:
            text = summarise(ranked[0], len(scored), len(rejected))
        return Decision(
            ranked,
            rejected,
            routing.weights,
            self._policy(),
            self.catalog.version,
            task_type,
            text,
            (time.perf_counter() - started) * 1e3,
            what_if=other_weights,
            propensity=propensity,
        )

    def _sorted_out(
        self, demand: Demand, available: Callable[[ModelInfo], str | None]
    ) -> tuple[list[Entry], dict[str, str]]:
        """Return the models that can answer, and the reason against each other one."""
        rejected: dict[str, str] = {}
        eligible: list[Entry] = []
        for entry in self._entries:
            reason = reason_against(entry.model, demand, available)
            if reason is None:
                eligible.append(entry)
            else:
                rejected[entry.id] = reason
        return eligible, rejected

    def _named(self, routing: Routing) -> frozenset[str] | None:
        if routing.model_names is None:
            return None
        found: set[str] = set()
        for name in routing.model_names:
            model = self.find(name)
            if model is None:
                nearest = self.nearest(name)
                hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
                raise UnknownModelError(f"model_names holds the unknown model {name!r}{hint}", nearest=nearest)
            found.add(model.id)
        return frozenset(found)

    def _explored(self, scored: list[Scored], k: int) -> tuple[list[Scored], float]:
        """Return the ranking, now and then with another good candidate first, and the probability of its pick."""
        others = [place for place, score in enumerate(scored[:k]) if place and not score.is_dominated]
        if not self._explore or not others:
            return scored, 1.0
        with self._lock:
            chance, place = self._random.random(), self._random.choice(others)
        if chance >= self._explore:
            return scored, 1.0 - self._explore
        return [scored[place], *scored[:place], *scored[place + 1 :]], self._explore / len(others)

    def _policy(self) -> str:
        learned = "" if self._fit is None else f"+{self._fit.policy}"
        return POLICY + learned + ("+ratings" if self._feedback.knows else "")


def _candidate(score: Scored, entry: Entry, view: Outlook) -> Candidate:
    estimate = score.estimate
    index = estimate.place
    low, high = interval(view.logits[index], view.logit_se(index, entry))
    return Candidate(
        entry.id,
        entry.model.provider,
        estimate.quality,
        None if math.isinf(estimate.cost_usd) else Decimal(f"{estimate.cost_usd:.10f}"),
        None if math.isinf(estimate.latency_s) else estimate.latency_s,
        score.utility,
        low,
        high,
        view.evidence(index, entry),
        score.terms,
        sigmoid(view.unrated[index]),
    )
