"""What a call costs: usages as providers report them, read and priced by us and by genai-prices.

A row that may differ names its reason; the reason is tested too: such a row must differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
from genai_prices.data_snapshot import get_snapshot
from judges.dialects import KEY, build
from judges.scenarios import Scenario, user

from omnilabs._http import HttpResponse
from omnilabs._secret import Secret
from omnilabs._usage import Usage, priced
from omnilabs.providers import PROVIDERS, Endpoint, Target, wire_named
from omnilabs.router._catalog import Catalog

DAY = date.fromisoformat(json.loads(files("omnilabs.router").joinpath("catalog.json").read_text("utf-8"))["version"])
NOON = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
CATALOG = Catalog.load(DAY)
ORACLE = {"gemini": "google", "xai": "x-ai"}


class Row(NamedTuple):
    """A model, a usage as its provider reports it, how genai-prices calls the dialect, and why the two may differ."""

    model: str
    usage: Mapping[str, Any]
    flavor: str = "chat"
    differs: str | None = None


def chat(prompt: int, completion: int, **parts: Any) -> dict[str, Any]:
    """Return an OpenAI-shaped usage: `cached`, `written`, `sound`, `thought`, `spoken`, and others as they are."""
    given = {"cached_tokens": "cached", "cache_write_tokens": "written", "audio_tokens": "sound"}
    made = {"reasoning_tokens": "thought", "audio_tokens": "spoken"}
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    usage["total_tokens"] = prompt + completion
    usage["prompt_tokens_details"] = {name: parts.pop(part, 0) for name, part in given.items()}
    usage["completion_tokens_details"] = {name: parts.pop(part, 0) for name, part in made.items()}
    return usage | parts


def claude(fresh: int, output: int, read: int = 0, written: int = 0, hour: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": hour},
        **more,
    }


def gemini(prompt: int, output: int, thoughts: int = 0, cached: int = 0, sound: int = 0, **more: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": output, "thoughtsTokenCount": thoughts}
    usage |= {"cachedContentTokenCount": cached, "totalTokenCount": prompt + output + thoughts}
    if sound:
        texts = {"modality": "TEXT", "tokenCount": prompt - sound}
        usage["promptTokensDetails"] = [texts, {"modality": "AUDIO", "tokenCount": sound}]
    return usage | more


ROWS: Mapping[str, Row] = {
    # OpenAI
    "gpt-4o": Row("gpt-4o", chat(1000, 500, cached=200)),
    "gpt-4o without details": Row("gpt-4o", {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
    "gpt-4.1 nothing cached": Row("gpt-4.1", chat(123_456, 7_890)),
    "gpt-4.1-mini all cached": Row("gpt-4.1-mini", chat(10_000, 1, cached=10_000)),
    "gpt-5 reasoning": Row("gpt-5", chat(100, 20_000, thought=19_000)),
    "gpt-5-mini cached and reasoning": Row("gpt-5-mini", chat(9_999, 3_000, cached=8_192, thought=2_560)),
    "o3": Row("o3", chat(50, 1_024, thought=960)),
    "o4-mini": Row("o4-mini", chat(50_000, 1_024, cached=49_920, thought=960)),
    "gpt-5.4 just below the tier": Row("gpt-5.4", chat(272_000, 1_000)),
    "gpt-5.4 above the tier": Row("gpt-5.4", chat(272_001, 1_000, cached=100_000)),
    "gpt-5.5 far above the tier": Row("gpt-5.5", chat(900_000, 64_000, cached=880_000, thought=60_000)),
    "gpt-5.6-sol cache written": Row("gpt-5.6-sol", chat(5_000, 100, written=4_000)),
    "gpt-6-sol read and written": Row("gpt-6-sol", chat(5_000, 100, cached=2_048, written=1_024, thought=64)),
    "gpt-6.1-terra above the tier": Row("gpt-6.1-terra", chat(300_000, 5_000, cached=200_000, written=50_000)),
    "nothing at all": Row("gpt-4o", chat(0, 0)),
    # Anthropic
    "claude": Row("claude-sonnet-4-6", claude(100, 10), "default"),
    "claude read": Row("claude-sonnet-4-6", claude(100, 10, 900), "default"),
    "claude written for five minutes": Row("claude-opus-4-6", claude(100, 10, 0, 2_000), "default"),
    "claude written for an hour": Row("claude-opus-4-6", claude(100, 10, 0, 0, 2_000), "default"),
    "claude of all kinds": Row("claude-haiku-4-5", claude(3, 500, 10_000, 2_000, 300), "default"),
    "claude thinking": Row(
        "claude-opus-5", claude(50, 9_000, output_tokens_details={"thinking_tokens": 8_000}), "default"
    ),
    "claude without cache fields": Row("claude-sonnet-5", {"input_tokens": 12, "output_tokens": 34}, "default"),
    "claude just below the tier": Row("claude-sonnet-4-5", claude(100_000, 10, 100_000), "default"),
    "claude above the tier by what was cached": Row("claude-sonnet-4-5", claude(1, 4_000, 150_000, 50_000), "default"),
    "claude haiku 5.5 above the tier": Row("claude-haiku-5-5", claude(100_001, 4_000), "default"),
    "claude null fields": Row(
        "claude-sonnet-5", {"input_tokens": 12, "output_tokens": 34, "cache_read_input_tokens": None}, "default"
    ),
    # Gemini
    "gemini": Row("gemini-2.5-flash", gemini(1_000, 200), "default"),
    "gemini thoughts": Row("gemini-2.5-flash", gemini(1_000, 200, 3_000), "default"),
    "gemini cached": Row("gemini-2.5-pro", gemini(10_000, 200, 0, 9_000), "default"),
    "gemini just below the tier": Row("gemini-2.5-pro", gemini(200_000, 1_000, 500), "default"),
    "gemini above the tier": Row("gemini-2.5-pro", gemini(200_001, 1_000, 500, 100_000), "default"),
    "gemini 3.1 above the tier": Row("gemini-3.1-pro-preview", gemini(500_000, 10_000, 8_000, 400_000), "default"),
    "gemini sound": Row("gemini-2.5-flash", gemini(5_000, 200, sound=4_000), "default"),
    "gemini lite sound": Row("gemini-2.5-flash-lite", gemini(5_000, 200, 10, sound=5_000), "default"),
    "gemini tool prompts": Row("gemini-3.5-flash", gemini(5_000, 200, toolUsePromptTokenCount=700), "default"),
    "gemini without an answer": Row("gemini-2.5-flash", {"promptTokenCount": 9, "totalTokenCount": 9}, "default"),
    # The other rows of the OpenAI-shaped wire
    "deepseek": Row("deepseek-v4-flash", chat(10_000, 900, cached=8_000, thought=500)),
    "deepseek hits named its own way": Row(
        "deepseek-v4-pro",
        {
            "prompt_tokens": 10_000,
            "completion_tokens": 900,
            "total_tokens": 10_900,
            "prompt_cache_hit_tokens": 8_000,
            "prompt_cache_miss_tokens": 2_000,
        },
        differs="genai-prices reads DeepSeek's cache hits by OpenAI's name only",
    ),
    "xai": Row("grok-4.3", chat(1_000, 100, cached=900)),
    "xai reasoning beside the completion": Row("grok-4.3", chat(1_000, 100, thought=4_000) | {"total_tokens": 5_100}),
    "xai reasoning inside the completion": Row(
        "grok-4.6",
        chat(1_000, 5_000, thought=4_000),
        differs="genai-prices adds xAI's reasoning to the completion even where the total shows that it is in it",
    ),
    "xai above the tier": Row("grok-4.5", chat(250_000, 100, cached=200_000, thought=50) | {"total_tokens": 250_150}),
    "groq": Row("llama-3.3-70b-versatile", chat(3_000, 700), "default"),
    "groq cached": Row("groq/openai/gpt-oss-120b", chat(3_000, 700, cached=2_048, thought=600), "default"),
    "mistral": Row("mistral-large-2512", chat(3_000, 700, cached=1_000), "default"),
    "mistral medium": Row("mistral-medium-3-5", chat(40_000, 12_000, thought=9_000), "default"),
    "together": Row("zai-org/GLM-5.3", chat(3_000, 700, cached=1_000)),
    "fireworks": Row("fireworks/kimi-k3", chat(3_000, 700, cached=1_000, thought=100)),
    "openrouter without its own cost": Row("openrouter/openai/gpt-6-luna", chat(3_000, 700, cached=1_000, written=500)),
    "openrouter above the tier": Row("openrouter/x-ai/grok-4.7", chat(300_000, 700, cached=1_000)),
    "openrouter's own cost": Row(
        "openrouter/anthropic/claude-sonnet-5.5",
        chat(3_000, 700, cost=0.0123456),
        differs="what the provider says it charged stands above any price list",
    ),
    # Where the two must differ
    "gemini cached sound": Row(
        "gemini-2.5-flash",
        gemini(5_000, 200, 0, 4_000, 4_000, cacheTokensDetails=[{"modality": "AUDIO", "tokenCount": 4_000}]),
        "default",
        "our usage has one bucket of cache reads, charged as text; Google charges cached sound more",
    ),
}


def whom(model: str) -> Target:
    info = CATALOG.find(model)
    assert info is not None
    return Target(Endpoint(PROVIDERS[info.provider], "http://127.0.0.1:9", Secret(KEY)), info)


def body_of(to: Target, usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole answer of the target's wire with this usage."""
    name = to.model.name
    match to.endpoint.spec.wire:
        case "openai":
            message = {"role": "assistant", "content": "x"}
            return {
                "id": "1",
                "model": name,
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": usage,
            }
        case "anthropic":
            content = [{"type": "text", "text": "x"}]
            return {
                "id": "1",
                "type": "message",
                "model": name,
                "content": content,
                "stop_reason": "end_turn",
                "usage": usage,
            }
        case _:
            candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
            return {"modelVersion": name, "candidates": [candidate], "usageMetadata": usage}


