"""What is expected of a model before anything of the user's own is known, and the constants it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from omnilabs._frozen import frozen
from omnilabs._models import ModelInfo
from omnilabs.errors import InvalidRequestError
from omnilabs.router._tasks import TASK_TYPES
from omnilabs.router._tokens import HEAD_CHARS, TAIL_CHARS

__all__ = ["ABILITY_TYPES", "Entry", "Prior", "compile_entry", "log_words"]

ABILITY_TYPES = (*TASK_TYPES, "agent")
"""The task types a prompt is sorted into, and `agent`, which counts when tools are given."""

_SHORTEST, _LONGEST = -2.0, 2.5
_CHEAPEST_USD, _DEAREST_USD = 0.05, 12.6
_UNPRICED_WIDER = 1.4


@frozen
class Line:
    """A fitted straight line with the standard error of what it predicts."""

    at_zero: float
    slope: float
    se: float

    def at(self, x: float) -> float:
        """Return the value at `x`."""
        return self.at_zero + self.slope * x


@frozen
class Benchmark:
    """How a published score, a fraction of right answers, tells of ability: overall, and in the benchmark's type."""

    type: str
    guess: float
    overall: Line
    own: Line


@frozen
class Prior:
    """The constants of the prior, fitted by `scripts/fit_prior.py`.

    logit p = intercept + slope a + g (steepness (a - centre) - difficulty), where a is the model's ability in the
    prompt's mix of task types (`share` of the way from its overall ability) and g grows with the logarithm of the
    prompt's words: a long prompt is harder for all, and widens the distance between strong and weak models.
    """

    version: str
    intercept: float
    slope: float
    steepness: float
    difficulty: float
    share: float
    centre: float
    log_words_mean: float
    model_sd: float
    benchmarks: Mapping[str, Benchmark]
    price_line: Line
    thinking_factor: float
    output_tokens: tuple[float, ...]

    @classmethod
    def load(cls) -> Prior:
        """Return the constants shipped with the package."""
        return _shipped()

    @classmethod
    def parse(cls, data: Mapping[str, Any], without: str | None = None) -> Prior:
        """Return the constants from their JSON; `without` takes the map fitted without one benchmark's outcomes."""
        fitted = {**data["map"], **(data["map_without"][without] if without else {})}
        price = data["price_line"]
        output: Mapping[str, float] = data["output_tokens"]
        return cls(
            data["version"],
            fitted["intercept"],
            fitted["slope"],
            fitted["steepness"],
            fitted["difficulty"],
            fitted["share"],
            fitted["centre"],
            fitted["log_words_mean"],
            fitted["model_sd"],
            {
                name: Benchmark(row["type"], row["guess"], Line(*row["overall"]), Line(*row["own"]))
                for name, row in data["benchmarks"].items()
            },
            Line(price["at_one_usd"], price["per_tenfold"], price["sd"]),
            data["thinking"]["factor"],
            # An agent's turn is a tool call or a short word on it: no shorter than what is extracted from a text.
            tuple(float(output[name]) for name in (*TASK_TYPES, "extract")),
        )

    def line(self, length: float) -> tuple[float, float]:
        """Return intercept and slope of the logit over ability, for a prompt of length effect g = `length`."""
        at_zero = self.intercept - length * (self.steepness * self.centre + self.difficulty)
        return at_zero, self.slope + length * self.steepness

    def length_effect(self, log_words: float) -> float:
        """Return g, from the logarithm of the prompt's words; bounded, so that no length runs away with a choice."""
        return min(max(log_words - self.log_words_mean, _SHORTEST), _LONGEST)


@lru_cache(maxsize=1)
def _shipped() -> Prior:
    from importlib import resources  # five milliseconds that an import of the package need not take

    return Prior.parse(json.loads(resources.files("omnilabs.router").joinpath("prior.json").read_text("utf-8")))


