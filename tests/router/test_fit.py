"""Learning from graded answers: what is taken, what is refused, and what is reported."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from router.pools import ask, model

from omnilabs.errors import InvalidRequestError, UnknownModelError
from omnilabs.router import ModelInfo, Router

POOL = [model("poet", usd=1.0, ability=0.0), model("coder", usd=1.0, ability=0.0), model("large", usd=9.0, ability=1.0)]
CODE = "Write a {} function that {} a {}"
VERSE = "Compose a {} poem about the {} of a {}"
WORDS = ["red", "quiet", "sorted", "broken", "early", "simple", "distant", "golden", "narrow", "careful", "lost", "old"]


def prompts(n: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return (kind, prompt) of two kinds of traffic."""
    rng = random.Random(seed)
    kinds = [rng.choice(["code", "verse"]) for _ in range(n)]
    return [
        (kind, (CODE if kind == "code" else VERSE).format(*rng.choices(WORDS, k=3)) + f" number {place}")
        for place, kind in enumerate(kinds)
    ]


CHANCE = {("poet", "verse"): 0.9, ("poet", "code"): 0.2, ("coder", "verse"): 0.2, ("coder", "code"): 0.9}


def graded(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return graded answers where the poet is good at verse, the coder at code, and the large model at both."""
    rng = random.Random(seed + 1)
    return [
        {
            "prompt": text,
            "model": m.id,
            "score": float(rng.random() < CHANCE.get((m.id, kind), 0.85)),
            "cost_usd": 0.009 if m.id == "large" else 0.001,
        }
        for kind, text in prompts(n, seed)
        for m in POOL
    ]


def fitted(rows: Sequence[dict[str, Any]], pool: Sequence[ModelInfo] = POOL) -> tuple[Router, Any]:
    router = Router(list(pool))
    return router, router.fit(rows)


def test_fit_learns_who_is_good_at_what():
    router, report = fitted(graded(200))
    assert report.learned == "text"
    assert report.gain_low > 0
    names = [m.id for m in POOL]
    for kind, text in prompts(20, seed=9):
        quality = dict(zip(names, router.expected_quality([text])[0], strict=True))
        better, worse = ("poet", "coder") if kind == "verse" else ("coder", "poet")
        assert quality[better] > quality[worse]
    assert router.select(ask("Compose a quiet poem about the old of a golden")).model == "poet"
    assert router.select(ask("Compose a quiet poem")).policy == "prior-1+text"


def test_the_report_sets_the_router_beside_the_baselines_and_says_that_it_pays():
    _, report = fitted(graded(300))
    text = str(report)
    for told in ("always the best", "always the cheapest", "by length", "quality alone", "Routing pays"):
        assert told in text
    evaluation = report.evaluation
    assert evaluation.pays
    assert evaluation.prompts == 300
    assert evaluation.headroom.low <= evaluation.headroom.value <= evaluation.headroom.high


def test_shuffled_grades_change_nothing_and_the_report_says_so():
    rows = graded(300)
    scores = [row["score"] for row in rows]
    random.Random(0).shuffle(scores)
    before = Router(POOL).select(ask())
    router, report = fitted([{**row, "score": score} for row, score in zip(rows, scores, strict=True)])
    assert not report.changed
    assert "nothing changed" in report.why
    assert not report.evaluation.pays
    assert "does not pay" in str(report)
    assert router.select(ask()) == before


def test_where_only_the_models_differ_only_their_levels_are_learned():
    rng = random.Random(3)
    rows = [
        {"prompt": text, "model": m.id, "score": float(rng.random() < chance)}
        for _, text in prompts(300)
        for m, chance in zip(POOL, (0.3, 0.8, 0.5), strict=True)
    ]
    router, report = fitted(rows)
    assert report.learned == "levels"
    poet, coder, large = router.expected_quality(["Anything"])[0]
    assert poet < large < coder


def test_fewer_than_two_hundred_rows_change_nothing():
    router, report = fitted(graded(66))
    assert report.rows == 198
    assert not report.changed
    assert "fewer than 200" in report.why
    assert router.select(ask()) == Router(POOL).select(ask())


def test_a_model_without_grades_moves_with_the_others():
    router, report = fitted(graded(200), [*POOL, model("new", usd=1.0, ability=0.0)])
    assert report.changed
    quality = router.expected_quality(["Write a simple function that sorted a list"])[0]
    assert 0.2 < quality[3] < 0.95


def test_a_new_fit_replaces_the_old_one():
    router, _ = fitted(graded(200))
    report = router.fit(graded(20))
    assert not report.changed
    assert router.select(ask()) == Router(POOL).select(ask())


def test_messages_are_read_like_prompts():
    rows = [{**{k: v for k, v in row.items() if k != "prompt"}, "messages": ask(row["prompt"])} for row in graded(200)]
    assert fitted(rows)[0].select(ask("Write a red function")) == fitted(graded(200))[0].select(
        ask("Write a red function")
    )


def test_what_was_fitted_survives_saving_and_loading_in_plain_json(tmp_path: Path):
    router, report = fitted(graded(200))
    path = tmp_path / "router.json"
    router.save(path)
    assert json.loads(path.read_text("utf-8"))["format"] == 1
    assert 0 < report.state_bytes < 300 * 1024
    loaded = Router.load(path, POOL)
    for _, text in prompts(10, seed=5):
        assert loaded.select(ask(text), verbose=True) == router.select(ask(text), verbose=True)


def test_fitting_twice_gives_the_same_router():
    one, other = fitted(graded(200))[0], fitted(graded(200))[0]
    assert one.expected_quality(["Write a poem in code"]) == other.expected_quality(["Write a poem in code"])


def test_a_model_missing_from_some_prompts_is_no_hindrance():
    rows = [row for place, row in enumerate(graded(400)) if place % 4]
    report = fitted(rows)[1]
    assert report.learned == "text"
    assert report.evaluation is None or report.evaluation.prompts < 400


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x", "model": "poet"}, r"records\[1\]\['score'\]"),
        ({"prompt": "x", "model": "poet", "score": 1.5}, r"records\[1\]\['score'\]"),
        ({"prompt": "x", "model": "poet", "score": math.nan}, r"records\[1\]\['score'\]"),
        ({"prompt": "x", "model": "poet", "score": True}, r"records\[1\]\['score'\]"),
        ({"model": "poet", "score": 1}, r"records\[1\] has neither"),
        ({"prompt": 7, "model": "poet", "score": 1}, r"records\[1\] has neither"),
        ({"prompt": "x", "model": "poet", "score": 1, "cost_usd": -1}, r"records\[1\]\['cost_usd'\]"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(row: dict[str, Any], told: str):
    with pytest.raises(InvalidRequestError, match=told):
        Router(POOL).fit([{"prompt": "fine", "model": "poet", "score": 1.0}, row])


def test_a_row_of_an_unknown_model_is_named():
    with pytest.raises(UnknownModelError, match=r"records\[0\].*'nobody'"):
        Router(POOL).fit([{"prompt": "x", "model": "nobody", "score": 1.0}])
