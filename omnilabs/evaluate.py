"""Score a router on outcomes: does routing pay for this traffic?

    python -m omnilabs.evaluate outcomes.jsonl --plot outcomes.svg

A file of outcomes is JSON lines or CSV with a row per graded answer: `prompt`, `model`, `score` (0 to 1) and, where it
is known, `cost_usd`. Models are those of the catalogue, or those of a router of your own. Needs numpy
(`pip install 'omnirouter[fit]'`), the plot matplotlib (`omnirouter[plot]`).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

from omnilabs._models import ModelInfo, Price
from omnilabs.errors import InvalidRequestError
from omnilabs.router import Router
from omnilabs.router._evaluation import Evaluation, PolicyResult
from omnilabs.router._measure import Measured
from omnilabs.router._records import FitReport

__all__ = ["Evaluation", "FitReport", "Measured", "PolicyResult", "evaluate", "predict", "read_outcomes", "select"]


def read_outcomes(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a JSONL or CSV file of graded answers; numbers are read as numbers, empty cells left out.

    Raises:
        InvalidRequestError: A line is not a JSON object, or a number is none; the line is named.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        if Path(path).suffix.lower() == ".csv":
            return [_numbers(row, f"{path}, row {number}") for number, row in enumerate(csv.DictReader(file), 1)]
        return [_json_row(line, f"{path}, line {number}") for number, line in enumerate(file, 1) if line.strip()]


def _numbers(row: Mapping[str, str], where: str) -> dict[str, Any]:
    kept: dict[str, Any] = {name: cell for name, cell in row.items() if cell not in ("", None)}
    for name in kept.keys() & {"score", "cost_usd"}:
        try:
            kept[name] = float(kept[name])
        except ValueError:
            raise InvalidRequestError(f"{where}: {name} is {kept[name]!r}, not a number", parameter=name) from None
    return kept


def _json_row(line: str, where: str) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except ValueError as exc:
        raise InvalidRequestError(f"{where} is not JSON: {exc}", parameter="path") from None
    if not isinstance(row, dict):
        raise InvalidRequestError(f"{where} is not a JSON object", parameter="path")
    return dict(row)


def evaluate(
    records: Iterable[Mapping[str, Any]],
    router: Router | None = None,
    *,
    rel_accuracy: float = 0.5,
    rel_cost: float = 0.5,
) -> Evaluation:
    """Return how `router` (as it stands: nothing is learned here) does on graded answers, beside the baselines.

    Only prompts every model was graded on count. Where a row has no `cost_usd`, the expected cost stands in. To judge a
    fitted router, give it rows it was not fitted on; `Router.fit` reports on rows held back by itself.

    Raises:
        InvalidRequestError: A row lacks something, or no prompt was graded for every model.
        UnknownModelError: A row's model is not one of the router's.
        ConfigurationError: numpy is not installed.
    """
    return (router or Router()).evaluate(records, rel_accuracy=rel_accuracy, rel_cost=rel_cost)


_SCORES = ("mmlu", "gsm8k", "humaneval")


def _pool(models: Sequence[Mapping[str, Any]]) -> list[ModelInfo]:
    """Return models from records of `name`, prices in USD per million tokens, and published scores in percent."""
    return [
        ModelInfo(
            id=model["name"],
            provider=str(model.get("provider", "user")),
            price=Price(Decimal(str(model["input_price"])), Decimal(str(model["output_price"]))),
            scores={name: model[name] / 100 for name in _SCORES if name in model},
        )
        for model in models
    ]


def predict(prompts: Sequence[str], models: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the prior's expected quality per prompt and model, for the evaluation scripts of the field.

    Args:
        prompts: The prompts.
        models: Records of `name`, `input_price` and `output_price` in US dollars per million tokens, and, where known,
            the published scores `mmlu`, `gsm8k`, `humaneval` in percent.
    """
    return Router(_pool(models)).expected_quality(prompts)


def select(
    prompts: Sequence[str],
    models: Sequence[Mapping[str, Any]],
    rel_accuracy: float,
    rel_cost: float,
    rel_latency: float,
) -> list[int]:
    """Return the place of the model chosen for each prompt; the arguments are as in `predict`."""
    router = Router(_pool(models))
    places = {model["name"]: place for place, model in enumerate(models)}
    decisions = (
        router.select(
            [{"role": "user", "content": text}],
            k=1,
            rel_accuracy=rel_accuracy,
            rel_cost=rel_cost,
            rel_latency=rel_latency,
        )
        for text in prompts
    )
    return [places[decision.model] for decision in decisions]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the evaluation of a file of outcomes, and draw it where asked."""
    parser = argparse.ArgumentParser(prog="python -m omnilabs.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("outcomes", help="JSONL or CSV: prompt, model, score, cost_usd")
    parser.add_argument("--router", help="a file that Router.save wrote")
    parser.add_argument("--plot", help="an .svg or .png file to draw cost against quality into")
    given = parser.parse_args(arguments)
    evaluation = evaluate(read_outcomes(given.outcomes), Router.load(given.router) if given.router else None)
    print(evaluation)
    if given.plot:
        evaluation.plot(given.plot)


if __name__ == "__main__":
    main()
