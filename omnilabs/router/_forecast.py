"""From a prompt to what each model is expected to do with it: quality, US dollars, seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from weakref import ReferenceType, ref

from omnilabs._frozen import evolve, frozen
from omnilabs._request import ChatRequest
from omnilabs._tokens import prompt_tokens, text_tokens
from omnilabs.router._health import Health
from omnilabs.router._prior import ABILITY_TYPES, Entry, Prior, log_words
from omnilabs.router._selector import Estimate
from omnilabs.router._tasks import TaskTypes, words_of
from omnilabs.router._tokens import clip, last_user_text

__all__ = ["Forecaster", "Reading", "sigmoid"]

_Z80 = 1.2816
_WITH_TOOLS = 0.5
_UNTHINKING = ("none", "minimal")


@frozen
class Reading:
    """What a request was taken for.

    Attributes:
        clipped: The clipped prompt.
        words: Its words.
        mix: Share per ability type; they sum to 1.
        length: The length effect g.
        input_tokens: Estimated tokens of all that is sent.
        output_tokens: Expected tokens of the answer of a model that does not think aloud.
        max_tokens: Longest answer allowed, or None.
        thinks: Whether models that can think are left to do so.
    """

    clipped: str
    words: tuple[str, ...]
    mix: tuple[float, ...]
    length: float
    input_tokens: float
    output_tokens: float
    max_tokens: int | None
    thinks: bool


class Forecaster:
    """The prior applied to prompts. Stateless but for the latest reading."""

    def __init__(self, prior: Prior, types: TaskTypes) -> None:
        self.prior = prior
        self._types = types
        self._latest: tuple[ReferenceType[ChatRequest], Reading] | None = None

    def read(self, request: ChatRequest, token_ratio: float = 1.0) -> Reading:
        """Return what `request` is taken for. `token_ratio` corrects the token estimate by what providers reported."""
        latest = self._latest
        if latest is not None and latest[0]() is request:
            reading = latest[1]  # read for the choice, and again to learn from the answer
        else:
            reading = self._reading(
                last_user_text(request.messages),
                prompt_tokens(request),
                bool(request.tools),
                request.max_tokens,
                request.reasoning_effort not in _UNTHINKING,
            )
            self._latest = (ref(request), reading)
        return reading if token_ratio == 1.0 else evolve(reading, input_tokens=reading.input_tokens * token_ratio)

    def read_text(self, text: str) -> Reading:
        """Return what a prompt alone is taken for."""
        return self._reading(text, text_tokens(text), False, None, True)

    def _reading(self, text: str, tokens: float, has_tools: bool, max_tokens: int | None, thinks: bool) -> Reading:
        clipped = clip(text)
        words = words_of(clipped)
        mix = (*self._types.mix(words), 0.0)
        if has_tools:
            mix = (*(share * (1 - _WITH_TOOLS) for share in mix[:-1]), _WITH_TOOLS)
        prior = self.prior
        length = prior.length_effect(log_words(words, text))
        answer = sum(map(mul, mix, prior.output_tokens))
        return Reading(clipped, tuple(words), mix, length, tokens, answer, max_tokens, thinks)

    def logits(self, entries: Sequence[Entry], reading: Reading) -> list[float]:
        """Return the logit of success per entry."""
        mix = reading.mix
        at_zero, slope = self.prior.line(reading.length)
        return [at_zero + slope * sum(map(mul, entry.abilities, mix)) for entry in entries]


def tokens_of(entry: Entry, reading: Reading, length_factor: float = 1.0) -> tuple[float, float]:
    """Return the tokens a model is expected to think and to answer with, together no more than it is allowed."""
    answer = reading.output_tokens * length_factor
    thought = answer * (entry.thinking - 1.0) if reading.thinks else 0.0
    longest = reading.max_tokens or entry.longest
    if thought + answer > longest:
        scale = longest / (thought + answer)
        return thought * scale, answer * scale
    return thought, answer


def rates(entry: Entry, reading: Reading) -> tuple[float, float]:
    """Return US dollars a prompt token and an output token, for a prompt of this length."""
    if not entry.has_tiers or entry.model.price is None:
        return entry.input_usd, entry.output_usd
    price = entry.model.price.at(int(reading.input_tokens))
    return float(price.input_per_mtok_usd) / 1e6, float(price.output_per_mtok_usd) / 1e6


def estimates_of(
    entries: Sequence[Entry], reading: Reading, logits: Sequence[float], health: Health | None
) -> list[Estimate]:
    """Return what to expect of each model. `health`, what was seen of it in this process, corrects the catalogue."""
    found: list[Estimate] = []
    for place, (entry, logit) in enumerate(zip(entries, logits, strict=True)):
        ttft_s, s_per_token, length_factor = entry.ttft_s, entry.s_per_token, 1.0
        if health is not None:
            ttft_s, s_per_token, length_factor = health.expect(entry.id, ttft_s, s_per_token)
        thought, answer = tokens_of(entry, reading, length_factor)
        input_usd, output_usd = rates(entry, reading) if entry.has_tiers else (entry.input_usd, entry.output_usd)
        latency_s = math.inf
        if ttft_s is not None and s_per_token is not None:
            # Models that hide their thinking are silent meanwhile: their time to the first token holds it already.
            latency_s = max(ttft_s, thought * s_per_token) + answer * s_per_token
        cost_usd = reading.input_tokens * input_usd + (thought + answer) * output_usd
        found.append(Estimate(entry.id, place, sigmoid(logit), cost_usd, latency_s))
    return found


def longest_usd(entry: Entry, reading: Reading, max_tokens: int) -> float:
    """Return what a call costs whose answer is as long as it may be."""
    input_usd, output_usd = rates(entry, reading)
    return reading.input_tokens * input_usd + max_tokens * output_usd


def interval(logit: float, logit_se: float) -> tuple[float, float]:
    """Return the 80 % interval of a quality from its logit."""
    return sigmoid(logit - _Z80 * logit_se), sigmoid(logit + _Z80 * logit_se)


def named(mix: Sequence[float]) -> dict[str, float]:
    """Return the task types that count, the most probable first."""
    shares = sorted(zip(mix, ABILITY_TYPES, strict=True), key=lambda pair: -pair[0])
    return {name: share for share, name in shares if share >= 0.05}


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return (e := math.exp(x)) / (1.0 + e)
