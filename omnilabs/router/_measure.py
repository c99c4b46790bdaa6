"""The field's measures of a router, over prompts of which every model's score and cost are known. Needs numpy.

Definitions: APGR and CPT as in RouteLLM (arXiv 2406.18665: ten quantile thresholds, trapezoid); headroom as the area
under the cost-quality hull between the cheapest and the dearest single model, 0 at the best mix of single models chosen
without a look at the prompt and 1 at an oracle (after RouterBench, arXiv 2403.12031).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Measured", "Sweep", "bootstrap", "headroom", "hull", "oracle_sweep", "pair_measures", "sweep"]

_QUANTILES = 10
_EVEN = 400
_BEYOND = 1.0002


class Measured(NamedTuple):
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(measure: Callable[[Floats], Floats], n: int, rounds: int = 200, seed: int = 0) -> list[Measured]:
    """Return each figure of `measure` with its interval; prompts are drawn again, the policy stays as it is.

    `measure` takes the weight of each prompt (they sum to `n`).
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    value = measure(np.ones(n))
    drawn = np.array([measure(rng.multinomial(n, np.full(n, 1 / n)).astype(float)) for _ in range(rounds)])
    found: list[Measured] = []
    for place, figure in enumerate(value):
        known = drawn[:, place][np.isfinite(drawn[:, place])]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        found.append(Measured(float(figure), float(low), float(high)))
    return found


def pair_measures(advantage: Floats, weak: Floats, strong: Floats, weight: Floats) -> Floats:
    """Return APGR, CPT(50 %) and CPT(80 %) of sending prompts to the strong model by their `advantage`.

    CPT is the share of prompts, 0 to 1, the strong model must take for that part of the distance between the two.
    """
    import numpy as np

    drawn = np.repeat(np.arange(len(advantage)), weight.astype(int))
    score, low, high = advantage[drawn], weak[drawn], strong[drawn]
    cuts = np.quantile(score, np.linspace(0, 1, _QUANTILES + 1))
    sent = [score >= cut for cut in cuts[:-1]] + [score > cuts[-1]]
    share = np.array([chosen.mean() for chosen in sent])[::-1]
    quality = np.array([np.where(chosen, high, low).mean() for chosen in sent])[::-1]
    base, gap = low.mean(), high.mean() - low.mean()
    if gap <= 0 or share[-1] <= share[0]:
        return np.full(3, np.nan)
    area = float(np.trapezoid(quality - base, share)) / (gap * (share[-1] - share[0]))
    needed = [float(np.interp(base + part * gap, quality, share)) for part in (0.5, 0.8)]
    return np.array([area, *needed])


class Sweep(NamedTuple):
    """Quality and cost per prompt [policies, prompts] of a router at many prices of a dollar, quality first."""

    quality: Floats
    cost: Floats


def sweep(expected: Floats, score: Floats, cost: Floats) -> Sweep:
    """Return what choosing by `expected` quality less a price times the models' mean costs brings."""
    import numpy as np

    mean_cost = cost.mean(0) / max(float(cost.mean(0).max()), 1e-300)
    prompts = np.arange(len(expected))
    cheapest = np.lexsort((-expected.mean(0), mean_cost))[0]
    prices = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 120)])
    choices = [np.argmax(expected - price * mean_cost, 1) for price in prices]
    return _collected([*choices, np.full(len(expected), cheapest)], prompts, score, cost)


def oracle_sweep(score: Floats, cost: Floats) -> Sweep:
    """Return what knowing every score and cost beforehand would bring."""
    import numpy as np

    scaled = cost / max(float(cost.max()), 1e-300)
    prices = np.concatenate([[1e-9], np.geomspace(1e-5, 1e3, 60)])
    return _collected([np.argmax(score - price * scaled, 1) for price in prices], np.arange(len(score)), score, cost)


def _collected(choices: Sequence[Ints], prompts: Ints, score: Floats, cost: Floats) -> Sweep:
    import numpy as np

    kept = [c for c, before in zip(choices, [None, *choices], strict=False) if before is None or (c != before).any()]
    return Sweep(np.array([score[prompts, c] for c in kept]), np.array([cost[prompts, c] for c in kept]))


def hull(cost: Floats, quality: Floats) -> Floats:
    """Return the non-decreasing concave hull of (cost, quality) points, by cost."""
    import numpy as np

    points: list[tuple[float, float]] = []
    best = -np.inf
    for x, y in sorted(zip(cost.tolist(), quality.tolist(), strict=True), key=lambda point: (point[0], -point[1])):
        if y <= best + 1e-12:
            continue
        best = y
        while len(points) >= 2 and _is_below(points[-2], points[-1], (x, y)):
            points.pop()
        if points and points[-1][0] == x:
            points.pop()
        points.append((x, y))
    return np.array(points)


def _is_below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def headroom(router: Sweep, oracle: Sweep, score: Floats, cost: Floats, weight: Floats) -> Floats:
    """Return the share of headroom, the best accuracy, that over the best single model, and the cost saved.

    The cost is saved at the best single model's quality; not a number where the router never reaches it.
    """
    import numpy as np

    share = weight / weight.sum()
    quality, usd = share @ score, share @ cost
    low, high = float(usd.min()), float(usd.max())
    high = max(high, low * _BEYOND)
    curve = hull(router.cost @ share, router.quality @ share)
    singles = _area(hull(usd, quality), low, high)
    top = _area(hull(oracle.cost @ share, oracle.quality @ share), low, high)
    gained = (_area(curve, low, high) - singles) / max(1e-9, top - singles)
    best = int(np.argmax(quality))
    saved = np.nan
    if curve[-1, 1] >= quality[best] - 1e-12 and usd[best] > 0:
        saved = 1 - float(np.interp(quality[best], curve[:, 1], curve[:, 0])) / float(usd[best])
    most = float(router.quality[0] @ share)
    return np.array([gained, most, most - float(quality[best]), saved])


def _area(points: Floats, low: float, high: float) -> float:
    import numpy as np

    grid = np.linspace(low, high, _EVEN)
    return float(np.trapezoid(np.interp(grid, points[:, 0], points[:, 1]), grid)) / (high - low)
