"""What is known of a model: price, limits, capabilities, ability and speed, each with its source and date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, ClassVar, Literal

from omnilabs._frozen import frozen
from omnilabs._record import Record

__all__ = ["Ability", "Capabilities", "ModelInfo", "Price", "Speed"]


@frozen
class Price(Record):
    """Rates in US dollars per million tokens.

    `cache_read`, `cache_write`, `cache_write_1h`, `input_audio`, `output_audio` are None where the provider has no rate
    of its own for them. `tiers` holds (tokens, price): a prompt of more tokens than that is charged at that price.
    """

    input_per_mtok_usd: Decimal
    output_per_mtok_usd: Decimal
    cache_read_per_mtok_usd: Decimal | None = None
    cache_write_per_mtok_usd: Decimal | None = None
    cache_write_1h_per_mtok_usd: Decimal | None = None
    input_audio_per_mtok_usd: Decimal | None = None
    output_audio_per_mtok_usd: Decimal | None = None
    tiers: tuple[tuple[int, Price], ...] = ()
    source: str = "user"
    date: str | None = None

    _keys: ClassVar[tuple[str, ...]] = (
        "input_per_mtok_usd",
        "output_per_mtok_usd",
        "cache_read_per_mtok_usd",
        "cache_write_per_mtok_usd",
        "cache_write_1h_per_mtok_usd",
        "input_audio_per_mtok_usd",
        "output_audio_per_mtok_usd",
        "tiers",
        "source",
        "date",
    )

    def at(self, input_tokens: int) -> Price:
        """Return the rates for a prompt of this many tokens."""
        rates = self
        for above_tokens, price in self.tiers:
            if input_tokens > above_tokens:
                rates = price
        return rates


@frozen
class Capabilities(Record):
    """What a model takes and gives on the route we call it by.

    `temperature` tells whether it accepts sampling settings at all, `forced_tools` whether a `tool_choice` may demand a
    tool. `tools_effort` is the one `reasoning_effort` that a request with tools must name there; None leaves it free.
    """

    tools: bool = True
    images: bool = False
    pdf: bool = False
    audio: bool = False
    json_schema: bool = False
    reasoning: bool = False
    temperature: bool = True
    forced_tools: bool = True
    tools_effort: str | None = None

    _keys: ClassVar[tuple[str, ...]] = (
        "tools",
        "images",
        "pdf",
        "audio",
        "json_schema",
        "reasoning",
        "temperature",
        "forced_tools",
        "tools_effort",
    )


@frozen
class Ability(Record):
    """Overall ability in logits on an average benchmark, with its standard error and ability by task type.

    `by_type` keys: code, math, math_formal, knowledge, law_med_hum, puzzle, extract, chat, agent. `mode` tells how the
    model was measured: "n" without thinking, "l" with little, "r" with thinking. `cells` counts the benchmarks behind
    it; 0 means it is the mean of the model's price and date, not a measurement.
    """

    overall: float
    se: float
    by_type: Mapping[str, float] = field(default_factory=dict[str, float])
    mode: Literal["n", "l", "r"] = "n"
    cells: int = 0
    source: str = "user"
    date: str | None = None

    _keys: ClassVar[tuple[str, ...]] = ("overall", "se", "by_type", "mode", "cells", "source", "date")


@frozen
class Speed(Record):
    """Seconds to the first token and output tokens per second, as measured by `source` on `date`."""

    ttft_s: float
    tokens_per_s: float
    source: str = "user"
    date: str | None = None

    _keys: ClassVar[tuple[str, ...]] = ("ttft_s", "tokens_per_s", "source", "date")


@frozen
class ModelInfo(Record):
    """A model a router can choose.

    Attributes:
        id: The id users write, unique in a catalogue; `provider/name` always works too.
        provider: The provider's row, such as "openai".
        name: The provider's own name of the model; the id where they are the same.
        aliases: Other ids that mean this model.
        kind: "chat" or "image".
        price: None where it is not known; the cost of its calls is then None.
        context_tokens: Longest prompt and answer together, in tokens, or None.
        max_output_tokens: Longest answer in tokens, or None.
        ability: Independent measurements, or None.
        scores: Benchmark results as fractions, e.g. {"MMLU": 0.71}, given by the user or the documentation.
        retired: The provider has withdrawn it, or says it will: it answers when named, and is never picked.
    """

    id: str
    provider: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    kind: Literal["chat", "image"] = "chat"
    description: str = ""
    price: Price | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    ability: Ability | None = None
    speed: Speed | None = None
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    retired: bool = False
    released: str | None = None

    _keys: ClassVar[tuple[str, ...]] = (
        "id",
        "name",
        "provider",
        "description",
        "kind",
        "max_tokens",
        "context_tokens",
        "benchmarks",
        "cost_per_million_tokens",
        "latency",
        "price",
        "capabilities",
        "retired",
    )

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.id)

    @property
    def max_tokens(self) -> int | None:
        """Longest answer in tokens, as the service's model records name it."""
        return self.max_output_tokens

    @property
    def benchmarks(self) -> Mapping[str, float]:
        """Benchmark scores as fractions, as the service's model records name them."""
        return self.scores

    @property
    def cost_per_million_tokens(self) -> float | None:
        """Blended price in US dollars per million tokens: three parts input, one part output."""
        if self.price is None:
            return None
        return float((3 * self.price.input_per_mtok_usd + self.price.output_per_mtok_usd) / 4)

    @property
    def latency(self) -> float | None:
        """Seconds to the first token."""
        return None if self.speed is None else self.speed.ttft_s

    def to_dict(self) -> dict[str, Any]:
        """Return the model record in plain JSON types, as `get_available_models()` lists it."""
        # Not a zero-argument super(): the class is re-created for its slots.
        return Record.to_dict(self)
