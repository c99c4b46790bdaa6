"""Tokens and money: one shape for every provider's usage, and the cost of it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias

from omnilabs._frozen import evolve, frozen
from omnilabs._models import Price
from omnilabs._record import Record

__all__ = ["CostSource", "Usage", "cost_usd", "priced"]

CostSource: TypeAlias = Literal["provider", "catalogue", "estimated", "unknown"]


@frozen
class Usage(Record):
    """Tokens of one call in disjoint buckets, and what they cost.

    Attributes:
        uncached_input_tokens: Prompt tokens charged at the full rate, sound excluded; None if not reported.
        cache_read_tokens: Prompt tokens served from the provider's cache.
        cache_write_tokens: Prompt tokens written to the cache for five minutes (or its only lifetime).
        cache_write_1h_tokens: Prompt tokens written to the cache for an hour.
        input_audio_tokens: Prompt tokens of sound.
        output_tokens: All tokens generated, reasoning and sound included; None if not reported.
        reasoning_tokens: The part of `output_tokens` spent on reasoning.
        output_audio_tokens: The part of `output_tokens` that is sound.
        reported_total_tokens: The provider's own total, where it reported no parts.
        cost_usd: US dollars, or None when the price is not known.
        cost_source: Who says so: the provider, the catalogue's price, an estimate of the tokens, or nobody.
        price_date: Date of the catalogue's price.
        is_estimated: The token counts are an estimate, as after a stream that was left early.
    """

    uncached_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    reported_total_tokens: int | None = None
    cost_usd: Decimal | None = None
    cost_source: CostSource = "unknown"
    price_date: str | None = None
    is_estimated: bool = False

    _keys: ClassVar[tuple[str, ...]] = (
        "all_tokens",
        "total_cost",
        "input_tokens",
        "output_tokens",
        "uncached_input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "input_audio_tokens",
        "reasoning_tokens",
        "output_audio_tokens",
        "cost_usd",
        "cost_source",
        "price_date",
        "is_estimated",
    )

    @property
    def input_tokens(self) -> int | None:
        """All prompt tokens, cached ones and sound included."""
        if self.uncached_input_tokens is None:
            return None
        cached = self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
        return self.uncached_input_tokens + cached + self.input_audio_tokens

    @property
    def all_tokens(self) -> int | None:
        """Prompt and answer together, as the documented response names it."""
        if self.input_tokens is None or self.output_tokens is None:
            return self.reported_total_tokens
        return self.input_tokens + self.output_tokens

    @property
    def total_cost(self) -> float | None:
        """US dollars as a float, as the documented response has it; `cost_usd` is exact."""
        return None if self.cost_usd is None else float(self.cost_usd)

    @property
    def prompt_tokens(self) -> int | None:
        """OpenAI's name of `input_tokens`."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int | None:
        """OpenAI's name of `output_tokens`."""
        return self.output_tokens

    @property
    def total_tokens(self) -> int | None:
        """OpenAI's name of `all_tokens`."""
        return self.all_tokens


def cost_usd(usage: Usage, price: Price) -> Decimal | None:
    """Return the cost of one call in US dollars, or None where the tokens are not known.

    A bucket without a rate of its own is charged at the rate it is part of: cache reads, cache writes and sound in as
    input, an hour's cache write as a write, sound out as output. A prompt above a tier's size is charged at that tier's
    rates throughout, input and output.

    Args:
        usage: Token counts in disjoint buckets.
        price: Rates in US dollars per million tokens.
    """
    if usage.uncached_input_tokens is None or usage.output_tokens is None or usage.input_tokens is None:
        return None
    rates = price.at(usage.input_tokens)
    full, output = rates.input_per_mtok_usd, rates.output_per_mtok_usd
    total = usage.uncached_input_tokens * full + (usage.output_tokens - usage.output_audio_tokens) * output
    if usage.cache_read_tokens:
        total += usage.cache_read_tokens * _rate(rates.cache_read_per_mtok_usd, full)
    if usage.cache_write_tokens or usage.cache_write_1h_tokens:
        write = _rate(rates.cache_write_per_mtok_usd, full)
        total += usage.cache_write_tokens * write
        total += usage.cache_write_1h_tokens * _rate(rates.cache_write_1h_per_mtok_usd, write)
    if usage.input_audio_tokens or usage.output_audio_tokens:
        total += usage.input_audio_tokens * _rate(rates.input_audio_per_mtok_usd, full)
        total += usage.output_audio_tokens * _rate(rates.output_audio_per_mtok_usd, output)
    return total / 1_000_000


def _rate(own: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if own is None else own


def priced(usage: Usage, price: Price | None) -> Usage:
    """Return `usage` with its cost. A cost the provider reported stands; without a price the cost is None."""
    if usage.cost_usd is not None or price is None:
        return usage
    cost = cost_usd(usage, price)
    if cost is None:
        return usage
    source: CostSource = "estimated" if usage.is_estimated else "catalogue"
    return evolve(usage, cost_usd=cost, cost_source=source, price_date=price.date)
