"""What the client does with what just failed: it chooses others, tries again in time, and never refuses a name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import QUESTION, failure, providers
from faultserver import ANSWER, Act, FaultServer, Seen, delta, obliging, stream, whole
from router.pools import model as model_of

from omnilabs import AsyncOmniClient
from omnilabs.errors import AllCandidatesFailedError, NoEligibleModelError, ServerError

if TYPE_CHECKING:
    from conftest import Omni

AT_ONCE = {"retry-after-ms": "0"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def pool(*names: str) -> list[Any]:
    """Return models, best first."""
    return [model_of(name, provider="local", ability=3.0 - 2 * place) for place, name in enumerate(names)]


def failing(names: set[str], act: Act) -> Callable[[Seen], Act]:
    """Fail these models until they are taken out of the set."""
    return lambda request: act if request.json["model"] in names else obliging(request)


def client_of(omni: Omni, server: FaultServer, *names: str, **options: Any) -> Any:
    return omni.client(providers=providers(server, api_key="test-key"), models=pool(*names), **options)


def best(client: Any) -> Any:
    return client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0)


def test_who_failed_three_times_is_not_chosen_again(omni: Omni, server: FaultServer):
    server.answer = failing({"best"}, whole(500, {}, AT_ONCE))
    client = client_of(omni, server, "best", "next")
    assert best(client).model_id == "next"
    asked = len(server.requests)
    assert asked == 4  # three attempts, then the fallback
    answer = best(client)
    assert answer.model_id == "next"
    assert answer.attempts == ()
    assert len(server.requests) == asked + 1
    assert "ServerError 3 times in a row; to be tried again in" in answer.decision.rejected["best"]
    assert client.select(QUESTION).rejected.keys() == {"best"}


def test_who_failed_is_asked_all_the_same_when_named(omni: Omni, server: FaultServer):
    down = {"best"}
    server.answer = failing(down, whole(500, {}, AT_ONCE))
    client = client_of(omni, server, "best", "next")
    assert type(failure(lambda: client.chat(QUESTION, "best"))) is ServerError
    down.clear()
    assert client.chat(QUESTION, "best").content == ANSWER
    assert best(client).model_id == "best"  # which closed the circuit


def test_a_rate_limit_rests_the_model_for_as_long_as_it_says(omni: Omni, server: FaultServer):
    down = {"best"}
    server.answer = failing(down, whole(429, {}, {"retry-after": "0.4"}))
    client = client_of(omni, server, "best", "next", max_retries=0)
    assert best(client).model_id == "next"
    begun = time.monotonic()
    down.clear()
    assert best(client).model_id == "next"
    time.sleep(max(0.0, 0.45 - (time.monotonic() - begun)))
    assert best(client).model_id == "best"


def test_a_refused_key_rests_all_its_models_and_no_others(omni: Omni, server: FaultServer):
    with FaultServer() as healthy:
        server.answer = lambda request: whole(401, {})
        both = {"local": {"base_url": server.url, "api_key": "dead-key-1"}, "other": {"base_url": healthy.url}}
        models = [*pool("a", "b"), model_of("c", provider="other", ability=-3.0)]
        client = omni.client(providers=both, models=models)
        assert best(client).model_id == "c"
        answer = best(client)
        assert answer.attempts == ()
        assert set(answer.decision.rejected) == {"a", "b"}


def test_when_everything_rests_the_one_due_first_is_tried(omni: Omni, server: FaultServer):
    waits = {"a": "50", "b": "20", "c": "40"}
    down = set(waits)
    server.answer = lambda request: (
        whole(429, {}, {"retry-after": waits[request.json["model"]]})
        if request.json["model"] in down
        else obliging(request)
    )
    client = client_of(omni, server, *waits, max_retries=0)
    assert type(failure(lambda: best(client))) is AllCandidatesFailedError
    server.requests.clear()
    error = failure(lambda: best(client))
    assert [request.json["model"] for request in server.requests] == ["b"]
    assert error.retry_after_s == 20
    down.clear()
    answer = best(client)
    assert answer.model_id == "b"
    assert answer.decision.rejected["a"] == "another model is due earlier"


def test_while_everything_rests_a_request_no_model_can_take_is_still_refused(omni: Omni, server: FaultServer):
    server.answer = lambda request: whole(429, {}, {"retry-after": "50"})
    client = client_of(omni, server, "a", "b", max_retries=0)
    failure(lambda: best(client))
    server.requests.clear()
    error = failure(
        lambda: client.smart_select([{"role": "user", "content": [{"type": "image", "url": "http://x/y"}]}])
    )
    assert type(error) is NoEligibleModelError
    assert server.requests == []


@pytest.mark.parametrize("act", [stream(delta("Half")), stream(delta("Half"), ends=False, then="reset")])
def test_streams_that_break_count_as_failures(omni: Omni, server: FaultServer, act: Act):
    server.answer = failing({"best"}, act)
    client = client_of(omni, server, "best", "next")
    for _ in range(3):
        failure(lambda: _read(client))
    assert best(client).model_id == "next"


def _read(client: Any) -> Any:
    answer = client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0, stream=True)
    for _ in answer:
        pass
    return answer.response


def test_bad_requests_and_streams_left_early_are_nobodys_failure(omni: Omni, server: FaultServer):
    client = client_of(omni, server, "best", "next")
    server.answer = lambda request: whole(400, {"error": {"message": "no"}})
    for _ in range(5):
        failure(lambda: client.chat(QUESTION, "best"))
    server.answer = lambda request: stream(*map(delta, "abc"), ends=False, then="hold")
    for _ in range(5):
        answer = client.chat(QUESTION, "best", stream=True)
        next(iter(answer))
        answer.close()
    server.answer = obliging
    assert best(client).model_id == "best"


def test_a_probe_under_way_keeps_others_away(server: FaultServer):
    down = {"best"}
    server.answer = failing(down, whole(429, {}, {"retry-after-ms": "100"}))

    async def main() -> list[str]:
        async with AsyncOmniClient(
            providers=providers(server, api_key="test-key"), models=pool("best", "next"), max_retries=0
        ) as client:
            await client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0)
            await asyncio.sleep(0.15)
            down.clear()
            server.answer = lambda request: Act(obliging(request).pieces, first_s=0.2)
            calls = [asyncio.create_task(client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0))]
            await asyncio.sleep(0.1)
            calls += [asyncio.create_task(client.smart_select(QUESTION, rel_accuracy=1.0)) for _ in range(3)]
            return [str((await call).model_id) for call in calls]

    assert asyncio.run(main()) == ["best", "next", "next", "next"]


def test_a_cancelled_probe_lets_the_next_call_try(server: FaultServer):
    down = {"best"}
    server.answer = failing(down, whole(429, {}, {"retry-after-ms": "100"}))

    async def main() -> str | None:
        async with AsyncOmniClient(
            providers=providers(server, api_key="test-key"), models=pool("best", "next"), max_retries=0
        ) as client:
            await client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0)
            await asyncio.sleep(0.15)
            down.clear()
            server.answer = lambda request: Act(then="hold")
            probe = asyncio.create_task(client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0))
            await asyncio.sleep(0.1)
            probe.cancel()
            await asyncio.wait([probe])
            server.answer = obliging
            answer = await client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0)
            return answer.model_id

    assert asyncio.run(main()) == "best"


def test_one_refused_key_is_told_at_warning(omni: Omni, server: FaultServer, caplog: pytest.LogCaptureFixture):
    server.answer = failing({"best"}, whole(401, {"error": {"message": "who are you"}}))
    assert best(client_of(omni, server, "best", "next", max_retries=0)).attempts[0].error_type == "AuthenticationError"
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.name == "omnilabs"
    assert "who are you" in record.message
