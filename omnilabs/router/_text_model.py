"""Logistic regression per model over hashed words: the numbers behind `Router.fit`. Only fitting needs numpy."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["BUCKETS", "Features", "Prompts", "Rows", "features_of", "fit_levels", "fit_text"]

BUCKETS = 1 << 15
_FORM = 2.0
"""Marks of form count double: where a prompt begins and ends and how long it is tell traffic apart."""

_NEWTON_STEPS = 5
_CG_STEPS = 25


class Features(NamedTuple):
    """The buckets a prompt falls into, in order, with their values; the squares of the values sum to 1."""

    buckets: list[int]
    values: list[float]


def features_of(words: Sequence[str], clipped: str, length: float) -> Features:
    """Return a prompt's features: its words and pairs of words, and its form. The same in every process.

    Args:
        words: Its words, as `words_of` gives them.
        clipped: The clipped text they were read from.
        length: Its length effect.
    """
    found = {_bucket(f"{a} {b}"): 1.0 for a, b in pairwise(words)}
    found.update({_bucket(word): 1.0 for word in words})
    found.update({_bucket(mark): _FORM for mark in _form(words, clipped, length)})
    norm = math.sqrt(sum(value * value for value in found.values()))
    buckets = sorted(found)
    return Features(buckets, [found[bucket] / norm for bucket in buckets])


def _form(words: Sequence[str], clipped: str, length: float) -> list[str]:
    step = math.floor(2 * length)
    counts = (("\n", 8), ("?", 3), (":", 4), (".", 6))
    return [
        *(f"^{' '.join(words[:n])}" for n in (1, 2)),
        *(f"${' '.join(words[-n:])}" for n in (1, 2)),
        f"#{step}",
        f"#{step + 1}",
        *(f"{mark}{min(most, clipped.count(mark))}" for mark, most in counts),
    ]


def _bucket(term: str) -> int:
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) % BUCKETS


class Prompts(NamedTuple):
    """The prompts' features as a sparse matrix, by row and by column; every row has length 1."""

    indptr: Ints
    columns: Ints
    values: Floats
    order: Ints
    rows: Ints
    starts: Ints
    present: Ints

    @classmethod
    def of(cls, features: Sequence[Features]) -> Prompts:
        """Return the matrix of these feature lists."""
        import numpy as np

        sizes = np.array([len(one.buckets) for one in features], np.int64)
        columns = np.array([bucket for one in features for bucket in one.buckets], np.int64)
        values = np.array([value for one in features for value in one.values])
        rows = np.repeat(np.arange(len(features)), sizes)
        order = np.argsort(columns, kind="stable")
        present, starts = np.unique(columns[order], return_index=True)
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        return cls(indptr, columns, values, order, rows, starts, present)

    def times(self, weights: Floats) -> Floats:
        """Return the matrix times weights [buckets, models]."""
        import numpy as np

        sums = np.concatenate(
            [np.zeros((1, weights.shape[1])), np.cumsum(self.values[:, None] * weights[self.columns], axis=0)]
        )
        out: Floats = sums[self.indptr[1:]] - sums[self.indptr[:-1]]
        return out

    def transposed_times(self, errors: Floats) -> Floats:
        """Return the transposed matrix times errors [prompts, models]."""
        import numpy as np

        out = np.zeros((BUCKETS, errors.shape[1]))
        if len(self.order):
            terms = self.values[self.order, None] * errors[self.rows[self.order]]
            out[self.present] = np.add.reduceat(terms, self.starts, axis=0)
        return out


class Rows(NamedTuple):
    """Outcomes as a table [prompts, models]: score, and weight 0 where a model was not graded on a prompt."""

    score: Floats
    weight: Floats
    prior: Floats


def fit_levels(rows: Rows, ridge: float) -> tuple[float, float, Floats]:
    """Return (a, b, c) of logit p = a + b prior + c_m: how far to trust the prior, and each model's own level.

    With an infinite ridge the models' own levels are 0: the prior recalibrated as a whole.
    """
    import numpy as np

    n_models = rows.score.shape[1]
    a, b, c = 0.0, 1.0, np.zeros(n_models)
    free = 2 + (n_models if np.isfinite(ridge) else 0)
    penalty = np.array([1e-6, 1.0] + [ridge] * n_models)[:free]
    target = np.array([0.0, 1.0] + [0.0] * n_models)[:free]
    for _ in range(12):
        p = _sigmoid(a + b * rows.prior + c)
        error, curve = rows.weight * (rows.score - p), rows.weight * p * (1 - p) + 1e-12
        now = np.concatenate([[a, b], c])[:free]
        gradient = np.concatenate([[error.sum(), (error * rows.prior).sum()], error.sum(0)])[:free] - penalty * (
            now - target
        )
        hessian = np.zeros((2 + n_models, 2 + n_models))
        own, with_prior = curve.sum(0), (curve * rows.prior).sum(0)
        hessian[0, 0], hessian[0, 1], hessian[1, 1] = own.sum(), with_prior.sum(), (curve * rows.prior**2).sum()
        hessian[0, 2:], hessian[1, 2:] = own, with_prior
        hessian = hessian + np.triu(hessian, 1).T + np.diag(np.concatenate([[0.0, 0.0], own]))
        now = now + np.linalg.solve(hessian[:free, :free] + np.diag(penalty), gradient)
        a, b = float(now[0]), max(0.0, float(now[1]))
        c[: free - 2] = now[2:]
    return a, b, c


def fit_text(prompts: Prompts, rows: Rows, start: Floats, ridge: float) -> Floats:
    """Return weights [buckets, models] that add to the logits `start`, by Newton's method with conjugate gradients."""
    import numpy as np

    weights = np.zeros((BUCKETS, rows.score.shape[1]))
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(start + prompts.times(weights))
        gradient = prompts.transposed_times(rows.weight * (rows.score - p)) - ridge * weights
        curve = rows.weight * np.maximum(p * (1 - p), 0.02)
        step = _conjugate_gradient(prompts, curve, ridge, gradient)
        weights += step
        if np.abs(step).max() < 1e-3:
            break
    return weights


def _conjugate_gradient(prompts: Prompts, curve: Floats, ridge: float, target: Floats) -> Floats:
    """Solve (X' C X + ridge) step = target, every model by itself."""
    import numpy as np

    step = np.zeros_like(target)
    residual = target.copy()
    direction = residual.copy()
    size = (residual**2).sum(0)
    start = size.copy()
    for _ in range(_CG_STEPS):
        image = prompts.transposed_times(curve * prompts.times(direction)) + ridge * direction
        length = size / np.maximum((direction * image).sum(0), 1e-300)
        step += length * direction
        residual -= length * image
        after = (residual**2).sum(0)
        if (after <= 1e-6 * start + 1e-300).all():
            break
        direction = residual + (after / np.maximum(size, 1e-300)) * direction
        size = after
    return step


def _sigmoid(x: Floats) -> Floats:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))
