"""`Router`: the models, what was learned of them, and one method that turns a request into a `Decision`."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, Unpack

from omnilabs._decision import Candidate, Decision
from omnilabs._models import ModelInfo
from omnilabs._request import ChatOptions, ChatRequest, Routing, build_request, build_routing
from omnilabs.errors import InvalidRequestError, UnknownModelError
from omnilabs.router._eligible import demand_of, reason_against
from omnilabs.router._explain import explain, summarise, what_if
from omnilabs.router._feedback import Feedback
from omnilabs.router._forecast import (
    Forecaster,
    estimates_of,
    interval,
    named,
    sigmoid,
    tokens_of,
)
from omnilabs.router._health import Health
from omnilabs.router._limits import NO_LIMITS, Limits, none_left, within
from omnilabs.router._outlook import Outlook, TextFit, outlook
from omnilabs.router._prior import Entry, Prior, compile_entry
from omnilabs.router._selector import Scored, rank
from omnilabs.router._tasks import TaskTypes

if TYPE_CHECKING:
    from omnilabs._response import ChatResponse
    from omnilabs.router._catalog import Catalog

__all__ = ["Router"]

POLICY = "prior-1"
MOST_EXPLORATION = 0.02


def _always(model: ModelInfo) -> str | None:
    """Every model can be called: what `select` assumes when nobody says otherwise."""


class Router:
    """Chooses models for prompts: by ability, price and speed, and by what it was told of earlier answers.

    Args:
        models: The models to choose from; the package's catalogue, read at first use, when None.
        clock: Seconds, monotonic; for the decay of what was measured.
        explore: Share of choices, at most 0.02, that go to another good candidate so that ratings of it come in.
        random: Where exploration draws from.

    A router is thread-safe. It learns only from what it is told: `observe`, `feedback`, `fit`.
    """

    def __init__(
        self,
        models: Sequence[ModelInfo] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        explore: float = 0.0,
        random: Random | None = None,
    ) -> None:
        if not 0 <= explore <= MOST_EXPLORATION:
            raise InvalidRequestError(
                f"explore is a share from 0 to {MOST_EXPLORATION}, not {explore!r}", parameter="explore"
            )
        self._given = None if models is None else tuple(models)
        self._explore = explore
        self._random = random or Random()  # noqa: S311 - which good model is tried is no secret
        self._health = Health(clock)
        self._feedback = Feedback()
        self._fit: TextFit | None = None
        self._lock = threading.Lock()

    @cached_property
    def catalog(self) -> Catalog:
        """The models to choose from: those given, or the package's own catalogue."""
        from omnilabs.router._catalog import Catalog  # its data is read when first needed, not at import

        return Catalog.load() if self._given is None else Catalog.of(self._given)

    @cached_property
    def _forecaster(self) -> Forecaster:
        return Forecaster(Prior.load(), TaskTypes.load())

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(compile_entry(model, self._forecaster.prior) for model in self.catalog.models)

    def find(self, name: str) -> ModelInfo | None:
        """Return the model of this id, alias or `provider/name`, or None."""
        return self.catalog.find(name)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Return the known ids closest to a name that is not known."""
        return self.catalog.nearest(name)

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
        max_latency_s: float | None = None,
        min_quality: float | None = None,
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
            max_latency_s: Leave out models expected to take longer, in seconds.
            min_quality: Leave out models expected to do worse, 0 to 1.
            **options: The settings of the call (`tools`, `response_format`, `max_cost_usd`, ...), which decide who can
                answer.

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
            max_latency_s=max_latency_s,
            min_quality=min_quality,
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
        rejected: dict[str, str] = {}
        eligible: list[Entry] = []
        for entry in self._entries:
            reason = reason_against(entry.model, demand, available)
            if reason is None:
                eligible.append(entry)
            else:
                rejected[entry.id] = reason
        view = outlook(self._forecaster, eligible, reading, self._fit, self._feedback)
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

    def observe(
        self,
        model_id: str,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        ttft_s: float | None = None,
        total_s: float | None = None,
        request: ChatRequest | None = None,
    ) -> None:
        """Learn speed, length of answers and the token estimate's error from a finished call.

        Args:
            model_id: The catalogue's id of the model that answered; an unknown one is ignored.
            input_tokens: Prompt tokens as the provider reported them.
            output_tokens: Tokens generated, as the provider reported them.
            ttft_s: Seconds from sending to the first token, where the answer was streamed.
            total_s: Seconds from sending to the whole answer.
            request: What was asked; without it lengths are not learned.
        """
        model = self.find(model_id)
        if model is None:
            return
        expected = estimated = None
        if request is not None:
            reading = self._forecaster.read(request)
            estimated = reading.input_tokens
            entry = self._entries[self._places[model.id]]
            # An answer cut short by the caller's own limit tells nothing of the model's habits.
            if request.max_tokens is None or (output_tokens or 0) < request.max_tokens:
                expected = sum(tokens_of(entry, reading))
        self._health.observe(
            model.id,
            output_tokens=output_tokens,
            expected_output_tokens=expected,
            ttft_s=ttft_s,
            total_s=total_s,
            input_tokens=input_tokens,
            estimated_input_tokens=estimated,
        )

    def feedback(self, response: ChatResponse | Decision, score: float) -> None:
        """Learn from a rating of an answer.

        Args:
            response: The rated response, or the decision whose pick answered.
            score: 0 for useless to 1 for right.

        Raises:
            InvalidRequestError: The score is no number from 0 to 1.
            UnknownModelError: This router does not know the model that answered.
        """
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InvalidRequestError(f"score is a number from 0 to 1, not {score!r}", parameter="score")
        decision = response if isinstance(response, Decision) else response.decision
        name = response.model if isinstance(response, Decision) else response.model_id or response.model
        model = self.find(name)
        if model is None:
            raise UnknownModelError(f"this router does not know the model {name!r}", nearest=self.nearest(name))
        mix: Mapping[str, float] = {} if decision is None else decision.task_type
        ranked = () if decision is None else decision.ranked
        expected = next((c.unrated_quality for c in ranked if c.model == model.id), None)
        if expected is None:
            entry = self._entries[self._places[model.id]]
            at_zero, slope = self._forecaster.prior.line(0.0)
            expected = sigmoid(at_zero + slope * sum(entry.abilities) / len(entry.abilities))
        self._feedback.add(model.id, mix, float(score), expected)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {entry.id: index for index, entry in enumerate(self._entries)}

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
