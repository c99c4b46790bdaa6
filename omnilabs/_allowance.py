"""What a client's calls may cost and must keep to: its budget, each call's own limits, and what is held meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from omnilabs._call import Call
from omnilabs._config import ClientConfig
from omnilabs._decision import Decision
from omnilabs._frozen import evolve
from omnilabs._models import ModelInfo
from omnilabs._request import LIMITS, ChatRequest, Routing
from omnilabs._spend import Ledger
from omnilabs.errors import BudgetExceededError
from omnilabs.router import Router

__all__ = ["Allowance"]


class Allowance:
    """The limits of one client's calls. The ledger it reads is the client's."""

    def __init__(self, config: ClientConfig, router: Router, ledger: Ledger) -> None:
        self._mode = config.mode
        self._budget_usd = config.max_cost_usd
        self._router = router
        self._ledger = ledger

    def limits(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hard limits of a call, by the router's names.

        Raises:
            BudgetExceededError: The client's budget is spent.
        """
        given = {name: options[name] for name in options.keys() & LIMITS if options[name] is not None}
        limit_usd = self._limit_usd(options)
        return given if limit_usd is None else {**given, "max_cost_usd": limit_usd}

    def _limit_usd(self, options: Mapping[str, Any]) -> float | None:
        """Return the most this call may cost: its own limit, or what is left of the client's."""
        own: float | None = options.get("max_cost_usd")
        budget_usd, ledger = self._budget_usd, self._ledger
        if budget_usd is None:
            return own
        if ledger.cost_usd >= budget_usd:
            raise BudgetExceededError(
                f"the client's budget of {budget_usd} USD is spent ({ledger.cost_usd} USD so far): raise max_cost_usd"
            )
        left = max(0.0, budget_usd - float(ledger.taken_usd))
        return left if own is None else min(own, left)

    def choose(
        self,
        request: ChatRequest,
        limits: Mapping[str, Any],
        options: Mapping[str, Any],
        available: Callable[[ModelInfo], str | None],
    ) -> Decision:
        """Return the router's decision within the limits.

        Raises:
            NoEligibleModelError: As the router; it is retryable where only what calls under way hold is in the way.
        """
        try:
            return self._router.plan(request, available=available, **limits)
        except BudgetExceededError as error:
            held_usd = self._ledger.taken_usd - self._ledger.cost_usd
            own_usd: float | None = options.get("max_cost_usd")
            if self._budget_usd is None or not held_usd or (own_usd is not None and own_usd <= limits["max_cost_usd"]):
                raise
            left_usd = self._budget_usd - float(self._ledger.cost_usd)
            idle = {**limits, "max_cost_usd": left_usd if own_usd is None else min(own_usd, left_usd)}
            self._router.plan(request, available=available, **idle)  # raises what no waiting would mend
            error.retryable = True
            error.args = (f"{error.message}; calls under way hold {held_usd} USD of the client's budget",)
            raise

    def check(self, request: ChatRequest, model: ModelInfo, options: Mapping[str, Any]) -> Decimal | None:
        """Return what a named model is expected to cost in US dollars, or None where nothing is limited.

        Raises:
            NoEligibleModelError: It is expected to break one of the call's limits.
        """
        limits = self.limits(options)
        if not limits or self._mode == "hosted":
            return None
        if self._router.find(model.id) is None:
            raise BudgetExceededError(
                f"nothing is known of {model.id!r}, so {', '.join(sorted(limits))} cannot be kept: leave it out, or "
                "declare the model with its price in models=",
                rejected={model.id: "its price is not known"},
            )
        alone = evolve(request, routing=Routing(k=1, model_names=(model.id,)))
        return self.choose(alone, limits, options, lambda _: None).pick.cost_usd

    def hold(self, call: Call, expected_usd: Decimal | None) -> None:
        """Hold back from the client's budget, if it has one, what a call is expected to cost until the call ends.

        Raises:
            BudgetExceededError: The budget does not allow it beside the calls under way.
        """
        if self._budget_usd is not None and expected_usd is not None:
            call.observers = (*call.observers, self._ledger.hold(expected_usd, self._budget_usd))
