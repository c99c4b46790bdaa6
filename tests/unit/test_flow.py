"""What a call does about failures, without any transport: replies go in, the yielded steps are compared."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from omnilabs._call import Call, Close, Open, Read, Send, Sleep
from omnilabs._flow import chat_flow, stream_flow
from omnilabs._http import HttpLimits, HttpResponse, StreamHead
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import DEFAULT_TEMPERATURE, build_request
from omnilabs._retry import RetryPolicy
from omnilabs.errors import (
    AllCandidatesFailedError,
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    OmniError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    ResponseFormatError,
    ServerError,
    TransportError,
    UnsupportedParameterError,
)
from omnilabs.providers import PROVIDERS, Endpoint, Target

ANSWER = {
    "id": "r1",
    "model": "m-2026",
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def target(name: str = "m", **able: Any) -> Target:
    spec = PROVIDERS["openai"]
    return Target(Endpoint(spec, "http://one/v1"), ModelInfo(name, "openai", capabilities=Capabilities(**able)))


def ok(body: Any = ANSWER) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


def status(number: int, code: str = "", headers: dict[str, str] | None = None) -> HttpResponse:
    body = {"error": {"message": "no", "code": code, "type": code}}
    return HttpResponse(number, headers or {}, json.dumps(body).encode())


def call_of(*targets: Target, retries: int = 2, **fields: Any) -> Call:
    return Call(targets or (target(),), RetryPolicy(retries, random=lambda: 0.5), **fields)


def request(**options: Any) -> Any:
    messages = options.pop("messages", [{"role": "user", "content": "hi"}])
    temperature = options.pop("temperature", None)
    return build_request(messages, temperature=temperature, max_tokens=None, routing=None, options=options)


def run(flow: Any, replies: Sequence[Any]) -> tuple[list[Any], Any]:
    """Send `replies` in; return the steps and what the flow returned or raised. A Sleep and a Close need no reply."""
    steps: list[Any] = []
    waiting, reply = list(replies), None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as done:
            assert not waiting, f"left over: {waiting}"
            return steps, done.value
        except OmniError as error:
            return (steps, error) if not waiting else pytest.fail(f"left over: {waiting}, after {error!r}")
        steps.append(step)
        reply = None if isinstance(step, Sleep | Close) else waiting.pop(0)


def kinds(steps: Sequence[Any]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_an_answer_needs_one_request():
    steps, response = run(chat_flow(call_of(), request()), [ok()])
    assert kinds(steps) == ["Send"]
    assert (response.content, response.model, response.usage.all_tokens) == ("hello", "m-2026", 5)
    assert response.attempts == ()


def test_a_server_error_is_tried_again_after_a_wait_and_is_told():
    steps, response = run(chat_flow(call_of(), request()), [status(500), ok()])
    assert kinds(steps) == ["Send", "Sleep", "Send"]
    assert steps[1].seconds == 0.25
    assert [a.error_type for a in response.attempts] == ["ServerError"]


def test_waits_double():
    steps, error = run(chat_flow(call_of(), request()), [status(500)] * 3)
    assert [step.seconds for step in steps if isinstance(step, Sleep)] == [0.25, 0.5]
    assert isinstance(error, ServerError)
    assert len(error.attempts) == 3


def test_a_retry_sends_the_same_bytes():
    steps, _ = run(chat_flow(call_of(), request()), [status(500), ok()])
    first, second = (step.http for step in steps if isinstance(step, Send))
    assert first == second


def test_rate_limit_waits_for_retry_after():
    steps, _ = run(chat_flow(call_of(), request()), [status(429, headers={"retry-after": "7"}), ok()])
    assert 7 <= steps[1].seconds < 7.2


def test_a_retry_after_that_is_too_long_raises_at_once_with_the_time():
    steps, error = run(chat_flow(call_of(), request()), [status(429, headers={"retry-after": "3600"})])
    assert kinds(steps) == ["Send"]
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == 3600


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (status(401), AuthenticationError),
        (status(403), AuthenticationError),
        (status(429, "insufficient_quota"), QuotaExceededError),
        (status(400, "context_length_exceeded"), ContextLengthError),
        (status(400), BadRequestError),
        (status(422), BadRequestError),
    ],
)
def test_what_waiting_does_not_mend_is_not_retried(reply: HttpResponse, kind: type[Exception]):
    steps, error = run(chat_flow(call_of(), request()), [reply])
    assert kinds(steps) == ["Send"]
    assert type(error) is kind


def test_the_next_model_is_asked_and_the_response_says_why():
    call = call_of(target("a"), target("b"), retries=0)
    steps, response = run(chat_flow(call, request()), [status(503), ok()])
    bodies = [json.loads(step.http.body)["model"] for step in steps]
    assert bodies == ["a", "b"]
    assert [(a.model, a.error_type) for a in response.attempts] == [("a", "OverloadedError")]
    assert response.model_id == "b"


def test_a_bad_request_is_not_repeated_at_other_models():
    call = call_of(target("a"), target("b"))
    steps, error = run(chat_flow(call, request()), [status(400)])
    assert kinds(steps) == ["Send"]
    assert isinstance(error, BadRequestError)


def test_when_all_fail_every_failure_is_there():
    call = call_of(target("a"), target("b"), retries=0)
    _, error = run(chat_flow(call, request()), [status(401), status(500)])
    assert isinstance(error, AllCandidatesFailedError)
    assert [type(failure) for failure in error.failures] == [AuthenticationError, ServerError]
    assert len(error.attempts) == 2


def test_a_dead_key_is_logged_even_when_another_model_answers(caplog: pytest.LogCaptureFixture):
    call = call_of(target("a"), target("b"))
    with caplog.at_level(logging.WARNING, "omnilabs"):
        run(chat_flow(call, request()), [status(401), ok()])
    assert "401" in caplog.text


@pytest.mark.parametrize("phase", ["tls", "redirect"])
def test_a_tls_failure_is_never_tried_again(phase: str):
    steps, _ = run(chat_flow(call_of(), request()), [TransportError("x", phase=phase)])
    assert kinds(steps) == ["Send"]


def test_a_name_that_does_not_resolve_is_tried_once_more():
    steps, _ = run(chat_flow(call_of(), request()), [TransportError("x", phase="dns")] * 2)
    assert kinds(steps) == ["Send", "Sleep", "Send"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices"', b"[]", b"{}", b'{"choices": [{"message": 1}]}'])
def test_an_answer_of_no_known_shape_is_tried_once_more(body: bytes):
    broken = HttpResponse(200, {}, body)
    steps, error = run(chat_flow(call_of(), request()), [broken, broken])
    assert kinds(steps) == ["Send", "Sleep", "Send"]
    assert isinstance(error, ResponseFormatError)
    assert error.attempts[0].maybe_billed


def test_an_error_in_a_200_body_counts_as_its_code():
    inner = {"error": {"message": "slow down", "code": 429}}
    steps, error = run(chat_flow(call_of(retries=0), request()), [ok(inner)])
    assert isinstance(error, RateLimitError)
    assert kinds(steps) == ["Send"]


def test_no_attempt_begins_after_the_deadline():
    now = [0.0]
    call = call_of(limits=HttpLimits(deadline=10.0), clock=lambda: now[0])
    flow = chat_flow(call, request())
    next(flow)
    now[0] = 11.0
    with pytest.raises(ServerError) as caught:
        flow.send(status(500))
    assert len(caught.value.attempts) == 1


def test_candidates_share_one_deadline():
    now = [0.0]
    call = call_of(target("a"), target("b"), retries=0, limits=HttpLimits(deadline=10.0), clock=lambda: now[0])
    flow = chat_flow(call, request())
    next(flow)
    now[0] = 11.0
    with pytest.raises(RequestTimeoutError) as caught:
        flow.send(status(500))
    assert caught.value.phase == "total"
    assert isinstance(caught.value.__cause__, ServerError)


def test_a_wait_beyond_the_deadline_goes_to_the_next_model_at_once():
    now = [0.0]
    call = call_of(target("a"), target("b"), limits=HttpLimits(deadline=5.0), clock=lambda: now[0])
    steps, response = run(chat_flow(call, request()), [status(429, headers={"retry-after": "6"}), ok()])
    assert kinds(steps) == ["Send", "Send"]
    assert response.model_id == "b"


def test_a_setting_the_model_cannot_take_is_refused_before_anything_is_sent():
    call = call_of(target(temperature=False))
    steps, error = run(chat_flow(call, request(temperature=0.2)), [])
    assert steps == []
    assert isinstance(error, UnsupportedParameterError)
    assert error.parameters == ("temperature",)


def test_dropping_is_reported_when_it_was_allowed():
    call = call_of(target(temperature=False))
    steps, response = run(chat_flow(call, request(temperature=0.2, unsupported="drop")), [ok()])
    assert response.dropped_params == ("temperature",)
    assert "temperature" not in json.loads(steps[0].http.body)


def test_the_documented_default_temperature_is_left_out_in_silence():
    call = call_of(target(temperature=False))
    steps, response = run(chat_flow(call, request(temperature=DEFAULT_TEMPERATURE)), [ok()])
    assert response.dropped_params == ()
    assert "temperature" not in json.loads(steps[0].http.body)


def test_a_server_that_refuses_stream_options_is_asked_without_and_remembered():
    call = call_of()
    refusal = [StreamHead(400, {}, None), b'{"error": {"message": "unknown field stream_options"}}', None]
    head = StreamHead(200, {}, None)
    event = b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}\n\n'
    steps, _ = run(stream_flow(call, request()), [*refusal, head, event])
    assert [("stream_options" in json.loads(s.http.body)) for s in steps if isinstance(s, Open)] == [True, False]
    steps, _ = run(stream_flow(call, request()), [head, event])
    assert "stream_options" not in json.loads(steps[0].http.body)


def test_a_stream_that_breaks_before_it_began_is_opened_again():
    head = StreamHead(200, {}, None)
    event = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
    broke = TransportError("reset", phase="body", maybe_billed=True)
    steps, session = run(stream_flow(call_of(), request()), [head, b": hi\n\n", broke, head, event])
    assert kinds(steps) == ["Open", "Read", "Read", "Close", "Sleep", "Open", "Read"]
    assert [chunk.content for chunk in session.pending()] == ["x"]
    assert session.response.attempts[0].maybe_billed


def test_a_stream_that_ends_before_it_began_is_opened_again():
    head = StreamHead(200, {}, None)
    steps, _ = run(stream_flow(call_of(retries=0), request()), [head, None])
    assert kinds(steps) == ["Open", "Read", "Close"]


def test_an_error_event_before_the_first_piece_falls_back():
    head = StreamHead(200, {}, None)
    error = b'data: {"error": {"message": "busy", "code": 503}}\n\n'
    event = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
    call = call_of(target("a"), target("b"), retries=0)
    steps, session = run(stream_flow(call, request()), [head, error, head, event])
    assert [json.loads(s.http.body)["model"] for s in steps if isinstance(s, Open)] == ["a", "b"]
    assert session.response.attempts[0].error_type == "OverloadedError"


def test_a_refused_stream_is_read_for_its_reason():
    head = StreamHead(401, {}, None)
    steps, error = run(stream_flow(call_of(), request()), [head, b'{"error": {"mess', b'age": "bad key"}}', None])
    assert kinds(steps) == ["Open", "Read", "Read", "Read", "Close"]
    assert isinstance(error, AuthenticationError)
    assert "bad key" in str(error)


def test_reads_are_of_the_open_body():
    head = StreamHead(200, {}, None)
    event = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
    steps, _ = run(stream_flow(call_of(), request()), [head, event])
    assert [step.head for step in steps if isinstance(step, Read)] == [head]
