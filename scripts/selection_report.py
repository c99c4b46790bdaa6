"""Measure the selection on graded outcomes and write `docs/selection-report.md`: one command, every figure.

    python scripts/selection_report.py --outcomes DIR [--out FILE] [--rounds 200]

DIR holds `*.jsonl.gz` (`prompt`, `task`, `s` a score per model, `c` US dollars per model) and `*.meta.json` (the
models: prices in USD per million tokens, published scores in percent). Splits are honest: the prior's map is the one
fitted without the measured benchmark and its kin, the task types were never trained on any of these benchmarks, and
what is fitted is measured on rows held back (a row that says "fitted" learned from the benchmark's other rows).
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import math
import platform
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnilabs.router import ModelInfo, Price, Router
from omnilabs.router._evaluation import Evaluation, judge
from omnilabs.router._forecast import Forecaster, sigmoid
from omnilabs.router._measure import Measured
from omnilabs.router._prior import Prior, compile_entry
from omnilabs.router._tasks import TaskTypes

Floats = NDArray[np.float64]

FOLDS = 5
SIZES = (200, 1000, 5000)


@dataclass(frozen=True)
class Outcomes:
    """A set of graded outcomes."""

    name: str
    kind: str
    prompts: list[str]
    tasks: list[str]
    score: Floats
    cost: Floats
    models: list[ModelInfo]

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows `Router.fit` takes."""
        return [
            {
                "prompt": self.prompts[place],
                "model": model.id,
                "score": float(self.score[place, column]),
                "cost_usd": float(self.cost[place, column]),
            }
            for place in places
            for column, model in enumerate(self.models)
        ]


def read(root: Path) -> Iterator[Outcomes]:
    """Yield every set of outcomes."""
    for path in sorted(root.glob("*.meta.json")):
        meta = json.loads(path.read_text("utf-8"))
        with gzip.open(path.with_name(path.name.replace(".meta.json", ".jsonl.gz")), "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        yield Outcomes(
            meta["name"],
            meta["kind"],
            [row["prompt"] for row in rows],
            [row["task"] for row in rows],
            np.array([row["s"] for row in rows], float),
            np.array([row["c"] for row in rows], float),
            [_model(model) for model in meta["models"]],
        )


def of_one_price(data: Outcomes, usd: Decimal) -> Outcomes:
    """Return a set with only the models of one price, where nothing but quality can be chosen."""
    kept = [place for place, m in enumerate(data.models) if m.price and m.price.input_per_mtok_usd == usd]
    models = [data.models[place] for place in kept]
    name = f"{data.name}, {len(kept)} of one price"
    return replace(data, name=name, score=data.score[:, kept], cost=data.cost[:, kept], models=models)


def _model(model: Mapping[str, Any]) -> ModelInfo:
    scores = {name: model[name] / 100 for name in ("mmlu", "gsm8k", "humaneval") if name in model}
    price = Price(Decimal(str(model["input_price"])), Decimal(str(model["output_price"])))
    return ModelInfo(id=model["name"], provider="user", price=price, scores=scores)


def forecaster_without(name: str) -> Forecaster:
    """Return the prior with the map that was fitted without one benchmark's outcomes."""
    data = json.loads(resources.files("omnilabs.router").joinpath("prior.json").read_text("utf-8"))
    benchmark = name.split(",")[0]
    return Forecaster(Prior.parse(data, benchmark if benchmark in data["map_without"] else None), TaskTypes.load())


Prediction = Callable[[Outcomes], Floats]


def chance(data: Outcomes) -> Floats:
    """Predict at random."""
    return np.random.default_rng(1).random(data.score.shape)


def published(data: Outcomes) -> Floats:
    """Predict each model's published MMLU, whatever the prompt."""
    return np.tile([model.scores["mmlu"] for model in data.models], (len(data.prompts), 1))


def length(data: Outcomes) -> Floats:
    """Predict by the logarithm of the prompt's characters alone: the longer, the more published MMLU counts."""
    z = np.log1p([len(text) for text in data.prompts])
    z = (z - z.mean()) / z.std()
    ability = np.array([model.scores["mmlu"] for model in data.models])
    return 0.5 + 0.1 * (ability - ability.mean()) * (1 + 0.3 * z[:, None])


def prior(data: Outcomes) -> Floats:
    """Predict by the prior, the benchmark unseen."""
    forecaster = forecaster_without(data.name)
    entries = [compile_entry(model, forecaster.prior) for model in data.models]
    readings = map(forecaster.read_text, data.prompts)
    return np.array([[sigmoid(x) for x in forecaster.logits(entries, reading)] for reading in readings])


