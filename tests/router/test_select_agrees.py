"""The router by itself and a client's own `select` decide alike."""

from typing import Any

from router.pools import THREE, ask

from omnilabs import OmniClient
from omnilabs.router import Router


def test_a_client_and_its_router_give_equal_decisions():
    every: list[dict[str, Any]] = [{}, {"rel_accuracy": 0.9, "rel_cost": 0.1}, {"rel_latency": 0.5}]
    with OmniClient(mode="sandbox", models=list(THREE)) as client:
        for weights in every:
            decided = client.select(ask("Write a haiku about the sea"), verbose=True, **weights)
            assert decided == Router(THREE).select(ask("Write a haiku about the sea"), verbose=True, **weights)


def test_learning_about_one_prompt_is_seen_by_the_client():
    router = Router(THREE)
    with OmniClient(mode="sandbox", router=router) as client:
        asked: dict[str, Any] = {"rel_accuracy": 1.0, "rel_cost": 0.0}
        before = client.select(ask(), **asked)
        router.feedback(before, 0.0)
        assert before.model == "large"
        assert client.select(ask(), **asked).pick.quality < before.pick.quality
