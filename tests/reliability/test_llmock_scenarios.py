"""llmock, a server nobody here wrote, scripts faults, enforces quotas and grades the client: no failure of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fault_kit import QUESTION
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Delay, Fail, SlowFirstToken, StreamFault
from llmock.testing import LLMockServer

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import (
    ContextLengthError,
    OmniError,
    OverloadedError,
    RateLimitError,
    RequestTimeoutError,
    ResponseFormatError,
    StreamInterruptedError,
)

MODELS = {"openai": "openai/gpt-4o", "anthropic": "anthropic/claude-sonnet-4-5", "gemini": "gemini/gemini-2.5-flash"}
AT_ONCE = 0.01  # seconds; what real providers ask for would only make the tests longer
TEXT = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
wires = pytest.mark.parametrize("provider", MODELS)


@pytest.fixture(scope="module")
def running() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture
def mock(running: LLMockServer) -> LLMock:
    """The server with nothing in its memory; not the plugin's fixture, which sets keys of its own."""
    return LLMock(running).reset()


def configured(mock: LLMock) -> dict[str, dict[str, Any]]:
    bases = {name: mock.base_url(name) for name in MODELS} | {"gemini": mock.base_url("gemini") + "/v1beta"}
    return {name: {"api_key": f"{name}-test-key", "base_url": base} for name, base in bases.items()}


def client_of(mock: LLMock, **options: Any) -> OmniClient:
    return OmniClient(providers=configured(mock), **options)


def ask(client: OmniClient, provider: str, *, streamed: bool = False, question: str = "hi") -> str:
    messages = [{"role": "user", "content": question}]
    if not streamed:
        return client.chat(messages, MODELS[provider]).content
    return "".join(chunk.content for chunk in client.chat(messages, MODELS[provider], stream=True))


@wires
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_passing_failures_are_survived(mock: LLMock, provider: str, streamed: bool):
    for status in (429, 500, 529 if provider == "anthropic" else 503):
        mock.fail(status, retry_after=AT_ONCE)
    with client_of(mock, max_retries=3) as client:
        assert ask(client, provider, streamed=streamed)
    assert len(mock.requests) == 4
    mock.assert_resilient(strict=True)


@wires
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_wait_that_was_asked_for_is_waited(mock: LLMock, provider: str, streamed: bool):
    mock.rate_limit(retry_after=0.4)
    with client_of(mock) as client:
        assert ask(client, provider, streamed=streamed)
    first, second = mock.requests
    assert second.started_at - first.ended_at >= 0.38
    mock.assert_resilient(strict=True)


@wires
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_cannot_pass_is_asked_once(mock: LLMock, provider: str, status: int):
    mock.fail(status, times=None)
    with client_of(mock, max_retries=5) as client, pytest.raises(OmniError) as caught:
        ask(client, provider)
    assert caught.value.status == status
    assert len(mock.requests) == 1
    mock.assert_resilient(strict=True)


@wires
def test_an_outage_ends_in_a_typed_error_after_three_attempts(mock: LLMock, provider: str):
    mock.add(Fail(503, retry_after=AT_ONCE, times=None))
    with client_of(mock) as client, pytest.raises(OverloadedError):
        ask(client, provider)
    assert len(mock.requests) == 3
    mock.assert_resilient(strict=True)


@wires
def test_a_prompt_that_is_too_long_has_its_own_class(mock: LLMock, provider: str):
    mock.limits(context_window=50)
    with client_of(mock) as client, pytest.raises(ContextLengthError):
        ask(client, provider, question="word " * 500)
    assert len(mock.requests) == 1
    mock.assert_resilient(strict=True)


@wires
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
@pytest.mark.parametrize("after_chunks", [2, 4])
def test_a_stream_that_breaks_is_an_error_with_what_had_come(mock: LLMock, provider: str, kind: Any, after_chunks: int):
    mock.reply(TEXT, times=None)
    mock.add(StreamFault(kind, after_chunks=after_chunks))
    pieces: list[str] = []
    with client_of(mock) as client:
        try:
            for chunk in client.chat(QUESTION, MODELS[provider], stream=True):
                pieces.append(chunk.content)
        except StreamInterruptedError as error:
            broken: StreamInterruptedError | None = error
        else:
            broken = None
        # Before the first piece it is asked again and answered; after it, it is an error and nothing is asked again.
        if broken is None:
            assert "".join(pieces) == TEXT
            assert len(mock.requests) == 2
        else:
            assert broken.partial is not None
            assert broken.partial.content == "".join(pieces) or broken.partial.content.startswith("".join(pieces))
            assert len(mock.requests) == 1
            question = QUESTION[0]["content"]
            assert ask(client, provider, streamed=True, question=question) == TEXT  # the application may ask again
    mock.assert_resilient()