def fitted(data: Outcomes) -> Floats:
    """Predict what `fit` predicts on rows held back: five parts, each by the other four."""
    return _held_back(data, np.random.default_rng(0).permutation(len(data.prompts)) % FOLDS)


def fitted_elsewhere(data: Outcomes) -> Floats:
    """Predict each task by what `fit` learned from the other tasks of the set."""
    return _held_back(data, np.unique(data.tasks, return_inverse=True)[1])


def levels_elsewhere(data: Outcomes) -> Floats:
    """Predict each model's mean score on the other tasks of the set, whatever the prompt."""
    tasks = np.array(data.tasks)
    means = {task: data.score[tasks != task].mean(0) for task in np.unique(tasks)}
    return np.array([means[task] for task in tasks])


def _held_back(data: Outcomes, part: NDArray[Any]) -> Floats:
    out = np.zeros_like(data.score)
    for number in np.unique(part):
        router = Router(data.models)
        router.__dict__["_forecaster"] = forecaster_without(data.name)  # the map that has not seen this benchmark
        router.fit(data.rows(np.flatnonzero(part != number).tolist()))
        held = np.flatnonzero(part == number)
        out[held] = router.expected_quality([data.prompts[place] for place in held])
    return out


def _score(data: Outcomes, quality: Floats, rounds: int) -> Evaluation:
    lengths = [math.log1p(len(text)) for text in data.prompts]
    jitter = np.random.default_rng(0).normal(size=quality.shape) * 1e-12  # ties are broken by chance
    return judge([m.id for m in data.models], quality + jitter, data.score, data.cost, lengths, rounds=rounds)


def _figure(measured: Measured | None, scale: float = 1.0, digits: int = 3) -> str:
    if measured is None or not math.isfinite(measured.value):
        return "not reached"
    value, low, high = (scale * figure for figure in measured)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


CHANCE, PUBLISHED, LENGTH = "chance", "published MMLU", "length alone"
PRIOR, ELSEWHERE, FITTED = "**prior**, benchmark unseen", "**fitted** on the other tasks", "**fitted**, rows held back"
LEVELS = "mean score on the other tasks"
PAIR_SELECTORS: Mapping[str, Prediction] = {CHANCE: chance, LENGTH: length, PRIOR: prior, FITTED: fitted}
POOL_SELECTORS: Mapping[str, Prediction] = {
    CHANCE: chance,
    PUBLISHED: published,
    LENGTH: length,
    PRIOR: prior,
    LEVELS: levels_elsewhere,
    ELSEWHERE: fitted_elsewhere,
    FITTED: fitted,
}
Results = Mapping[tuple[str, str], Evaluation]


def measure(sets: Sequence[Outcomes], rounds: int) -> dict[tuple[str, str], Evaluation]:
    """Return the evaluation of every selector on every set."""
    return {
        (data.name, name): _score(data, predict(data), rounds)
        for data in sets
        for name, predict in (PAIR_SELECTORS if data.kind == "pair" else POOL_SELECTORS).items()
    }


def pair_table(results: Results) -> Iterator[str]:
    """Yield the table of the two-model sets."""
    yield "| set | selector | APGR | CPT 50 %, % of prompts | CPT 80 % |\n| --- | --- | --- | --- | --- |"
    for (name, selector), found in results.items():
        if found.apgr is not None:
            cells = [_figure(found.apgr), _figure(found.cpt50, 100, 1), _figure(found.cpt80, 100, 1)]
            yield f"| {name} ({found.prompts}) | {selector} | {' | '.join(cells)} |"


def pool_table(results: Results) -> Iterator[str]:
    """Yield the table of the sets with more models."""
    yield (
        "| set | selector | share of headroom, % | best accuracy | over the best single model | cost saved at its "
        "quality, % |\n| --- | --- | --- | --- | --- | --- |"
    )
    for (name, selector), found in results.items():
        if found.apgr is None:
            cells = [_figure(found.headroom, 100, 1), _figure(_best(found)), _figure(found.over_best)]
            yield f"| {name} ({found.prompts}) | {selector} | {' | '.join(cells)} | {_figure(found.saved, 100, 0)} |"


def _best(found: Evaluation) -> Measured:
    return next(policy.quality for policy in found.policies if policy.name == "the router, quality alone")


