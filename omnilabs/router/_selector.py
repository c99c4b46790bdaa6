"""The utility: estimates of quality, cost and time in, a ranking out. Pure, and the same in every process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from omnilabs._decision import Weights

__all__ = ["Estimate", "Scored", "rank"]

QUALITY_UNIT = 0.25
"""The gain in quality that is worth the whole way from the cheapest to the dearest model at equal weights."""

_FREE_FRACTION = 0.1
_DIGITS = 10


class Estimate(NamedTuple):
    """What a model is expected to do with one prompt.

    `cost_usd` and `latency_s` are infinite where the price or speed is not known: a model counts as dear and slow as
    the worst of the others until something is known of it. `place` is the caller's own.
    """

    id: str
    place: int
    quality: float
    cost_usd: float
    latency_s: float


class Scored(NamedTuple):
    """An estimate with its utility: accuracy less cost less latency, each times its weight.

    `cost` and `latency` are the places on their scales: 0 for the best that is not dominated, 1 for the worst.
    """

    estimate: Estimate
    utility: float
    weights: Weights
    cost: float
    latency: float
    is_dominated: bool

    @property
    def terms(self) -> dict[str, float]:
        """The share of each term in the utility."""
        return {
            "accuracy": self.weights.rel_accuracy * self.estimate.quality / QUALITY_UNIT,
            "cost": 0.0 - self.weights.rel_cost * self.cost,
            "latency": 0.0 - self.weights.rel_latency * self.latency,
        }


def rank(estimates: Sequence[Estimate], weights: Weights) -> list[Scored]:
    """Return the models by utility, best first.

    U = rel_accuracy p / 0.25 - rel_cost c - rel_latency l. The quality p stays in absolute units; c and l run from 0 to
    1 on a log scale from the best to the worst model that is not dominated, so that a hopeless candidate moves nothing.
    Because c and l do not depend on the weights, raising a weight can only improve what it weighs. Ties go to the
    cheaper model, then to the better one, then by id; a dominated model is never first.
    """
    front = set(_front(estimates))
    costs = _scale([e.cost_usd for e in estimates if e.place in front])
    latencies = _scale([e.latency_s for e in estimates if e.place in front])
    by_quality, by_cost, by_latency = weights.rel_accuracy / QUALITY_UNIT, weights.rel_cost, weights.rel_latency
    scored: list[tuple[tuple[float, float, bool, float, str], Scored]] = []
    for estimate in estimates:
        id_, place, quality, cost_usd, latency_s = estimate
        cost, latency = costs.at(cost_usd), latencies.at(latency_s)
        accuracy = by_quality * quality
        # Rounded, so that weights scaled by any factor tie where they should.
        utility = round(accuracy - by_cost * cost - by_latency * latency, _DIGITS)
        out = place not in front
        key = (-utility, cost_usd, out, -quality, id_)
        scored.append((key, Scored(estimate, utility, weights, cost, latency, out)))
    scored.sort(key=itemgetter(0))
    return [score for _, score in scored]


class _Scale(NamedTuple):
    """A log scale from 0 at the best to 1 at the worst; what is not known counts as the worst."""

    floor: float
    log_best: float
    log_span: float

    def at(self, value: float) -> float:
        if value == math.inf:
            return 1.0
        if self.log_span <= 0:
            return 0.0
        return (math.log(max(value, self.floor)) - self.log_best) / self.log_span


def _scale(values: Sequence[float]) -> _Scale:
    known = [value for value in values if value != math.inf]
    positive = [value for value in known if value > 0]
    if not positive:
        return _Scale(1.0, 0.0, 0.0)
    best, worst = min(positive), max(positive)
    # What is free stands a tenth below the cheapest that is not: the logarithm of nothing has no place on a scale.
    floor = best * _FREE_FRACTION if len(positive) < len(known) else best
    return _Scale(floor, math.log(floor), math.log(worst) - math.log(floor))


def _front(estimates: Sequence[Estimate]) -> list[int]:
    """Return the place of each model that is not dominated.

    A model is dominated when another is at least as good, cheap and fast, and better in one of the three.
    """
    ordered = sorted((cost_usd, -quality, latency_s, place) for _, place, quality, cost_usd, latency_s in estimates)
    front: list[int] = []
    # Along this order nobody is dominated by a later model, so it is enough to keep, of those seen, the best qualities
    # with the least time each: a staircase, searched from its best end.
    stairs: list[tuple[float, float, float]] = []
    for cost_usd, worse, latency_s, place in ordered:
        dominated = False
        for other_worse, other_latency_s, other_cost_usd in stairs:
            if other_worse <= worse and other_latency_s <= latency_s:
                dominated = (other_worse, other_latency_s, other_cost_usd) != (worse, latency_s, cost_usd)
                break
        if dominated:
            continue
        front.append(place)
        stairs = [step for step in stairs if not (worse <= step[0] and latency_s <= step[1])]
        stairs.append((worse, latency_s, cost_usd))
    return front
