"""Whether and when to try again: one judgement for every failure, pure but for the injected randomness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from random import random
from typing import TypeAlias

from omnilabs._frozen import frozen
from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OmniError,
    QuotaExceededError,
    ResponseFormatError,
    TransportError,
    UnsupportedParameterError,
)

__all__ = ["Again", "Judgement", "Next", "RetryPolicy", "Stop", "retry_after_s"]


@frozen
class Again:
    """Try the same model again after `delay_s` seconds."""

    delay_s: float


@frozen
class Next:
    """Give this model up and try the next candidate."""


@frozen
class Stop:
    """Raise: every candidate would refuse this request."""


Judgement: TypeAlias = Again | Next | Stop

_NEXT = (AuthenticationError, NotFoundError, QuotaExceededError, ContextLengthError, UnsupportedParameterError)
_ONCE = ("dns",)
_NEVER = ("tls", "redirect")


@frozen
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        max_retries: Attempts after the first, per model.
        base_delay_s: Mean scale of the first wait; it doubles with every attempt.
        max_delay_s: Longest wait of our own; also the longest `Retry-After` that is obeyed before the next candidate
            is tried instead.
        random: Source of jitter, uniform in [0, 1).
    """

    max_retries: int = 2
    base_delay_s: float = 0.5
    max_delay_s: float = 60.0
    random: Callable[[], float] = random

    def judge(
        self, attempt: int, error: OmniError, *, alike: int | None = None, remaining_s: float | None = None
    ) -> Judgement:
        """Return what to do after failure number `attempt` (from 0) of one model.

        `alike` counts the failures of this class before it, for those that are worth fewer attempts than others; None
        means that all were.

        Full jitter below our own delay (Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/);
        a wait the provider asked for is only ever lengthened. A wait that `remaining_s` does not allow is not begun.
        """
        if isinstance(error, _NEXT):
            return Next()
        if isinstance(error, BadRequestError) or (isinstance(error, APIStatusError) and not error.retryable):
            return Stop()
        allowed = min(self._allowed(error), self.max_retries)
        if not error.retryable or attempt >= self.max_retries or (attempt if alike is None else alike) >= allowed:
            return Next()
        delay_s = self.random() * min(self.max_delay_s, self.base_delay_s * 2.0 ** min(attempt, 64))
        if error.retry_after_s is not None:
            if error.retry_after_s > self.max_delay_s:
                return Next()
            delay_s = error.retry_after_s + delay_s * 0.1
        if remaining_s is not None and delay_s >= remaining_s:
            return Next()
        return Again(delay_s)

    def _allowed(self, error: OmniError) -> int:
        """Return how many retries this kind of failure is worth."""
        if isinstance(error, TransportError) and error.phase in _NEVER:
            return 0
        if isinstance(error, ResponseFormatError) or (isinstance(error, TransportError) and error.phase in _ONCE):
            return 1
        return self.max_retries


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a provider asks to wait, from `retry-after-ms` or `retry-after`, or None.

    `Retry-After` is seconds or an HTTP date (RFC 9110, section 10.2.3); a date counts from the response's own `Date`,
    so that a wrong clock on this machine does no harm.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    until, now = _date(value), _date(headers.get("date"))
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) and value >= 0 else None


def _date(text: str | None) -> datetime | None:
    from email.utils import parsedate_to_datetime  # a tenth of the package's import, and dates are rare

    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
