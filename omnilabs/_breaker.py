"""A circuit breaker per model and per key: who just failed is not asked again before it is likely to answer.

It is told of every attempt by the flow, judges by the error's class, and only ever advises: a model asked by name is
asked all the same, and when everything is open the one that reopens first is tried.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from omnilabs._observer import Observer
from omnilabs._response import ChatResponse
from omnilabs.errors import (
    AuthenticationError,
    NotFoundError,
    OmniError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
    StreamInterruptedError,
    TransportError,
)
from omnilabs.providers import Target

__all__ = ["Breaker"]

_Circuit: TypeAlias = tuple[str, str, str]
"""Provider, address, and the model's name or "" for the key itself."""

_AFTER_FAILURES = 3
_FIRST_OPEN_S = 30.0
_LONGEST_OPEN_S = 300.0
_KEY_OPEN_S = 60.0
_RATE_LIMIT_OPEN_S = 5.0
_PROBE_S = 30.0


@dataclass(slots=True)
class _State:
    """One circuit: when it may be tried again, and until when a probe under way keeps others waiting."""

    failures: int = 0
    until: float = 0.0
    probe_until: float = 0.0
    why: str = ""


class Breaker(Observer):
    """Remembers failures. Thread-safe.

    - a refused key or a used-up quota opens the key, for all its models, for a minute or what the provider asked;
    - a rate limit opens the model for what the provider asked, else 5 s;
    - three failures in a row (5xx, no answer, broken answers) open the model for 30 s, then doubling up to 5 minutes.

    After that time one call is let through; its success closes the circuit, its failure opens it again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[_Circuit, _State] = {}

    def opens_in_s(self, target: Target) -> float:
        """Return the seconds until this target may be tried, 0 when it may be tried now."""
        if not self._states:
            return 0.0
        now = self._clock()
        with self._lock:
            found = [self._states.get(circuit) for circuit in _circuits(target)]
            return max(0.0, max((max(s.until, s.probe_until) - now for s in found if s is not None), default=0.0))

    def reason(self, target: Target) -> str | None:
        """Return why this target should not be tried now, or None."""
        wait_s = self.opens_in_s(target)
        if wait_s <= 0:
            return None
        with self._lock:
            why = next((s.why for c in _circuits(target) if (s := self._states.get(c)) is not None and s.why), "failed")
        return f"{why}; to be tried again in {wait_s:.0f} s"

    def started(self, target: Target) -> None:
        """An attempt begins; on a circuit that is due it is the probe, and others wait for its outcome."""
        if not self._states:
            return
        now = self._clock()
        with self._lock:
            for circuit in _circuits(target):
                state = self._states.get(circuit)
                if state is not None and state.until and state.until <= now:
                    state.probe_until = now + _PROBE_S

    def succeeded(self, target: Target, response: ChatResponse | None, elapsed_s: float) -> None:
        """An attempt succeeded: the model and its key work."""
        if self._states:
            with self._lock:
                for circuit in _circuits(target):
                    self._states.pop(circuit, None)

    def failed(self, target: Target, error: OmniError, elapsed_s: float) -> None:
        """An attempt failed; the error's class says whose fault it was."""
        key, model = _circuits(target)
        now = self._clock()
        with self._lock:
            for circuit in (key, model):
                if (state := self._states.get(circuit)) is not None:
                    state.probe_until = 0.0
            if isinstance(error, QuotaExceededError) or (
                isinstance(error, AuthenticationError) and error.status == 401
            ):
                # Without a key there is nothing that all its models share.
                shared = model if target.endpoint.api_key is None else key
                self._open(shared, now + (error.retry_after_s or _KEY_OPEN_S), error)
            elif isinstance(error, AuthenticationError | NotFoundError):
                self._open(model, now + _KEY_OPEN_S, error)
            elif isinstance(error, RateLimitError):
                self._open(model, now + (error.retry_after_s or _RATE_LIMIT_OPEN_S), error)
            elif isinstance(error, TransportError) and error.phase == "stale":
                pass  # says something of an old connection, nothing of the server
            elif isinstance(error, ServerError | TransportError | ResponseFormatError | StreamInterruptedError):
                self._count(model, now, error)

    def left(self, target: Target) -> None:
        """An attempt was given up: if it was the probe, another may be it."""
        if self._states:
            with self._lock:
                for circuit in _circuits(target):
                    if (state := self._states.get(circuit)) is not None:
                        state.probe_until = 0.0

    def _open(self, circuit: _Circuit, until: float, error: OmniError) -> None:
        state = self._states.setdefault(circuit, _State())
        state.failures += 1
        state.until = max(state.until, until)
        state.why = type(error).__name__

    def _count(self, circuit: _Circuit, now: float, error: OmniError) -> None:
        state = self._states.setdefault(circuit, _State())
        state.failures += 1
        pause_s = error.retry_after_s or 0.0
        if state.failures >= _AFTER_FAILURES:
            times = min(state.failures - _AFTER_FAILURES, 10)
            pause_s = max(pause_s, min(_LONGEST_OPEN_S, _FIRST_OPEN_S * 2.0**times))
        if pause_s > 0:
            state.until = max(state.until, now + pause_s)
            state.why = f"{type(error).__name__} {state.failures} times in a row"


def _circuits(target: Target) -> tuple[_Circuit, _Circuit]:
    endpoint = target.endpoint
    return (target.provider, endpoint.base_url, ""), (target.provider, endpoint.base_url, target.model.name)
