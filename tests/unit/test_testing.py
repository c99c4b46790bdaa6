"""The doubles for users' own tests do what their page says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import AuthenticationError, OmniError, StreamInterruptedError, TransportError
from omnilabs.router import Router
from omnilabs.testing import AsyncScriptedTransport, FakeClock, Reply, ScriptedTransport, completion, failure
from omnilabs.types import ModelInfo, Speed

if TYPE_CHECKING:
    from conftest import Omni

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
    broken: list[bytes | OmniError] = [PIECE, TransportError("reset", phase="body")]
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


WHOLE_STREAM = [
    PIECE,
    b'data: {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


def scripted(omni: Omni, *replies: Reply) -> Any:
    """Return a client of either kind that plays these."""
    kind = ScriptedTransport if omni.mode == "sync" else AsyncScriptedTransport
    return omni.client(providers=OPENAI, transport=kind(replies), max_retries=0)


def test_either_script_plays_a_stream(omni: Omni):
    stream = scripted(omni, WHOLE_STREAM).chat(HELLO, "gpt-4o-mini", stream=True)
    assert "".join(chunk.content for chunk in stream) == "Hello" == stream.response.content


def test_either_script_answers_a_stream_with_a_whole_answer_or_a_failure(omni: Omni):
    client = scripted(omni, completion("Hello!"), failure(401), TransportError("no way", phase="connect"))
    stream = client.chat(HELLO, "gpt-4o-mini", stream=True)
    assert [chunk.content for chunk in stream if chunk.content] == ["Hello!"]
    with pytest.raises(AuthenticationError):
        client.chat(HELLO, "gpt-4o-mini", stream=True)
    with pytest.raises(TransportError, match="no way"):
        client.chat(HELLO, "gpt-4o-mini", stream=True)


def test_either_script_answers_a_whole_call_with_pieces(omni: Omni):
    body = completion("Hello!").body
    client = scripted(omni, [body[:9], body[9:]], [body[:9], TransportError("reset", phase="body")])
    assert client.chat(HELLO, "gpt-4o-mini").content == "Hello!"
    with pytest.raises(TransportError, match="reset"):
        client.chat(HELLO, "gpt-4o-mini")


def test_a_stream_of_either_script_can_be_left(omni: Omni):
    stream = scripted(omni, WHOLE_STREAM).chat(HELLO, "gpt-4o-mini", stream=True)
    assert next(iter(stream)).content == "Hel"
    stream.close()
    assert stream.response.usage.is_estimated


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
