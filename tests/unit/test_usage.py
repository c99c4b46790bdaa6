"""Tokens add up, and money is exact."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilabs._usage import priced
from omnilabs.types import Price, Usage, cost_usd

PRICE = Price(
    Decimal("2.5"),
    Decimal(10),
    cache_read_per_mtok_usd=Decimal("1.25"),
    cache_write_per_mtok_usd=Decimal("3.125"),
    cache_write_1h_per_mtok_usd=Decimal(5),
    input_audio_per_mtok_usd=Decimal(40),
    output_audio_per_mtok_usd=Decimal(80),
    date="2026-11-22",
)


def test_usage_reads_by_the_documentations_and_openais_names():
    usage = priced(Usage(1000, 500), PRICE)
    assert usage["all_tokens"] == usage["total_tokens"] == 1500
    assert usage["prompt_tokens"] == usage.input_tokens == 1000
    assert usage["total_cost"] == 0.0075
    assert usage.cost_usd == Decimal("0.0075")
    assert usage.cost_source == "catalogue"
    assert usage.price_date == "2026-11-22"


def test_each_bucket_is_charged_at_its_own_rate():
    usage = Usage(
        uncached_input_tokens=1,
        output_tokens=100,
        cache_read_tokens=10,
        cache_write_tokens=100,
        cache_write_1h_tokens=1000,
        input_audio_tokens=10000,
        reasoning_tokens=50,
        output_audio_tokens=10,
    )
    expected = Decimal("2.5") + Decimal("12.5") + Decimal("312.5") + 5000 + 400000 + 90 * 10 + 10 * 80
    assert cost_usd(usage, PRICE) == expected / 1_000_000
    assert usage.input_tokens == 11111


def test_a_bucket_without_a_rate_costs_what_it_is_part_of():
    plain = Price(Decimal(1), Decimal(2))
    usage = Usage(1, 10, 10, 100, 1000, 10000, 5, 3)
    assert cost_usd(usage, plain) == Decimal(11111 + 20) / 1_000_000


def test_a_long_prompt_is_charged_at_its_tier_throughout():
    tiered = Price(Decimal(1), Decimal(10), tiers=((200_000, Price(Decimal(2), Decimal(15))),))
    assert cost_usd(Usage(200_000, 1_000_000), tiered) == Decimal("0.2") + 10
    assert cost_usd(Usage(150_000, 1_000_000, cache_read_tokens=50_001), tiered) == Decimal("0.400002") + 15


def test_an_unknown_price_is_none_and_never_zero():
    usage = priced(Usage(1000, 500), None)
    assert usage.cost_usd is None
    assert usage["total_cost"] is None
    assert usage.cost_source == "unknown"


def test_unknown_tokens_have_no_price():
    assert cost_usd(Usage(reported_total_tokens=23), PRICE) is None
    assert Usage(reported_total_tokens=23).all_tokens == 23


def test_the_providers_own_figure_stands():
    usage = Usage(1000, 500, cost_usd=Decimal("0.001"), cost_source="provider")
    assert priced(usage, PRICE) == usage


def test_an_estimate_says_so():
    assert priced(Usage(1000, 500, is_estimated=True), PRICE).cost_source == "estimated"


tokens = st.integers(0, 10**7)


@given(tokens, tokens, tokens, tokens)
def test_more_tokens_never_cost_less(a: int, b: int, read: int, extra: int):
    less, more = cost_usd(Usage(a, b, read), PRICE), cost_usd(Usage(a + extra, b, read), PRICE)
    assert less is not None
    assert more is not None
    assert less <= more


@pytest.mark.parametrize("usage", [Usage(1, 2), Usage(1, 2, 3, 4, 5, 6, 1, 1)])
def test_the_total_is_the_sum_of_the_buckets(usage: Usage):
    assert usage.all_tokens == (usage.input_tokens or 0) + (usage.output_tokens or 0)
