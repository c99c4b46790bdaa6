"""The catalogue: every model we know, found by any of its names. Its file is made by `scripts/build_catalog.py`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from omnilabs._models import Ability, Capabilities, ModelInfo, Price, Speed
from omnilabs.errors import InvalidRequestError

__all__ = ["Catalog"]

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Catalog:
    """A list of models with unique ids.

    Attributes:
        version: The day its prices were taken; "user" for a list of the user's own.
        models: The models, in the order a decision's ties are listed.
        sources: Where its figures come from: name, url, date, licence and what was taken.
    """

    version: str
    models: tuple[ModelInfo, ...]
    sources: tuple[Mapping[str, str], ...] = ()

    def __post_init__(self) -> None:
        _ = self._by_name  # a list that contradicts itself is refused here, not at the first question

    @classmethod
    def load(cls, day: date | None = None) -> Catalog:
        """Return the package's own catalogue with the prices in force on `day` (today, UTC).

        Price changes announced when it was made come into force by themselves. Read once per process and day.
        """
        return _load(day or datetime.now(UTC).date())

    @classmethod
    def of(cls, models: Iterable[ModelInfo]) -> Catalog:
        """Return a catalogue of the user's own models.

        Raises:
            InvalidRequestError: Two models have the same id, or one's alias is another's id or alias.
        """
        return cls("user", tuple(models))

    def find(self, name: str) -> ModelInfo | None:
        """Return the model of this name, or None.

        A name is an id, an alias, the provider's own name where only one provider has it, or `provider/` (or
        `provider:`) before any of these. Upper and lower case matter only where two names differ in nothing else.
        """
        return self._by_name.get(name) or self._by_folded_name.get(name.casefold())

    def nearest(self, name: str, n: int = 3) -> tuple[str, ...]:
        """Return the ids of up to `n` models with names like this one, the most similar first."""
        from difflib import get_close_matches  # only a mistake needs it

        known: dict[str, str] = {}
        for model in self.models:
            for own in (model.id, model.name, *model.aliases):
                known.setdefault(own.casefold(), model.id)
        close = get_close_matches(name[:_LONGEST_NAME].casefold(), known, n=5 * n, cutoff=0.5)
        return tuple(dict.fromkeys(known[match] for match in close))[:n]

    @property
    def attribution(self) -> str:
        """Where the figures come from, a source a line."""
        return "\n".join(
            f"{source['name']}, {source['date']} ({source['licence']}), {source['url']}: {source['taken']}"
            for source in self.sources
        )

    @cached_property
    def _by_name(self) -> Mapping[str, ModelInfo]:
        index: dict[str, ModelInfo] = {}
        for model in self.models:
            _claim(index, model.id, model)
        for model in self.models:
            for alias in model.aliases:
                if index.get(alias) is not model:
                    _claim(index, alias, model)
        bare = _unique((model.name, model) for model in self.models)
        # `openai/gpt-5` is OpenAI's model, though a provider that resells it calls it just that.
        return {**bare, **_unique(_prefixed_names(self.models)), **index}

    @cached_property
    def _by_folded_name(self) -> Mapping[str, ModelInfo]:
        return _unique((name.casefold(), model) for name, model in self._by_name.items())


def _claim(index: dict[str, ModelInfo], name: str, model: ModelInfo) -> None:
    if (other := index.get(name)) is not None:
        raise InvalidRequestError(
            f"two models are called {name!r}, of {other.provider!r} and {model.provider!r}: give each its own id "
            "and aliases",
            parameter="models",
        )
    index[name] = model


def _prefixed_names(models: Iterable[ModelInfo]) -> Iterator[tuple[str, ModelInfo]]:
    for model in models:
        for name in dict.fromkeys((model.id, model.name, *model.aliases)):
            yield f"{model.provider}/{name}", model
            yield f"{model.provider}:{name}", model


def _unique(names: Iterable[tuple[str, ModelInfo]]) -> dict[str, ModelInfo]:
    found: dict[str, ModelInfo] = {}
    ambiguous: set[str] = set()
    for name, model in names:
        if found.setdefault(name, model) is not model:
            ambiguous.add(name)
    return {name: model for name, model in found.items() if name not in ambiguous}


@lru_cache(maxsize=2)
def _load(day: date) -> Catalog:
    from importlib.resources import files  # not before the catalogue is needed

    raw: dict[str, Any] = json.loads(files("omnilabs.router").joinpath("catalog.json").read_text(encoding="utf-8"))
    models = tuple(_model(entry, raw, day.isoformat()) for entry in raw["models"])
    return Catalog(raw["version"], models, tuple(raw["sources"]))


def _model(entry: Mapping[str, Any], stamps: Mapping[str, Any], day: str) -> ModelInfo:
    ability, speed = entry.get("ability"), entry.get("speed")
    return ModelInfo(
        id=entry["id"],
        provider=entry["provider"],
        name=entry.get("name", ""),
        aliases=tuple(entry.get("aliases", ())),
        kind=entry.get("kind", "chat"),
        description=entry["description"],
        price=_price_on(day, entry, stamps["prices"]),
        context_tokens=entry.get("context"),
        max_output_tokens=entry.get("max_output"),
        capabilities=Capabilities(**entry.get("caps", {})),
        ability=None if ability is None else Ability(**ability, **stamps["ability"]),
        speed=None if speed is None else Speed(**speed, **stamps["speed"]),
        scores=entry.get("scores", {}),
        retired=entry.get("retired", False),
        released=entry.get("released"),
    )


def _price_on(day: str, entry: Mapping[str, Any], stamp: Mapping[str, str]) -> Price | None:
    rates, since = entry.get("price"), stamp["date"]
    for start, later in entry.get("later", ()):
        if start <= day:  # ISO dates sort as text
            rates, since = later, start
    return None if rates is None else _price(rates, stamp["source"], since)


def _price(rates: Mapping[str, Any], source: str, since: str) -> Price:
    return Price(
        **{f"{name}_per_mtok_usd": Decimal(rate) for name, rate in rates.items() if name != "tiers"},
        tiers=tuple((above, _price(tier, source, since)) for above, tier in rates.get("tiers", ())),
        source=source,
        date=since,
    )
