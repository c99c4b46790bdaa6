"""`Router.fit`: learn from graded answers of the user's own prompts, and only where that is shown to help."""

from __future__ import annotations

import base64
import math
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omnilabs.router._forecast import Forecaster, Reading
from omnilabs.router._numpy import need_numpy
from omnilabs.router._prior import Entry
from omnilabs.router._text_model import BUCKETS, Features, Prompts, Rows, features_of, fit_levels, fit_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["FEWEST_ROWS", "Fit", "Graded", "Held", "Judged", "learn", "table"]

FEWEST_ROWS = 200
_LEVEL_RIDGE = 3.0
_TEXT_RIDGE = 2.0
_SURE = 2.0
"""A gain must be this many standard errors of the held-back log-loss, or it is not taken."""


@dataclass(frozen=True)
class Graded:
    """Graded answers as a table: a score per prompt and model, not a number where there is none."""

    readings: Sequence[Reading]
    entries: Sequence[Entry]
    score: Floats
    cost_usd: Floats

    @property
    def rows(self) -> int:
        """How many answers were graded."""
        import numpy as np

        return int(np.isfinite(self.score).sum())


def table(
    records: Iterable[tuple[str, str, float, float | None]], entries: Mapping[str, Entry], forecaster: Forecaster
) -> Graded:
    """Return the table of (prompt, model id, score, cost in US dollars or None)."""
    import numpy as np

    places: dict[str, int] = {}
    models: dict[str, int] = {}
    cells: list[tuple[int, int, float, float]] = []
    for prompt, model, score, cost_usd in records:
        row = places.setdefault(prompt, len(places))
        column = models.setdefault(model, len(models))
        cells.append((row, column, score, math.nan if cost_usd is None else cost_usd))
    scores = np.full((len(places), len(models)), np.nan)
    costs = np.full((len(places), len(models)), np.nan)
    for row, column, score, cost in cells:
        scores[row, column], costs[row, column] = score, cost
    return Graded([forecaster.read_text(text) for text in places], [entries[name] for name in models], scores, costs)


@dataclass(frozen=True)
class Levels:
    """logit = a + b prior + c_m, and for a model that was not graded the graded models' mean change."""

    a: float
    b: float
    own: Mapping[str, float]
    others: float


