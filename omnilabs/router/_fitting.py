"""From checked records to what is worth keeping of them, and the report that says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from omnilabs._decision import Weights
from omnilabs.errors import InvalidRequestError
from omnilabs.router._evaluation import EQUAL, Evaluation, judge
from omnilabs.router._fit import FEWEST_ROWS, Fit, Graded, Judged, learn, table
from omnilabs.router._forecast import Forecaster, Reading, estimates_of, sigmoid
from omnilabs.router._numpy import need_numpy
from omnilabs.router._outlook import Outlook
from omnilabs.router._prior import Entry
from omnilabs.router._records import FitReport, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["evaluated", "fitted"]

_FEWEST_JUDGED = 50
_Z95 = 1.96


def fitted(
    records: Sequence[Record], entries: Mapping[str, Entry], forecaster: Forecaster, *, folds: int, seed: int
) -> tuple[Fit | None, FitReport]:
    """Return what was learned, or None, and the report. See `Router.fit`."""
    need_numpy("Router.fit")
    if not 2 <= folds <= 20:
        raise InvalidRequestError(f"folds is a number from 2 to 20, not {folds!r}", parameter="folds")
    prompts = len({prompt for prompt, *_ in records})
    if len(records) < FEWEST_ROWS or prompts < 2 * folds:
        why = f"nothing changed, because fewer than {FEWEST_ROWS} graded answers (or {2 * folds} prompts) do harm"
        return None, FitReport(len(records), prompts, None, why)
    graded = table(records, entries, forecaster)
    fit, judged = learn(graded, forecaster, folds, seed)
    gain, spread = judged.total.gain, _Z95 * judged.total.gain_se
    return fit, FitReport(
        graded.rows,
        prompts,
        None if fit is None else fit.policy,
        _why(fit, judged),
        gain,
        gain - spread,
        gain + spread,
        judged.seconds,
        0 if fit is None else len(json.dumps(fit.to_dict())),
        _evaluation(graded, forecaster, judged),
    )


def _why(fit: Fit | None, judged: Judged) -> str:
    levels, text = judged.levels, judged.text
    said = (
        f"on rows held back the log-loss was {judged.prior.log_loss:.4f} by the prior, "
        f"{judged.recalibrated.log_loss:.4f} with the prior recalibrated as a whole, {levels.log_loss:.4f} with each "
        f"model's own level ({levels.gain:+.4f}, standard error {levels.gain_se:.4f}) and {text.log_loss:.4f} with the "
        f"prompt's words ({text.gain:+.4f}, standard error {text.gain_se:.4f})"
    )
    if fit is None:
        return (
            f"nothing changed, because neither the models' levels nor the prompts' words gained beyond chance; {said}"
        )
    if fit.weights is None:
        return f"each model's own level is learned, but the prompts' words gained nothing beyond chance; {said}"
    return f"each model's success is learned by the prompt's words; {said}"


def _evaluation(graded: Graded, forecaster: Forecaster, judged: Judged) -> Evaluation | None:
    """Return the evaluation of rows held back, or None where there are too few that every model was graded on."""
    import numpy as np

    whole = np.flatnonzero(np.isfinite(graded.score).all(1))
    if len(whole) < _FEWEST_JUDGED or len(graded.entries) < 2:
        return None
    return _judged(graded, judged.quality, EQUAL)


def _judged(graded: Graded, quality: Floats, weights: Weights) -> Evaluation | None:
    """Return the evaluation over the prompts every model was graded on, or None where a price is not known."""
    import numpy as np

    whole = np.flatnonzero(np.isfinite(graded.score).all(1))
    logits = [0.0] * len(graded.entries)
    readings = [graded.readings[int(place)] for place in whole]
    expected = [[e.cost_usd for e in estimates_of(graded.entries, reading, logits, None)] for reading in readings]
    cost = np.where(np.isfinite(graded.cost_usd[whole]), graded.cost_usd[whole], np.array(expected))
    if not np.isfinite(cost).all():
        return None
    names = [entry.id for entry in graded.entries]
    lengths = [reading.length for reading in readings]
    return judge(names, quality[whole], graded.score[whole], cost, lengths, weights=weights)


def evaluated(
    records: Sequence[Record],
    entries: Mapping[str, Entry],
    forecaster: Forecaster,
    outlook: Callable[[Sequence[Entry], Reading], Outlook],
    weights: Weights,
) -> Evaluation:
    """Return how the qualities of `outlook` do on graded answers.

    Raises:
        InvalidRequestError: No prompt was graded for every model, there is one model only, or a price is not known.
    """
    need_numpy("an evaluation")
    import numpy as np

    graded = table(records, entries, forecaster)
    if len(graded.entries) < 2 or not np.isfinite(graded.score).all(1).any():
        raise InvalidRequestError(
            "an evaluation needs prompts graded for each of two models or more", parameter="records"
        )
    quality = np.array([[sigmoid(x) for x in outlook(graded.entries, one).logits] for one in graded.readings])
    found = _judged(graded, quality, weights)
    if found is None:
        raise InvalidRequestError(
            "an evaluation needs prices: give the models one, or each row its 'cost_usd'", parameter="records"
        )
    return found
