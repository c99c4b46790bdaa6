"""Fit the map from ability to success, and what else the prior needs, and write `omnilabs/router/prior.json`.

    python scripts/fit_prior.py --outcomes DIR --scores DIR --prompts DIR [--out FILE]

OUTCOMES holds graded outcomes per prompt and model (`*.jsonl.gz` with `prompt`, `task`, `s`, `c`; `*.meta.json` with
the models), SCORES the ability, speed and score tables, PROMPTS the checkouts `train_task_types.py` reads. The result
is a handful of constants, each with what it was fitted on; no row of any of them is kept.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnilabs._tokens import text_tokens
from omnilabs.router._tasks import TASK_TYPES, TaskTypes, words_of
from omnilabs.router._tokens import clip

Array = NDArray[np.float64]

# The outcome files name models their own way: -> (canonical name, mode) of the ability table.
MEASURED = {
    "mixtral-8x7b-instruct": ("mixtral-8x7b", "n"),
    "gpt-4-1106-preview": ("gpt-4-turbo", "n"),
    "gemma-2-9b-it": ("gemma-2-9b", "n"),
    "llama-3.1-8b-instruct": ("llama-3.1-8b-instruct", "n"),
    "mistral-7b-instruct-v0.3": ("mistral-7b-v0.3", "n"),
    "qwen2.5-7b-instruct": ("qwen2.5-7b", "n"),
    "llama-3.1-nemotron-51b-instruct": ("llama-3.1-nemotron-51b", "n"),
    "llama-3.3-nemotron-super-49b-v1": ("llama-3.3-nemotron-super-49b", "n"),
}
# Benchmark -> (task type it tells of, share of right answers by guessing, its name in the score table).
PUBLISHED = {
    "mmlu_pro": ("knowledge", 0.1, "AA mmlu_pro"),
    "gpqa": ("knowledge", 0.25, "AA gpqa"),
    "math_500": ("math_formal", 0.0, "AA math_500"),
    "math": ("math_formal", 0.0, "AA math_500"),
    "math_level_5": ("math_formal", 0.0, "Epoch MATH level 5"),
    "aime": ("math_formal", 0.0, "AA aime"),
    "livecodebench": ("code", 0.0, "AA livecodebench"),
    "bfcl": ("agent", 0.0, "BFCL-v4 overall"),
    "ifbench": ("chat", 0.0, "AA ifbench"),
}
# The same for benchmarks the outcome files' models come with; few models, so their slope is wide.
KNOWN = {"mmlu": ("knowledge", 0.25), "gsm8k": ("math", 0.0), "humaneval": ("code", 0.0)}
RIDGE = 1.0


@dataclass(frozen=True)
class Outcomes:
    """One benchmark's prompts, as features, with the outcome per measured model."""

    benchmark: str
    mix: Array
    length: Array
    abilities: Array
    success: Array


def logit(p: float, guess: float = 0.0) -> float:
    """Return the logit of a guess-corrected share of right answers, kept off the ends."""
    share = min(max((p - guess) / (1 - guess), 0.02), 0.98)
    return math.log(share / (1 - share))


