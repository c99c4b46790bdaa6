"""What a router learns from ratings and from finished calls."""

import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from router.pools import LARGE, SMALL, THREE, ask, model, pools

from omnilabs._request import ChatRequest, build_request
from omnilabs.errors import InvalidRequestError, UnknownModelError
from omnilabs.router import ModelInfo, Router
from omnilabs.types import ChatResponse, Usage


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def request(text: str = "Tell me a story about a fox") -> ChatRequest:
    return build_request(ask(text), temperature=None, max_tokens=None, routing=None, options={})


def test_a_good_model_made_bad_by_ratings_loses_the_pick_within_fifty():
    router = Router(THREE)
    asked: dict[str, Any] = {"rel_accuracy": 1.0, "rel_cost": 0.0}
    assert router.select(ask(), **asked).model == "large"
    for _ in range(50):
        router.feedback(router.select(ask(), **asked), 0.0)
        if router.select(ask(), **asked).model != "large":
            break
    assert router.select(ask(), **asked).model != "large"
    assert "ratings" in next(c.evidence for c in router.select(ask(), **asked).ranked if c.model == "large")


@settings(max_examples=30)
@given(pools(), st.lists(st.tuples(st.integers(0, 11), st.floats(0, 1)), max_size=60))
def test_ratings_never_make_a_dominated_pick(pool: list[ModelInfo], ratings: list[tuple[int, float]]):
    router = Router(pool)
    for place, score in ratings:
        router.feedback(router.select(ask(), model_names=[pool[place % len(pool)].id]), score)
    decision = router.select(ask(), k=10)
    best = decision.pick
    for other in decision.ranked[1:]:
        if best.cost_usd is None or other.cost_usd is None or best.latency_s is None or other.latency_s is None:
            continue
        assert not (
            other.quality > best.quality and other.cost_usd <= best.cost_usd and other.latency_s <= best.latency_s
        )


def test_a_rating_of_one_task_type_counts_most_there():
    router = Router([model("m"), model("other", usd=0.9)])
    code, story = "Write a Python function to sort a list of numbers", "Tell me a bedtime story about a brave fox"
    before = [router.select(ask(text)).ranked for text in (code, story)]
    for _ in range(30):
        router.feedback(router.select(ask(code), model_names=["m"]), 0.0)
    after = [router.select(ask(text)).ranked for text in (code, story)]
    fell = [
        next(c.quality for c in was if c.model == "m") - next(c.quality for c in now if c.model == "m")
        for was, now in zip(before, after, strict=True)
    ]
    assert fell[0] > fell[1] > 0


def test_what_was_rated_long_ago_counts_less():
    router = Router([model("m")])
    for score in [0.0] * 300 + [1.0] * 300:
        router.feedback(router.select(ask()), score)
    assert router.select(ask()).pick.quality > 0.6


def test_a_response_is_rated_by_the_decision_it_carries():
    router = Router(THREE)
    response = ChatResponse("large", "4", "acme", Usage(), decision=router.select(ask()), model_id="large")
    before = router.expected_quality(["Hello"])[0][2]
    router.feedback(response, 0.0)
    assert router.expected_quality(["Hello"])[0][2] < before
    router.feedback(ChatResponse("small", "4", "acme", Usage()), 1.0)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), "good", True])
def test_a_rating_that_is_no_number_from_0_to_1_is_an_error(score: Any):
    router = Router(THREE)
    with pytest.raises(InvalidRequestError, match="score"):
        router.feedback(router.select(ask()), score)


def test_a_rating_of_a_model_nobody_knows_is_an_error():
    with pytest.raises(UnknownModelError, match="'gone'"):
        Router(THREE).feedback(ChatResponse("gone", "", "acme", Usage()), 1.0)


def test_exploration_is_off_and_never_more_than_two_percent():
    assert {Router(THREE).select(ask()).propensity} == {1.0}
    with pytest.raises(InvalidRequestError, match="explore"):
        Router(THREE, explore=0.03)


