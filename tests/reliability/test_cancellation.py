"""Who leaves a call closes its connection: the server sees it go within a second, and nobody is blamed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import MODEL, QUESTION, ask, providers
from faultserver import ANSWER, Act, FaultServer, delta, head, obliging, stream
from judges.scenarios import BY_SCHEMA

from omnilabs import AsyncChatStream, AsyncOmniClient, OmniClient
from omnilabs.types import Capabilities, ModelInfo, Price

if TYPE_CHECKING:
    from conftest import Omni

ENDLESS = stream(*[delta("x")] * 3, ends=False, then="hold")
SILENT = Act(then="hold")
HALF_A_BODY = Act((head(200, 1000) + b'{"id"',), then="hold")
HALF_A_STREAM = stream(b": not yet\n\n", ends=False, then="hold")
WITHIN_S = 1.0


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def left_in_time(server: FaultServer, since: float) -> bool:
    """Whether the server sees the client go within a second of `since`."""
    return server.wait_for(lambda: server.open_connections == 0, WITHIN_S - (time.monotonic() - since))


def _leave_the_loop(client: Any) -> None:
    for _ in client.chat(QUESTION, MODEL, stream=True):
        break


def _close(client: Any) -> None:
    answer = client.chat(QUESTION, MODEL, stream=True)
    next(iter(answer))
    answer.close()


def _raise_in_the_loop(client: Any) -> None:
    def work() -> None:
        for _ in client.chat(QUESTION, MODEL, stream=True):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def _never_read(client: Any) -> None:
    client.chat(QUESTION, MODEL, stream=True)


def _with_block(client: Any) -> None:
    with client.chat(QUESTION, MODEL, stream=True) as answer:
        next(answer)


@pytest.mark.parametrize("leave", [_leave_the_loop, _close, _raise_in_the_loop, _never_read, _with_block])
def test_a_stream_that_is_left_gives_its_connection_up(server: FaultServer, leave: Callable[[Any], None]):
    server.answer = lambda request: ENDLESS
    with OmniClient(providers=providers(server)) as client:
        leave(client)
        assert left_in_time(server, time.monotonic())
        assert client.spend.calls == 1  # what had arrived is paid for


async def _aleave_the_loop(client: Any) -> None:
    async for _ in await client.chat(QUESTION, MODEL, stream=True):
        break


async def _aclose(client: Any) -> None:
    answer = await client.chat(QUESTION, MODEL, stream=True)
    await anext(answer)
    await answer.aclose()


async def _araise_in_the_loop(client: Any) -> None:
    async def work() -> None:
        async for _ in await client.chat(QUESTION, MODEL, stream=True):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()


async def _anever_read(client: Any) -> None:
    await client.chat(QUESTION, MODEL, stream=True)


async def _awith_block(client: Any) -> None:
    async with await client.chat(QUESTION, MODEL, stream=True) as answer:
        await anext(answer)


@pytest.mark.parametrize("leave", [_aleave_the_loop, _aclose, _araise_in_the_loop, _anever_read, _awith_block])
async def test_an_asyncio_stream_that_is_left_gives_its_connection_up(
    server: FaultServer, leave: Any, caplog: pytest.LogCaptureFixture
):
    server.answer = lambda request: ENDLESS
    async with AsyncOmniClient(providers=providers(server)) as client:
        await leave(client)
        begun = time.monotonic()
        while server.open_connections and time.monotonic() - begun < WITHIN_S:
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        assert client.spend.calls == 1
    gc.collect()
    assert caplog.records == []  # the event loop had nothing to complain about


WAITS = {
    "for the headers": (SILENT, False),
    "for the body": (HALF_A_BODY, False),
    "for the first piece": (HALF_A_STREAM, True),
    "for the next piece": (ENDLESS, True),
}


@pytest.mark.parametrize(("act", "streamed"), WAITS.values(), ids=WAITS)
async def test_a_cancelled_task_gives_its_connection_up(server: FaultServer, act: Act, streamed: bool):
    server.answer = lambda request: act
    async with AsyncOmniClient(providers=providers(server)) as client:

        async def work() -> None:
            answer = await client.chat(QUESTION, MODEL, stream=streamed)
            if streamed:
                assert isinstance(answer, AsyncChatStream)
                async for _ in answer:
                    pass

        task = asyncio.create_task(work())
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while server.open_connections and time.monotonic() - begun < WITHIN_S:
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        assert len(server.requests) == 1
        await _answers_again(client, server)


async def test_a_task_cancelled_while_text_is_held_back_pays_for_it(server: FaultServer):
    server.answer = lambda request: ENDLESS
    model = ModelInfo("deepseek/m", "deepseek", "m", capabilities=Capabilities(), price=Price(Decimal(1), Decimal(2)))
    there = {"deepseek": {"base_url": server.url, "api_key": "k"}}
    async with AsyncOmniClient(providers=there, models=[model]) as client:

        async def work() -> None:
            stream = await client.chat(QUESTION, "deepseek/m", stream=True, response_format=BY_SCHEMA)
            async for _ in stream:
                pytest.fail("nothing says yet whether it is the answer")

        task = asyncio.create_task(work())
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.spend.cost_usd > 0


@pytest.mark.parametrize(("act", "streamed"), WAITS.values(), ids=WAITS)
async def test_a_timeout_of_the_application_gives_the_connection_up(server: FaultServer, act: Act, streamed: bool):
    server.answer = lambda request: act
    async with AsyncOmniClient(providers=providers(server)) as client:

        async def work() -> None:
            async with asyncio.timeout(0.2):
                answer = await client.chat(QUESTION, MODEL, stream=streamed)
                assert isinstance(answer, AsyncChatStream)
                async for _ in answer:
                    pass

        with pytest.raises(TimeoutError):
            await work()
        begun = time.monotonic()
        while server.open_connections and time.monotonic() - begun < WITHIN_S:
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        await _answers_again(client, server)


async def _answers_again(client: AsyncOmniClient, server: FaultServer) -> None:
    """The client works on, and holds nothing against the server."""
    server.answer = obliging
    assert (await client.chat(QUESTION, MODEL)).content == ANSWER
    assert all(line.failed_attempts == 0 for line in client.spend.by_model.values())


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("act", "streamed"), WAITS.values(), ids=WAITS)
def test_ctrl_c_gives_the_connection_up(server: FaultServer, act: Act, streamed: bool):
    server.answer = lambda request: act

    def interrupt() -> None:
        server.wait_for(lambda: bool(server.requests))
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with OmniClient(providers=providers(server)) as client:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            ask(client, streamed=streamed)
        begun = time.monotonic()
        thread.join()
        assert left_in_time(server, begun)
        server.answer = obliging
        assert ask(client, streamed=False).content == ANSWER


def test_a_stream_left_early_says_what_had_come_and_guesses_its_cost(omni: Omni, server: FaultServer):
    server.answer = lambda request: ENDLESS
    client = omni.client(providers=providers(server))
    answer = client.chat(QUESTION, MODEL, stream=True)
    pieces = iter(answer)
    assert [next(pieces).content, next(pieces).content] == ["x", "x"]
    answer.close()
    response = answer.response
    assert response.content.startswith("xx")
    assert response.finish_reason is None
    assert response.usage.is_estimated
    assert response.usage.output_tokens
    assert list(answer) == []


def test_a_cancelled_call_is_no_failure_of_the_model(server: FaultServer):
    server.answer = lambda request: SILENT

    async def main() -> None:
        async with AsyncOmniClient(providers=providers(server)) as client:
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.chat(QUESTION, MODEL), 0.05)
            target = client._core.target(client._core.resolve(MODEL))
            assert client._core.available(target.model) is None
            assert client.spend.calls == 0

    asyncio.run(main())
