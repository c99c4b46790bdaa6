"""Ten thousand calls and a thousand broken streams: file descriptors and memory stay flat, no socket is left open."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from fault_kit import MODEL, QUESTION, providers
from faultserver import ANSWER, Act, FaultServer, delta, stream, whole

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import OmniError

CALLS = 5_000  # of each kind of client
BROKEN = 600
AT_ONCE = {"retry-after-ms": "0"}
FLAT_OBJECTS = 300
"""What caches may grow by; an object left behind by every call would be thousands, by every broken stream hundreds."""
FLAT_BYTES = 16 * 2**20


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_resource_warning() -> Iterator[None]:
    """A socket the collector finds open is a failed test, whenever it finds it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Level:
    """How much the process holds, measured after a warm-up and again at the end."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self._open, self._objects, self._bytes = self._measure()

    def _measure(self) -> tuple[int, int, int]:
        self._server.requests.clear()
        self._server.gone_after_s.clear()
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return descriptors(), len(gc.get_objects()), pages * os.sysconf("SC_PAGE_SIZE")

    def assert_flat(self) -> None:
        """Compare with the beginning; the server's connections are this process's too."""
        assert self._server.wait_for(lambda: self._server.open_connections <= 1)
        opened, objects, held = self._measure()
        assert opened <= self._open + 2
        assert objects - self._objects < FLAT_OBJECTS
        assert held - self._bytes < FLAT_BYTES


def mixed(server: FaultServer) -> Callable[[Any], Act]:
    """Answer well nine times of ten, and fail once in a way that is tried again."""
    faults = cycle([whole(500, {}, AT_ONCE), whole(429, {}, AT_ONCE), Act(then="close"), Act(then="reset")])
    turn = cycle(range(10))
    good = whole(200, {"model": "m", "choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}]})
    return lambda request: next(faults) if next(turn) == 0 else good


BREAKS = (
    stream(delta("a"), ends=False, then="reset"),
    stream(delta("a"), ends=False, then="close"),
    stream(delta("a")),
    stream(delta("a"), b"data: {bad\n\n"),
    stream(delta("a"), {"error": {"message": "died", "code": 500}}),
    stream(*[delta("a")] * 50, ends=False, then="hold"),  # left early
)


def test_thousands_of_calls_leave_nothing_behind(server: FaultServer):
    server.answer = mixed(server)
    with OmniClient(providers=providers(server), max_retries=3) as client:

        def calls(times: int) -> None:
            for _ in range(times):
                assert client.chat(QUESTION, MODEL).content == ANSWER

        calls(200)
        level = Level(server)
        calls(CALLS)
        level.assert_flat()


def test_thousands_of_asyncio_calls_leave_nothing_behind(server: FaultServer):
    server.answer = mixed(server)

    async def main() -> None:
        async with AsyncOmniClient(providers=providers(server), max_retries=3, max_connections=1) as client:

            async def calls(times: int) -> None:
                for _ in range(times // 25):
                    answers = await asyncio.gather(*(client.chat(QUESTION, MODEL) for _ in range(25)))
                    assert [answer.content for answer in answers] == [ANSWER] * 25

            await calls(200)
            level = Level(server)
            await calls(CALLS)
            level.assert_flat()

    asyncio.run(main())


def test_hundreds_of_broken_streams_leave_nothing_behind(server: FaultServer):
    acts = cycle(BREAKS)
    server.answer = lambda request: next(acts)
    with OmniClient(providers=providers(server)) as client:

        def streams(times: int) -> int:
            failed = 0
            for _ in range(times):
                try:
                    for number, _ in enumerate(client.chat(QUESTION, MODEL, stream=True)):
                        if number == 2:
                            break
                except OmniError as error:
                    failed += error.partial is not None
            return failed

        streams(60)
        level = Level(server)
        assert streams(BROKEN) == BROKEN * 5 // 6
        level.assert_flat()


def test_hundreds_of_broken_asyncio_streams_leave_nothing_behind(server: FaultServer):
    acts = cycle(BREAKS)
    server.answer = lambda request: next(acts)

    async def main() -> None:
        async with AsyncOmniClient(providers=providers(server)) as client:

            async def streams(times: int) -> int:
                failed = 0
                for _ in range(times):
                    try:
                        number = 0
                        async for _ in await client.chat(QUESTION, MODEL, stream=True):
                            number += 1
                            if number == 3:
                                break
                    except OmniError as error:
                        failed += error.partial is not None
                await asyncio.sleep(0.05)
                return failed

            await streams(60)
            level = Level(server)
            assert await streams(BROKEN) == BROKEN * 5 // 6
            level.assert_flat()

    asyncio.run(main())


def test_many_clients_leave_nothing_behind(server: FaultServer):
    def use() -> None:
        with OmniClient(providers=providers(server)) as client:
            client.chat(QUESTION, MODEL)

    use()
    before = descriptors()
    for _ in range(50):
        use()
    assert server.wait_for(lambda: server.open_connections == 0)
    gc.collect()
    assert descriptors() <= before + 1
