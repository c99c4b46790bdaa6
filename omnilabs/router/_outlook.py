"""The quality expected of each model: the prior, corrected by the user's graded rows, then by his ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from omnilabs.router._feedback import Feedback
from omnilabs.router._forecast import Forecaster, Reading, sigmoid
from omnilabs.router._prior import Entry

__all__ = ["Outlook", "TextFit", "outlook"]


class TextFit(Protocol):
    """What `fit` learned: a change of each model's logit for one prompt."""

    policy: str

    def adjust(self, entries: Sequence[Entry], reading: Reading, logits: Sequence[float]) -> list[float]:
        """Return the corrected logits."""
        ...

    def rows_of(self, model_id: str) -> int:
        """Return how many graded rows of a model were learned from."""
        ...


class Outlook(NamedTuple):
    """Logits of success per entry: `unrated` without ratings, `logits` with them; how many ratings and rows behind."""

    logits: list[float]
    unrated: list[float]
    ratings: list[float]
    rows: list[int]

    def logit_se(self, index: int, entry: Entry) -> float:
        """Return the standard error of a logit: that of the ability, less what rows and ratings add to it."""
        p = sigmoid(self.logits[index])
        known = self.ratings[index] + self.rows[index]
        return 1.0 / math.sqrt(1.0 / entry.logit_se**2 + known * p * (1 - p))

    def evidence(self, index: int, entry: Entry) -> str:
        """Return what a quality rests on, in words."""
        told = entry.evidence
        if self.rows[index]:
            told += f"; {self.rows[index]} graded rows"
        if self.ratings[index]:
            told += f"; {self.ratings[index]:.0f} ratings"
        return told


def outlook(
    forecaster: Forecaster, entries: Sequence[Entry], reading: Reading, fit: TextFit | None, feedback: Feedback
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
