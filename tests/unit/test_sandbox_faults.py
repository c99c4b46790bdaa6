"""Failures on demand, for users' own tests of their fallbacks."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletion
from unit.sandbox_kit import (
    Sandbox,
    asked,
    chunks,
    completion,
    content,
    http,
    joined,
)

from omnilabs._http import HttpResponse
from omnilabs._sandbox import FAULTS, SandboxTransport
from omnilabs.errors import OmniError, RequestTimeoutError, TransportError


@pytest.fixture(params=["sync", "async"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox(request.param)


STATUS_FAULTS = {
    "rate-limited": (429, "rate_limit_exceeded"),
    "quota-exceeded": (429, "insufficient_quota"),
    "overloaded": (503, "overloaded"),
    "flaky": (503, "overloaded"),
    "server-error": (500, None),
    "bad-key": (401, "invalid_api_key"),
    "not-found": (404, "model_not_found"),
    "context-length": (400, "context_length_exceeded"),
}
CONNECTION_FAULTS = {"timeout": (RequestTimeoutError, "first_byte"), "connection": (TransportError, "connect")}
BODY_FAULTS = {"broken-stream", "truncated-stream", "error-in-stream", "malformed"}
ANSWER_FAULTS = {"empty": "stop", "length": "length", "refusal": "content_filter"}


def test_every_fault_is_described_and_tested_here() -> None:
    assert FAULTS.keys() == {*STATUS_FAULTS, *CONNECTION_FAULTS, *BODY_FAULTS, *ANSWER_FAULTS}
    assert all(about and "\n" not in about for about in FAULTS.values())


@pytest.mark.parametrize(("name", "status", "code"), [(name, *fault) for name, fault in STATUS_FAULTS.items()])
def test_a_status_fault_answers_with_openais_error(sandbox: Sandbox, name: str, status: int, code: str | None) -> None:
    whole, stream = sandbox.send(asked(model=name)), Sandbox("sync").stream(asked(model=name))

    assert isinstance(whole, HttpResponse)
    assert not isinstance(stream, OmniError)
    assert (whole.status, stream[0].status) == (status, status)
    assert whole.json()["error"]["code"] == code
    assert stream[1] == [whole.body]
    assert whole.headers.get("retry-after") == ("1" if name == "rate-limited" else None)


@pytest.mark.parametrize(("name", "kind", "phase"), [(name, *fault) for name, fault in CONNECTION_FAULTS.items()])
def test_a_connection_fault_is_returned_at_once(
    sandbox: Sandbox, name: str, kind: type[TransportError], phase: str
) -> None:
    for failure in (sandbox.send(asked(model=name)), sandbox.stream(asked(model=name))):
        assert type(failure) is kind
        assert isinstance(failure, TransportError)
        assert (failure.phase, failure.provider, failure.model) == (phase, "sandbox", name)


def test_a_broken_stream_fails_after_some_content(sandbox: Sandbox) -> None:
    result = sandbox.stream(asked(model="broken-stream"))
    whole = sandbox.send(asked(model="broken-stream"))

    assert not isinstance(result, OmniError)
    *before, failure = result[1]
    assert joined(chunks(before))["content"].startswith("[sandbox]")
    assert isinstance(failure, TransportError)
    assert isinstance(whole, TransportError)
    assert (failure.phase, whole.phase) == ("body", "body")


def test_a_truncated_stream_ends_without_a_finish_reason(sandbox: Sandbox) -> None:
    result = sandbox.stream(asked(model="truncated-stream"))
    whole = sandbox.send(asked(model="truncated-stream"))

    assert not isinstance(result, OmniError)
    parts = chunks(result[1])
    assert joined(parts)["content"].startswith("[sandbox]")
    assert all(choice["finish_reason"] is None for part in parts for choice in part["choices"])
    assert b"[DONE]" not in b"".join(read for read in result[1] if isinstance(read, bytes))
    assert isinstance(whole, HttpResponse)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(whole.body)


def test_an_error_in_the_stream_comes_after_some_content(sandbox: Sandbox) -> None:
    result = sandbox.stream(asked(model="error-in-stream"))
    whole = sandbox.send(asked(model="error-in-stream"))

    assert not isinstance(result, OmniError)
    *before, last = result[1]
    assert joined(chunks(before))["content"].startswith("[sandbox]")
    assert chunks([last])[0]["error"]["type"] == "server_error"
    assert isinstance(whole, HttpResponse)
    assert whole.status == 500


def test_a_malformed_answer_is_no_json(sandbox: Sandbox) -> None:
    result = sandbox.stream(asked(model="malformed"))
    whole = sandbox.send(asked(model="malformed"))

    assert not isinstance(result, OmniError)
    *before, last = result[1]
    assert joined(chunks(before))["content"].startswith("[sandbox]")
    with pytest.raises(json.JSONDecodeError):
        chunks([last])
    assert isinstance(whole, HttpResponse)
    assert (whole.status, whole.headers["content-type"]) == (200, "text/html")
    assert whole.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(("name", "finish_reason"), ANSWER_FAULTS.items())
def test_an_answer_fault_is_a_valid_answer_that_says_less(name: str, finish_reason: str) -> None:
    choice = ChatCompletion.model_validate(completion(asked(model=name))).choices[0]
    whole = content(asked())

    assert choice.finish_reason == finish_reason
    assert (choice.message.content, choice.message.refusal is None) == {
        "empty": ("", True),
        "length": (whole[: len(choice.message.content or "")], True),
        "refusal": (None, False),
    }[name]
    assert len(choice.message.content or "") < len(whole)


def test_a_flaky_model_answers_from_the_second_request_of_each_transport_on(sandbox: Sandbox) -> None:
    statuses = [reply.status for _ in range(3) if isinstance(reply := sandbox.send(asked(model="flaky")), HttpResponse)]
    fresh = SandboxTransport().send(http(asked(model="flaky")))

    assert statuses == [503, 200, 200]
    assert isinstance(fresh, HttpResponse)
    assert fresh.status == 503


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "auto", "rate-limited-2", "Timeout", "meta/llama"])
def test_an_ordinary_model_never_fails(model: str) -> None:
    sandbox = SandboxTransport()
    replies = [sandbox.send(http(asked("rate-limited timeout overloaded", model=model))) for _ in range(20)]

    assert [reply.status for reply in replies if isinstance(reply, HttpResponse)] == [200] * 20