def ours(row: Row) -> Usage:
    to = whom(row.model)
    reply = HttpResponse(200, {}, json.dumps(body_of(to, row.usage)).encode())
    answer = wire_named(to.endpoint.spec.wire).parse(reply, build(to, Scenario("", [user("Hi")])), to)
    return priced(answer.usage, to.model.price)


def theirs(row: Row) -> Decimal:
    to = whom(row.model)
    provider = ORACLE.get(to.provider, to.provider)
    snapshot, body, reader = get_snapshot(), body_of(to, row.usage), provider
    if provider == "together":  # it has prices and no reader there, and reports as OpenAI does
        body["model"], reader = "gpt-4o", "openai"
    extracted = snapshot.extract_usage(body, reader, None, row.flavor)
    price = snapshot.calc(extracted.usage, to.model.name, provider, None, NOON, None)
    return price.total_price


@pytest.mark.parametrize("name", ROWS)
def test_a_usage_costs_what_genai_prices_calculates(name: str):
    row = ROWS[name]
    usage = ours(row)
    assert usage.cost_usd is not None
    agrees = abs(usage.cost_usd - theirs(row)) <= Decimal("1e-9")
    assert agrees == (row.differs is None), (usage.cost_usd, theirs(row), row.differs)
    assert usage.cost_source == ("provider" if "cost" in row.usage else "catalogue")
    assert usage.price_date == (None if "cost" in row.usage else DAY.isoformat())


