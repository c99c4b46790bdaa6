"""What must hold for every catalogue, every weight and every prompt."""

import math
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from router.pools import LARGE, SMALL, THREE, ask, model, pools, weights

from omnilabs.errors import InvalidRequestError
from omnilabs.router import Candidate, Decision, ModelInfo, Router

TINY = 1e-9
prompts = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="\x00\x01\x07\x1b\x7f\u200b\u202e\ufeff", max_size=50),
    st.text(alphabet="😀👩‍👩‍👧‍👦🇩🇪❤️", min_size=1, max_size=60),
    st.sampled_from(["Ünïcödé überall", "写一首关于秋天的诗", "اكتب قصيدة", "สวัสดีครับ", "Напиши код", "```python\n1/0"]),
)


def cost(candidate: Candidate) -> float:
    return math.inf if candidate.cost_usd is None else float(candidate.cost_usd)


def seconds(candidate: Candidate) -> float:
    return math.inf if candidate.latency_s is None else candidate.latency_s


def pick(
    pool: list[ModelInfo], accuracy: float, rel_cost: float, latency: float, text: str = "Hello there"
) -> Candidate:
    return Router(pool).select(ask(text), rel_accuracy=accuracy, rel_cost=rel_cost, rel_latency=latency).pick


@given(pools(), weights, weights, weights, weights)
def test_raising_the_weight_of_cost_never_picks_a_dearer_model(
    pool: list[ModelInfo], accuracy: float, latency: float, one: float, other: float
):
    low, high = sorted((one, other))
    assume(high - low > 1e-3)
    assume(low + accuracy + latency > 0)
    assert cost(pick(pool, accuracy, high, latency)) <= cost(pick(pool, accuracy, low, latency)) * (1 + 1e-6)


@given(pools(), weights, weights, weights, weights)
def test_raising_the_weight_of_latency_never_picks_a_slower_model(
    pool: list[ModelInfo], accuracy: float, rel_cost: float, one: float, other: float
):
    low, high = sorted((one, other))
    assume(high - low > 1e-3)
    assume(low + accuracy + rel_cost > 0)
    assert seconds(pick(pool, accuracy, rel_cost, high)) <= seconds(pick(pool, accuracy, rel_cost, low)) * (1 + 1e-6)


@given(pools(), weights, weights, weights, weights)
def test_raising_the_weight_of_accuracy_never_picks_a_worse_model(
    pool: list[ModelInfo], rel_cost: float, latency: float, one: float, other: float
):
    low, high = sorted((one, other))
    assume(high - low > 1e-3)
    assume(low + rel_cost + latency > 0)
    assert pick(pool, high, rel_cost, latency).quality >= pick(pool, low, rel_cost, latency).quality - 1e-6


@given(pools(), weights, weights, weights, st.sampled_from([0.5, 0.25, 0.1, 0.01]))
def test_scaling_all_weights_changes_nothing(
    pool: list[ModelInfo], accuracy: float, rel_cost: float, latency: float, factor: float
):
    assume(accuracy + rel_cost + latency > 1e-6)
    scaled = pick(pool, accuracy * factor, rel_cost * factor, latency * factor)
    assert pick(pool, accuracy, rel_cost, latency).model == scaled.model