def test_exploration_tries_another_good_model_now_and_then_and_logs_how_likely_that_was():
    worse = model("worse", usd=20.0, ability=-3.0, tokens_per_s=1.0)
    router = Router([*THREE, worse], explore=0.02, random=Random(1))
    usual = Router([*THREE, worse]).select(ask()).model
    decisions = [router.select(ask()) for _ in range(2000)]
    tried = [d for d in decisions if d.model != usual]
    assert 15 <= len(tried) <= 70
    assert {d.propensity for d in tried} == {0.01}
    assert {d.propensity for d in decisions if d.model == usual} == {0.98}
    assert "worse" not in {d.model for d in tried}


def test_measured_speed_replaces_the_catalogues_and_fades():
    clock = Clock()
    router = Router([SMALL], clock=clock)
    catalogue = router.select(ask()).pick.latency_s
    assert catalogue is not None
    for _ in range(30):
        router.observe("small", output_tokens=100, ttft_s=5.0, total_s=15.0)
    slow = router.select(ask()).pick.latency_s
    assert slow is not None
    assert slow > 5 * catalogue
    clock.now += 24 * 3600
    assert router.select(ask()).pick.latency_s == pytest.approx(catalogue, rel=0.05)


def test_speed_is_learned_for_a_model_nobody_had_measured():
    router = Router([model("m", tokens_per_s=None)])
    assert router.select(ask()).pick.latency_s is None
    router.observe("m", output_tokens=100, total_s=2.0)
    learned = router.select(ask()).pick.latency_s
    assert learned is not None
    assert learned > 0


def test_the_length_of_a_models_answers_is_learned():
    router = Router([SMALL])
    before = router.select(ask()).pick.cost_usd
    for _ in range(20):
        router.observe("small", output_tokens=4000, request=request())
    after = router.select(ask()).pick.cost_usd
    assert before is not None
    assert after is not None
    assert after > 2 * before


def test_the_token_estimate_is_calibrated_by_what_providers_report():
    router = Router([SMALL])
    asked = ask("word " * 2000)
    before = router.select(asked, max_tokens=1).pick.cost_usd
    for _ in range(50):
        router.observe("small", input_tokens=4000, output_tokens=1, request=request("word " * 1600))
    after = router.select(asked, max_tokens=1).pick.cost_usd
    assert before is not None
    assert after is not None
    assert 1.7 < after / before < 2.1


def test_an_unknown_model_teaches_nothing():
    router = Router([SMALL])
    before = router.select(ask())
    router.observe("gone", output_tokens=100, total_s=2.0)
    assert router.select(ask()) == before


def test_ratings_survive_saving_and_loading(tmp_path: Path):
    router = Router(THREE)
    for _ in range(20):
        router.feedback(router.select(ask(), rel_accuracy=1, rel_cost=0), 0.1)
    router.save(tmp_path / "router.json")
    loaded = Router.load(tmp_path / "router.json", THREE)
    assert loaded.select(ask(), verbose=True) == router.select(ask(), verbose=True)
    assert loaded.select(ask()).policy == "prior-1+ratings"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "fit": {}, "feedback": {}}', "\x80"])
def test_a_file_that_is_no_router_is_an_error(tmp_path: Path, text: str):
    path = tmp_path / "router.json"
    path.write_text(text, "latin-1")
    with pytest.raises(InvalidRequestError, match=r"router\.json"):
        Router.load(path, THREE)


def test_a_router_learns_and_chooses_in_many_threads_at_once():
    router = Router(THREE)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                decision = router.select(ask())
                router.feedback(decision, 0.5)
                router.observe(decision.model, output_tokens=10, total_s=0.1, request=request())
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert router.select(ask()).ranked[0].model in {"small", "middle", "large"}


def test_two_routers_share_nothing():
    one, other = Router([LARGE]), Router([LARGE])
    one.feedback(one.select(ask()), 0.0)
    assert other.select(ask()).pick.quality > one.select(ask()).pick.quality
