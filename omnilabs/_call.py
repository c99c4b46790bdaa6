"""What a flow is made of: the steps it yields, the call it serves, and who listens to its attempts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from omnilabs._decision import Decision
from omnilabs._frozen import frozen
from omnilabs._http import DEFAULT_LIMITS, HttpLimits, HttpRequest, HttpResponse, StreamHead
from omnilabs._response import Attempt, ChatResponse
from omnilabs._retry import RetryPolicy
from omnilabs.errors import OmniError
from omnilabs.providers import Target

__all__ = ["Call", "Close", "Flow", "Observer", "Open", "Read", "Reply", "Send", "Sleep", "Step"]

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


class Observer(Protocol):
    """Is told how each attempt went: the breaker, the health averages and the traces listen."""

    def started(self, target: Target) -> None:
        """An attempt begins."""
        ...

    def failed(self, target: Target, error: OmniError, elapsed_s: float) -> None:
        """An attempt failed."""
        ...

    def succeeded(self, target: Target, response: ChatResponse | None, elapsed_s: float) -> None:
        """An attempt succeeded; `response` is None where there is no whole one, as for a stream that only began."""
        ...

    def ended(self, response: ChatResponse | None, error: BaseException | None) -> None:
        """The call ended: with a response (partial if a stream was left early), an error, or neither if cancelled."""
        ...


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
