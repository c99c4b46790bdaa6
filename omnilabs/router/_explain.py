"""The decision in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnilabs._decision import Candidate, Weights

__all__ = ["explain", "summarise"]


def summarise(pick: Candidate, eligible: int, rejected: int) -> str:
    """Return the decision in one sentence."""
    return (
        f"Selected {pick.model} of {eligible} eligible models ({rejected} could not answer): "
        f"expected quality {pick.quality:.2f}, {usd(pick)}, {seconds(pick)}."
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
    """Return the decision at length: the `k` best with what speaks for each, what decided, and what was ruled out."""
    pick = ranked[0]
    lines = [f"Selected {pick.model} because {_because(ranked, weights)}.", summarise(pick, eligible, len(rejected))]
    if task_type:
        name, share = max(task_type.items(), key=lambda item: item[1])
        lines.append(f"The prompt reads like {name} ({share:.0%}).")
    lines += [
        f"{place}. {c.model}: quality {c.quality:.2f} ({c.quality_low:.2f} to {c.quality_high:.2f}; {c.evidence}), "
        f"{usd(c)}, {seconds(c)}; utility {c.utility:.3f} = {_terms(c)}"
        for place, c in enumerate(ranked, 1)
    ]
    lines += notes
    return "\n".join(lines)


def usd(candidate: Candidate) -> str:
    """Return the expected cost in words."""
    return "price not known" if candidate.cost_usd is None else f"{candidate.cost_usd:.6f} USD"


def seconds(candidate: Candidate) -> str:
    """Return the expected time in words."""
    return "speed not known" if candidate.latency_s is None else f"{candidate.latency_s:.1f} s"


def _terms(candidate: Candidate) -> str:
    return " ".join(f"{value + 0.0:+.3f} {name}" for name, value in candidate.terms.items())


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