@frozen
class Entry:
    """A model with everything selection reads of it worked out once.

    Attributes:
        abilities: Ability in logits per ability type, as far from the overall one as the prior trusts it to be.
        logit_se: Standard error of the logit: of the ability, and of what ability says about one kind of task.
        thinking: Output tokens relative to a model that does not think aloud.
        evidence: What the ability rests on, in words.
        longest: Longest answer in tokens, infinite where not known.
        input_usd: US dollars a prompt token, infinite where not known.
        output_usd: US dollars an output token, infinite where not known.
        has_tiers: The price depends on the prompt's length.
        ttft_s: Seconds to the first token, or None.
        s_per_token: Seconds an output token, or None.
    """

    model: ModelInfo
    id: str
    abilities: tuple[float, ...]
    logit_se: float
    thinking: float
    evidence: str
    longest: float
    input_usd: float
    output_usd: float
    has_tiers: bool
    ttft_s: float | None
    s_per_token: float | None


def compile_entry(model: ModelInfo, prior: Prior) -> Entry:
    """Return what selection needs of `model`.

    Raises:
        InvalidRequestError: One of its own scores is not a fraction.
    """
    overall, se, by_type, evidence = _ability(model, prior)
    price, speed = model.price, model.speed
    return Entry(
        model,
        model.id,
        tuple(overall + prior.share * (by_type.get(name, overall) - overall) for name in ABILITY_TYPES),
        math.hypot(prior.slope * se, prior.model_sd),
        prior.thinking_factor if model.ability is not None and model.ability.mode == "r" else 1.0,
        evidence,
        math.inf if model.max_output_tokens is None else float(model.max_output_tokens),
        math.inf if price is None else float(price.input_per_mtok_usd) / 1e6,
        math.inf if price is None else float(price.output_per_mtok_usd) / 1e6,
        price is not None and bool(price.tiers),
        None if speed is None else speed.ttft_s,
        None if speed is None or speed.tokens_per_s <= 0 else 1.0 / speed.tokens_per_s,
    )


_Ability = tuple[float, float, Mapping[str, float], str]


def _ability(model: ModelInfo, prior: Prior) -> _Ability:
    """Return overall ability, its standard error, ability by type, and where they come from, the best source first."""
    own = model.ability
    if own is not None and own.cells:
        return own.overall, own.se, own.by_type, f"{own.cells} independent measurements"
    if scored := _from_scores(model, prior):
        return scored
    if own is not None:
        source = "given by the user" if own.source == "user" else "no measurement: the mean of its price and date, wide"
        return own.overall, own.se, own.by_type, source
    blended = model.cost_per_million_tokens
    usd = min(max(1.0 if blended is None else blended, _CHEAPEST_USD), _DEAREST_USD)
    wider, told = (1.0, "its price") if blended is not None else (_UNPRICED_WIDER, "all models, for want of a price")
    line = prior.price_line
    return line.at(math.log10(usd)), wider * line.se, {}, f"no measurement: the mean of {told}, wide"


def _from_scores(model: ModelInfo, prior: Prior) -> _Ability | None:
    """Turn published scores into ability: each benchmark tells of it with its own error, so the exact count more."""
    weight = total = 0.0
    own: dict[str, list[float]] = {}
    told: list[str] = []
    for name, score in model.scores.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InvalidRequestError(
                f"score {name!r} of {model.id!r} is {score!r}: give the fraction of right answers, 0 to 1",
                parameter="scores",
            )
        benchmark = prior.benchmarks.get(name.lower().replace("-", "_").replace(" ", "_"))
        if benchmark is None:
            continue
        x = _logit(score, benchmark.guess)
        precision = 1.0 / benchmark.overall.se**2
        weight += precision
        total += precision * benchmark.overall.at(x)
        own.setdefault(benchmark.type, []).append(benchmark.own.at(x))
        told.append(name)
    if not told:
        return None
    by_type = {name: sum(values) / len(values) for name, values in own.items()}
    # Published scores err together (a vendor's own setting), so more of them do not make the error vanish.
    se = math.hypot(1.0 / math.sqrt(weight), prior.price_line.se / 2)
    return total / weight, se, by_type, f"published scores: {', '.join(told)}"


def _logit(score: float, guess: float) -> float:
    share = min(max((score - guess) / (1 - guess), 0.02), 0.98)
    return math.log(share / (1 - share))


def log_words(words: Sequence[str], text: str) -> float:
    """Return the logarithm of a prompt's words, from the `words` of its clipped part; marks and numbers left out."""
    count = sum(map(str.isalpha, words))
    return math.log1p(count * max(1.0, len(text) / (HEAD_CHARS + TAIL_CHARS)))
