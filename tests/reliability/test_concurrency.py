"""One client, many callers: a thousand at once, threads, event loops one after the other, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fault_kit import MODEL, QUESTION, providers
from faultserver import ANSWER, Act, FaultServer, Seen, completion, delta, head, stream, whole

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import OmniError

AT_ONCE = {"retry-after-ms": "0"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_resource_warning() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


class Roulette:
    """Answers each question with its own number, and fails one request in ten at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.answered: Counter[str] = Counter()

    def __call__(self, request: Seen) -> Act:
        question = request.json["messages"][0]["content"]
        streamed = bool(request.json.get("stream"))
        with self._lock:
            if self._random.random() < 0.1:
                return self._fault()
            self.answered[question] += 1
        if streamed:
            return stream(*map(delta, question), delta(finish="stop"), "[DONE]")
        return whole(200, completion(question))

    def _fault(self) -> Act:
        cut = head(200, 500) + b'{"choices": [{"mess'
        return self._random.choice(
            [
                whole(500, {"error": {"message": "boom"}}, AT_ONCE),
                whole(503, {"error": {"message": "busy"}}, AT_ONCE),
                whole(429, {"error": {"message": "slow"}}, AT_ONCE),
                whole(401, {"error": {"message": "who?"}}),
                Act(then="reset"),
                Act(then="close"),
                Act((cut,), then="close"),
                whole(200, b"<html>", AT_ONCE),
            ]
        )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_thousand_calls_at_once_end_in_an_answer_or_a_typed_error(server: FaultServer, streamed: bool):
    roulette = server.answer = Roulette(seed=20261123)

    async def ask(client: AsyncOmniClient, number: int) -> str | OmniError:
        messages = [{"role": "user", "content": f"q{number}"}]
        try:
            if not streamed:
                return (await client.chat(messages, MODEL)).content
            pieces = [chunk.content async for chunk in await client.chat(messages, MODEL, stream=True)]
            return "".join(pieces)
        except OmniError as error:
            return error

    async with AsyncOmniClient(providers=providers(server)) as client:
        ends = await asyncio.gather(*(ask(client, number) for number in range(1000)))
        spend = client.spend
    answers = {number: end for number, end in enumerate(ends) if isinstance(end, str)}
    errors = {number: end for number, end in enumerate(ends) if isinstance(end, OmniError)}
    assert len(answers) + len(errors) == 1000  # none is lost
    assert all(answer == f"q{number}" for number, answer in answers.items())  # none is another's
    assert roulette.answered == Counter(f"q{number}" for number in answers)  # none is answered twice
    assert {type(error).__name__ for error in errors.values()} >= {"AuthenticationError"}
    assert all(error.attempts for error in errors.values())
    assert 5 <= len(errors) <= 40  # every eightieth meets a refusal, which is not tried again
    assert spend.calls == len(answers)
    used = sum(line.failed_attempts for line in spend.by_model.values()) + len(answers)
    assert len(server.requests) == used  # every request is accounted for


async def test_no_more_connections_are_opened_than_allowed(server: FaultServer):
    most = 0
    lock = threading.Lock()

    def watch(request: Seen) -> Act:
        nonlocal most
        with lock:
            most = max(most, server.open_connections)
        return Act((head(200, body := b'{"choices": [{"message": {"content": "x"}}]}') + body,), first_s=0.01)

    server.answer = watch
    async with AsyncOmniClient(providers=providers(server), max_connections=7) as client:
        await asyncio.gather(*(client.chat(QUESTION, MODEL) for _ in range(70)))
    assert most == server.connections == 7


def test_threads_share_one_client(server: FaultServer):
    server.answer = lambda request: whole(200, completion(request.json["messages"][0]["content"]))
    with OmniClient(providers=providers(server)) as client:

        def ask(number: int) -> str:
            return client.chat([{"role": "user", "content": f"q{number}"}], MODEL).content

        with ThreadPoolExecutor(20) as pool:
            assert list(pool.map(ask, range(400))) == [f"q{number}" for number in range(400)]
        assert client.spend.calls == 400
    assert server.connections <= 20


def test_one_asyncio_client_serves_loop_after_loop(server: FaultServer):
    client = AsyncOmniClient(providers=providers(server))

    async def ask() -> str:
        return (await client.chat(QUESTION, MODEL)).content

    assert [asyncio.run(ask()) for _ in range(10)] == [ANSWER] * 10
    # Nobody closed the client: each loop closed its own connections when it ended.
    assert server.wait_for(lambda: server.open_connections == 0)
    assert server.connections == 10


def test_one_asyncio_client_serves_several_threads_with_a_loop_each(server: FaultServer):
    client = AsyncOmniClient(providers=providers(server))

    async def ask() -> list[str]:
        answers = await asyncio.gather(*(client.chat(QUESTION, MODEL) for _ in range(20)))
        await client.aclose()
        return [answer.content for answer in answers]

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda _: asyncio.run(ask()), range(16)))
    assert ends == [[ANSWER] * 20] * 16
    assert client.spend.calls == 320
    assert server.wait_for(lambda: server.open_connections == 0)


async def test_a_client_that_was_closed_works_again(server: FaultServer):
    client = AsyncOmniClient(providers=providers(server))
    await client.chat(QUESTION, MODEL)
    await client.aclose()
    await client.aclose()
    assert (await client.chat(QUESTION, MODEL)).content == ANSWER
    await client.aclose()
    with OmniClient(providers=providers(server)) as blocking:
        blocking.chat(QUESTION, MODEL)
        blocking.close()
        assert blocking.chat(QUESTION, MODEL).content == ANSWER


def _in_a_child(work: Any) -> int:
    """Run `work` in a forked child; return its exit code: 0 if it returned the answer."""
    with warnings.catch_warnings():
        # From Python 3.12 on: the server's threads are not there in the child, and it has no need of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() == ANSWER else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_opens_connections_of_its_own(server: FaultServer):
    with OmniClient(providers=providers(server)) as client:

        def ask() -> str:
            return client.chat(QUESTION, MODEL).content

        assert ask() == ANSWER
        assert _in_a_child(ask) == 0
        assert ask() == ANSWER
    first, childs, third = (request.connection for request in server.requests)
    assert first == third != childs  # the parent's connection was not touched


def test_a_forked_child_uses_an_asyncio_client_of_its_parent(server: FaultServer):
    client = AsyncOmniClient(providers=providers(server))

    async def main() -> str:
        return (await client.chat(QUESTION, MODEL)).content

    assert asyncio.run(main()) == ANSWER
    assert _in_a_child(lambda: asyncio.run(main())) == 0
    assert asyncio.run(main()) == ANSWER
    assert len(server.requests) == 3
