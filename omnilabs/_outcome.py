"""What became of a call's attempts, as the errors that say so: noted one by one, and summed up when none answered."""

from __future__ import annotations

from collections.abc import Sequence

from omnilabs._call import Call
from omnilabs._response import Attempt
from omnilabs._stream import forget_key
from omnilabs.errors import (
    AllCandidatesFailedError,
    OmniError,
    RequestTimeoutError,
    ResponseFormatError,
    TransportError,
)
from omnilabs.providers import Target

__all__ = ["about", "note", "out_of_time", "summary", "with_attempts"]


def note(call: Call, target: Target, error: OmniError, elapsed_s: float) -> None:
    """Write a failed attempt down, in words that hold no key, and tell the observers."""
    about(error, target)
    forget_key(error, target)
    billed = isinstance(error, TransportError) and error.maybe_billed
    call.attempts.append(
        Attempt(
            provider=target.provider,
            model=target.model.id,
            error_type=type(error).__name__,
            message=error.message,
            status=error.status,
            elapsed_s=elapsed_s,
            maybe_billed=billed or isinstance(error, ResponseFormatError),
        )
    )
    for observer in call.observers:
        observer.failed(target, error, elapsed_s)


def about(error: OmniError, target: Target) -> OmniError:
    """Name the target in an error of the transport, which knows only addresses."""
    error.provider = error.provider or target.provider
    error.model = error.model or target.model.id
    return error


def with_attempts(call: Call, error: OmniError) -> OmniError:
    """Return the error with every attempt of its call."""
    error.attempts = tuple(call.attempts)
    return error


def out_of_time(call: Call, target: Target) -> RequestTimeoutError:
    """Return the error of a call whose deadline has come."""
    return RequestTimeoutError(
        f"the time for the whole call ran out after {len(call.attempts)} attempts; raise timeout_s to wait longer",
        phase="total",
        provider=target.provider,
        model=target.model.id,
        retryable=False,
    )


def summary(call: Call, failures: Sequence[OmniError]) -> OmniError:
    """Return the one candidate's own error, or one that holds them all."""
    if len(failures) == 1 and len(call.targets) == 1:
        return with_attempts(call, failures[0])
    remaining_s = call.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        late = out_of_time(call, call.targets[min(len(failures), len(call.targets)) - 1])
        late.__cause__ = failures[-1]
        return with_attempts(call, late)
    waits = [error.retry_after_s for error in failures if error.retry_after_s is not None]
    named = "; ".join(f"{error.model}: {error.message}" for error in failures)
    return AllCandidatesFailedError(
        f"all {len(failures)} candidate models failed: {named}",
        failures=failures,
        attempts=call.attempts,
        retryable=any(error.retryable for error in failures),
        retry_after_s=min(waits, default=None),
    )