def test_the_table_covers_every_wire_and_is_long_enough():
    wires = [whom(row.model).endpoint.spec.wire for row in ROWS.values()]
    assert len([row for row in ROWS.values() if row.differs is None]) >= 40
    assert {wire: wires.count(wire) >= 10 for wire in ("openai", "anthropic", "gemini")} == dict.fromkeys(
        ("openai", "anthropic", "gemini"), True
    )


@pytest.mark.parametrize(
    ("name", "cost_usd"),
    [
        ("gpt-4o", "0.00725"),  # 800 at 2.50, 200 at 1.25, 500 at 10
        ("claude of all kinds", "0.0066030"),  # 3 at 1, 10,000 at 0.10, 2,000 at 1.25, 300 at 2, 500 at 5
        ("deepseek hits named its own way", "0.003278"),  # 2,000 at 0.66, 8,000 at 0.022, 900 at 1.98
        ("xai reasoning inside the completion", "0.032"),  # 1,000 at 2, 5,000 at 6
        ("openrouter's own cost", "0.0123456"),
        ("gemini cached sound", "0.00092"),  # 1,000 at 0.30, 4,000 at 0.03, 200 at 2.50
        ("gemini sound", "0.0048"),  # 1,000 at 0.30, 4,000 at 1, 200 at 2.50
    ],
)
def test_a_cost_is_the_sum_done_by_hand(name: str, cost_usd: str):
    assert ours(ROWS[name]).cost_usd == Decimal(cost_usd)


@pytest.mark.parametrize("name", ROWS)
def test_the_buckets_are_disjoint_and_add_up_to_what_was_reported(name: str):
    row, usage = ROWS[name], ours(ROWS[name])
    given = row.usage
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    if "prompt_tokens" in given:
        assert usage.input_tokens == given["prompt_tokens"]
        assert usage.all_tokens == given["total_tokens"]
    elif "promptTokenCount" in given:
        assert usage.input_tokens == given["promptTokenCount"] + given.get("toolUsePromptTokenCount", 0)
        assert usage.all_tokens == given["totalTokenCount"] + given.get("toolUsePromptTokenCount", 0)
    else:
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        assert usage.input_tokens == sum(given.get(part) or 0 for part in names)
    assert 0 <= usage.reasoning_tokens <= usage.output_tokens
    assert usage.output_audio_tokens <= usage.output_tokens
