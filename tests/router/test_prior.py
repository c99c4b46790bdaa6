"""What is expected of a model before anything is learned: where it comes from, and what it says of itself."""

import json
import random
from decimal import Decimal
from importlib import resources
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router.pools import ask, model

from omnilabs._tokens import text_tokens
from omnilabs.errors import InvalidRequestError
from omnilabs.router import Ability, Candidate, ModelInfo, Price, Router
from omnilabs.router._tasks import TASK_TYPES, TaskTypes, words_of
from omnilabs.router._tokens import clip


def scored(name: str, **scores: float) -> ModelInfo:
    return ModelInfo(id=name, provider="acme", price=Price(Decimal(1), Decimal(1)), scores=scores)


def only(candidate: ModelInfo, text: str = "Hello") -> Candidate:
    return Router([candidate]).select(ask(text)).pick


def test_a_model_with_the_users_own_scores_is_placed_by_them():
    weak = scored("weak", MMLU=0.60, GSM8K=0.50, HumanEval=0.37)
    strong = scored("strong", MMLU=0.84, GSM8K=0.92, HumanEval=0.83)
    decision = Router([weak, strong]).select(ask(), rel_accuracy=1, rel_cost=0)
    assert decision.model == "strong"
    assert decision.pick.evidence == "published scores: MMLU, GSM8K, HumanEval"


def test_a_score_in_one_field_counts_most_in_that_field():
    coder = scored("coder", MMLU=0.7, HumanEval=0.95)
    reader = scored("reader", MMLU=0.8, HumanEval=0.60)
    router = Router([coder, reader])
    code, trivia = (
        dict(zip(("coder", "reader"), router.expected_quality([text])[0], strict=True))
        for text in ("Write a Python function that parses JSON and returns a list.", "Who was the first king of Spain?")
    )
    assert code["coder"] - code["reader"] > trivia["coder"] - trivia["reader"]


@pytest.mark.parametrize("score", [71, -0.1, "0.7", True, float("nan")])
def test_a_score_that_is_no_fraction_is_an_error_naming_it(score: Any):
    with pytest.raises(InvalidRequestError, match="'MMLU' of 'm'"):
        Router([ModelInfo(id="m", provider="p", scores={"MMLU": score})]).select(ask())


def test_a_model_without_scores_takes_the_mean_of_its_price_and_says_so():
    dear, cheap = only(model("dear", usd=20, ability=None)), only(model("cheap", usd=0.05, ability=None))
    unpriced = only(model("unpriced", usd=None, ability=None))
    assert dear.quality > cheap.quality
    assert "no measurement: the mean of its price" in dear.evidence
    assert unpriced.quality_high - unpriced.quality_low >= dear.quality_high - dear.quality_low


def test_measured_ability_is_narrower_than_the_price_alone():
    measured, unknown = only(model("a", ability=1.0)), only(model("b", ability=None))
    assert "10 independent measurements" in measured.evidence
    assert measured.quality_high - measured.quality_low < unknown.quality_high - unknown.quality_low


def test_an_unmeasured_ability_of_the_catalogue_is_told_from_a_measured_one():
    guessed = ModelInfo(id="m", provider="p", ability=Ability(0.5, 0.76, source="leaderboards"))
    assert "no measurement" in only(guessed).evidence


def test_a_longer_prompt_widens_the_distance_between_strong_and_weak():
    router = Router([model("weak", ability=-1.5), model("strong", ability=1.5)])
    short, long = router.expected_quality(["What is this?", "Consider the contract below. " * 40])
    assert long[1] - long[0] > short[1] - short[0]
    assert long[0] < short[0]


def test_thinking_costs_tokens_and_time():
    plain = ModelInfo(**_fields("plain", "n"))
    thinker = ModelInfo(**_fields("thinker", "r"))
    a, b = only(plain), only(thinker)
    assert a.cost_usd is not None
    assert b.cost_usd is not None
    assert a.latency_s is not None
    assert b.latency_s is not None
    assert b.cost_usd > a.cost_usd * 2
    assert b.latency_s > a.latency_s
    spared = Router([thinker]).select(ask("Hello"), reasoning_effort="none", unsupported="drop").pick
    assert spared.cost_usd == only(plain).cost_usd


