"""The doubles for users' own tests do what their page says."""

from __future__ import annotations

import pytest

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import AuthenticationError, StreamInterruptedError, TransportError
from omnilabs.router import Router
from omnilabs.testing import AsyncScriptedTransport, FakeClock, ScriptedTransport, completion, failure
from omnilabs.types import ModelInfo, Speed

HELLO = [{"role": "user", "content": "Hi"}]
OPENAI = {"openai": {"api_key": "sk-never-recorded"}}
PIECE = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'


def test_a_script_is_played_in_order_and_what_was_asked_is_recorded_without_its_key():
    transport = ScriptedTransport([failure(503, retry_after="0"), completion("Hello!")])
    answer = OmniClient(providers=OPENAI, transport=transport).chat(HELLO, "gpt-4o-mini")
    assert (answer.content, [attempt.status for attempt in answer.attempts]) == ("Hello!", [503])
    assert [request.json["messages"] for request in transport.requests] == [HELLO, HELLO]
    assert "sk-never-recorded" not in repr(transport.requests)


async def test_the_asyncio_script_plays_answers_failures_and_streams_that_break():
    broken = [PIECE, TransportError("reset", phase="body")]
    transport = AsyncScriptedTransport([completion("Hello!"), failure(401), broken])
    client = AsyncOmniClient(providers=OPENAI, transport=transport)
    assert (await client.chat(HELLO, "gpt-4o-mini")).content == "Hello!"
    with pytest.raises(AuthenticationError):
        await client.chat(HELLO, "gpt-4o-mini")
    stream = await client.chat(HELLO, "gpt-4o-mini", stream=True)
    with pytest.raises(StreamInterruptedError) as caught:
        [chunk async for chunk in stream]
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Hel"


def test_a_script_that_is_too_short_says_so():
    with pytest.raises(AssertionError, match="no reply for request 1"):
        OmniClient(providers=OPENAI, transport=ScriptedTransport([])).chat(HELLO, "gpt-4o-mini")


def test_what_a_router_learned_fades_as_the_clock_moves():
    clock = FakeClock()
    router = Router([ModelInfo("m", "openai", speed=Speed(1.0, 100.0))], clock=clock)

    def expected_s() -> float:
        latency_s = router.select(HELLO).ranked[0].latency_s
        assert latency_s is not None
        return latency_s

    before = expected_s()
    for _ in range(20):
        router.observe("m", output_tokens=100, ttft_s=30.0, total_s=40.0)
    learned = expected_s()
    clock.move(24 * 3600)
    assert learned > before + 10
    assert expected_s() == pytest.approx(before, abs=1.0)
