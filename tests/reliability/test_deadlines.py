"""Every phase of a call has its limit, and all attempts and fallbacks together have one more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import MODEL, QUESTION, ask, outcome, providers
from faultserver import ANSWER, Act, FaultServer, completion, delta, head, obliging, stream, whole
from router.pools import model as model_of

from omnilabs.errors import AllCandidatesFailedError, RateLimitError, RequestTimeoutError

if TYPE_CHECKING:
    from conftest import Omni

streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that lets a client connect and then never reads."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a server that lets nobody in: its queue of connections is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        for _ in range(4):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@streamed_or_not
def test_a_server_that_lets_nobody_in_is_given_up(omni: Omni, full: str, streamed: bool):
    client = omni.client(providers={"local": {"base_url": full}}, connect_timeout_s=0.3, max_retries=0)
    result = outcome(lambda: ask(client, streamed=streamed))
    assert type(result.error) is RequestTimeoutError
    assert (result.error.phase, result.error.maybe_billed, result.error.retryable) == ("connect", False, True)
    assert 0.25 <= result.seconds < 1.3


@streamed_or_not
def test_a_server_that_does_not_take_the_request_is_given_up(omni: Omni, deaf: str, streamed: bool):
    client = omni.client(providers={"local": {"base_url": deaf}}, first_byte_timeout_s=0.4, max_retries=0)
    large = [{"role": "user", "content": "x" * 30_000_000}]  # more than the sockets' buffers hold
    result = outcome(lambda: client.chat(large, MODEL, stream=streamed))
    assert type(result.error) is RequestTimeoutError
    assert (result.error.phase, result.error.maybe_billed) == ("send", False)
    assert result.seconds < 3


@streamed_or_not
def test_the_time_to_connect_counts_for_the_deadline(omni: Omni, full: str, streamed: bool):
    client = omni.client(providers={"local": {"base_url": full}}, timeout_s=0.4)
    result = outcome(lambda: ask(client, streamed=streamed))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "total"
    assert 0.3 <= result.seconds < 1.4


def test_a_body_that_stops_in_the_middle_is_given_up(omni: Omni, server: FaultServer):
    server.answer = lambda request: Act((head(200, 1000) + b'{"id"',), then="hold")
    client = omni.client(providers=providers(server), idle_timeout_s=0.3, max_retries=1)
    result = outcome(lambda: ask(client, streamed=False))
    assert type(result.error) is RequestTimeoutError
    assert (result.error.phase, result.error.maybe_billed, result.error.status) == ("idle", True, 200)
    assert len(server.requests) == 2
    assert 0.6 <= result.seconds < 2.5


@streamed_or_not
def test_a_calls_own_limit_goes_before_the_clients(omni: Omni, server: FaultServer, streamed: bool):
    server.answer = lambda request: Act(then="hold")
    client = omni.client(providers=providers(server), timeout_s=60)
    result = outcome(lambda: ask(client, streamed=streamed, timeout_s=0.3))
    assert type(result.error) is RequestTimeoutError
    assert 0.25 <= result.seconds < 1.3


@streamed_or_not
def test_the_deadline_covers_retries_and_fallbacks_together(omni: Omni, server: FaultServer, streamed: bool):
    server.answer = lambda request: Act(then="hold")
    models = [model_of(name, provider="local", ability=2.0) for name in ("a", "b", "c", "d")]
    client = omni.client(
        providers=providers(server), models=models, first_byte_timeout_s=0.25, timeout_s=0.7, max_retries=0
    )
    result = outcome(lambda: _select(client, streamed))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "total"
    assert 0.6 <= result.seconds < 1.5
    assert len({request.json["model"] for request in server.requests}) == 3
    assert len(result.error.attempts) == 3
    assert result.error.__cause__ is not None


def _select(client: Any, streamed: bool) -> Any:
    if not streamed:
        return client.smart_select(QUESTION)
    stream = client.smart_select(QUESTION, stream=True)
    for _ in stream:
        pass
    return stream.response


@streamed_or_not
def test_a_fallback_is_tried_at_once_instead_of_waiting(omni: Omni, server: FaultServer, streamed: bool):
    def answer(request: Any) -> Act:
        if request.json["model"] == "best":
            return whole(429, {"error": {"message": "tomorrow"}}, {"retry-after": "3600"})
        return obliging(request)

    server.answer = answer
    models = [model_of("best", provider="local", ability=3.0), model_of("next", provider="local", ability=0.0)]
    client = omni.client(providers=providers(server), models=models)
    result = outcome(lambda: _select(client, streamed))
    assert result.response is not None
    assert result.response.content == ANSWER
    assert result.response.model_id == "next"
    assert [attempt.model for attempt in result.response.attempts] == ["best"]
    assert [request.json["model"] for request in server.requests] == ["best", "next"]
    assert server.requests[1].at - server.requests[0].at < 1.0


def test_when_all_ask_for_time_the_shortest_is_told(omni: Omni, server: FaultServer):
    waits = {"a": "900", "b": "300"}
    server.answer = lambda request: whole(429, {}, {"retry-after": waits[request.json["model"]]})
    models = [model_of(name, provider="local") for name in waits]
    result = outcome(lambda: omni.client(providers=providers(server), models=models).smart_select(QUESTION))
    assert type(result.error) is AllCandidatesFailedError
    assert result.error.retry_after_s == 300
    assert [type(failure) for failure in result.error.failures] == [RateLimitError, RateLimitError]
    assert len(result.error.attempts) == len(server.requests) == 2


def test_the_deadline_ends_a_stream_that_goes_on_for_ever(omni: Omni, server: FaultServer):
    server.script(stream(*[delta("x")] * 500, gap_s=0.01))
    client = omni.client(providers=providers(server), timeout_s=0.5)
    result = outcome(lambda: ask(client, streamed=True))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "total"
    assert result.error.partial is not None
    assert set(result.error.partial.content) == {"x"}
    assert result.error.partial.usage.is_estimated
    assert 0.4 <= result.seconds < 1.2


def test_a_slow_answer_within_its_limits_is_an_answer(omni: Omni, server: FaultServer):
    body = b'{"choices": [{"message": {"content": "slow"}, "finish_reason": "stop"}]}'
    server.script(Act((head(200, body), *(bytes([byte]) for byte in body)), first_s=0.3, gap_s=0.005))
    client = omni.client(providers=providers(server), first_byte_timeout_s=1, idle_timeout_s=1, timeout_s=10)
    assert ask(client, streamed=False).content == "slow"


def test_without_a_deadline_the_other_limits_still_hold(omni: Omni, server: FaultServer):
    server.script(Act(then="hold"), whole(200, completion()))
    client = omni.client(providers=providers(server), timeout_s=None, first_byte_timeout_s=0.2, max_retries=1)
    assert ask(client, streamed=False).content == ANSWER
