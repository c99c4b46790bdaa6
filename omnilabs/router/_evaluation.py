"""Whether routing pays on given outcomes: the router beside the best model, the cheapest one, and length alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnilabs._decision import Weights
from omnilabs._frozen import frozen
from omnilabs.router._measure import (
    Measured,
    Sweep,
    bootstrap,
    headroom,
    hull,
    oracle_sweep,
    pair_measures,
    sweep,
)
from omnilabs.router._selector import Estimate, rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Evaluation", "PolicyResult", "judge"]

EQUAL = Weights(0.5, 0.5, 0.0)


@frozen
class PolicyResult:
    """What one way of choosing brings per prompt: quality, 0 to 1, and US dollars, each with its 95 % interval."""

    name: str
    quality: Measured
    usd_per_prompt: Measured


@dataclass(frozen=True)
class Evaluation:
    """A router on outcomes it was not fitted on.

    Attributes:
        prompts: How many prompts.
        models: The models' ids.
        policies: The router at equal weights and at quality alone, beside the baselines.
        headroom: Share of what an oracle could gain over the best mix of single models (0 is that mix, 1 the oracle).
        over_best: Quality above that of the best single model, when quality alone counts.
        saved: Share of the best single model's cost saved at its quality; not a number where it is never reached.
        apgr: Of two models: the part of the distance regained, averaged over how many prompts the strong one takes
            (0.5 is chance); None for other numbers of models.
        cpt50: Of two models: share of prompts the strong one must take for half the distance, or None.
        cpt80: The same for 80 %.
    """

    prompts: int
    models: tuple[str, ...]
    policies: tuple[PolicyResult, ...]
    headroom: Measured
    over_best: Measured
    saved: Measured
    apgr: Measured | None
    cpt50: Measured | None
    cpt80: Measured | None
    curve: tuple[tuple[float, float], ...] = field(repr=False, default=())
    singles: Mapping[str, tuple[float, float]] = field(repr=False, default_factory=dict[str, "tuple[float, float]"])

    @property
    def pays(self) -> bool:
        """Whether routing beats the best mix of single models beyond chance."""
        return self.headroom.low > 0

    @property
    def verdict(self) -> str:
        """Whether routing pays on these prompts, in a sentence."""
        if not self.pays:
            return (
                "Routing does not pay on these prompts: it does not beat the best mix of single models beyond chance "
                f"(share of headroom {self.headroom})."
            )
        text = f"Routing pays on these prompts: {self.headroom.value:.0%} of the headroom over single models"
        if self.saved.low > 0:
            text += f"; {self.saved.value:.0%} of the best model's cost saved at its quality"
        if self.over_best.low > 0:
            text += f"; {self.over_best.value:+.3f} in quality over the best model"
        return f"{text}."

    def __str__(self) -> str:
        lines = [f"{'policy':<34}{'quality':<24}USD per 1,000 prompts", *map(_row, self.policies), ""]
        for name in ("headroom", "over_best", "saved", "apgr", "cpt50", "cpt80"):
            figure = getattr(self, name)
            if figure is not None and math.isfinite(figure.value):
                lines.append(f"{name:<34}{figure}")
        return "\n".join([*lines, "", f"{self.prompts} prompts. {self.verdict}"])

    def plot(self, path: str) -> None:
        """Draw cost against quality, the router's curve over the single models, into an SVG or PNG file.

        Raises:
            ConfigurationError: matplotlib is not installed.
        """
        from omnilabs.router._plot import draw

        draw(self, path)


def _row(policy: PolicyResult) -> str:
    usd = Measured(*(1000 * figure for figure in policy.usd_per_prompt))
    return f"{policy.name:<34}{policy.quality!s:<24}{usd}"


def judge(
    models: Sequence[str],
    expected: Floats,
    score: Floats,
    cost: Floats,
    lengths: Sequence[float],
    *,
    weights: Weights = EQUAL,
    rounds: int = 200,
) -> Evaluation:
    """Return the evaluation of `expected` qualities [prompts, models] against true scores and costs in US dollars."""
    import numpy as np

    n = len(expected)
    choices = _policies(models, expected, score, cost, lengths, weights)
    prompts = np.arange(n)
    table = [(name, score[prompts, chosen], cost[prompts, chosen]) for name, chosen in choices.items()]
    means = bootstrap(
        lambda weight: np.array([weight @ row / n for _, quality, usd in table for row in (quality, usd)]), n, rounds
    )
    policies = [PolicyResult(row[0], *means[2 * place : 2 * place + 2]) for place, row in enumerate(table)]
    router, oracle = sweep(expected, score, cost), oracle_sweep(score, cost)
    gained, _, over_best, saved = bootstrap(lambda w: headroom(router, oracle, score, cost, w), n, rounds)
    apgr = cpt50 = cpt80 = None
    if len(models) == 2:
        strong = int(np.argmax(score.mean(0)))
        advantage = expected[:, strong] - expected[:, 1 - strong]
        apgr, cpt50, cpt80 = bootstrap(
            lambda w: pair_measures(advantage, score[:, 1 - strong], score[:, strong], w), n, rounds
        )
    return Evaluation(
        n,
        tuple(models),
        tuple(policies),
        gained,
        over_best,
        saved,
        apgr,
        cpt50,
        cpt80,
        _curve(router),
        _singles(models, score, cost),
    )


def _policies(
    models: Sequence[str],
    expected: Floats,
    score: Floats,
    cost: Floats,
    lengths: Sequence[float],
    weights: Weights,
) -> Mapping[str, Ints]:
    """Return which model each policy chooses per prompt."""
    import numpy as np

    n, mean_cost = len(expected), cost.mean(0)
    best, cheapest = int(np.argmax(score.mean(0))), int(np.argmin(mean_cost))
    routed = np.array([_pick(models, row, mean_cost, weights) for row in expected.tolist()])
    spent = float(cost[np.arange(n), routed].mean())
    return {
        "the router, as weighted": routed,
        "the router, quality alone": np.argmax(expected, 1),
        f"always the best: {models[best]}"[:33]: np.full(n, best),
        f"always the cheapest: {models[cheapest]}"[:33]: np.full(n, cheapest),
        "by length, at the router's cost": _by_length(lengths, cost, best, cheapest, spent),
    }


def _pick(models: Sequence[str], qualities: Sequence[float], mean_cost: Any, weights: Weights) -> int:
    rows = enumerate(zip(models, qualities, mean_cost, strict=True))
    return rank([Estimate(name, i, p, float(usd), math.inf) for i, (name, p, usd) in rows], weights)[0].estimate.place


def _by_length(lengths: Sequence[float], cost: Floats, best: int, cheapest: int, spent: float) -> Ints:
    """Return the longest prompts to the best model and the rest to the cheapest, for what the router spent."""
    import numpy as np

    chosen = np.full(len(lengths), cheapest)
    total = float(cost[:, cheapest].sum())
    for place in np.argsort(-np.asarray(lengths), kind="stable"):
        total += float(cost[place, best] - cost[place, cheapest])
        if total > spent * len(lengths):
            break
        chosen[place] = best
    return chosen


def _curve(router: Sweep) -> tuple[tuple[float, float], ...]:
    points = hull(router.cost.mean(1), router.quality.mean(1))
    return tuple((float(usd), float(quality)) for usd, quality in points)


def _singles(models: Sequence[str], score: Floats, cost: Floats) -> Mapping[str, tuple[float, float]]:
    return {
        name: (float(usd), float(quality))
        for name, usd, quality in zip(models, cost.mean(0), score.mean(0), strict=True)
    }