@given(pools(), weights, weights, weights, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_changes_nothing(
    pool: list[ModelInfo], accuracy: float, rel_cost: float, latency: float, rng: random.Random
):
    shuffled = pool[:]
    rng.shuffle(shuffled)
    asked: dict[str, Any] = {"rel_accuracy": accuracy, "rel_cost": rel_cost, "rel_latency": latency, "k": 10}
    assert Router(pool).select(ask(), **asked) == Router(shuffled).select(ask(), **asked)


@given(pools(), weights, weights, weights)
def test_a_dominated_model_is_never_picked(pool: list[ModelInfo], accuracy: float, rel_cost: float, latency: float):
    decision = Router(pool).select(ask(), k=10, rel_accuracy=accuracy, rel_cost=rel_cost, rel_latency=latency)
    best = decision.pick
    for other in decision.ranked[1:]:
        no_worse = other.quality >= best.quality and cost(other) <= cost(best) and seconds(other) <= seconds(best)
        better = other.quality > best.quality or cost(other) < cost(best) or seconds(other) < seconds(best)
        assert not (no_worse and better), (best, other)


@given(pools())
def test_one_weight_alone_picks_the_best_of_its_kind(pool: list[ModelInfo]):
    names = [m.id for m in pool]
    alone = [Router(pool).select(ask(), model_names=[name]).pick for name in names]
    assert cost(pick(pool, 0, 1, 0, ask()[0]["content"])) == min(map(cost, alone))
    assert seconds(pick(pool, 0, 0, 1, ask()[0]["content"])) == min(map(seconds, alone))
    assert pick(pool, 1, 0, 0, ask()[0]["content"]).quality == max(c.quality for c in alone)


def test_ties_go_to_the_cheaper_and_then_by_name():
    twins = [model("b"), model("a"), model("c")]
    assert [c.model for c in Router(twins).select(ask()).ranked] == ["a", "b", "c"]
    dear = model("a", usd=2.0, tokens_per_s=400.0)
    cheap = model("z", usd=1.0, tokens_per_s=50.0)
    assert Router([dear, cheap]).select(ask(), rel_accuracy=1, rel_cost=0).model == "z"


def test_all_weights_zero_means_the_documented_default():
    router = Router(THREE)
    assert router.select(ask(), rel_accuracy=0, rel_cost=0) == router.select(ask(), rel_accuracy=0.5, rel_cost=0.5)


@pytest.mark.parametrize("name", ["rel_accuracy", "rel_cost", "rel_latency"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.1, "much", None, True])
def test_a_weight_that_is_no_weight_is_a_typed_error(name: str, value: Any):
    with pytest.raises(InvalidRequestError, match=name):
        Router(THREE).select(ask(), **{name: value})


@given(prompts)
@example("")
@example(" \n\t ")
@example("😀")
@example("\ud800 a lone surrogate")
def test_any_prompt_gets_a_decision_of_finite_numbers(text: str):
    decision = Router(THREE).select(ask(text), verbose=True)
    assert {c.model for c in decision.ranked} == {"small", "middle", "large"}
    for candidate in decision.ranked:
        assert 0 < candidate.quality_low <= candidate.quality <= candidate.quality_high < 1
        assert math.isfinite(candidate.utility)
        assert math.isclose(candidate.utility, sum(candidate.terms.values()), abs_tol=1e-9)
    assert decision.task_type
    assert decision == Router(THREE).select(ask(text), verbose=True)


@pytest.mark.parametrize("piece", ["a", "word ", "é", "字", "😀", "\x00", "1 ", "{}", "a" * 999 + " "])
def test_of_a_megabyte_no_more_than_a_page_is_read(piece: str):
    text = piece * (1_000_000 // len(piece.encode()))
    router = Router(THREE)
    changed = f"{text[:1000]}{'Prove that pi is irrational. ' * 9}{text[1000:-1000]}{text[-1000:]}"
    assert router.select(ask(changed)).task_type == router.select(ask(text)).task_type


def test_decisions_are_the_same_in_every_process():
    code = (
        "from omnilabs.router import Router\n"
        "d = Router().select([{'role': 'user', 'content': 'Solve x + 2 = 7 and write Python for it'}], k=10)\n"
        "print([(c.model, c.utility, c.quality) for c in d.ranked], d.task_type)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "42")
    }
    assert len(seen) == 1


SENTENCES = [
    "Write a Python function that returns the longest word of a sentence.",
    "A train travels 120 miles in 3 hours and then 60 miles in 2 hours. What is its average speed?",
    "Who wrote the novel that the film Blade Runner is based on?",
    "Summarize the following meeting notes in three bullet points for the managers who were away.",
    "Is a verbal agreement to sell land enforceable in court, and which exceptions are there?",
    "There are five houses in a row. The baker lives left of the painter. Who lives in the middle?",
    "Let f be a continuous function on the unit interval. Prove that it attains its maximum.",
    "I feel stuck in my job. Could you help me think about what to do next year?",
    "Translate this letter to the tax office into polite German and keep the numbers as they are.",
    "Debug this query: SELECT name, count(*) FROM users WHERE age > 30; it fails with an error.",
]


@pytest.mark.parametrize("noise", ["upper", "space", "typo"])
def test_noise_flips_few_choices(noise: str):
    pool = [model(f"m{n}", usd=0.05 * 1.6**n, ability=-2 + 0.45 * n) for n in range(10)]
    router, rng, flips, asked = Router(pool), random.Random(0), 0, 0
    for text in SENTENCES:
        for accuracy in (0.3, 0.4, 0.5, 0.6, 0.7):
            plain, noisy = (
                router.select(ask(t), rel_accuracy=accuracy, rel_cost=1 - accuracy).model
                for t in (text, _noisy(text, noise, rng))
            )
            flips, asked = flips + (plain != noisy), asked + 1
    assert flips / asked < 0.1


def _noisy(text: str, noise: str, rng: random.Random) -> str:
    if noise == "upper":
        return text.upper()
    if noise == "space":
        return text.replace(" ", "  \n ")
    chars = list(text)
    for place in rng.sample(range(1, len(chars) - 1), max(1, len(chars) // 30)):
        chars[place], chars[place + 1] = chars[place + 1], chars[place]
    return "".join(chars)


@settings(max_examples=25)
@given(pools(), weights, weights)
def test_what_would_change_the_pick_does_change_it(pool: list[ModelInfo], accuracy: float, rel_cost: float):
    assume(accuracy + rel_cost > 0.01)
    router = Router(pool)
    decision = router.select(ask(), rel_accuracy=accuracy, rel_cost=rel_cost, verbose=True)
    for told in decision.what_if:
        name, side, value, *_ = told.split()
        step = 0.0051 if side == "above" else -0.0051  # the value is told to two digits
        weight = float(value) + step
        if not 0 <= weight <= 1:
            continue
        asked: dict[str, Any] = {"rel_accuracy": accuracy, "rel_cost": rel_cost, "rel_latency": 0.0, name: weight}
        if sum(asked.values()) > TINY:
            changed = router.select(ask(), **asked)
            assert changed.model != decision.model, (told, decision)


def test_a_decision_reads_like_data_and_like_a_table():
    decision = Router([SMALL, LARGE]).select(ask(), verbose=True)
    assert isinstance(decision, Decision)
    assert decision["ranked"][0]["model"] == decision.model
    shown = decision._repr_html_()
    for cell in ("<table>", "10 independent measurements", "accuracy", *decision.what_if):
        assert cell in shown
    assert decision.to_dict()["ranked"][0]["cost_usd"] > 0
