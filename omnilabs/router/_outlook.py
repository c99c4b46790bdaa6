"""The quality expected of each model: the prior, corrected by the user's graded rows, then by his ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from omnilabs.router._feedback import Feedback
from omnilabs.router._forecast import Forecaster, Reading, sigmoid
from omnilabs.router._prior import Entry

if TYPE_CHECKING:
    from omnilabs.router._fit import Fit

__all__ = ["Outlook", "outlook"]

_LEAST_SE = 0.25
"""However much is known of a model, a single prompt's words say only so much."""


class Outlook(NamedTuple):
    """Logits of success per entry: `unrated` without ratings, `logits` with them; how many ratings and rows behind."""

    logits: list[float]
    unrated: list[float]
    ratings: list[float]
    rows: list[int]

    def logit_se(self, index: int, entry: Entry) -> float:
        """Return the standard error of a logit: that of the ability, narrowed by rows and ratings down to a floor."""
        known = self.ratings[index] + self.rows[index]
        if not known:
            return entry.logit_se
        p = sigmoid(self.logits[index])
        return max(_LEAST_SE, 1.0 / math.sqrt(1.0 / entry.logit_se**2 + known * p * (1 - p)))

    def evidence(self, index: int, entry: Entry) -> str:
        """Return what a quality rests on, in words."""
        told = entry.evidence
        if self.rows[index]:
            told += f"; {self.rows[index]} graded rows"
        if self.ratings[index]:
            told += f"; {self.ratings[index]:.0f} ratings"
        return told


def outlook(
    forecaster: Forecaster, entries: Sequence[Entry], reading: Reading, fit: Fit | None, feedback: Feedback
) -> Outlook:
    """Return the quality expected of each entry on one prompt."""
    logits = forecaster.logits(entries, reading)
    rows = [0] * len(entries)
    if fit is not None:
        logits = fit.adjust(entries, reading, logits)
        rows = [fit.rows_of(entry.id) for entry in entries]
    if not feedback.knows:
        return Outlook(logits, logits, [0.0] * len(entries), rows)
    shifts = [feedback.shift(entry.id, reading.mix) for entry in entries]
    rated = [logit + shift for logit, (shift, _) in zip(logits, shifts, strict=True)]
    return Outlook(rated, logits, [count for _, count in shifts], rows)
