"""The utility: estimates of quality, cost and time in, a ranking out. Pure, and the same in every process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from omnilabs._decision import Weights

__all__ = ["Estimate", "Scored", "rank"]

QUALITY_UNIT = 0.25
"""The gain in quality that is worth the whole way from the cheapest to the dearest model at equal weights."""

_FREE_FRACTION = 0.1
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model is expected to do with one prompt.

    `cost_usd` and `latency_s` are infinite where the price or speed is not known: a model counts as dear and slow as
    the worst of the others until something is known of it.
    """

    id: str
    index: int
    quality: float
    cost_usd: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Scored:
    """An estimate with its utility: the sum of its three terms."""

    estimate: Estimate
    utility: float
    accuracy: float
    cost: float
    latency: float
    is_dominated: bool


def rank(estimates: Sequence[Estimate], weights: Weights) -> list[Scored]:
    """Return the models by utility, best first.

    U = rel_accuracy p / 0.25 - rel_cost c - rel_latency l. The quality p stays in absolute units; c and l run from 0 to
    1 on a log scale from the best to the worst model that is not dominated, so that a hopeless candidate moves nothing.
    Because c and l do not depend on the weights, raising a weight can only improve what it weighs. Ties go to the
    cheaper model, then to the better one, then by id; a dominated model is never first.
    """
    dominated = _dominated(estimates)
    costs = _scale([e.cost_usd for e, out in zip(estimates, dominated, strict=True) if not out])
    latencies = _scale([e.latency_s for e, out in zip(estimates, dominated, strict=True) if not out])
    by_quality, by_cost, by_latency = weights.rel_accuracy / QUALITY_UNIT, weights.rel_cost, weights.rel_latency
    scored: list[tuple[tuple[float, float, bool, float, str], Scored]] = []
    for estimate, is_dominated in zip(estimates, dominated, strict=True):
        accuracy = by_quality * estimate.quality
        cost = -by_cost * costs.at(estimate.cost_usd)
        latency = -by_latency * latencies.at(estimate.latency_s)
        # Rounded, so that weights scaled by any factor tie where they should.
        utility = round(accuracy + cost + latency, _DIGITS)
        key = (-utility, estimate.cost_usd, is_dominated, -estimate.quality, estimate.id)
        scored.append((key, Scored(estimate, utility, accuracy, cost, latency, is_dominated)))
    scored.sort(key=lambda pair: pair[0])
    return [score for _, score in scored]


@dataclass(frozen=True, slots=True)
class _Scale:
    """A log scale from 0 at the best to 1 at the worst; what is not known counts as the worst."""

    floor: float
    log_best: float
    log_span: float

    def at(self, value: float) -> float:
        if math.isinf(value):
            return 1.0
        if self.log_span <= 0:
            return 0.0
        return (math.log(max(value, self.floor)) - self.log_best) / self.log_span


def _scale(values: Sequence[float]) -> _Scale:
    known = [value for value in values if not math.isinf(value)]
    positive = [value for value in known if value > 0]
    if not positive:
        return _Scale(1.0, 0.0, 0.0)
    best, worst = min(positive), max(positive)
    # What is free stands a tenth below the cheapest that is not: the logarithm of nothing has no place on a scale.
    floor = best * _FREE_FRACTION if len(positive) < len(known) else best
    return _Scale(floor, math.log(floor), math.log(worst) - math.log(floor))


def _dominated(estimates: Sequence[Estimate]) -> list[bool]:
    """Tell for each model whether another is at least as good, cheap and fast, and better in one of the three."""
    out = [False] * len(estimates)
    order = sorted(
        range(len(estimates)),
        key=lambda i: (estimates[i].cost_usd, -estimates[i].quality, estimates[i].latency_s),
    )
    # Along this order a later model never dominates an earlier one, so one pass over the front is enough.
    front: list[Estimate] = []
    for i in order:
        own = estimates[i]
        out[i] = any(
            other.quality >= own.quality
            and other.latency_s <= own.latency_s
            and (other.quality > own.quality or other.latency_s < own.latency_s or other.cost_usd < own.cost_usd)
            for other in front
        )
        if not out[i]:
            front.append(own)
    return out
