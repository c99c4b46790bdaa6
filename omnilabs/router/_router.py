"""`Router`: the models, what was learned of them, and one method that turns a request into a `Decision`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from omnilabs._decision import Candidate, Decision
from omnilabs._models import ModelInfo
from omnilabs._request import ChatOptions, ChatRequest, Routing, build_request, build_routing
from omnilabs.errors import BudgetExceededError, InvalidRequestError, NoEligibleModelError, UnknownModelError
from omnilabs.router._eligible import demand_of, reason_against
from omnilabs.router._explain import explain, summarise
from omnilabs.router._health import Health
from omnilabs.router._prior import TASK_TYPES, Entry, Forecast, Reading, compile_entry, read
from omnilabs.router._selector import Scored, rank
from omnilabs.router._tokens import input_tokens

if TYPE_CHECKING:
    from omnilabs.router._catalog import Catalog

__all__ = ["Limits", "Router"]

POLICY = "prior-1"
_REASONS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits: a model beyond one of them is not considered, whatever the weights.

    Attributes:
        max_cost_usd: Most US dollars this call may cost: with `max_tokens` the longest answer allowed, otherwise the
            expected one. A model without a known price is out.
        max_latency_s: Most seconds expected to the whole answer. A model of unknown speed is out.
        min_quality: Least expected quality, 0 to 1.
    """

    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    min_quality: float | None = None

    def __post_init__(self) -> None:
        for name, top in (("max_cost_usd", math.inf), ("max_latency_s", math.inf), ("min_quality", 1.0)):
            value: object = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
                raise InvalidRequestError(f"{name} is a number from 0 to {top}, not {value!r}", parameter=name)


NO_LIMITS = Limits()


def _always(model: ModelInfo) -> str | None:
    """Every model can be called: what `select` assumes when nobody says otherwise."""


class Router:
    """Chooses models for prompts: by ability, price and speed, and by what was learned from answers.

    The catalogue is read at first use. A router is thread-safe; it learns only from what it is told by `observe`.
    """

    def __init__(
        self, models: Sequence[ModelInfo] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._given = None if models is None else tuple(models)
        self._health = Health(clock)

    @cached_property
    def catalog(self) -> Catalog:
        """The models to choose from: those given, or the package's own catalogue."""
        from omnilabs.router._catalog import Catalog  # its data is read when first needed, not at import

        return Catalog.load() if self._given is None else Catalog.of(self._given)

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(compile_entry(index, model) for index, model in enumerate(self.catalog.models))

    def find(self, name: str) -> ModelInfo | None:
        """Return the model of this id, alias or `provider/name`, or None."""
        return self.catalog.find(name)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Return the known ids closest to a name that is not known."""
        return tuple(self.catalog.nearest(name))

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
        tokens = input_tokens(request) * self._health.token_ratio
        demand = demand_of(request, input_tokens=tokens, named=self._named(routing))
        rejected: dict[str, str] = {}
        eligible: list[Entry] = []
        for entry in self._entries:
            reason = reason_against(entry.model, demand, available)
            if reason is None:
                eligible.append(entry)
            else:
                rejected[entry.model.id] = reason
        reading = read(request)
        forecasts = self._forecasts(eligible, reading, tokens, request)
        if limits is not NO_LIMITS:
            forecasts = _within(limits, forecasts, rejected, request.max_tokens)
        if not forecasts:
            raise _none_left(rejected, limits)
        scored = rank([forecast.estimate for forecast in forecasts], routing.weights)
        return self._decision(scored, forecasts, rejected, reading, routing, started)

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

    def _forecasts(
        self, entries: Sequence[Entry], reading: Reading, tokens: float, request: ChatRequest
    ) -> list[Forecast]:
        health = self._health if self._health.knows else None
        return [
            reading.forecast(place, entry, tokens, request.max_tokens, health) for place, entry in enumerate(entries)
        ]

    def _decision(
        self,
        scored: Sequence[Scored],
        forecasts: Sequence[Forecast],
        rejected: Mapping[str, str],
        reading: Reading,
        routing: Routing,
        started: float,
    ) -> Decision:
        weights = routing.weights
        ranked = tuple(_candidate(score, forecasts[score.estimate.index]) for score in scored[: routing.k])
        task_type = {name: share for name, share in zip(TASK_TYPES, reading.mix, strict=True) if share >= 0.05}
        if routing.verbose:
            text = explain(ranked, rejected, eligible=len(scored), weights=weights, task_type=task_type, notes=())
        else:
            text = summarise(ranked[0], len(scored), len(rejected))
        return Decision(
            ranked,
            rejected,
            weights,
            POLICY,
            self.catalog.version,
            task_type,
            text,
            (time.perf_counter() - started) * 1e3,
        )


def _candidate(score: Scored, forecast: Forecast) -> Candidate:
    estimate, entry = score.estimate, forecast.entry
    low, high = forecast.interval
    return Candidate(
        entry.model.id,
        entry.model.provider,
        estimate.quality,
        None if math.isinf(estimate.cost_usd) else Decimal(f"{estimate.cost_usd:.10f}"),
        None if math.isinf(estimate.latency_s) else estimate.latency_s,
        score.utility,
        low,
        high,
        entry.evidence,
        {"accuracy": score.accuracy, "cost": score.cost, "latency": score.latency},
    )


def _within(
    limits: Limits, forecasts: Sequence[Forecast], rejected: dict[str, str], max_tokens: int | None
) -> list[Forecast]:
    """Return the forecasts within the limits, numbered anew; the others' reasons go into `rejected`."""
    kept: list[Forecast] = []
    for forecast in forecasts:
        reason = _beyond(limits, forecast, max_tokens)
        if reason is None:
            kept.append(forecast.numbered(len(kept)))
        else:
            rejected[forecast.entry.model.id] = reason
    return kept


def _beyond(limits: Limits, forecast: Forecast, max_tokens: int | None) -> str | None:
    estimate = forecast.estimate
    if limits.max_cost_usd is not None:
        cost = estimate.cost_usd if max_tokens is None else forecast.longest_usd
        if math.isinf(cost):
            return f"its price is not known, and {_COST_LIMIT} is {limits.max_cost_usd}"
        if cost > limits.max_cost_usd:
            return f"it may cost {cost:.6f} USD, above {_COST_LIMIT}={limits.max_cost_usd}"
    if limits.max_latency_s is not None and estimate.latency_s > limits.max_latency_s:
        known = "its speed is not known" if math.isinf(estimate.latency_s) else f"about {estimate.latency_s:.1f} s"
        return f"{known}, and max_latency_s is {limits.max_latency_s}"
    if limits.min_quality is not None and estimate.quality < limits.min_quality:
        return f"expected quality {estimate.quality:.2f} is below min_quality={limits.min_quality}"
    return None


_COST_LIMIT = "max_cost_usd"


def _none_left(rejected: Mapping[str, str], limits: Limits) -> NoEligibleModelError:
    telling = [f"{name}: {reason}" for name, reason in rejected.items() if reason != "not in model_names"]
    shown = "; ".join(telling[:_REASONS_SHOWN]) or "there are no models"
    more = f"; and {len(telling) - _REASONS_SHOWN} more in .rejected" if len(telling) > _REASONS_SHOWN else ""
    over_budget = limits.max_cost_usd is not None and any(_COST_LIMIT in reason for reason in rejected.values())
    error = BudgetExceededError if over_budget else NoEligibleModelError
    return error(f"no model can answer this request: {shown}{more}", rejected=rejected)