@dataclass(frozen=True)
class Fit:
    """What was learned: levels per model, and (where the prompt's words help) their weights as bytes times `step`."""

    levels: Levels
    rows: Mapping[str, int]
    step: float = 0.0
    weights: Any = field(default=None, repr=False)

    @property
    def policy(self) -> str:
        """Name of what was learned, for decisions."""
        return "levels" if self.weights is None else "text"

    def rows_of(self, model_id: str) -> int:
        """Return how many graded answers of a model were learned from."""
        return self.rows.get(model_id, 0)

    def adjust(self, entries: Sequence[Entry], reading: Reading, logits: Sequence[float]) -> list[float]:
        """Return the corrected logits of one prompt."""
        levels = self.levels
        by_text = self._by_text(reading)
        return [
            logit + levels.others
            if (own := levels.own.get(entry.id)) is None
            else levels.a + levels.b * logit + own + by_text.get(entry.id, 0.0)
            for entry, logit in zip(entries, logits, strict=True)
        ]

    def _by_text(self, reading: Reading) -> dict[str, float]:
        if self.weights is None:
            return {}
        buckets, values = features_of(reading.words, reading.clipped, reading.length)
        sums: list[float] = (values @ self.weights[buckets]).tolist()
        return {name: self.step * total for name, total in zip(self.levels.own, sums, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Return what was learned in plain JSON types; the weights as base64 of zlib of signed bytes, by bucket."""
        levels = {"a": self.levels.a, "b": self.levels.b, "own": dict(self.levels.own), "others": self.levels.others}
        text = None
        if self.weights is not None:
            packed = base64.b64encode(zlib.compress(self.weights.tobytes(), 9)).decode()
            text = {"buckets": BUCKETS, "step": self.step, "weights": packed}
        return {"rows": dict(self.rows), "levels": levels, "text": text}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fit:
        """Return what `to_dict` wrote.

        Raises:
            ValueError: The weights are of another size than this version uses.
            ConfigurationError: There are weights, and numpy is not installed.
        """
        levels = Levels(**data["levels"])
        text = data["text"]
        if text is None:
            return cls(levels, data["rows"])
        need_numpy("a router with learned text weights")
        import numpy as np

        raw = np.frombuffer(zlib.decompress(base64.b64decode(text["weights"])), np.int8)
        if text["buckets"] != BUCKETS or raw.size != BUCKETS * len(levels.own):
            raise ValueError("its weights are of another version: fit the router again")
        return cls(levels, data["rows"], text["step"], raw.reshape(BUCKETS, len(levels.own)))


@dataclass(frozen=True)
class Held:
    """Log-loss per graded answer on rows held back, and how far below the step before it: mean and standard error."""

    log_loss: float
    gain: float = 0.0
    gain_se: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Whether the gain is beyond chance."""
        return self.gain > _SURE * self.gain_se and self.gain > 0


@dataclass(frozen=True)
class Judged:
    """What cross-validation says of each step against the one before, and of the last one taken against the prior.

    `quality` is what each model was foreseen on rows it was not fitted on.
    """

    prior: Held
    recalibrated: Held
    levels: Held
    text: Held
    total: Held
    quality: Floats
    seconds: float


def learn(graded: Graded, forecaster: Forecaster, folds: int, seed: int) -> tuple[Fit | None, Judged]:
    """Return what is worth keeping of what can be learned from `graded`, and how every step did on held-back rows.

    Each step must beat the one before it in log-loss on rows held back, by more than chance. The first step to beat is
    the prior recalibrated as a whole, so that labels that say nothing of models or prompts change nothing.
    """
    import numpy as np

    started = time.perf_counter()
    prior = np.array([forecaster.logits(graded.entries, reading) for reading in graded.readings])
    weight = np.isfinite(graded.score).astype(float)
    rows = Rows(np.where(weight > 0, graded.score, 0.0), weight, prior)
    features = [features_of(r.words, r.clipped, r.length) for r in graded.readings]
    fold = np.random.default_rng(seed).permutation(len(features)) % folds
    held = {name: np.zeros_like(prior) for name in ("recalibrated", "levels", "text")}
    for number in range(folds):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        part = Rows(*(one[inside] for one in rows))
        a, b, _ = fit_levels(part, math.inf)
        held["recalibrated"][outside] = a + b * prior[outside]
        a, b, own = fit_levels(part, _LEVEL_RIDGE)
        held["levels"][outside] = a + b * prior[outside] + own
        learned = fit_text(Prompts.of([features[i] for i in inside]), part, a + b * part.prior + own, _TEXT_RIDGE)
        by_text = Prompts.of([features[i] for i in outside]).times(learned)
        held["text"][outside] = held["levels"][outside] + by_text
    losses = {name: _log_loss(rows, logits) for name, logits in {"prior": prior, **held}.items()}
    levels, text = _step(rows, losses, "levels", "recalibrated"), _step(rows, losses, "text", "levels")
    chosen = "text" if text.is_sure else "levels" if levels.is_sure else "prior"
    fit = None if chosen == "prior" else _whole(graded, rows, features, with_text=chosen == "text")
    judged = Judged(
        _step(rows, losses, "prior", "prior"),
        _step(rows, losses, "recalibrated", "prior"),
        levels,
        text,
        _step(rows, losses, chosen, "prior"),
        1.0 / (1.0 + np.exp(-np.clip({"prior": prior, **held}[chosen], -30, 30))),
        time.perf_counter() - started,
    )
    return fit, judged


def _whole(graded: Graded, rows: Rows, features: Sequence[Features], *, with_text: bool) -> Fit:
    import numpy as np

    a, b, own = fit_levels(rows, _LEVEL_RIDGE)
    start = a + b * rows.prior + own
    change = float((rows.weight * (start - rows.prior)).sum() / rows.weight.sum())
    ids = [entry.id for entry in graded.entries]
    levels = Levels(a, b, {name: float(value) for name, value in zip(ids, own, strict=True)}, change)
    counts = {name: int(count) for name, count in zip(ids, rows.weight.sum(0), strict=True)}
    if not with_text:
        return Fit(levels, counts)
    learned = fit_text(Prompts.of(features), rows, start, _TEXT_RIDGE)
    # Signed bytes: what is saved is what is used, so that a loaded router decides as this one does.
    step = float(np.abs(learned).max()) / 127 or 1.0
    return Fit(levels, counts, step, np.rint(learned / step).astype(np.int8))


def _log_loss(rows: Rows, logits: Floats) -> Floats:
    """Return the log-loss per prompt and model, 0 where there is no grade."""
    import numpy as np

    bounded = np.clip(logits, -30, 30)
    return rows.weight * (np.logaddexp(0.0, bounded) - rows.score * bounded)


def _step(rows: Rows, losses: Mapping[str, Floats], name: str, before: str) -> Held:
    """Return how a step did against the one before; prompts, not answers, are what is drawn independently."""
    total = float(rows.weight.sum())
    gains = (losses[before] - losses[name]).sum(1)
    n = len(gains)
    se = float(gains.std(ddof=1)) * math.sqrt(n) / total if n > 1 else math.inf
    return Held(float(losses[name].sum()) / total, float(gains.sum()) / total, se)
