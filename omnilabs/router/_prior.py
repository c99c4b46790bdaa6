"""What to expect of a model before anything of the user's own is known: quality, US dollars, seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import mul

from omnilabs._models import ModelInfo
from omnilabs._request import ChatRequest
from omnilabs.router._health import Health
from omnilabs.router._selector import Estimate

__all__ = ["TASK_TYPES", "Entry", "Forecast", "Reading", "compile_entry", "read", "sigmoid"]

TASK_TYPES = ("code", "math", "math_formal", "knowledge", "law_med_hum", "puzzle", "extract", "chat", "agent")

_Z80 = 1.2816
_SHARE = 0.5
_INTERCEPT = 1.0
_SLOPE = 0.5
_OUTPUT_TOKENS: Mapping[str, float] = dict.fromkeys(TASK_TYPES, 400.0)
_THINKING_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A model with everything selection reads of it worked out once.

    `by_type` is its ability in logits per task type, already shrunk to the overall one. Prices are US dollars a token.
    """

    index: int
    model: ModelInfo
    overall: float
    se: float
    by_type: tuple[float, ...]
    thinking: float
    evidence: str
    input_usd: float
    output_usd: float
    has_tiers: bool
    ttft_s: float | None
    s_per_token: float | None


def compile_entry(index: int, model: ModelInfo) -> Entry:
    """Return what selection needs of `model`."""
    overall, se, by_type, evidence = _ability(model)
    price, speed = model.price, model.speed
    return Entry(
        index,
        model,
        overall,
        se,
        tuple(overall + _SHARE * (by_type.get(name, overall) - overall) for name in TASK_TYPES),
        _THINKING_FACTOR if model.ability is not None and model.ability.mode == "r" else 1.0,
        evidence,
        math.inf if price is None else float(price.input_per_mtok_usd) / 1e6,
        math.inf if price is None else float(price.output_per_mtok_usd) / 1e6,
        price is not None and bool(price.tiers),
        None if speed is None else speed.ttft_s,
        None if speed is None or speed.tokens_per_s <= 0 else 1.0 / speed.tokens_per_s,
    )


def _ability(model: ModelInfo) -> tuple[float, float, Mapping[str, float], str]:
    ability = model.ability
    if ability is not None and ability.cells:
        return ability.overall, ability.se, ability.by_type, f"{ability.cells} independent measurements"
    if ability is not None:
        return ability.overall, ability.se, ability.by_type, "no measurement: the mean of its price and date, wide"
    # Mean over priced models of the leaderboards since July 2025.
    blended = model.cost_per_million_tokens
    overall = 0.98 + 0.82 * math.log10(max(blended or 1.0, 0.05))
    return overall, 0.76 if blended else 1.06, {}, "no measurement: the mean of its price, wide"


@dataclass(frozen=True, slots=True)
class Forecast:
    """A model's estimate for one prompt, with what it was made from."""

    estimate: Estimate
    entry: Entry
    logit: float
    logit_se: float
    longest_usd: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 80 % interval of the quality."""
        spread = _Z80 * self.logit_se
        return sigmoid(self.logit - spread), sigmoid(self.logit + spread)

    def numbered(self, index: int) -> Forecast:
        """Return the same forecast at another place of the list."""
        return replace(self, estimate=replace(self.estimate, index=index))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the prompt was taken for: its mix of task types and how long an answer it wants, in tokens."""

    mix: tuple[float, ...]
    output_tokens: float

    def forecast(
        self, index: int, entry: Entry, input_tokens: float, max_tokens: int | None, health: Health | None
    ) -> Forecast:
        """Return what to expect of one model. `max_tokens` caps the answer; `health` corrects the catalogue."""
        logit = _INTERCEPT + _SLOPE * sum(map(mul, entry.by_type, self.mix))
        ttft_s, s_per_token, output = entry.ttft_s, entry.s_per_token, self.output_tokens * entry.thinking
        if health is not None:
            seen = health.expect(entry.model.id, ttft_s, s_per_token)
            ttft_s, s_per_token, output = seen.ttft_s, seen.s_per_token, output * seen.length_factor
        longest = max_tokens or entry.model.max_output_tokens
        if longest is not None and output > longest:
            output = float(longest)
        input_usd, output_usd = entry.input_usd, entry.output_usd
        if entry.has_tiers and entry.model.price is not None:
            rates = entry.model.price.at(int(input_tokens))
            input_usd, output_usd = float(rates.input_per_mtok_usd) / 1e6, float(rates.output_per_mtok_usd) / 1e6
        latency_s = math.inf if ttft_s is None or s_per_token is None else ttft_s + output * s_per_token
        prompt_usd = input_tokens * input_usd
        return Forecast(
            Estimate(entry.model.id, index, sigmoid(logit), prompt_usd + output * output_usd, latency_s),
            entry,
            logit,
            _SLOPE * entry.se,
            prompt_usd + (longest or output) * output_usd,
        )


def read(request: ChatRequest) -> Reading:
    """Return what the prompt is taken for."""
    mix = tuple(0.0 if name == "agent" else 1.0 / 8 for name in TASK_TYPES)
    return Reading(mix, sum(map(mul, mix, _OUTPUT_TOKENS.values())))


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return (e := math.exp(x)) / (1.0 + e)
