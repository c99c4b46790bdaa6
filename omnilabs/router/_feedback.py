"""What users said of answers: decayed counts per model and task type, pooled to the model's mean."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from omnilabs.router._prior import ABILITY_TYPES

__all__ = ["Feedback"]

_KEEP = 0.5 ** (1 / 300)
_MODEL_WEIGHT = 8.0
_TYPE_WEIGHT = 12.0
_EDGE = 0.005


class _Cell:
    """Decayed sums over the ratings of a model (on a type): how many, their scores, and what had been expected."""

    __slots__ = ("count", "expected", "score")

    def __init__(self, count: float = 0.0, score: float = 0.0, expected: float = 0.0) -> None:
        self.count, self.score, self.expected = count, score, expected

    def add(self, weight: float, score: float, expected: float, keep: float) -> None:
        self.count = self.count * keep + weight
        self.score = self.score * keep + weight * score
        self.expected = self.expected * keep + weight * expected

    def shift(self, prior_weight: float, already: float = 0.0) -> float:
        """Return the posterior mean's distance from what is expected, in logits.

        What is expected counts as `prior_weight` ratings; `already` is the shift it has had so far.
        """
        if self.count <= 0:
            return 0.0
        start = _logit(self.expected / self.count) + already
        expected = 1.0 / (1.0 + math.exp(-start))
        return _logit((self.score + prior_weight * expected) / (self.count + prior_weight)) - start


class Feedback:
    """Ratings of answers, 0 to 1, by model. Thread-safe. A rating loses half its weight after 300 later ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[str, dict[str, _Cell]] = {}

    def add(self, model_id: str, mix: Mapping[str, float], score: float, expected: float) -> None:
        """Take a rating in. `mix` holds the prompt's task types, `expected` the quality foreseen without ratings."""
        with self._lock:
            cells = self._cells.setdefault(model_id, {"": _Cell()})
            cells[""].add(1.0, score, expected, _KEEP)
            for name in ABILITY_TYPES:
                share = mix.get(name, 0.0)
                if share > 0 or name in cells:
                    cells.setdefault(name, _Cell()).add(share, score, expected, _KEEP)

    def shift(self, model_id: str, mix: Sequence[float]) -> tuple[float, float]:
        """Return what the ratings add to the logit of a model's success, and how many stand behind it."""
        if model_id not in self._cells:
            return 0.0, 0.0
        with self._lock:
            cells = self._cells[model_id]
            whole = cells[""].shift(_MODEL_WEIGHT)
            by_type = sum(
                share * cells[name].shift(_TYPE_WEIGHT, whole)
                for name, share in zip(ABILITY_TYPES, mix, strict=True)
                if name in cells
            )
            return whole + by_type, cells[""].count

    @property
    def knows(self) -> bool:
        """Whether anything was rated."""
        return bool(self._cells)

    def to_dict(self) -> dict[str, Any]:
        """Return the sums in plain JSON types."""
        with self._lock:
            return {
                model: {name: [cell.count, cell.score, cell.expected] for name, cell in cells.items()}
                for model, cells in self._cells.items()
            }

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Sequence[float]]]) -> Feedback:
        """Return the ratings `to_dict` wrote."""
        self = cls()
        self._cells = {
            model: {name: _Cell(*map(float, sums)) for name, sums in cells.items()} for model, cells in data.items()
        }
        return self


def _logit(p: float) -> float:
    share = min(max(p, _EDGE), 1 - _EDGE)
    return math.log(share / (1 - share))