@wires
def test_a_stream_that_stalls_is_given_up(mock: LLMock, provider: str):
    mock.reply(TEXT, times=None)
    mock.stall(after_chunks=5, seconds=20)
    with client_of(mock, idle_timeout_s=0.3) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            ask(client, provider, streamed=True)
        assert caught.value.phase == "idle"
        assert caught.value.partial is not None
    (record,) = mock.requests
    assert record.stall_waited is not None
    assert record.stall_waited < 2
    mock.assert_resilient(strict=True)


@wires
def test_a_slow_server_is_waited_for_as_long_as_allowed(mock: LLMock, provider: str):
    mock.delay(0.3).slow_first_token(0.3)
    with client_of(mock) as client:
        assert ask(client, provider, streamed=True)
    mock.reset().delay(20, times=None)
    with client_of(mock, timeout_s=0.4) as client, pytest.raises(RequestTimeoutError) as caught:
        ask(client, provider)
    assert caught.value.phase == "total"


async def test_a_real_quota_is_kept_to(mock: LLMock):
    """Two a second and a full bucket of 120: the twelve beyond it wait as they are told, and all are answered."""
    mock.limits(rpm=120)
    async with AsyncOmniClient(providers=configured(mock), max_retries=9) as client:
        answers = await asyncio.gather(
            *(client.chat([{"role": "user", "content": f"q{number}"}], MODELS["openai"]) for number in range(132))
        )
    assert all(answer.content for answer in answers)
    late = [answer for answer in answers if answer.attempts]
    assert len(late) >= 4  # the quota did bite
    assert {attempt.error_type for answer in late for attempt in answer.attempts} == {RateLimitError.__name__}
    mock.assert_resilient()


def test_a_fallback_answers_when_the_first_choice_is_down(mock: LLMock):
    mock.fail(503, times=None, provider="anthropic", retry_after=AT_ONCE)
    names = ["claude-sonnet-4-5", "gpt-4o"]
    with client_of(mock, max_retries=1) as client:
        answers = [client.smart_select(QUESTION, model_names=names, rel_accuracy=1.0, rel_cost=0.0) for _ in range(4)]
    assert {answer.provider for answer in answers} == {"openai"}
    # Two attempts opened nothing yet, the third did: from then on the model that is down is not asked.
    asked = [record.provider for record in mock.requests]
    assert asked.count("anthropic") <= 4
    assert asked[-1] == "openai"
    mock.assert_resilient()


_STATUSES = st.sampled_from([408, 429, 500, 502, 503, 504, 529])
_FAILS = st.builds(Fail, _STATUSES, retry_after=st.sampled_from([AT_ONCE, 0.03]))
_REFUSALS = st.builds(Fail, st.sampled_from([400, 401, 403, 404, 422]))
_BREAKS = st.builds(
    StreamFault, st.sampled_from(["disconnect", "truncate", "malformed"]), after_chunks=st.integers(1, 8)
)
_SLOW = st.builds(Delay, st.just(0.01)) | st.builds(SlowFirstToken, st.just(0.01))
_SCRIPTS = st.lists(_FAILS | _FAILS | _BREAKS | _SLOW | _REFUSALS, max_size=6)


@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(script=_SCRIPTS, streamed=st.lists(st.booleans(), min_size=1, max_size=3))
@wires
def test_no_random_script_finds_fault_with_the_client(
    running: LLMockServer, provider: str, script: list[Any], streamed: list[bool]
):
    """An application that asks again after a broken stream, as it should; 3 wires of 75 scripts."""
    mock = LLMock(running).reset()
    mock.add(*script)
    mock.reply(TEXT, times=None)
    with client_of(mock, max_retries=7) as client:
        for number, kind in enumerate(streamed):
            _until_answered(client, provider, f"question {number}", kind)
    mock.assert_resilient()


def _until_answered(client: OmniClient, provider: str, question: str, streamed: bool) -> None:
    """Ask, and after a broken stream or two broken answers in a row again; a refusal is final."""
    while True:
        try:
            assert ask(client, provider, streamed=streamed, question=question) == TEXT
        except StreamInterruptedError as error:
            whole = error.partial is not None and TEXT.startswith(error.partial.content)
            if not whole:
                raise
        except ResponseFormatError as error:
            if len(error.attempts) < 2:  # the client asks again once by itself
                raise
        except OmniError as error:
            if error.retryable:
                raise
            return
        else:
            return
