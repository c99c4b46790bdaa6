"""Scoring a router on outcomes: the measures, the files they come from, and the plot."""

import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from router.pools import model
from router.test_fit import POOL, graded

from omnilabs import evaluate as ev
from omnilabs.errors import ConfigurationError, InvalidRequestError
from omnilabs.router import Router
from omnilabs.router._evaluation import judge
from omnilabs.router._measure import hull, pair_measures

WEAK, STRONG = np.array([0.0, 0.0, 1.0, 1.0] * 50), np.array([1.0, 1.0, 1.0, 1.0] * 50)
EVEN = np.ones(200)


def test_an_advantage_that_knows_where_the_strong_model_helps_scores_best():
    knowing, _, _ = pair_measures(STRONG - WEAK + np.linspace(0, 1e-6, 200), WEAK, STRONG, EVEN)
    blind, _, _ = pair_measures(np.random.default_rng(0).random(200), WEAK, STRONG, EVEN)
    mistaken, _, _ = pair_measures(WEAK - STRONG + np.linspace(0, 1e-6, 200), WEAK, STRONG, EVEN)
    assert knowing == pytest.approx(0.75, abs=0.01)
    assert blind == pytest.approx(0.5, abs=0.06)
    assert mistaken == pytest.approx(0.25, abs=0.01)


def test_cpt_is_the_share_of_prompts_the_strong_model_needs():
    _, half, most = pair_measures(STRONG - WEAK + np.linspace(0, 1e-6, 200), WEAK, STRONG, EVEN)
    assert half == pytest.approx(0.25, abs=0.01)
    assert most == pytest.approx(0.40, abs=0.01)


def test_a_pair_without_a_stronger_model_has_no_apgr():
    assert np.isnan(pair_measures(np.arange(200.0), WEAK, WEAK, EVEN)).all()


def test_the_hull_keeps_what_a_mix_of_others_does_not_reach():
    points = hull(np.array([1.0, 2.0, 3.0, 2.5, 1.5]), np.array([0.2, 0.3, 0.8, 0.4, 0.6]))
    assert points.tolist() == [[1.0, 0.2], [1.5, 0.6], [3.0, 0.8]]


def outcomes(n: int = 300, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.random((n, 3)) < [0.5, 0.6, 0.8]).astype(float), np.tile([0.001, 0.002, 0.01], (n, 1))


def test_knowing_everything_takes_all_the_headroom_and_knowing_nothing_none():
    score, cost = outcomes()
    names = ["a", "b", "c"]
    oracle = judge(names, score + 1e-3 * (1 - cost / cost.max()), score, cost, [1.0] * 300, rounds=50)
    blind = judge(names, np.tile([0.5, 0.6, 0.8], (300, 1)), score, cost, [1.0] * 300, rounds=50)
    assert oracle.headroom.value > 0.9
    assert oracle.pays
    assert oracle.saved.value > 0.3
    assert abs(blind.headroom.value) < 0.05
    assert not blind.pays
    assert "does not pay" in blind.verdict


def test_the_baselines_are_the_best_the_cheapest_and_length_at_equal_cost():
    score, cost = outcomes()
    found = judge(["a", "b", "c"], np.random.default_rng(1).random((300, 3)), score, cost, list(range(300)), rounds=20)
    routed, _, best, cheapest, by_length = found.policies
    assert best.usd_per_prompt.value == pytest.approx(0.01)
    assert best.quality.value == pytest.approx(score[:, 2].mean())
    assert cheapest.usd_per_prompt.value == pytest.approx(0.001)
    assert by_length.usd_per_prompt.value <= routed.usd_per_prompt.value + 1e-9


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["outcomes.jsonl", "outcomes.csv"])
def test_a_file_of_outcomes_is_scored(tmp_path: Path, name: str):
    found = ev.evaluate(ev.read_outcomes(write(tmp_path / name, graded(80))), Router(POOL))
    assert found.prompts == 80
    assert found.models == ("poet", "coder", "large")
    assert "always the best" in str(found)


def test_a_fitted_router_is_scored_on_rows_it_has_not_seen():
    router = Router(POOL)
    router.fit(graded(300, seed=0))
    fresh = graded(300, seed=7)
    assert router.evaluate(fresh).headroom.low > Router(POOL).evaluate(fresh).headroom.value


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path):
    path = tmp_path / "o.jsonl"
    path.write_text('{"prompt": "x"}\nnot json\n')
    with pytest.raises(InvalidRequestError, match="line 2"):
        ev.read_outcomes(path)
    path.write_text("[1]\n")
    with pytest.raises(InvalidRequestError, match="not a JSON object"):
        ev.read_outcomes(path)
    table = tmp_path / "o.csv"
    table.write_text("prompt,model,score\nhello,poet,good\n")
    with pytest.raises(InvalidRequestError, match="score is 'good'"):
        ev.read_outcomes(table)


def test_an_evaluation_needs_prompts_graded_for_every_model():
    rows = [{"prompt": f"p{n}", "model": POOL[n % 3].id, "score": 1.0} for n in range(30)]
    with pytest.raises(InvalidRequestError, match="graded for each"):
        Router(POOL).evaluate(rows)


def test_without_a_price_there_is_no_cost_to_weigh():
    pool = [model("free", usd=None), model("paid")]
    rows = [{"prompt": f"p{n}", "model": m.id, "score": random.Random(n).random()} for n in range(30) for m in pool]
    with pytest.raises(InvalidRequestError, match="needs prices"):
        Router(pool).evaluate(rows)


def test_the_plot_is_drawn_where_matplotlib_is_and_says_what_is_missing_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    evaluation = Router(POOL).evaluate(graded(60))
    for name in ("curve.svg", "curve.png"):
        evaluation.plot(str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 1000
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"omnirouter\[plot\]"):
        evaluation.plot(str(tmp_path / "never.svg"))


def test_the_command_prints_the_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = {"poet": "gpt-4.1-nano", "coder": "gpt-4.1-mini", "large": "gpt-4.1"}
    rows = [{**row, "model": names[row["model"]]} for row in graded(60)]
    ev.main([str(write(tmp_path / "o.jsonl", rows)), "--plot", str(tmp_path / "o.svg")])
    assert "headroom" in capsys.readouterr().out
    assert (tmp_path / "o.svg").exists()


MODELS = [
    {"name": "small", "input_price": 0.1, "output_price": 0.1, "mmlu": 60, "gsm8k": 50},
    {"name": "large", "input_price": 10, "output_price": 30, "mmlu": 86, "gsm8k": 92, "humaneval": 83},
]


def test_the_fields_scripts_get_qualities_and_choices():
    texts = ["Hello", "Prove that there are infinitely many primes. " * 20]
    qualities = ev.predict(texts, MODELS)
    assert [len(row) for row in qualities] == [2, 2]
    assert all(small < large for small, large in qualities)
    assert ev.select(texts, MODELS, 0.0, 1.0, 0.0) == [0, 0]
    assert ev.select(texts, MODELS, 1.0, 0.0, 0.0) == [1, 1]
