"""The cost callback, and the served model in LangSmith's traces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tracers.context import collect_runs
from loopback import Reply, events

from langchain_omni import ChatOmni, ModelCost, OmniCostCallbackHandler, OmniLLM, get_omni_cost_callback
from omnilabs import OmniClient
from omnilabs.errors import StreamInterruptedError

both_models = pytest.mark.parametrize("make", [ChatOmni, OmniLLM])


def broken() -> Reply:
    """Return a stream that breaks off."""
    head = {"id": "1", "model": "gpt-4o-2026-01-01", "object": "chat.completion.chunk"}
    delta = {"index": 0, "delta": {"content": "half an ans"}, "finish_reason": None}
    return events({**head, "choices": [delta]}, breaks=True)


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


def test_of_a_text_models_answer_from_the_cache_nothing_is_told(served: dict[str, Any]):
    llm = OmniLLM(model="gpt-4o", cache=InMemoryCache(), **served)
    with get_omni_cost_callback() as cost:
        llm.invoke("hi")
        llm.invoke("hi")
    assert (cost.total.calls, cost.total.cached_calls) == (1, 0)


async def _ask(model: Any, way: str) -> None:
    match way:
        case "stream":
            list(model.stream("hi"))
        case "astream":
            [_ async for _ in model.astream("hi")]
        case "invoke":
            model.invoke("hi")
        case _:
            await model.ainvoke("hi")


@both_models
@pytest.mark.parametrize("way", ["stream", "astream", "invoke", "ainvoke"])
async def test_an_answer_that_breaks_off_counts_by_its_estimate(
    make: Any, way: str, chat_server: ChatServer, served: dict[str, Any]
):
    chat_server.script(broken())
    client = OmniClient(**served)
    model = make(model="gpt-4o", streaming=True, client=client)
    with get_omni_cost_callback() as cost, pytest.raises(StreamInterruptedError) as caught:
        await _ask(model, way)
    partial = caught.value.partial
    assert partial is not None
    assert list(cost.by_model) == ["gpt-4o-2026-01-01"]
    assert (cost.total.calls, cost.total.broken_calls, cost.total.unpriced_calls) == (1, 1, 0)
    assert cost.total.cost_usd == partial.usage.total_cost
    assert cost.total.output_tokens == partial.usage.output_tokens
    assert (cost.total.input_tokens, cost.total.cost_usd > 0) == (partial.usage.input_tokens, True)


def test_an_answer_that_breaks_off_counts_its_selection_too(chat_server: ChatServer, served: dict[str, Any]):
    chat_server.script(broken())
    with get_omni_cost_callback() as cost, pytest.raises(StreamInterruptedError):
        list(ChatOmni(model="auto", **served).stream("hi"))
    assert cost.total.select_ms > 0


def test_an_answer_that_breaks_off_without_a_price_is_unpriced():
    with get_omni_cost_callback() as cost, pytest.raises(StreamInterruptedError):
        list(ChatOmni(model="sandbox/broken-stream", mode="sandbox").stream("hi"))
    assert (cost.total.broken_calls, cost.total.unpriced_calls, cost.total.cost_usd) == (1, 1, 0.0)
    assert cost.total.output_tokens > 0


def test_an_error_that_every_run_of_a_batch_is_told_counts_once(chat_server: ChatServer, served: dict[str, Any]):
    chat_server.script(broken())
    with get_omni_cost_callback() as outer, get_omni_cost_callback() as inner, pytest.raises(StreamInterruptedError):
        OmniLLM(model="gpt-4o", streaming=True, **served).batch(["one", "two", "three"])
    assert inner.total.calls == outer.total.calls == inner.total.broken_calls == 1


def test_a_failure_before_the_answer_costs_nothing(chat_server: ChatServer, model: ChatOmni):
    chat_server.script(Reply(400, {"error": {"message": "no"}}))
    with get_omni_cost_callback() as cost, pytest.raises(Exception, match="no"):
        model.invoke("hi")
    cost.on_llm_error(ZeroDivisionError())
    assert cost.total == ModelCost()


@both_models
def test_a_stream_left_early_is_in_the_clients_ledger_alone(make: Any, served: dict[str, Any]):
    """Holds what the docstring says of LangChain."""
    client = OmniClient(**served)
    with get_omni_cost_callback() as cost:
        stream = make(model="gpt-4o", client=client).stream("Tell me about the sea.")
        next(stream)
        stream.close()
    assert cost.total == ModelCost()
    assert client.spend.calls == 1
    assert client.spend.cost_usd > 0


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


def test_a_block_within_a_step_of_a_run_counts_once_for_both(model: ChatOmni):
    inner: list[int] = []

    def step(text: str) -> str:
        with get_omni_cost_callback() as cost:
            answer = model.invoke(text).text
        inner.append(cost.total.calls)
        return answer

    with get_omni_cost_callback() as outer:
        RunnableLambda(step).invoke("hi")
    assert (outer.total.calls, inner) == (1, [1])


async def test_a_block_reaches_wherever_its_context_is_copied(model: ChatOmni):
    with get_omni_cost_callback() as cost:
        model.batch(["hi"] * 3)
        RunnableParallel(one=model, two=model).invoke("hi")
        await RunnableParallel(one=model, two=model).ainvoke("hi")
        await asyncio.create_task(model.ainvoke("hi"))
        await asyncio.to_thread(model.invoke, "hi")
        await asyncio.to_thread(model.invoke, "hi", {"callbacks": [cost]})
    assert cost.total.calls == 10


async def _in_a_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


async def _in_a_pool(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


async def _in_the_loops_executor(call: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


@pytest.mark.parametrize("run", [_in_a_thread, _in_a_pool, _in_the_loops_executor])
async def test_where_no_context_is_copied_the_handler_is_passed(run: Any, model: ChatOmni):
    with get_omni_cost_callback() as cost:
        await run(lambda: model.invoke("hi"))
        assert cost.total.calls == 0
        await run(lambda: model.invoke("hi", {"callbacks": [cost]}))
    assert cost.total.calls == 1


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
