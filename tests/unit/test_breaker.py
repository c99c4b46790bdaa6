"""When a circuit opens, for how long, and what closes it: on a clock that the test turns."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from omnilabs._breaker import Breaker
from omnilabs._models import ModelInfo
from omnilabs._secret import Secret
from omnilabs.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    ResponseFormatError,
    ServerError,
    StreamInterruptedError,
    TransportError,
    from_status,
)
from omnilabs.providers import PROVIDERS, Endpoint, Target


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


KEY = Secret("test-key")


def target(model: str = "m", base_url: str = "http://one") -> Target:
    return Target(Endpoint(PROVIDERS["openai"], base_url, KEY), ModelInfo(model, "openai"))


M, SIBLING, ELSEWHERE = target(), target("sibling"), target(base_url="http://two")


def fail(breaker: Breaker, error: OmniError, times: int = 1, at: Target = M) -> None:
    for _ in range(times):
        breaker.started(at)
        breaker.failed(at, error, 0.1)


def waits(breaker: Breaker) -> tuple[float, float, float]:
    return breaker.opens_in_s(M), breaker.opens_in_s(SIBLING), breaker.opens_in_s(ELSEWHERE)


def status(number: int, **fields: Any) -> OmniError:
    return from_status(number, "no", **fields)


OPENED = {
    "a wrong key, for its models": (AuthenticationError("no", status=401), 1, (60, 60, 0)),
    "a used-up quota, for its models": (QuotaExceededError("no", status=429), 1, (60, 60, 0)),
    "a quota that says when": (QuotaExceededError("no", retry_after_s=7.0), 1, (7, 7, 0)),
    "a forbidden model": (AuthenticationError("no", status=403), 1, (60, 0, 0)),
    "an unknown model": (NotFoundError("no"), 1, (60, 0, 0)),
    "a rate limit": (RateLimitError("no"), 1, (5, 0, 0)),
    "a rate limit that says when": (RateLimitError("no", retry_after_s=33.0), 1, (33, 0, 0)),
    "an overload that says when": (OverloadedError("no", retry_after_s=8.0), 1, (8, 0, 0)),
    "one server error": (ServerError("no"), 1, (0, 0, 0)),
    "two server errors": (ServerError("no"), 2, (0, 0, 0)),
    "three server errors": (ServerError("no"), 3, (30, 0, 0)),
    "four": (ServerError("no"), 4, (60, 0, 0)),
    "very many": (ServerError("no"), 99, (300, 0, 0)),
    "three that ask for next to nothing": (ServerError("no", retry_after_s=0.01), 3, (30, 0, 0)),
    "three lost connections": (TransportError("no", phase="receive"), 3, (30, 0, 0)),
    "three time-outs": (RequestTimeoutError("no", phase="first_byte"), 3, (30, 0, 0)),
    "three broken answers": (ResponseFormatError("no"), 3, (30, 0, 0)),
    "three broken streams": (StreamInterruptedError("no"), 3, (30, 0, 0)),
    "many bad requests": (BadRequestError("no"), 9, (0, 0, 0)),
    "many long prompts": (ContextLengthError("no"), 9, (0, 0, 0)),
    "many old connections": (TransportError("no", phase="stale"), 9, (0, 0, 0)),
}


@pytest.mark.parametrize(("error", "times", "expected_s"), OPENED.values(), ids=OPENED)
def test_the_errors_class_decides_what_opens_and_for_how_long(
    breaker: Breaker, error: OmniError, times: int, expected_s: tuple[float, float, float]
):
    fail(breaker, error, times)
    assert waits(breaker) == expected_s
    assert (breaker.reason(M) is None) == (expected_s[0] == 0)


def test_the_reason_names_the_failure_and_the_time(breaker: Breaker):
    fail(breaker, RateLimitError("no", retry_after_s=33.0))
    assert breaker.reason(M) == "RateLimitError; to be tried again in 33 s"


def test_after_its_time_one_call_is_let_through_and_others_wait_for_it(breaker: Breaker, clock: Clock):
    fail(breaker, ServerError("no"), 3)
    clock.now += 29
    assert breaker.reason(M) is not None
    clock.now += 2
    assert breaker.reason(M) is None
    breaker.started(M)
    assert breaker.reason(M) is not None


def test_a_successful_probe_closes_the_circuit(breaker: Breaker, clock: Clock):
    fail(breaker, ServerError("no"), 3)
    clock.now += 31
    breaker.started(M)
    breaker.succeeded(M, None, 0.1)
    assert waits(breaker) == (0, 0, 0)
    fail(breaker, ServerError("no"), 2)
    assert breaker.reason(M) is None  # counting begins anew


def test_a_failed_probe_opens_the_circuit_for_longer(breaker: Breaker, clock: Clock):
    fail(breaker, ServerError("no"), 3)
    clock.now += 31
    fail(breaker, ServerError("no"))
    assert breaker.opens_in_s(M) == 60


def test_a_probe_that_never_ends_lets_another_try_after_a_while(breaker: Breaker, clock: Clock):
    fail(breaker, ServerError("no"), 3)
    clock.now += 31
    breaker.started(M)  # and then nothing more is heard of it
    assert breaker.opens_in_s(M) == 30
    clock.now += 30
    assert breaker.reason(M) is None


def test_a_probe_that_was_left_makes_room_for_the_next(breaker: Breaker, clock: Clock):
    fail(breaker, ServerError("no"), 3)
    clock.now += 31
    breaker.started(M)
    assert breaker.reason(M) is not None
    breaker.left(M)
    assert breaker.reason(M) is None
    fail(breaker, ServerError("no"))
    assert breaker.opens_in_s(M) == 60  # what was left neither closed nor opened anything


def test_a_success_between_failures_keeps_the_circuit_closed(breaker: Breaker):
    for _ in range(5):
        fail(breaker, ServerError("no"), 2)
        breaker.succeeded(M, None, 0.1)
    assert breaker.reason(M) is None


def test_a_key_that_works_again_frees_all_its_models(breaker: Breaker, clock: Clock):
    fail(breaker, status(401))
    clock.now += 61
    breaker.started(SIBLING)
    breaker.succeeded(SIBLING, None, 0.1)
    assert waits(breaker) == (0, 0, 0)


def test_without_a_key_a_refusal_concerns_its_model_alone(breaker: Breaker):
    keyless = [Target(Endpoint(PROVIDERS["ollama"], "http://one"), ModelInfo(name, "ollama")) for name in "ab"]
    fail(breaker, status(401), at=keyless[0])
    assert [breaker.opens_in_s(each) for each in keyless] == [60, 0]


def test_threads_do_not_lose_failures(breaker: Breaker):
    threads = [threading.Thread(target=fail, args=(breaker, ServerError("no"), 50)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.opens_in_s(M) == 300
