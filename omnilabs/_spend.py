"""What a client has spent: US dollars and tokens per model, and what could not be priced."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from omnilabs._frozen import evolve, frozen
from omnilabs._observer import Observer
from omnilabs._record import Record
from omnilabs._response import ChatResponse
from omnilabs.errors import BudgetExceededError, OmniError

if TYPE_CHECKING:
    from omnilabs.providers import Target

__all__ = ["Ledger", "ModelSpend", "Spend"]


@frozen
class ModelSpend(Record):
    """What one model has cost: calls, tokens and US dollars; `unpriced_calls` had no known price and are not in it."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0
    failed_attempts: int = 0

    _keys: ClassVar[tuple[str, ...]] = (
        "calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "unpriced_calls",
        "failed_attempts",
    )


@frozen
class Spend(Record):
    """What a client has spent so far, in all and by model id."""

    cost_usd: Decimal = Decimal(0)
    calls: int = 0
    unpriced_calls: int = 0
    by_model: Mapping[str, ModelSpend] = field(default_factory=dict[str, ModelSpend])

    _keys: ClassVar[tuple[str, ...]] = ("cost_usd", "calls", "unpriced_calls", "by_model")


class Ledger(Observer):
    """Adds up the answers of one client. Thread-safe.

    Streams that were left early or broke count with their estimate. Calls under way are not in `spend`; where a budget
    limits them, what they are expected to cost is held back, so that a crowd at the same moment does not pass it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_model: dict[str, ModelSpend] = {}
        self._cost_usd = Decimal(0)
        self._held_usd = Decimal(0)

    @property
    def cost_usd(self) -> Decimal:
        """US dollars spent so far."""
        return self._cost_usd

    @property
    def taken_usd(self) -> Decimal:
        """US dollars spent so far, and those held back for calls under way."""
        return self._cost_usd + self._held_usd

    def hold(self, expected_usd: Decimal, budget_usd: float) -> Observer:
        """Hold back what a call is expected to cost until it ends; the call's observers must have what is returned.

        Raises:
            BudgetExceededError: The budget does not allow it beside the calls under way.
        """
        with self._lock:
            if self._cost_usd + self._held_usd + expected_usd > budget_usd:
                raise BudgetExceededError(
                    f"of the client's budget of {budget_usd} USD, {self._cost_usd} are spent and {self._held_usd} held "
                    f"for calls under way; this one may cost {expected_usd}: ask again later, or raise max_cost_usd",
                    retryable=True,
                )
            self._held_usd += expected_usd
        return _Hold(self, expected_usd)

    def release(self, held_usd: Decimal) -> None:
        """Give back what was held for a call."""
        with self._lock:
            self._held_usd -= held_usd

    def spend(self) -> Spend:
        """Return what has been spent so far."""
        with self._lock:
            lines = dict(self._by_model)
        return Spend(
            sum((line.cost_usd for line in lines.values()), Decimal(0)),
            sum(line.calls for line in lines.values()),
            sum(line.unpriced_calls for line in lines.values()),
            lines,
        )

    def failed(self, target: Target, error: OmniError, elapsed_s: float) -> None:
        """An attempt failed; what a broken stream had delivered is paid for."""
        with self._lock:
            line = self._by_model.get(target.model.id, ModelSpend())
            self._by_model[target.model.id] = evolve(line, failed_attempts=line.failed_attempts + 1)

    def ended(self, response: ChatResponse | None, error: BaseException | None) -> None:
        """A call ended: with an answer, with part of one, or with nothing to pay for."""
        paid = response if response is not None else error.partial if isinstance(error, OmniError) else None
        if paid is None:
            return
        usage, name = paid.usage, paid.model_id or paid.model
        with self._lock:
            line = self._by_model.get(name, ModelSpend())
            self._cost_usd += usage.cost_usd or 0
            self._by_model[name] = evolve(
                line,
                calls=line.calls + 1,
                input_tokens=line.input_tokens + (usage.input_tokens or 0),
                output_tokens=line.output_tokens + (usage.output_tokens or 0),
                cost_usd=line.cost_usd + (usage.cost_usd or 0),
                unpriced_calls=line.unpriced_calls + (usage.cost_usd is None),
            )


class _Hold(Observer):
    """Releases what was held for a call when it ends."""

    __slots__ = ("_held_usd", "_ledger")

    def __init__(self, ledger: Ledger, held_usd: Decimal) -> None:
        self._ledger = ledger
        self._held_usd = held_usd

    def ended(self, response: ChatResponse | None, error: BaseException | None) -> None:
        """The call ended; the ledger, which was told before, has what it cost."""
        self._ledger.release(self._held_usd)
