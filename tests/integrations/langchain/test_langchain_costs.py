"""The cost callback, and the served model in LangSmith's traces."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tracers.context import collect_runs

from langchain_omni import ChatOmni, ModelCost, OmniCostCallbackHandler, get_omni_cost_callback


@pytest.fixture
def model(served: dict[str, Any]) -> ChatOmni:
    return ChatOmni(model="gpt-4o", **served)


def cost_of(answer: AIMessage) -> float:
    cost: float = answer.response_metadata["cost"]
    return cost


async def test_every_way_to_ask_is_counted_once(model: ChatOmni):
    with get_omni_cost_callback() as cost:
        one = model.invoke("hi")
        await model.ainvoke("hi")
        list(model.stream("hi"))
        [_ async for _ in model.astream("hi")]
        model.batch(["hi"] * 5)
        await model.abatch(["hi"] * 5)
    assert list(cost.by_model) == ["gpt-4o-2026-01-01"]
    assert cost.total.calls == 14
    assert cost.total.cost_usd == pytest.approx(14 * cost_of(one))
    assert one.usage_metadata is not None
    assert cost.total.input_tokens == 14 * one.usage_metadata["input_tokens"]
    model.invoke("hi")
    assert cost.total.calls == 14


def test_models_are_counted_apart_and_selection_time_too(served: dict[str, Any]):
    with get_omni_cost_callback() as cost:
        auto = ChatOmni(model="auto", **served).invoke("hi")
        ChatOmni(model="gpt-4o-mini", **served).invoke("hi")
    chosen = cost.by_model[auto.response_metadata["model_name"]]
    assert chosen.select_ms == auto.response_metadata["omni"]["decision"]["select_ms"] > 0
    assert cost.by_model["gpt-4o-mini-2026-01-01"].select_ms == 0


def test_an_answer_from_the_cache_costs_nothing(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", cache=InMemoryCache(), **served)
    with get_omni_cost_callback() as cost:
        first = model.invoke("hi")
        model.invoke("hi")
    assert (cost.total.calls, cost.total.cached_calls) == (2, 1)
    assert cost.total.cost_usd == cost_of(first)


def test_an_unknown_price_is_counted_as_unknown(chat_server: ChatServer):
    with get_omni_cost_callback() as cost:
        ChatOmni(model="local/tiny", providers={"local": {"base_url": chat_server.url}}).invoke("hi")
    assert (cost.total.calls, cost.total.unpriced_calls, cost.total.cost_usd) == (1, 1, 0.0)


def test_other_integrations_are_left_alone():
    with get_omni_cost_callback() as cost:
        GenericFakeChatModel(messages=iter([AIMessage("x")])).invoke("hi")
    assert cost.total == ModelCost()


def test_a_block_within_a_block_counts_for_both(model: ChatOmni):
    with get_omni_cost_callback() as outer:
        model.invoke("hi")
        with get_omni_cost_callback() as inner:
            model.invoke("hi")
    assert (outer.total.calls, inner.total.calls) == (2, 1)


def test_threads_and_tasks_count_into_one_handler(model: ChatOmni):
    handler = OmniCostCallbackHandler()
    config: Any = {"callbacks": [handler]}
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(model.invoke, "hi", config) for _ in range(40)]:
            future.result()

    async def tasks() -> None:
        await asyncio.gather(*(model.ainvoke("hi", config) for _ in range(40)))

    asyncio.run(tasks())
    assert handler.total.calls == 80


def test_two_blocks_in_two_contexts_do_not_mix(model: ChatOmni):
    def own() -> int:
        with get_omni_cost_callback() as cost:
            model.invoke("hi")
            return cost.total.calls

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: copy_context().run(own), range(8))) == [1] * 8


def test_langchains_own_usage_callback_counts_the_second_call_too(model: ChatOmni):
    with get_usage_metadata_callback() as usage:
        first = model.invoke("hi")
        model.invoke("hi")
        list(model.stream("hi"))
    assert first.usage_metadata is not None
    assert usage.usage_metadata["gpt-4o-2026-01-01"]["input_tokens"] == 3 * first.usage_metadata["input_tokens"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shown", [False, True])
def test_langsmith_shows_the_served_model_if_asked_to(served: dict[str, Any], stream: bool, shown: bool):
    """Holds the private contract: it fails when a newer langchain-core reads the served model from elsewhere."""
    model = ChatOmni(model="auto", langsmith_model=shown, **served)
    answer: Any = None
    with collect_runs() as runs:
        for chunk in model.stream("hi") if stream else [model.invoke("hi")]:
            answer = chunk if answer is None else answer + chunk
    (run,) = runs.traced_runs
    metadata = (run.extra or {})["metadata"]
    expected = (answer.response_metadata["model_name"], "openai") if shown else ("auto", "omni")
    assert (metadata["ls_model_name"], metadata["ls_provider"]) == expected
    assert "lc_gateway_metadata" not in answer.response_metadata