def _fields(name: str, mode: Literal["n", "r"]) -> dict[str, Any]:
    base = model(name, ability=0.0)
    return {
        "id": name,
        "provider": "acme",
        "price": base.price,
        "speed": base.speed,
        "ability": Ability(0, 1, {}, mode, 5),
    }


def test_the_longest_answer_caps_the_expected_cost():
    router = Router([model("m", usd=100)])
    capped, free = router.select(ask(), max_tokens=10).pick.cost_usd, router.select(ask()).pick.cost_usd
    assert capped is not None
    assert free is not None
    assert capped < free / 5


def test_a_price_by_length_is_taken_at_the_prompts_length():
    tiers = ((1000, Price(Decimal(10), Decimal(10))),)
    tiered = ModelInfo(id="m", provider="p", price=Price(Decimal(1), Decimal(1), tiers=tiers))
    short, long = only(tiered, "word " * 700), only(tiered, "word " * 900)
    assert short.cost_usd is not None
    assert long.cost_usd is not None
    assert long.cost_usd > 5 * short.cost_usd


def test_an_unknown_price_or_speed_stays_unknown_and_counts_as_the_worst():
    router = Router([model("unknown", usd=None, ability=1.0, tokens_per_s=None), model("known", usd=9, ability=1.0)])
    assert router.select(ask()).model == "known"
    unknown = router.select(ask()).ranked[1]
    assert unknown.cost_usd is None
    assert unknown.latency_s is None
    assert unknown.terms["cost"] == -0.5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write a Python function that reverses a linked list and explain its complexity.", "code"),
        ("Tom has 12 apples and buys 3 bags of 8 apples each. How many apples does he have now?", "math"),
        (r"Let $f(x) = x^2 - 4x + 3$. Find all real $x$ such that $f(x) \leq 0$.", "math_formal"),
        ("who is the president of france", "knowledge"),
        ("Summarize the article below in two sentences and extract the names of all people.", "extract"),
        ("小明有5个苹果，又买了3个，现在一共有多少个苹果？", "math"),
    ],
)
def test_a_plain_case_of_a_task_type_is_taken_for_it(text: str, kind: str):
    mix = TaskTypes.load().mix(words_of(clip(text)))
    assert max(zip(mix, TASK_TYPES, strict=True))[1] == kind


@given(st.text(max_size=400))
def test_the_task_mix_is_a_distribution_whatever_the_text(text: str):
    mix = TaskTypes.load().mix(words_of(clip(text)))
    assert abs(sum(mix) - 1) < 1e-9
    assert min(mix) > 0


@given(st.lists(st.sampled_from(["python", "sum", "law", "story", "the", "0", "$"]), max_size=30), st.randoms())
def test_the_task_mix_does_not_depend_on_the_order_of_words(words: list[str], rng: random.Random):
    shuffled = words[:]
    rng.shuffle(shuffled)
    assert TaskTypes.load().mix(words) == TaskTypes.load().mix(shuffled)


def test_tools_make_it_an_agents_turn():
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
    decision = Router([model("m")]).select(ask(), tools=[tool])
    assert decision.task_type["agent"] == 0.5


def test_a_long_prompt_is_read_at_its_ends():
    text = "HEAD " + "x" * 5000 + " TAIL"
    assert len(clip(text)) == 1001
    assert clip(text).startswith("HEAD")
    assert clip(text).endswith("TAIL")
    assert clip("short") == "short"


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0, 0),
        ("four words of text", 3, 6),
        ("字" * 100, 50, 150),
        ("😀" * 100, 50, 300),
        ("é" * 5_000, 1500, 5_000),
    ],
)
def test_tokens_are_estimated_within_reason(text: str, low: int, high: int):
    assert low <= text_tokens(text) <= high


def test_what_is_shipped_is_small_and_readable():
    folder = resources.files("omnilabs.router")
    sizes = {
        name: len(folder.joinpath(name).read_bytes()) for name in ("task_types.json", "prior.json", "catalog.json")
    }
    assert sizes["task_types.json"] <= 80 * 1024
    assert sum(sizes.values()) <= 300 * 1024
    data = json.loads(folder.joinpath("task_types.json").read_text("utf-8"))
    assert data["version"]
    assert data["sources"]
    assert all(-127 <= weight <= 127 for row in data["words"].values() for weight in row)
