"""What this process has seen of each model: time to the first token, speed, length of answers, prompt tokens."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Health", "Seen"]

_HALF_LIFE_S = 600.0
_PRIOR_CALLS = 3.0
_MIN_ANSWER_S = 0.05
_KEEP_RATIO = 0.99


@dataclass(slots=True)
class _Average:
    """A decayed mean; `weight` counts the calls behind it, halved every half-life."""

    total: float = 0.0
    weight: float = 0.0

    def fade(self, keep: float) -> None:
        self.total *= keep
        self.weight *= keep

    def add(self, value: float) -> None:
        self.total += value
        self.weight += 1.0

    def blend(self, prior: float | None, keep: float) -> float | None:
        """Return the mean, pulled towards `prior` as if that were three calls; None while nothing is known."""
        weight = self.weight * keep
        if weight <= 1e-6:
            return prior
        if prior is None:
            return self.total / self.weight
        return (self.total * keep + prior * _PRIOR_CALLS) / (weight + _PRIOR_CALLS)


class Seen(NamedTuple):
    """What to expect of a model now; None where neither it nor the catalogue has told.

    Attributes:
        ttft_s: Seconds to the first token.
        s_per_token: Seconds per output token after it.
        length_factor: Its answers' length relative to what the task type lets expect.
    """

    ttft_s: float | None
    s_per_token: float | None
    length_factor: float


class _Model:
    __slots__ = ("at_s", "log_length", "s_per_token", "ttft_s")

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.ttft_s = _Average()
        self.s_per_token = _Average()
        self.log_length = _Average()


class Health:
    """Decayed averages per model, for one process. Thread-safe; the clock is injected and read in seconds."""

    def __init__(self, clock: Callable[[], float], half_life_s: float = _HALF_LIFE_S) -> None:
        self._clock = clock
        self._half_life_s = half_life_s
        self._lock = threading.Lock()
        self._models: dict[str, _Model] = {}
        self._log_token_ratio = _Average()

    def observe(
        self,
        model_id: str,
        *,
        output_tokens: int | None,
        expected_output_tokens: float | None,
        ttft_s: float | None,
        total_s: float | None,
        expected_ttft_s: float | None = None,
        input_tokens: int | None = None,
        estimated_input_tokens: float | None = None,
    ) -> None:
        """Take one finished call into the averages; what is None was not measured."""
        now = self._clock()
        with self._lock:
            own = self._models.setdefault(model_id, _Model(now))
            keep = self._keep(own, now)
            own.at_s = now
            for average in (own.ttft_s, own.s_per_token, own.log_length):
                average.fade(keep)
            if ttft_s is not None and ttft_s >= 0:
                own.ttft_s.add(ttft_s)
            if total_s is not None and output_tokens:
                # An answer that was not streamed tells only the whole: the expected wait, at most half, is taken off.
                waited_s = min(expected_ttft_s or 0.0, total_s / 2) if ttft_s is None else ttft_s
                own.s_per_token.add(max(total_s - waited_s, _MIN_ANSWER_S) / output_tokens)
            if output_tokens and expected_output_tokens:
                own.log_length.add(math.log(output_tokens / expected_output_tokens))
            if input_tokens and estimated_input_tokens and estimated_input_tokens >= 1:
                self._log_token_ratio.fade(_KEEP_RATIO)
                self._log_token_ratio.add(math.log(input_tokens / estimated_input_tokens))

    def expect(self, model_id: str, ttft_s: float | None, s_per_token: float | None) -> Seen:
        """Return what to expect of a model, given what the catalogue says of it."""
        own = self._models.get(model_id)
        if own is None:
            return Seen(ttft_s, s_per_token, 1.0)
        with self._lock:
            keep = self._keep(own, self._clock())
            length = own.log_length.blend(0.0, keep) or 0.0
            pace, wait = own.s_per_token.blend(s_per_token, keep), own.ttft_s.blend(ttft_s, keep)
            # Of answers that were never streamed only the whole is known: the wait is in the pace then.
            return Seen(0.0 if wait is None and pace is not None else wait, pace, math.exp(length))

    @property
    def token_ratio(self) -> float:
        """Reported prompt tokens per estimated one, over all models; 1 while nothing was reported."""
        ratio = self._log_token_ratio
        return 1.0 if not ratio.weight else math.exp(ratio.total / (ratio.weight + _PRIOR_CALLS))

    @property
    def knows(self) -> bool:
        """Whether any call was observed."""
        return bool(self._models)

    def _keep(self, own: _Model, now: float) -> float:
        return math.exp2(-max(0.0, now - own.at_s) / self._half_life_s)
