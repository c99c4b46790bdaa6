"""The fault matrix of docs/reliability.md, row by row, over raw sockets: class, requests at the server, time."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import MODEL, QUESTION, ask, failure, outcome, providers
from faultserver import (
    ANSWER,
    LAST_CHUNK,
    STREAM_HEAD,
    Act,
    FaultServer,
    chunked,
    completion,
    delta,
    encoded,
    head,
    sse,
    stream,
    whole,
)

from omnilabs.errors import (
    APIStatusError,
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
    ResponseTooLargeError,
    ServerError,
    StreamInterruptedError,
    TransportError,
)

if TYPE_CHECKING:
    from conftest import Omni

streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
AT_ONCE = {"retry-after-ms": "0"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def refusal(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


# Answers with an error status


@streamed_or_not
def test_rate_limit_waits_for_retry_after(omni: Omni, server: FaultServer, streamed: bool):
    server.script(whole(429, refusal("slow down"), {"retry-after": "1"}))
    result = outcome(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert result.response is not None
    assert result.response.content == ANSWER
    assert [attempt.error_type for attempt in result.response.attempts] == ["RateLimitError"]
    assert len(server.requests) == 2
    first, second = (request.at for request in server.requests)
    assert 1.0 <= second - first < 2.0


@streamed_or_not
@pytest.mark.parametrize(
    "headers", [{"retry-after-ms": "120"}, {"retry-after": "0.12"}], ids=["milliseconds", "fraction"]
)
def test_a_wait_is_read_from_every_header_that_says_it(
    omni: Omni, server: FaultServer, headers: dict[str, str], streamed: bool
):
    server.script(whole(503, refusal("busy"), headers))
    ask(omni.client(providers=providers(server)), streamed=streamed)
    first, second = (request.at for request in server.requests)
    assert 0.12 <= second - first < 1.0


@streamed_or_not
def test_a_long_retry_after_raises_at_once_with_the_time(omni: Omni, server: FaultServer, streamed: bool):
    server.script(whole(429, refusal("come back later"), {"retry-after": "3600"}))
    result = outcome(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(result.error) is RateLimitError
    assert result.error.retry_after_s == 3600
    assert len(server.requests) == 1
    assert result.seconds < 1.0


@streamed_or_not
def test_a_wait_beyond_the_deadline_is_not_begun(omni: Omni, server: FaultServer, streamed: bool):
    server.script(whole(429, refusal("slow down"), {"retry-after": "5"}))
    result = outcome(lambda: ask(omni.client(providers=providers(server), timeout_s=2), streamed=streamed))
    assert type(result.error) is RateLimitError
    assert result.error.retry_after_s == 5
    assert len(server.requests) == 1
    assert result.seconds < 1.0


FINAL = {
    "quota": (429, refusal("You exceeded your quota", code="insufficient_quota"), QuotaExceededError),
    "payment": (402, refusal("No credit"), QuotaExceededError),
    "key": (401, refusal("Incorrect API key provided: sk-proj-abcdef123456"), AuthenticationError),
    "forbidden": (403, refusal("Not allowed"), AuthenticationError),
    "model": (404, refusal("No such model"), NotFoundError),
    "context": (400, refusal("Too long", code="context_length_exceeded"), ContextLengthError),
    "context in words": (400, refusal("This model's maximum context length is 8192 tokens"), ContextLengthError),
    "bad request": (400, refusal("Invalid value"), BadRequestError),
    "unprocessable": (422, refusal("Invalid value"), BadRequestError),
    "teapot": (418, b"short and stout", APIStatusError),
}


@streamed_or_not
@pytest.mark.parametrize(("status", "body", "kind"), FINAL.values(), ids=FINAL)
def test_what_waiting_cannot_mend_is_asked_once(
    omni: Omni, server: FaultServer, status: int, body: object, kind: type[OmniError], streamed: bool
):
    server.answer = lambda request: whole(status, body, {"x-request-id": "req-7"})
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is kind
    assert (error.status, error.provider, error.model, error.request_id) == (status, "local", MODEL, "req-7")
    assert len(error.attempts) == len(server.requests) == 1
    assert not error.retryable


@streamed_or_not
def test_a_key_in_an_error_is_redacted(omni: Omni, server: FaultServer, streamed: bool):
    server.script(whole(401, refusal("Incorrect API key provided: sk-proj-abcdef123456. See the docs.")))
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert "See the docs" in str(error)
    assert "abcdef123456" not in f"{error} {error.body} {error.attempts}"


PASSING = {
    "500": (500, refusal("boom"), ServerError),
    "502 HTML": (502, b"<html>" + b"<p>Bad gateway</p>" * 500 + b"</html>", ServerError),
    "503": (503, refusal("busy"), OverloadedError),
    "529": (529, refusal("overloaded", type="overloaded_error"), OverloadedError),
    "408": (408, refusal("slow"), APIStatusError),
    "409": (409, refusal("conflict"), APIStatusError),
    "429": (429, refusal("slow down"), RateLimitError),
}


@streamed_or_not
@pytest.mark.parametrize(("status", "body", "kind"), PASSING.values(), ids=PASSING)
def test_a_failure_that_may_pass_is_tried_three_times(
    omni: Omni, server: FaultServer, status: int, body: object, kind: type[OmniError], streamed: bool
):
    server.answer = lambda request: whole(status, body, AT_ONCE)
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is kind
    assert error.status == status
    assert error.retryable
    assert len(error.attempts) == len(server.requests) == 3
    assert len(str(error)) < 300  # a page of HTML is not a message


@streamed_or_not
def test_a_failure_that_passes_is_told_with_the_answer(omni: Omni, server: FaultServer, streamed: bool):
    server.script(whole(503, refusal("busy"), AT_ONCE))
    response = ask(omni.client(providers=providers(server)), streamed=streamed)
    assert response.content == ANSWER
    assert [(a.error_type, a.status) for a in response.attempts] == [("OverloadedError", 503)]
    assert len(server.requests) == 2


@streamed_or_not
def test_the_number_of_retries_is_the_callers(omni: Omni, server: FaultServer, streamed: bool):
    server.answer = lambda request: whole(500, refusal("boom"), AT_ONCE)
    client = omni.client(providers=providers(server), max_retries=5)
    failure(lambda: ask(client, streamed=streamed))
    assert len(server.requests) == 6
    failure(lambda: ask(client, streamed=streamed, max_retries=0))
    assert len(server.requests) == 7


# No answer at all


@streamed_or_not
@pytest.mark.parametrize("then", ["reset", "close"])
def test_a_connection_lost_before_the_headers_is_tried_three_times(
    omni: Omni, server: FaultServer, then: Any, streamed: bool
):
    server.answer = lambda request: Act(then=then)
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is TransportError
    assert error.phase == "receive"
    assert error.maybe_billed
    assert len(error.attempts) == len(server.requests) == 3


@streamed_or_not
@pytest.mark.parametrize("then", ["reset", "close"])
def test_a_kept_connection_that_went_stale_costs_no_retry_and_no_wait(
    omni: Omni, server: FaultServer, then: Any, streamed: bool
):
    client = omni.client(providers=providers(server), max_retries=0)
    ask(client, streamed=streamed)
    server.script(Act(then=then))
    result = outcome(lambda: ask(client, streamed=streamed))
    assert result.response is not None
    assert [request.connection for request in server.requests] == [1, 1, 2]
    assert server.requests[2].at - server.requests[1].at < 0.4  # our own first wait may be 0.5 s
    assert [attempt.error_type for attempt in result.response.attempts] == ["TransportError"]


@streamed_or_not
def test_a_stale_connection_is_forgiven_once(omni: Omni, server: FaultServer, streamed: bool):
    client = omni.client(providers=providers(server), max_retries=0)
    ask(client, streamed=streamed)
    server.script(Act(then="close"), Act(then="close"))
    error = failure(lambda: ask(client, streamed=streamed))
    assert type(error) is TransportError
    assert error.phase == "receive"  # the second connection was new
    assert len(server.requests) == 3


@streamed_or_not
def test_a_refused_connection_is_tried_again(omni: Omni, streamed: bool):
    with FaultServer() as closed:
        settings = providers(closed)
    error = failure(lambda: ask(omni.client(providers=settings, max_retries=1), streamed=streamed))
    assert type(error) is TransportError
    assert (error.phase, error.maybe_billed, error.retryable) == ("connect", False, True)
    assert len(error.attempts) == 2


@streamed_or_not
def test_an_unknown_host_is_tried_twice(omni: Omni, streamed: bool):
    client = omni.client(providers={"local": {"base_url": "http://no-such-host.invalid/v1"}})
    error = failure(lambda: ask(client, streamed=streamed))
    assert type(error) is TransportError
    assert error.phase == "dns"
    assert len(error.attempts) == 2


@streamed_or_not
def test_a_server_that_speaks_no_tls_is_tried_once(omni: Omni, server: FaultServer, streamed: bool):
    server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    client = omni.client(providers={"local": {"base_url": server.url.replace("http:", "https:")}})
    error = failure(lambda: ask(client, streamed=streamed))
    assert type(error) is TransportError
    assert (error.phase, error.retryable, error.maybe_billed) == ("tls", False, False)
    assert len(error.attempts) == server.connections == 1


# Time


@streamed_or_not
def test_a_server_that_does_not_begin_to_answer_is_given_up(omni: Omni, server: FaultServer, streamed: bool):
    server.answer = lambda request: Act(then="hold")
    client = omni.client(providers=providers(server), first_byte_timeout_s=0.2, max_retries=1)
    result = outcome(lambda: ask(client, streamed=streamed))
    assert type(result.error) is RequestTimeoutError
    assert (result.error.phase, result.error.maybe_billed) == ("first_byte", True)
    assert len(server.requests) == 2
    assert 0.4 <= result.seconds < 2.5
    assert server.wait_for(lambda: len(server.gone_after_s) == 2)
    assert max(server.gone_after_s) < 1.2  # the time-out, and at most a second more


@streamed_or_not
def test_the_deadline_bounds_all_attempts_together(omni: Omni, server: FaultServer, streamed: bool):
    server.answer = lambda request: Act(then="hold")
    client = omni.client(providers=providers(server), first_byte_timeout_s=0.1, timeout_s=1.0, max_retries=50)
    result = outcome(lambda: ask(client, streamed=streamed))
    assert isinstance(result.error, RequestTimeoutError)
    assert result.seconds < 1.5
    assert 2 <= len(server.requests) <= 10


DRIPS = {
    "a body byte by byte": Act((head(200, 4000), *([b" "] * 4000)), gap_s=0.05),
    "headers byte by byte": Act(tuple(bytes([byte]) for byte in head(200, 10) * 40), gap_s=0.05),
    "a header without end": Act((b"HTTP/1.1 200 OK\r\nx-long: ", *([b"a" * 10] * 4000)), gap_s=0.02),
    "a flood that never ends": Act((head(200, 10**9), *([b" " * 200] * 200_000))),
}


@streamed_or_not
@pytest.mark.parametrize("act", DRIPS.values(), ids=DRIPS)
def test_a_dripping_server_cannot_hold_a_call_beyond_its_deadline(
    omni: Omni, server: FaultServer, act: Act, streamed: bool
):
    server.answer = lambda request: act
    client = omni.client(providers=providers(server), timeout_s=0.6, max_response_bytes=2 * 10**9)
    result = outcome(lambda: ask(client, streamed=streamed))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "total"
    assert not result.error.retryable
    assert len(server.requests) == 1
    assert 0.5 <= result.seconds < 1.1


def test_a_dripping_stream_cannot_hold_a_call_beyond_its_deadline(omni: Omni, server: FaultServer):
    server.script(stream(*[delta("x")] * 400, gap_s=0.05))
    client = omni.client(providers=providers(server), timeout_s=0.6)
    result = outcome(lambda: ask(client, streamed=True))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "total"
    assert result.error.partial is not None
    assert result.error.partial.content.startswith("xxx")
    assert 0.5 <= result.seconds < 1.1


# A success that is none


@streamed_or_not
@pytest.mark.parametrize(
    "act",
    [
        whole(200, b"<html><h1>Welcome to the Wi-Fi</h1></html>", {"content-type": "text/html", **AT_ONCE}),
        whole(200, b"", AT_ONCE),
        whole(200, encoded(completion())[:-30], AT_ONCE),
        whole(200, {"object": "chat.completion", "choices": []}, AT_ONCE),
        whole(200, [], AT_ONCE),
        whole(200, b"null", AT_ONCE),
        whole(200, b"[" * 5000, AT_ONCE),
        whole(200, b"1" * 5000, AT_ONCE),
    ],
    ids=["HTML", "empty", "truncated JSON", "no choices", "a list", "null", "deep", "a long number"],
)
def test_a_success_without_an_answer_is_tried_once_more(omni: Omni, server: FaultServer, act: Act, streamed: bool):
    server.answer = lambda request: act
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is ResponseFormatError
    assert all(attempt.maybe_billed for attempt in error.attempts)
    assert len(error.attempts) == len(server.requests) == 2
    assert len(str(error)) < 300


@streamed_or_not
def test_a_body_shorter_than_announced_is_tried_three_times(omni: Omni, server: FaultServer, streamed: bool):
    body = encoded(completion())
    server.answer = lambda request: Act((head(200, len(body) + 50) + body,), then="close")
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is TransportError
    assert (error.phase, error.maybe_billed) == ("body", True)
    assert len(error.attempts) == len(server.requests) == 3


@streamed_or_not
@pytest.mark.parametrize(
    ("error_object", "kind", "requests"),
    [
        ({"message": "Rate limited upstream", "code": 429}, RateLimitError, 3),
        ({"message": "No credit", "code": 402}, QuotaExceededError, 1),
        ({"message": "Bad key", "code": "401"}, AuthenticationError, 1),
        ({"message": "Down", "type": "overloaded_error"}, OverloadedError, 3),
        ({"message": "What?", "code": "whatever"}, ServerError, 3),
        ("a bare string", ServerError, 3),
    ],
    ids=["429", "402", "a number in a string", "a word", "an unknown word", "a string"],
)
def test_an_error_in_a_success_is_its_code_as_if_it_were_the_status(
    omni: Omni, server: FaultServer, error_object: object, kind: type[OmniError], requests: int, streamed: bool
):
    body = {"error": error_object}
    headers = {"x-request-id": "req-8", **AT_ONCE}
    server.answer = lambda request: stream(body, headers=headers) if streamed else whole(200, body, headers)
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is kind
    assert len(error.attempts) == len(server.requests) == requests
    assert error.request_id == "req-8"


def test_bytes_that_are_not_utf8_are_replaced_and_told(omni: Omni, server: FaultServer):
    server.script(whole(200, encoded(completion("caf!")).replace(b"caf!", b"caf\xe9")))
    response = ask(omni.client(providers=providers(server)), streamed=False)
    assert response.content == "caf\ufffd"
    assert any("not UTF-8" in warning for warning in response.warnings)


@streamed_or_not
def test_good_bytes_are_not_warned_about(omni: Omni, server: FaultServer, streamed: bool):
    text = "déjà \ufffd 猫 🐈"
    server.script(stream(delta(text), delta(finish="stop"), "[DONE]") if streamed else whole(200, completion(text)))
    response = ask(omni.client(providers=providers(server)), streamed=streamed)
    assert (response.content, response.warnings) == (text, ())


MEGABYTE = b" " * 2**20
LARGE = {
    "announced": Act((head(200, 64 * 2**20),), then="hold"),
    "in chunks": Act((STREAM_HEAD, *([chunked(MEGABYTE)] * 64))),
    "without a length": Act((b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", *([MEGABYTE] * 64)), then="close"),
}


@streamed_or_not
@pytest.mark.parametrize("act", LARGE.values(), ids=LARGE)
def test_an_answer_of_64_megabytes_is_not_read(omni: Omni, server: FaultServer, act: Act, streamed: bool):
    server.answer = lambda request: act
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert type(error) is ResponseTooLargeError
    assert len(server.requests) == 1
    assert "max_response_bytes" in str(error)
    assert server.wait_for(lambda: server.open_connections == 0)


def test_a_small_body_that_unpacks_to_a_large_one_is_not_read(omni: Omni, server: FaultServer):
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(MEGABYTE * 64) + packer.flush()
    server.script(whole(200, packed, {"content-encoding": "gzip"}))
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=False))
    assert type(error) is ResponseTooLargeError
    assert len(packed) < 2**17


def test_the_cap_on_an_answer_is_the_callers(omni: Omni, server: FaultServer):
    long = completion("x" * 5000)
    server.script(whole(200, long), whole(200, long))
    assert ask(omni.client(providers=providers(server)), streamed=False).content == "x" * 5000
    error = failure(lambda: ask(omni.client(providers=providers(server), max_response_bytes=4000), streamed=False))
    assert type(error) is ResponseTooLargeError


@streamed_or_not
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(omni: Omni, server: FaultServer, status: int, streamed: bool):
    with FaultServer() as elsewhere:
        server.script(whole(status, b"", {"location": f"{elsewhere.url}/chat/completions"}))
        client = omni.client(providers=providers(server, api_key="sk-bound-to-its-host"))
        error = failure(lambda: ask(client, streamed=streamed))
        assert type(error) is TransportError
        assert (error.phase, error.retryable) == ("redirect", False)
        assert len(server.requests) == 1
        assert elsewhere.connections == 0


# Streams that break


BREAKS = {
    "reset": stream(delta("Half"), delta(" an"), ends=False, then="reset"),
    "end without the last chunk": stream(delta("Half"), delta(" an"), ends=False, then="close"),
    "clean end without a finish": stream(delta("Half"), delta(" an")),
    "bad JSON": stream(delta("Half"), delta(" an"), b"data: {not json\n\n", delta("never"), then="hold"),
    "not an object": stream(delta("Half"), delta(" an"), b"data: [1, 2]\n\n", then="hold"),
    "bad transfer": Act((STREAM_HEAD + chunked(sse(delta("Half"))) + chunked(sse(delta(" an"))) + b"zz\r\n",)),
}


@pytest.mark.parametrize("act", BREAKS.values(), ids=BREAKS)
def test_a_stream_that_breaks_is_an_error_with_what_had_come(omni: Omni, server: FaultServer, act: Act):
    paced = Act((act.pieces[0],), then=act.then)
    server.script(paced)
    client = omni.client(providers=providers(server))
    chunks: list[str] = []

    def read() -> Any:
        stream = client.chat(QUESTION, MODEL, stream=True)
        for chunk in stream:
            chunks.append(chunk.content)
        return stream.response

    error = failure(read)
    assert type(error) is StreamInterruptedError
    assert error.partial is not None
    assert error.partial.content == "Half an"
    assert error.partial.finish_reason is None
    usage = error.partial.usage
    assert usage.is_estimated
    assert usage.output_tokens
    assert (error.provider, error.model) == ("local", MODEL)
    assert len(server.requests) == 1  # nothing is asked again once something was given out
    # What is broken is not used again.
    assert ask(client, streamed=True).content == ANSWER
    assert [request.connection for request in server.requests] == ([1, 1] if act is BREAKS[_CLEAN] else [1, 2])


_CLEAN = "clean end without a finish"


BEFORE = {
    "reset": (stream(ends=False, then="reset"), TransportError, 3),
    "end without the last chunk": (stream(ends=False, then="close"), TransportError, 3),
    "nothing in it": (stream(headers=AT_ONCE), TransportError, 3),
    "only comments": (stream(b": ping\n\n", b": ping\n\n", headers=AT_ONCE), TransportError, 3),
    "bad JSON": (stream(b"data: {not json\n\n", headers=AT_ONCE), ResponseFormatError, 2),
    "an error": (stream({"error": {"message": "busy", "code": 503}}, headers=AT_ONCE), OverloadedError, 3),
}


@pytest.mark.parametrize(("act", "kind", "requests"), BEFORE.values(), ids=BEFORE)
def test_a_stream_that_breaks_before_its_first_piece_is_tried_again(
    omni: Omni, server: FaultServer, act: Act, kind: type[OmniError], requests: int
):
    server.answer = lambda request: act
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=True))
    assert type(error) is kind
    assert error.partial is None
    assert len(error.attempts) == len(server.requests) == requests


def test_an_error_in_the_middle_of_a_stream_has_its_class_and_what_had_come(omni: Omni, server: FaultServer):
    server.script(stream(delta("Half"), {"error": {"message": "upstream died", "code": 502}}, gap_s=0.02))
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=True))
    assert type(error) is ServerError
    assert error.status == 502
    assert error.partial is not None
    assert error.partial.content == "Half"
    assert len(server.requests) == 1


def test_a_stream_that_stalls_is_given_up_with_what_had_come(omni: Omni, server: FaultServer):
    server.script(stream(delta("Half"), ends=False, then="hold"))
    client = omni.client(providers=providers(server), idle_timeout_s=0.3)
    result = outcome(lambda: ask(client, streamed=True))
    assert type(result.error) is RequestTimeoutError
    assert result.error.phase == "idle"
    assert result.error.partial is not None
    assert result.error.partial.content == "Half"
    assert len(server.requests) == 1
    assert 0.3 <= result.seconds < 1.3
    assert server.wait_for(lambda: bool(server.gone_after_s))
    assert server.gone_after_s[0] < 1.3


def test_a_sign_of_life_between_the_pieces_keeps_a_stream_open(omni: Omni, server: FaultServer):
    pings = [b": ping\n\n"] * 6
    server.script(stream(delta("Four"), *pings, delta("."), delta(finish="stop"), "[DONE]", gap_s=0.1))
    response = ask(omni.client(providers=providers(server), idle_timeout_s=0.4), streamed=True)
    assert response.content == ANSWER


def test_tool_calls_of_a_broken_stream_are_not_given_out_as_complete(omni: Omni, server: FaultServer):
    call = {"index": 0, "id": "t1", "function": {"name": "pay", "arguments": '{"amount": 1'}}
    opening = delta()
    opening["choices"][0]["delta"] = {"tool_calls": [call]}
    server.script(stream(opening))
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=True))
    assert type(error) is StreamInterruptedError
    assert error.partial is not None
    assert error.partial.tool_calls == ()


# Streams that are unusual and whole


def _calls(index: int, **fields: Any) -> dict[str, Any]:
    chunk = delta()
    chunk["choices"][0]["delta"] = {"tool_calls": [{"index": index, **fields}]}
    return chunk


FINISH = delta(finish="stop")
ODD = {
    "invalid UTF-8": ([sse(delta("a?b")).replace(b"?", b"\xff"), FINISH, "[DONE]"], "a\ufffdb"),
    "only event, id and comments": (
        [b"event: ping\n\n", b"id: 3\n\n", b": hello\n\n", b"data:\n\n", b"data: \n\n", delta("ab"), FINISH, "[DONE]"],
        "ab",
    ),
    "CRLF": ([sse(delta("ab")).replace(b"\n", b"\r\n"), sse(FINISH).replace(b"\n", b"\r\n")], "ab"),
    "CR": ([sse(delta("ab")).replace(b"\n", b"\r"), sse(FINISH).replace(b"\n", b"\r")], "ab"),
    "a byte order mark": ([b"\xef\xbb\xbf" + sse(delta("ab")), FINISH], "ab"),
    "no [DONE]": ([delta("ab"), FINISH], "ab"),
    "no finish but [DONE]": ([delta("ab"), "[DONE]"], "ab"),
    "no blank line at the end": ([delta("ab"), sse(FINISH)[:-2]], "ab"),
    "usage with the finish": ([delta("ab"), {**FINISH, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}], "ab"),
    "null everywhere": ([{**delta("ab"), "usage": None, "error": None}, delta("", finish="stop"), "[DONE]"], "ab"),
}


@pytest.mark.parametrize("cut", [False, True], ids=["in events", "byte by byte"])
@pytest.mark.parametrize(("items", "content"), ODD.values(), ids=ODD)
def test_an_unusual_stream_is_read_like_any_other(
    omni: Omni, server: FaultServer, items: list[object], content: str, cut: bool
):
    data = b"".join(map(sse, items))
    pieces = [data[at : at + 1] for at in range(len(data))] if cut else [data]
    server.script(Act((STREAM_HEAD + b"".join(map(chunked, pieces)) + LAST_CHUNK,)))
    response = ask(omni.client(providers=providers(server)), streamed=True)
    assert response.content == content
    assert bool(response.warnings) == ("\ufffd" in content)
    assert len(server.requests) == 1


def test_usage_is_taken_from_whatever_chunk_brings_it(omni: Omni, server: FaultServer):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    with_text = [{**delta("ab"), "usage": usage}, FINISH, "[DONE]"]
    with_finish = [delta("ab"), {**FINISH, "usage": usage}, "[DONE]"]
    apart = [delta("ab"), FINISH, {**delta(), "choices": [], "usage": usage}, "[DONE]"]
    server.script(stream(*with_text), stream(*with_finish), stream(*apart))
    client = omni.client(providers=providers(server))
    for _ in range(3):
        found = ask(client, streamed=True).usage
        assert (found.input_tokens, found.output_tokens, found.is_estimated) == (7, 3, False)


def test_tool_calls_whose_pieces_come_interleaved_are_put_together(omni: Omni, server: FaultServer):
    server.script(
        stream(
            _calls(0, id="a", function={"name": "add", "arguments": '{"x"'}),
            _calls(1, id="b", function={"name": "sub", "arguments": '{"y"'}),
            _calls(0, function={"arguments": ": 1}"}),
            _calls(1, function={"arguments": ": 2}"}),
            delta(finish="tool_calls"),
            "[DONE]",
        )
    )
    calls = ask(omni.client(providers=providers(server)), streamed=True).tool_calls
    assert [(call.id, call.name, call.arguments_json) for call in calls] == [
        ("a", "add", '{"x": 1}'),
        ("b", "sub", '{"y": 2}'),
    ]


# What the caller gives and gets


@streamed_or_not
def test_half_a_character_is_sent_as_the_replacement_character(omni: Omni, server: FaultServer, streamed: bool):
    client = omni.client(providers=providers(server))
    answer = client.chat([{"role": "user", "content": "broken \ud83d emoji"}], MODEL, stream=streamed)
    assert not streamed or "".join(chunk.content for chunk in answer) == ANSWER
    assert server.requests[0].json["messages"][0]["content"] == "broken \ufffd emoji"


def test_an_error_tells_everything_it_knows_after_a_pickle(omni: Omni, server: FaultServer):
    server.answer = lambda request: whole(529, refusal("overloaded"), {"x-request-id": "r9", "retry-after": "900"})
    error = failure(lambda: ask(omni.client(providers=providers(server)), streamed=False))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is OverloadedError
    names = ("provider", "model", "status", "request_id", "retryable", "retry_after_s", "attempts", "partial", "body")
    assert {name: getattr(again, name) for name in names} == {name: getattr(error, name) for name in names}
    assert str(again) == str(error)
    assert json.dumps(again.attempts[0].to_dict())
    assert (again.status, again.request_id, again.retry_after_s) == (529, "r9", 900)
