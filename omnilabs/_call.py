"""What a flow is made of: the steps it yields, and the call it serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from omnilabs._decision import Decision
from omnilabs._frozen import frozen
from omnilabs._http import DEFAULT_LIMITS, HttpLimits, HttpRequest, HttpResponse, StreamHead
from omnilabs._observer import Observer
from omnilabs._response import Attempt
from omnilabs._retry import RetryPolicy
from omnilabs.errors import OmniError
from omnilabs.providers import Target

__all__ = ["Call", "Close", "Flow", "Open", "Read", "Reply", "Send", "Sleep", "Step"]

T = TypeVar("T")


@frozen
class Send:
    """Send and read the whole answer; the reply is an `HttpResponse` or the failure."""

    http: HttpRequest


@frozen
class Open:
    """Send and read as far as the headers; the reply is a `StreamHead` or the failure."""

    http: HttpRequest


@frozen
class Read:
    """Read the next bytes of an open body; the reply is bytes, None at its end, or the failure."""

    head: StreamHead


@frozen
class Close:
    """Give up an open body; the reply is None."""

    head: StreamHead


@frozen
class Sleep:
    """Wait; the reply is None."""

    seconds: float


Step: TypeAlias = Send | Open | Read | Close | Sleep
Reply: TypeAlias = HttpResponse | StreamHead | OmniError | bytes | None
Flow: TypeAlias = Generator[Step, Any, T]
"""Yields steps, receives replies, returns T. A reply's type follows from its step."""


@dataclass(slots=True)
class Call:
    """One call: who may answer it, how patiently, and what has gone wrong so far.

    `limits.deadline` is a reading of `clock`; None is no limit. `forms` remembers, per endpoint or model, which form
    of a request the server wanted; it belongs to the client and outlives the call.
    """

    targets: Sequence[Target]
    retry: RetryPolicy
    clock: Callable[[], float] = time.monotonic
    limits: HttpLimits = DEFAULT_LIMITS
    forms: MutableMapping[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    observers: Sequence[Observer] = ()
    decision: Decision | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])

    def remaining_s(self) -> float | None:
        """Seconds left before the deadline, or None without one."""
        deadline = self.limits.deadline
        return None if deadline is None else deadline - self.clock()
