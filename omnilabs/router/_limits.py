"""Hard limits: what no weight can outweigh."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from omnilabs._frozen import frozen
from omnilabs.errors import BudgetExceededError, InvalidRequestError, NoEligibleModelError
from omnilabs.router._forecast import Reading, longest_usd
from omnilabs.router._prior import Entry
from omnilabs.router._selector import Estimate

__all__ = ["NO_LIMITS", "Limits", "none_left", "within"]

_REASONS_SHOWN = 4
_COST = "max_cost_usd"


@frozen
class Limits:
    """A model beyond one of them is not considered, whatever the weights.

    Attributes:
        max_cost_usd: Most US dollars this call may cost: with `max_tokens` given the longest answer counts, otherwise
            the expected one. A model without a known price is out.
        max_latency_s: Most seconds expected to the whole answer. A model of unknown speed is out.
        min_quality: Least expected quality, 0 to 1.

    Raises:
        InvalidRequestError: A limit is not a number, or out of range.
    """

    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    min_quality: float | None = None

    def __post_init__(self) -> None:
        for name, top in ((_COST, math.inf), ("max_latency_s", math.inf), ("min_quality", 1.0)):
            value: object = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
                raise InvalidRequestError(f"{name} is a number from 0 to {top}, not {value!r}", parameter=name)


NO_LIMITS = Limits()


def within(
    limits: Limits,
    estimates: Sequence[Estimate],
    entries: Sequence[Entry],
    reading: Reading,
    rejected: dict[str, str],
) -> list[Estimate]:
    """Return the estimates within the limits; the others' reasons go into `rejected`."""
    kept: list[Estimate] = []
    for estimate in estimates:
        reason = _beyond(limits, estimate, entries[estimate.place], reading)
        if reason is None:
            kept.append(estimate)
        else:
            rejected[estimate.id] = reason
    return kept


def _beyond(limits: Limits, estimate: Estimate, entry: Entry, reading: Reading) -> str | None:
    if limits.max_cost_usd is not None:
        longest = reading.max_tokens
        cost = estimate.cost_usd if longest is None else longest_usd(entry, reading, longest)
        if math.isinf(cost):
            return f"its price is not known, and {_COST} is {limits.max_cost_usd}"
        if cost > limits.max_cost_usd:
            return f"it may cost {cost:.6f} USD, above {_COST}={limits.max_cost_usd}"
    if limits.max_latency_s is not None and estimate.latency_s > limits.max_latency_s:
        told = "its speed is not known" if math.isinf(estimate.latency_s) else f"about {estimate.latency_s:.1f} s"
        return f"{told}, and max_latency_s is {limits.max_latency_s}"
    if limits.min_quality is not None and estimate.quality < limits.min_quality:
        return f"expected quality {estimate.quality:.2f} is below min_quality={limits.min_quality}"
    return None


_ALWAYS = ("has retired it", "not for chat", "no API key", "needs no key")


def none_left(rejected: Mapping[str, str], limits: Limits) -> NoEligibleModelError:
    """Return the error of a request nobody can answer."""
    telling = [f"{name}: {reason}" for name, reason in rejected.items() if reason != "not in model_names"]
    # What this request ran into tells more than what is always so.
    telling.sort(key=lambda line: any(word in line for word in _ALWAYS))
    shown = "; ".join(telling[:_REASONS_SHOWN]) or "there are no models"
    more = f"; and {len(telling) - _REASONS_SHOWN} more in .rejected" if len(telling) > _REASONS_SHOWN else ""
    over_budget = limits.max_cost_usd is not None and any(_COST in reason for reason in rejected.values())
    error = BudgetExceededError if over_budget else NoEligibleModelError
    return error(f"no model can answer this request: {shown}{more}", rejected=rejected)