def read_abilities(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the ability table by canonical name and mode."""
    with (root / "abilities.csv").open(encoding="utf-8") as file:
        return {(row["canonical"], row["mode"]): row for row in csv.DictReader(file)}


def read_outcomes(root: Path, abilities: Mapping[tuple[str, str], Mapping[str, str]]) -> Iterator[Outcomes]:
    """Yield each benchmark of the outcome files: a pair set is one, a set of several tasks is one per task."""
    types = TaskTypes.load()
    for meta_path in sorted(root.glob("*.meta.json")):
        meta = json.loads(meta_path.read_text("utf-8"))
        places = [i for i, model in enumerate(meta["models"]) if model["name"] in MEASURED]
        rows = [abilities[MEASURED[meta["models"][i]["name"]]] for i in places]
        table = np.array([[float(row["overall"]), *(float(row[name]) for name in TASK_TYPES)] for row in rows])
        by_task: dict[str, list[Any]] = defaultdict(list)
        with gzip.open(meta_path.with_name(meta_path.name.replace(".meta.json", ".jsonl.gz")), "rt") as file:
            for line in file:
                row = json.loads(line)
                by_task[row["task"] if meta["kind"] == "multi" else meta["name"]].append(row)
        for task, found in by_task.items():
            mixes, lengths = zip(*(_read(types, row["prompt"]) for row in found), strict=True)
            success = np.array([[row["s"][i] for i in places] for row in found], float)
            yield Outcomes(task, np.array(mixes), np.array(lengths), table, success)


def _read(types: TaskTypes, prompt: str) -> tuple[tuple[float, ...], float]:
    from omnilabs.router._prior import log_words

    words = words_of(clip(prompt))
    return types.mix(words), log_words(words, prompt)


def fit_map(data: Sequence[Outcomes], share: float, centre: float, log_words_mean: float) -> dict[str, float]:
    """Return the coefficients of logit p = intercept + slope a + g (steepness (a - centre) - difficulty).

    Every benchmark has an intercept of its own, because benchmarks differ in how hard they are, and weighs the same;
    the intercept kept is their mean. Slopes are thereby taken within benchmarks. Ridge keeps what is not there at 0.
    """
    n = len(data)
    blocks: list[Array] = []
    targets: list[Array] = []
    weights: list[Array] = []
    for place, one in enumerate(data):
        overall, by_type = one.abilities[:, 0], one.abilities[:, 1:]
        ability = overall + share * (one.mix @ (by_type - overall[:, None]).T)
        g = np.clip(one.length - log_words_mean, -2.0, 2.5)[:, None]
        own = np.zeros((*ability.shape, n))
        own[:, :, place] = 1.0
        columns = [ability - centre, g * (ability - centre), -g * np.ones_like(ability)]
        blocks.append(np.concatenate([own, np.stack(columns, -1)], -1).reshape(-1, n + 3))
        targets.append(one.success.reshape(-1))
        weights.append(np.full(one.success.size, 1000.0 / one.success.size))
    x, y, w = np.concatenate(blocks), np.concatenate(targets), np.concatenate(weights)
    penalty = np.array([1e-3] * n + [RIDGE] * 3)
    beta = np.zeros(n + 3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        beta += np.linalg.solve(hessian, x.T @ (w * (y - p)) - penalty * beta)
    # What is left of each model's level on each benchmark: how far off the prior is for one model on one kind of task.
    residual = np.concatenate(
        [_level_errors(block, target, beta, one) for block, target, one in zip(blocks, targets, data, strict=True)]
    )
    names = ("slope", "steepness", "difficulty")
    found = {name: float(value) for name, value in zip(names, beta[n:], strict=True)}
    return {
        "intercept": float(beta[:n].mean()) - found["slope"] * centre,
        **found,
        "benchmark_sd": float(beta[:n].std()),
        "model_sd": float(residual.std()),
    }


def _level_errors(x: Array, y: Array, beta: Array, one: Outcomes) -> Array:
    expected = (1 / (1 + np.exp(-x @ beta))).reshape(one.success.shape).mean(0)
    actual = y.reshape(one.success.shape).mean(0)
    return np.array([logit(a) - logit(e) for a, e in zip(actual, expected, strict=True)])


def fit_benchmarks(
    root: Path, outcomes: Path, abilities: Mapping[tuple[str, str], Mapping[str, str]]
) -> dict[str, Any]:
    """Return per benchmark the line from its (guess-corrected, logit) score to overall ability and to its type's."""
    seen: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    with gzip.open(root / "scores.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if row["unit"] == "frac" and row["score"]:
                seen[row["benchmark"]][row["canonical"], row["mode"]] = float(row["score"])
    found: dict[str, Any] = {}
    for name, (kind, guess, column) in PUBLISHED.items():
        pairs = [(logit(score, guess), abilities[key]) for key, score in seen[column].items() if key in abilities]
        found[name] = _line(kind, guess, pairs)
    models = {m["name"]: m for path in outcomes.glob("*.meta.json") for m in json.loads(path.read_text())["models"]}
    for name, (kind, guess) in KNOWN.items():
        pairs = [(logit(models[own][name] / 100, guess), abilities[key]) for own, key in MEASURED.items()]
        found[name] = _line(kind, guess, pairs)
    return {name: line for name, line in found.items() if line is not None}


def _line(kind: str, guess: float, pairs: Sequence[tuple[float, Mapping[str, str]]]) -> dict[str, Any] | None:
    if len(pairs) < 5:
        return None
    x = np.array([score for score, _ in pairs])
    line: dict[str, Any] = {"type": kind, "guess": guess, "models": len(pairs)}
    for target, column in (("overall", "overall"), ("own", kind)):
        y = np.array([float(row[column]) for _, row in pairs])
        slope, at_zero = np.polyfit(x, y, 1)
        se = float((y - slope * x - at_zero).std(ddof=2))
        line[target] = [round(float(at_zero), 3), round(float(slope), 3), round(se, 3)]
    return line


def fit_price_line(root: Path, abilities: Mapping[tuple[str, str], Mapping[str, str]]) -> dict[str, Any]:
    """Return overall ability as a line of log10 USD per million tokens (3:1), over measured models since July 2025."""
    x, y = [], []
    with (root / "meta.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            own = abilities.get((row["canonical"], row["mode"]))
            if own is None or not int(own["n_cells"]) or row["release"] < "2025-07" or not row["price_in"]:
                continue
            blended = (3 * float(row["price_in"]) + float(row["price_out"] or row["price_in"])) / 4
            if blended > 0:
                x.append(math.log10(min(max(blended, 0.05), 12.6)))
                y.append(float(own["overall"]))
    slope, at_one = np.polyfit(x, y, 1)
    sd = float(np.std(np.array(y) - slope * np.array(x) - at_one, ddof=2))
    return {
        "at_one_usd": round(float(at_one), 3),
        "per_tenfold": round(float(slope), 3),
        "sd": round(sd, 3),
        "models": len(x),
    }


def thinking_factor(root: Path) -> dict[str, Any]:
    """Return how many times the output a model needs with thinking: what the same prompts cost with and without it."""
    cost: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (root / "speed.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] == "artificial_analysis" and row["cost_usd"] and float(row["cost_usd"]) > 0:
                cost[row["canonical"]][row["mode"]].append(float(row["cost_usd"]))
    ratios = [np.mean(own["r"]) / np.mean(own["n"]) for own in cost.values() if own["r"] and own["n"]]
    return {"factor": round(float(median(ratios)), 2), "models": len(ratios)}


def output_tokens(prompts: Path, outcomes: Path) -> dict[str, Any]:
    """Return the expected tokens of an answer per task type: a ridge regression of log tokens on the soft types.

    Read from answers of three models to arena-hard, and for word problems from what the answers of the GSM8K pair cost.
    """
    types = TaskTypes.load()
    x: list[Sequence[float]] = []
    y: list[float] = []
    data = prompts / "lm-sys/arena-hard-auto/data/arena-hard-v0.1"
    asked = {row["question_id"]: row["turns"][0]["content"] for row in _lines(data / "question.jsonl")}
    for path in sorted((data / "model_answer").glob("*.jsonl")):
        for row in _lines(path):
            x.append(types.mix(words_of(clip(asked[row["question_id"]]))))
            y.append(math.log(max(1.0, text_tokens(row["choices"][0]["turns"][0]["content"]))))
    meta = json.loads((outcomes / "routellm_gsm8k.meta.json").read_text("utf-8"))
    price = meta["models"][1]
    with gzip.open(outcomes / "routellm_gsm8k.jsonl.gz", "rt") as file:
        for line in file:
            row = json.loads(line)
            asked_tokens = text_tokens(row["prompt"])
            tokens = (row["c"][1] * 1e6 - asked_tokens * price["input_price"]) / price["output_price"]
            x.append(types.mix(words_of(clip(row["prompt"]))))
            y.append(math.log(max(1.0, tokens)))
    mean = float(np.mean(y))
    table, target = np.array(x), np.array(y) - mean
    found = np.linalg.solve(table.T @ table + 20 * np.eye(len(TASK_TYPES)), table.T @ target)
    return {name: round(math.exp(mean + value)) for name, value in zip(TASK_TYPES, found, strict=True)}


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


# A benchmark is left out together with those it shares prompts or kind with.
_KIN = {"gsm8k": ("gsm8k", "routellm_gsm8k", "agentverse-mgsm"), "mmlu": ("mmlu", "routellm_mmlu")}


def without(data: Sequence[Outcomes], benchmark: str) -> list[Outcomes]:
    """Return the outcomes without a benchmark and its kin."""
    kin = next((kin for kin in _KIN.values() if benchmark in kin), (benchmark,))
    return [one for one in data if one.benchmark not in kin]


SHARE = 0.5


def main() -> None:
    """Fit everything and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("outcomes", "scores", "prompts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "omnilabs/router/prior.json")
    given = parser.parse_args()
    abilities = read_abilities(given.scores)
    data = list(read_outcomes(given.outcomes, abilities))
    log_words_mean = float(np.mean([one.length.mean() for one in data]))
    centre = float(np.mean([row[0] for row in {tuple(row) for one in data for row in one.abilities.tolist()}]))
    whole = fit_map(data, SHARE, centre, log_words_mean)
    left_out = {
        name: _rounded(fit_map(without(data, name), SHARE, centre, log_words_mean))
        for name in ("routellm_mmlu", "routellm_gsm8k", "llmrouter9")
        if name != "llmrouter9"
    }
    pairs = [one for one in data if one.benchmark.startswith("routellm")]
    left_out["llmrouter9"] = _rounded(fit_map(pairs, SHARE, centre, log_words_mean))
    result = {
        "version": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "made_by": "scripts/fit_prior.py",
        "fitted_on": "graded outcomes of 8 measured models on 16 benchmarks: lm-sys/RouteLLM (Apache-2.0), "
        "ulab-uiuc/LLMRouter (MIT); abilities, speeds and scores of independent leaderboards as in catalog.json",
        "map": {
            **_rounded(whole),
            "share": SHARE,
            "centre": round(centre, 3),
            "log_words_mean": round(log_words_mean, 3),
        },
        "map_without": left_out,
        "benchmarks": fit_benchmarks(given.scores, given.outcomes, abilities),
        "price_line": fit_price_line(given.scores, abilities),
        "thinking": thinking_factor(given.scores),
        "output_tokens": output_tokens(given.prompts, given.outcomes),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(given.out.read_text("utf-8"))


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


if __name__ == "__main__":
    main()
