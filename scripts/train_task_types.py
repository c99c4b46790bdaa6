"""Train the task-type classifier from public prompts of permissive licence and write `omnilabs/router/task_types.json`.

    python scripts/train_task_types.py --data DIR [--out FILE]

DIR holds checkouts as `owner/name`, of the repositories in `SOURCES` (each with its licence). None of them is a
benchmark that `docs/selection-report.md` measures on, so no prompt of a measured benchmark is ever learned from.
The prompts stay where they are: the artefact holds words with one small integer per task type, nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnilabs.router._tasks import TASK_TYPES, TaskTypes, words_of
from omnilabs.router._tokens import clip

Rows = Iterator[tuple[str, str]]
"""(task type, prompt)"""

MAX_PER_SOURCE = 700
WORDS = 1900
MIN_PROMPTS = 4
L2 = 4e-4
STEPS = 600
RATE = 0.05


@dataclass(frozen=True)
class Source:
    """A place prompts are read from: `owner/name`, its licence, and how to read a checkout."""

    repo: str
    licence: str
    read: Callable[[Path], Rows]


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, filter(str.strip, file))


def _options(row: dict[str, Any]) -> str:
    passage = row.get("passage") or ""
    return "\n".join([passage, row["question"], *(row.get("options") or [])]).strip()


_AGIEVAL = {
    "sat-math": "math_formal",
    "gaokao-mathqa": "math_formal",
    "gaokao-mathcloze": "math_formal",
    "gaokao-biology": "knowledge",
    "gaokao-chemistry": "knowledge",
    "gaokao-physics": "knowledge",
    "gaokao-geography": "knowledge",
    "gaokao-history": "law_med_hum",
    "lsat-ar": "puzzle",
    "lsat-lr": "puzzle",
    "lsat-rc": "extract",
    "sat-en": "extract",
    "gaokao-english": "extract",
}


def read_agieval(root: Path) -> Rows:
    """Exam questions whose own licence is MIT (`data/v1/LICENSE`); LogiQA, JEC-QA and MATH are left out."""
    for name, kind in _AGIEVAL.items():
        for row in list(_lines(root / "data/v1" / f"{name}.jsonl"))[:250]:
            yield kind, _options(row)


_BBH = {"salient_translation_error_detection": "extract", "multistep_arithmetic_two": "math", "word_sorting": "puzzle"}
_BBH_SKIPPED = {"causal_judgement", "sports_understanding", "movie_recommendation", "object_counting", "ruin_names"}


def read_bbh(root: Path) -> Rows:
    """Reasoning puzzles."""
    for path in sorted((root / "bbh").glob("*.json")):
        if path.stem not in _BBH_SKIPPED:
            for example in json.loads(path.read_text("utf-8"))["examples"][:50]:
                yield _BBH.get(path.stem, "puzzle"), example["input"]


_MT_BENCH = {
    "writing": "chat",
    "roleplay": "chat",
    "reasoning": "puzzle",
    "math": "math",
    "coding": "code",
    "extraction": "extract",
    "stem": "knowledge",
    "humanities": "law_med_hum",
    "generic": "chat",
    "counterfactual": "chat",
    "common-sense": "knowledge",
    "knowledge": "knowledge",
}


def read_fastchat(root: Path) -> Rows:
    """MT-bench and Vicuna-bench questions by their own categories."""
    for path in sorted((root / "fastchat/llm_judge/data").glob("*/question.jsonl")):
        for row in _lines(path):
            if row["category"] in _MT_BENCH:
                yield _MT_BENCH[row["category"]], row["turns"][0]


_MATHS_CLUSTER = re.compile(r"math|algebra|probabil|arithm|prime|triang|calcul|root|statistic|analysis cont", re.I)


def read_arena_hard(root: Path) -> Rows:
    """Real questions of users: code where a model answered with a code block, else open chat; maths is left out."""
    data = root / "data/arena-hard-v0.1"
    with_code = {
        row["question_id"]
        for path in sorted((data / "model_answer").glob("*.jsonl"))
        for row in _lines(path)
        if "```" in row["choices"][0]["turns"][0]["content"]
    }
    for row in _lines(data / "question.jsonl"):
        if not _MATHS_CLUSTER.search(row["cluster"]):
            yield "code" if row["question_id"] in with_code else "chat", row["turns"][0]["content"]


_CODE_APPS = {"StackOverflow", "Leetcode", "GeeksforGeeks", "Github", "w3schools", "Google Colab"}


def read_self_instruct(root: Path) -> Rows:
    """Instructions written by people: with a text to work on they are extraction and the like, else open chat."""
    for name in ("data/seed_tasks.jsonl", "human_eval/user_oriented_instructions.jsonl"):
        for row in _lines(root / name):
            given = row["instances"][0]["input"]
            text = f"{row['instruction']}\n{given}".strip()
            if row.get("motivation_app") in _CODE_APPS:
                yield "code", text
            else:
                yield "extract" if given or row.get("is_classification") else "chat", text


def read_deepseek_math(root: Path) -> Rows:
    """Competition statements, university problem sets, and Chinese primary-school word problems (code licence: MIT)."""
    data = root / "evaluation/datasets"
    for path in sorted((data / "minif2f").glob("*.jsonl")):
        for row in _lines(path):
            yield "math_formal", row["informal_statement"]
    for row in _lines(data / "ocw/test.jsonl"):
        yield "math_formal", row["problem"]
    for row in list(_lines(data / "cmath/test.jsonl"))[:300]:
        yield "math", row["question"]


def read_pubmedqa(root: Path) -> Rows:
    """Medical questions, every third with a piece of the abstract it is about."""
    for index, row in enumerate(json.loads((root / "data/ori_pqal.json").read_text("utf-8")).values()):
        context = f"{row['CONTEXTS'][0]}\n" if index % 3 == 0 else ""
        yield "law_med_hum", f"{context}{row['QUESTION']}"


_OPEN_LICENCE = re.compile(r"\*\*License\*\*: *\[?(?:MIT|CC BY 4\.0)", re.I)


def read_legalbench(root: Path) -> Rows:
    """Legal questions of the tasks whose own licence is MIT or CC BY 4.0."""
    for readme in sorted((root / "tasks").glob("*/README.md")):
        prompt = readme.with_name("base_prompt.txt")
        if prompt.exists() and _OPEN_LICENCE.search(readme.read_text("utf-8")):
            for example in prompt.read_text("utf-8").split("\n\n")[:3]:
                yield "law_med_hum", example


def read_web_questions(root: Path) -> Rows:
    """Short factual questions; every second with a capital letter, as people write elsewhere."""
    for index, row in enumerate(json.loads((root / "main/val.json").read_text("utf-8"))):
        text = row["qText"]
        yield "knowledge", text.capitalize() if index % 2 else text


def read_svamp(root: Path) -> Rows:
    """Short word problems."""
    for row in json.loads((root / "SVAMP.json").read_text("utf-8")):
        yield "math", f"{row['Body'].strip()} {row['Question']}"


def read_aqua(root: Path) -> Rows:
    """Algebra word problems, every second with its options."""
    for name in ("dev.json", "test.json"):
        for index, row in enumerate(_lines(root / name)):
            yield "math", "\n".join([row["question"], *(row["options"] if index % 2 else ())])


def read_strategyqa(root: Path) -> Rows:
    """Questions that combine facts."""
    for row in json.loads((root / "data/strategyqa/dev.json").read_text("utf-8")):
        yield "knowledge", row["question"]


_FUNCTION = re.compile(r"^(?:    )?def .*?(?=^(?:    )?(?:def|class|@)|\Z)", re.M | re.S)


def read_functions(root: Path) -> Rows:
    """Functions as they are pasted into a prompt: whoever sends code asks about code."""
    for path in sorted((root / "fastchat").rglob("*.py")):
        bodies = [body for body in _FUNCTION.findall(path.read_text("utf-8")) if 80 < len(body) < 1500]
        for index, body in enumerate(bodies[:2]):
            yield "code", body if index else f"```python\n{body}```"


_TEMPLATE = re.compile(r"^    jinja: (.*?)^    metadata:", re.M | re.S)
_SLOT = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\|\|\|.*", re.S)
_WORK_ON_TEXT = (
    "aeslc ag_news amazon_polarity billsum cnn_dailymail conll2003 dbpedia_14 gigaword imdb jfleg multi_news paws "
    "rotten_tomatoes samsum sent_comp scitldr squad squad_v2 subjqa tweet_eval wiki_bio wiki_split xsum "
    "yelp_review_full adversarial_qa duorc quoref ropes kelm ncbi_disease acronym_identification asset onestop_english"
).split()


def read_promptsource(root: Path) -> Rows:
    """Wordings of summary, extraction, rewriting and classification tasks, without the texts they were written for."""
    for name in _WORK_ON_TEXT:
        for path in sorted((root / "promptsource/templates" / name).rglob("templates.yaml")):
            for body in _TEMPLATE.findall(path.read_text("utf-8")):
                text = _SLOT.sub(" ", body).replace("\\n", " ").strip(" '\"\n")
                if len(text) > 25:
                    yield "extract", text


SOURCES = (
    Source("ruixiangcui/AGIEval", "MIT, Apache-2.0", read_agieval),
    Source("suzgunmirac/BIG-Bench-Hard", "MIT", read_bbh),
    Source("lm-sys/FastChat", "Apache-2.0", read_fastchat),
    Source("lm-sys/arena-hard-auto", "Apache-2.0", read_arena_hard),
    Source("yizhongw/self-instruct", "Apache-2.0", read_self_instruct),
    Source("deepseek-ai/DeepSeek-Math", "MIT", read_deepseek_math),
    Source("pubmedqa/pubmedqa", "MIT", read_pubmedqa),
    Source("HazyResearch/legalbench", "MIT, CC BY 4.0", read_legalbench),
    Source("brmson/dataset-factoid-webquestions", "CC BY 4.0", read_web_questions),
    Source("bigscience-workshop/promptsource", "Apache-2.0", read_promptsource),
    Source("arkilpatel/SVAMP", "MIT", read_svamp),
    Source("google-deepmind/AQuA", "Apache-2.0", read_aqua),
    Source("eladsegal/strategyqa", "MIT", read_strategyqa),
    Source("lm-sys/FastChat", "Apache-2.0", read_functions),
)


@dataclass(frozen=True)
class Prompt:
    """One training prompt."""

    repo: str
    kind: int
    words: frozenset[str]


def collect(root: Path) -> list[Prompt]:
    """Return the prompts of every source, at most `MAX_PER_SOURCE` of one type from one source, without repeats."""
    found: list[Prompt] = []
    seen: set[str] = set()
    for source in SOURCES:
        taken: Counter[str] = Counter()
        rows = list(source.read(root / source.repo))
        random.Random(0).shuffle(rows)
        for kind, text in rows:
            if text in seen or taken[kind] >= MAX_PER_SOURCE:
                continue
            seen.add(text)
            taken[kind] += 1
            found.append(Prompt(source.repo, TASK_TYPES.index(kind), frozenset(words_of(clip(text)))))
        print(f"{source.repo:<40}{dict(taken)}")
    return found


# Letters of options and the like tell the form of a benchmark, not the task.
_FORM = frozenset("a b c d e i ii iii iv options option choices answer question passage context | q".split())


def choose_words(prompts: list[Prompt], limit: int = WORDS) -> list[str]:
    """Return the words that tell the types apart best, by their information on the type; every type weighs the same."""
    sizes = Counter(prompt.kind for prompt in prompts)
    total: Counter[str] = Counter()
    by_kind: dict[str, list[float]] = {}
    for prompt in prompts:
        for word in prompt.words:
            total[word] += 1
            by_kind.setdefault(word, [0.0] * len(TASK_TYPES))[prompt.kind] += 1.0 / sizes[prompt.kind]

    def information(word: str) -> float:
        rates = by_kind[word]
        mean = sum(rates) / len(rates)
        return sum(_kl(rate, mean) for rate in rates)

    common = [word for word, count in total.items() if count >= MIN_PROMPTS and len(word) <= 24 and word not in _FORM]
    return sorted(sorted(common, key=information, reverse=True)[:limit])


def _kl(p: float, q: float) -> float:
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0 and b > 0)


def matrix(prompts: list[Prompt], words: list[str]) -> NDArray[np.float64]:
    """Return one row per prompt: its distinct known words, scaled as `TaskTypes.mix` scales them."""
    place = {word: index for index, word in enumerate(words)}
    out = np.zeros((len(prompts), len(words)))
    for row, prompt in enumerate(prompts):
        known = [place[word] for word in prompt.words if word in place]
        if known:
            out[row, known] = 1.0 / math.sqrt(len(prompt.words))
    return out


def train(
    x: NDArray[np.float64], kinds: NDArray[np.int64], l2: float = L2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and bias of a softmax regression; every type weighs the same, whatever its number of prompts."""
    n_types = len(TASK_TYPES)
    counts = np.bincount(kinds, minlength=n_types)
    weight = (1.0 / np.maximum(counts, 1))[kinds]
    weight /= weight.sum()
    target = np.eye(n_types)[kinds]
    w, b = np.zeros((x.shape[1], n_types)), np.zeros(n_types)
    moments = [np.zeros_like(w), np.zeros_like(w)]
    b_moments = [np.zeros_like(b), np.zeros_like(b)]
    for step in range(1, STEPS + 1):
        logits = x @ w + b
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(1, keepdims=True)
        error = (p - target) * weight[:, None]
        _adam(w, x.T @ error + l2 * w, moments, step)
        _adam(b, error.sum(0), b_moments, step)
    return w, b


