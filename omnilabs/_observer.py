"""Who listens to a call's attempts: the breaker, the ledger, what the router learns, the traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnilabs._response import ChatResponse
from omnilabs.errors import OmniError

if TYPE_CHECKING:
    from omnilabs.providers import Target

__all__ = ["Observer"]


class Observer:
    """Is told how each attempt went, and how the call ended. What it does not care for, it leaves as it is here."""

    __slots__ = ()

    def started(self, target: Target) -> None:
        """An attempt begins; `failed`, `succeeded` or `left` follows. Of a stream that began, its end is told too."""

    def failed(self, target: Target, error: OmniError, elapsed_s: float) -> None:
        """An attempt failed."""

    def succeeded(self, target: Target, response: ChatResponse | None, elapsed_s: float) -> None:
        """An attempt succeeded; `response` is None where there is no whole one, as for a stream that only began."""

    def left(self, target: Target) -> None:
        """An attempt was given up by the caller before anything was known of it."""

    def ended(self, response: ChatResponse | None, error: BaseException | None) -> None:
        """The call ended: with a response (partial if a stream was left early), an error, or neither if cancelled."""
