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


def rank(estimates: Sequence[Estimate], weights: Weights, *, in_full: bool = False) -> list[Scored]:
    """Return the models by utility, best first.

    U = rel_accuracy p / 0.25 - rel_cost c - rel_latency l. The quality p stays in absolute units; c and l run from 0 to
    1 on a log scale from the best to the worst model that is not dominated, so that a hopeless candidate moves nothing.
    Because c and l do not depend on the weights, raising a weight can only improve what it weighs. Ties go to the
    cheaper model, then to the better one, then by id; a dominated model is never first.

    A scale whose weight is 0 is not worked out, unless `in_full`: it stands at 0 for all.
    """
    front = _front(estimates)
    by_quality, by_cost, by_latency = weights.rel_accuracy / QUALITY_UNIT, weights.rel_cost, weights.rel_latency
    costs = _scaled([e.cost_usd for e in estimates], front, needed=in_full or by_cost > 0)
    latencies = _scaled([e.latency_s for e in estimates], front, needed=in_full or by_latency > 0)
    scored: list[tuple[tuple[float, float, bool, float, str], Scored]] = []
    for estimate, is_best, cost, latency in zip(estimates, front, costs, latencies, strict=True):
        id_, _, quality, cost_usd, _ = estimate
        # Rounded, so that weights scaled by any factor tie where they should.
        utility = round(by_quality * quality - by_cost * cost - by_latency * latency, _DIGITS)
        out = not is_best
        key = (-utility, cost_usd, out, -quality, id_)
        scored.append((key, Scored(estimate, utility, weights, cost, latency, out)))
    scored.sort(key=itemgetter(0))
    return [score for _, score in scored]


def _scaled(values: Sequence[float], front: Sequence[bool], *, needed: bool) -> list[float]:
    """Return the place of each value on a log scale from 0, the best, to 1, the worst of those that are not dominated.

    What is not known (infinite) counts as the worst. What is free stands a tenth below the cheapest that is not, since
    the logarithm of nothing has no place on a scale.
    """
    if not needed:
        return [0.0] * len(values)
    known = [value for value, is_best in zip(values, front, strict=True) if is_best and value != math.inf]
    positive = [value for value in known if value > 0]
    if not positive:
        return [1.0 if value == math.inf else 0.0 for value in values]
    floor, worst = min(positive), max(positive)
    if len(positive) < len(known):
        floor *= _FREE_FRACTION
    best, log = math.log(floor), math.log
    span = log(worst) - best
    if span <= 0:
        return [1.0 if value == math.inf else 0.0 for value in values]
    return [1.0 if value == math.inf else (log(value) - best) / span if value > floor else 0.0 for value in values]


def _front(estimates: Sequence[Estimate]) -> list[bool]:
    """Tell for each model whether it is not dominated.

    A model is dominated when another is at least as good, cheap and fast, and better in one of the three.
    """
    ordered = sorted(
        (cost_usd, -quality, latency_s, row) for row, (_, _, quality, cost_usd, latency_s) in enumerate(estimates)
    )
    is_best = [False] * len(estimates)
    # Along this order nobody is dominated by a later model, nor by one that is dominated and not by its dominator.
    front: list[tuple[float, float, float]] = []
    for cost_usd, worse, latency_s, row in ordered:
        for other in front:
            if other[0] <= worse and other[1] <= latency_s and other != (worse, latency_s, cost_usd):
                break
        else:
            front.append((worse, latency_s, cost_usd))
            is_best[row] = True
    return is_best