def target_table(results: Results) -> Iterator[str]:
    """Yield each target beside what was measured."""

    def apgr(name: str, selector: str) -> float:
        found = results[name, selector].apgr
        return math.nan if found is None else found.value

    pool = results["llmrouter9", FITTED]
    rows = [
        ("prior, unseen: APGR on MMLU", 0.57, 0.60, apgr("routellm_mmlu", PRIOR)),
        ("prior, unseen: APGR on GSM8K", 0.58, 0.63, apgr("routellm_gsm8k", PRIOR)),
        ("nine models, unseen task, prior: headroom", 0.0, 0.04, results["llmrouter9", PRIOR].headroom.value),
        ("nine models, unseen task, fitted elsewhere", 0.0, 0.04, results["llmrouter9", ELSEWHERE].headroom.value),
        *[
            (f"{name}, {selector}: over the best single", 0.030, 0.042, found.over_best.value)
            for (name, selector), found in results.items()
            if name.endswith("of one price") and selector in (PRIOR, FITTED)
        ],
        ("fitted: APGR on MMLU", 0.66, 0.69, apgr("routellm_mmlu", FITTED)),
        ("fitted: APGR on GSM8K", 0.58, 0.64, apgr("routellm_gsm8k", FITTED)),
        ("fitted, nine models: headroom", 0.19, 0.25, pool.headroom.value),
        ("fitted, nine models: best accuracy", 0.643, 0.655, _best(pool).value),
        ("fitted, nine models: cost saved", 0.50, 0.65, pool.saved.value),
    ]
    yield "| target | must | stretch | measured | |\n| --- | --- | --- | --- | --- |"
    for name, must, stretch, value in rows:
        verdict = "stretch" if value >= stretch else "met" if value >= must else "**missed**"
        yield f"| {name} | {must} | {stretch} | {value:.3f} | {verdict} |"


SIZES_HEAD = (
    "| set | graded answers | seconds | saved, KiB | learned | log-loss below the prior, held back | share of "
    "headroom, % |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def size_table(data: Outcomes) -> Iterator[str]:
    """Yield what `fit` costs and gains by the number of graded answers, and that it refuses shuffled grades."""
    order = np.random.default_rng(0).permutation(len(data.prompts)).tolist()
    for size in SIZES:
        if size > data.score.size:
            break
        rows = data.rows(order[: size // len(data.models)])
        yield _size_row(data, rows, f"{len(rows):,}")
        scores = [row["score"] for row in rows]
        random.Random(0).shuffle(scores)
        shuffled = [{**row, "score": score} for row, score in zip(rows, scores, strict=True)]
        yield _size_row(data, shuffled, f"{len(rows):,}, grades shuffled")


def _size_row(data: Outcomes, rows: Sequence[Mapping[str, Any]], name: str) -> str:
    report = Router(data.models).fit(rows)
    found = report.evaluation
    cells = [
        f"{report.seconds:.1f}",
        f"{report.state_bytes / 1024:.0f}",
        report.learned or "nothing",
        f"{report.gain:+.4f} [{report.gain_low:+.4f}, {report.gain_high:+.4f}]" if report.changed else "0",
        "-" if found is None or not report.changed else _figure(found.headroom, 100, 1),
    ]
    return f"| {data.name} | {name} | {' | '.join(cells)} |"


def monotone(sets: Sequence[Outcomes]) -> Iterator[str]:
    """Yield how often raising the weight of cost picked a dearer model."""
    for data in sets:
        router, dearer, asked = Router(data.models), 0, 0
        for text in data.prompts[:100]:
            costs = [
                router.select([{"role": "user", "content": text}], k=1, rel_cost=step / 10).pick.cost_usd or Decimal(0)
                for step in range(11)
            ]
            dearer += sum(after > before for before, after in pairwise(costs))
            asked += 10
        yield f"- {data.name}: raising `rel_cost` picked a dearer model in {dearer} of {asked} steps"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs/selection-report.md")
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    sets = list(read(given.outcomes))
    even = [of_one_price(data, Decimal("0.2")) for data in sets if data.kind == "multi"]
    results = measure([*sets, *even], given.rounds)
    words = Path(__file__).with_name("selection_report.md").read_text("utf-8")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    parts = {
        "made": f"{today}, Python {platform.python_version()}, numpy {np.__version__}",
        "targets": "\n".join(target_table(results)),
        "pairs": "\n".join(pair_table(results)),
        "pools": "\n".join(pool_table(results)),
        "sizes": "\n".join([SIZES_HEAD, *(line for data in sets for line in size_table(data))]),
        "monotone": "\n".join(monotone(sets)),
    }
    for name, text in parts.items():
        words = words.replace("{{" + name + "}}", text)
    given.out.write_text(words, encoding="utf-8")
    print(words)


if __name__ == "__main__":
    main()
