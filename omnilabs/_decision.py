"""The router's decision: which models, in which order, why, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, ClassVar

from omnilabs._frozen import evolve, frozen
from omnilabs._record import Record

__all__ = ["Candidate", "Decision", "Weights"]


@frozen
class Weights(Record):
    """How much accuracy, cost and latency count; normalised to sum 1."""

    rel_accuracy: float
    rel_cost: float
    rel_latency: float

    _keys: ClassVar[tuple[str, ...]] = ("rel_accuracy", "rel_cost", "rel_latency")


@frozen
class Candidate(Record):
    """An eligible model as the router sees it for this prompt.

    Attributes:
        model: Model id.
        provider: Its provider.
        quality: Expected probability of a good answer, 0 to 1.
        quality_low: Lower end of its 80 % interval.
        quality_high: Upper end of it.
        evidence: What the quality rests on, in words.
        cost_usd: Expected cost of this call in US dollars, None where the price is not known.
        latency_s: Expected seconds to the whole answer, None where nothing is known.
        utility: What the models are ranked by.
        terms: Share of each term in the utility: accuracy, cost, latency.
        unrated_quality: The quality expected without ratings, which ratings are weighed against.
    """

    model: str
    provider: str
    quality: float
    cost_usd: Decimal | None
    latency_s: float | None
    utility: float
    quality_low: float = 0.0
    quality_high: float = 1.0
    evidence: str = ""
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    unrated_quality: float | None = None

    _keys: ClassVar[tuple[str, ...]] = (
        "model",
        "provider",
        "quality",
        "quality_low",
        "quality_high",
        "evidence",
        "cost_usd",
        "latency_s",
        "utility",
        "terms",
        "unrated_quality",
    )


@frozen
class Decision(Record):
    """Which models answer this request, best first, and why.

    Attributes:
        ranked: The `k` best eligible models, best first.
        rejected: The reason per model that cannot answer this request. A model in neither is not among the `k` best.
        weights: The weights that were applied, normalised.
        policy: Name and version of what decided.
        catalog_version: Date of the catalogue it read.
        task_type: The task type the prompt was taken for, with its probability.
        explanation: The decision in words and numbers.
        select_ms: Milliseconds the selection took.
        source: "router", or "server" when the hosted service decided.
        what_if: What other weights would choose, in words.
        propensity: The probability of this pick: 1 unless exploration was allowed. Log it to learn from what happened.
    """

    ranked: tuple[Candidate, ...]
    rejected: Mapping[str, str] = field(default_factory=dict[str, str])
    weights: Weights | None = None
    policy: str = ""
    catalog_version: str = ""
    task_type: Mapping[str, float] = field(default_factory=dict[str, float])
    explanation: str = ""
    select_ms: float = field(default=0.0, compare=False)
    source: str = "router"
    what_if: tuple[str, ...] = ()
    propensity: float = 1.0

    _keys: ClassVar[tuple[str, ...]] = (
        "model",
        "provider",
        "ranked",
        "rejected",
        "weights",
        "policy",
        "catalog_version",
        "task_type",
        "explanation",
        "select_ms",
        "source",
        "what_if",
        "propensity",
    )

    @property
    def pick(self) -> Candidate:
        """The best candidate."""
        return self.ranked[0]

    @property
    def model(self) -> str:
        """Id of the best candidate."""
        return self.pick.model

    @property
    def provider(self) -> str:
        """Provider of the best candidate."""
        return self.pick.provider

    def led_by(self, candidate: Candidate, explanation: str) -> Decision:
        """Return the decision with a candidate in front, the others to fall back on, as many as before in all."""
        others = tuple(one for one in self.ranked if one.model != candidate.model)
        return evolve(
            self,
            ranked=(candidate, *others)[: len(self.ranked)],
            explanation=explanation,
            what_if=(),
            propensity=1.0,
        )

    def _repr_html_(self) -> str:
        """Show the ranking as a table in a notebook."""
        from html import escape

        names = ("model", "quality", "evidence", "USD", "seconds", "utility")
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _row(c))}</tr>" for c in self.ranked)
        lines = (*self.explanation.splitlines()[:2], *self.what_if)
        told = "".join(f"<p>{escape(line)}</p>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{told}"


def _row(candidate: Candidate) -> tuple[str, ...]:
    cost: Any = "unknown" if candidate.cost_usd is None else f"{candidate.cost_usd:.6f}"
    latency = "unknown" if candidate.latency_s is None else f"{candidate.latency_s:.1f}"
    quality = f"{candidate.quality:.2f} ({candidate.quality_low:.2f} to {candidate.quality_high:.2f})"
    terms = " ".join(f"{value:+.2f} {name}" for name, value in candidate.terms.items())
    utility = f"{candidate.utility:.3f}{' = ' + terms if terms else ''}"
    return candidate.model, quality, candidate.evidence, cost, latency, utility