def _adam(value: NDArray[Any], gradient: NDArray[Any], moments: list[NDArray[Any]], step: int) -> None:
    moments[0] = 0.9 * moments[0] + 0.1 * gradient
    moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
    rate = RATE * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    value -= rate * moments[0] / (np.sqrt(moments[1]) + 1e-8)


def artefact(words: list[str], w: NDArray[np.float64], b: NDArray[np.float64], note: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of the weights: integers from -127 to 127, times `step`."""
    step = float(np.abs(w).max() / 127)
    whole = np.rint(w / step).astype(int)
    return {
        "version": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "made_by": "scripts/train_task_types.py",
        **note,
        "types": list(TASK_TYPES),
        "step": round(step, 6),
        "bias": [round(float(value), 4) for value in b],
        "words": {word: row.tolist() for word, row in zip(words, whole, strict=True) if row.any()},
    }


def write(data: dict[str, Any], path: Path) -> None:
    """Write the artefact with one word a line, so that a new version can be read as a difference."""
    words = data.pop("words")
    head = json.dumps(data, ensure_ascii=False, indent=1).removesuffix("\n}")
    rows = ",\n".join(
        f"{json.dumps(word, ensure_ascii=False)}:{json.dumps(row, separators=(',', ':'))}"
        for word, row in words.items()
    )
    path.write_text(f'{head},\n "words": {{\n{rows}\n}}}}\n', encoding="utf-8")


def accuracy(model: TaskTypes, prompts: list[Prompt]) -> float:
    """Return the share of prompts whose most probable type is theirs."""
    right = sum(max(range(len(TASK_TYPES)), key=model.mix(list(p.words)).__getitem__) == p.kind for p in prompts)
    return right / max(1, len(prompts))


def cross_validate(prompts: list[Prompt]) -> dict[str, float]:
    """Return the accuracy on a fifth that was held out, and on each source that was held out as a whole."""
    shuffled = prompts[:]
    random.Random(1).shuffle(shuffled)
    cut = len(shuffled) // 5
    results = {"random fifth": _fit_and_score(shuffled[cut:], shuffled[:cut])}
    for repo in dict.fromkeys(source.repo for source in SOURCES):
        rest, held = ([p for p in prompts if (p.repo == repo) is wanted] for wanted in (False, True))
        results[repo] = _fit_and_score(rest, held)
    return {name: round(value, 3) for name, value in results.items()}


def _fit_and_score(rest: list[Prompt], held: list[Prompt]) -> float:
    words = choose_words(rest)
    w, b = train(matrix(rest, words), np.array([p.kind for p in rest]))
    rows = {word: tuple(map(float, row)) for word, row in zip(words, w, strict=True)}
    return accuracy(TaskTypes("", tuple(map(float, b)), rows), held)


def main() -> None:
    """Train, say how well it does, write the artefact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "omnilabs/router/task_types.json")
    parser.add_argument("--validate", action="store_true", help="also hold out each source (a minute)")
    given = parser.parse_args()
    prompts = collect(given.data)
    words = choose_words(prompts)
    w, b = train(matrix(prompts, words), np.array([p.kind for p in prompts]))
    note = {
        "prompts": dict(Counter(TASK_TYPES[p.kind] for p in prompts)),
        "sources": [f"{source.repo} ({source.licence})" for source in SOURCES],
    }
    if given.validate:
        note["held_out_accuracy"] = cross_validate(prompts)
        print(json.dumps(note["held_out_accuracy"], indent=1))
    data = artefact(words, w, b, note)
    write(data, given.out)
    model = TaskTypes.parse(json.loads(given.out.read_text("utf-8")))
    print(
        f"{len(prompts)} prompts, {len(model.rows)} words, {given.out.stat().st_size} bytes, "
        f"accuracy on the prompts themselves {accuracy(model, prompts):.3f}"
    )


if __name__ == "__main__":
    main()
