"""The decision in words and numbers, and what other weights would have chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnilabs._decision import Candidate, Weights
from omnilabs._request import Routing
from omnilabs.router._selector import QUALITY_UNIT, Scored

__all__ = ["explain", "summarise", "what_if"]


def summarise(pick: Candidate, eligible: int, rejected: int) -> str:
    """Return the decision in one sentence."""
    return (
        f"Selected {pick.model} of {eligible} eligible models ({rejected} could not answer): "
        f"expected quality {pick.quality:.2f}, {_usd(pick)}, {_seconds(pick)}."
    )


def explain(
    ranked: Sequence[Candidate],
    rejected: Mapping[str, str],
    *,
    eligible: int,
    weights: Weights,
    task_type: Mapping[str, float],
    notes: Sequence[str],
) -> str:
    """Return the decision at length: what decided, then the `k` best with what speaks for each, then `notes`."""
    pick = ranked[0]
    lines = [f"Selected {pick.model} because {_because(ranked, weights)}.", summarise(pick, eligible, len(rejected))]
    if task_type:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(task_type.items())[:3])
        lines.append(f"The prompt reads like {shares}.")
    lines += [
        f"{place}. {c.model}: quality {c.quality:.2f} ({c.quality_low:.2f} to {c.quality_high:.2f}; {c.evidence}), "
        f"{_usd(c)}, {_seconds(c)}; utility {c.utility:.3f} = {_terms(c)}"
        for place, c in enumerate(ranked, 1)
    ]
    return "\n".join([*lines, *notes])


def what_if(scored: Sequence[Scored], routing: Routing) -> tuple[str, ...]:
    """Return at which value of each weight, the others as they are, the pick would change, and to what.

    Exact: utilities are straight lines in each weight, and the pick changes where another line crosses the pick's.
    """
    given = {"rel_accuracy": routing.rel_accuracy, "rel_cost": routing.rel_cost, "rel_latency": routing.rel_latency}
    if not any(given.values()):
        given = {"rel_accuracy": 0.5, "rel_cost": 0.5, "rel_latency": 0.0}
    pick, *others = (score for score in scored if not score.is_dominated)
    told: list[str] = []
    for name, own in given.items():
        crossings = [(_crossing(pick, other, name, given), other) for other in others]
        found = [(value, other.estimate.id) for value, other in crossings if value is not None and 0 <= value <= 1]
        above = min((pair for pair in found if pair[0] > own), default=None)
        below = max((pair for pair in found if pair[0] < own), default=None)
        told += [f"{name} above {above[0]:.2f} would choose {above[1]}"] if above else []
        told += [f"{name} below {below[0]:.2f} would choose {below[1]}"] if below else []
    return tuple(told)


def _merits(score: Scored) -> dict[str, float]:
    """Return what a unit of each weight is worth to a model."""
    return {
        "rel_accuracy": score.estimate.quality / QUALITY_UNIT,
        "rel_cost": -score.cost,
        "rel_latency": -score.latency,
    }


def _crossing(pick: Scored, other: Scored, name: str, given: Mapping[str, float]) -> float | None:
    """Return the value of one weight where two models are worth the same, or None when there is none."""
    own, its = _merits(pick), _merits(other)
    per_unit = its[name] - own[name]
    if abs(per_unit) < 1e-12:
        return None
    rest = sum(weight * (own[key] - its[key]) for key, weight in given.items() if key != name)
    return rest / per_unit


def _usd(candidate: Candidate) -> str:
    return "price not known" if candidate.cost_usd is None else f"{candidate.cost_usd:.6f} USD"


def _seconds(candidate: Candidate) -> str:
    return "speed not known" if candidate.latency_s is None else f"{candidate.latency_s:.1f} s"


def _terms(candidate: Candidate) -> str:
    return " ".join(f"{value:+.3f} {name}" for name, value in candidate.terms.items())


def _because(ranked: Sequence[Candidate], weights: Weights) -> str:
    pick = ranked[0]
    asked = "at weights " + ", ".join(f"{name.removeprefix('rel_')} {weights[name]:.2f}" for name in weights)
    if len(ranked) == 1:
        return f"it is the only one considered {asked}"
    other = ranked[1]
    gains = {name: pick.terms[name] - other.terms[name] for name in pick.terms}
    if pick.utility <= other.utility:
        return f"it ties with {other.model} {asked} and is the cheaper, the better or the first by name"
    most = max(gains, key=lambda name: gains[name])
    return f"{asked} its {most} is worth {gains[most]:.3f} more than that of {other.model}, the next best"
