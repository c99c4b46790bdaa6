"""Every decision of a call, as generators that yield what to do and receive what happened. No I/O, no async.

`chat_flow` gives a whole response, `stream_flow` an open stream whose first piece has arrived, `plain_flow` anything
else (model lists, images). All three share one loop over candidates and attempts: the only retries there are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

from omnilabs._call import Call, Close, Flow, Open, Read, Send, Sleep
from omnilabs._frozen import evolve, frozen
from omnilabs._http import HttpRequest, HttpResponse, StreamHead, request_id_of
from omnilabs._outcome import about, note, out_of_time, summary, with_attempts
from omnilabs._request import ChatRequest
from omnilabs._response import ChatResponse
from omnilabs._retry import Again, Next, Stop, retry_after_s
from omnilabs._stream import NOT_UTF8, StreamSession
from omnilabs._usage import priced
from omnilabs.errors import (
    AuthenticationError,
    OmniError,
    QuotaExceededError,
    TransportError,
    UnsupportedParameterError,
)
from omnilabs.providers import wire_named
from omnilabs.providers._base import Built, Target, Wire, fit

__all__ = ["chat_flow", "plain_flow", "stream_flow"]

_log = logging.getLogger("omnilabs")
T = TypeVar("T")


def chat_flow(call: Call, request: ChatRequest) -> Flow[ChatResponse]:
    """Ask the candidates in order until one has answered.

    Raises:
        OmniError: The only candidate's own error, or `AllCandidatesFailedError`, or what no other model could mend.
    """

    def once(target: Target, wire: Wire, prepared: _Prepared) -> Flow[ChatResponse | OmniError]:
        begun = call.clock()
        reply = yield from _negotiate(call, target, wire, prepared, stream=False)
        if isinstance(reply, OmniError):
            return reply
        built, http = reply
        try:
            response = wire.parse(http, built, target)
        except OmniError as error:
            return _from_success(error, http)
        if not _is_utf8(http.body):
            response = evolve(response, warnings=(*response.warnings, NOT_UTF8))
        return _finish(response, call, target, prepared, built, call.clock() - begun)

    try:
        response = yield from _first_to_answer(call, request, once)
    except BaseException as error:  # a cancelled call ends too
        _tell_end(call, None, error)
        raise
    _tell_end(call, response, None)
    return response


def stream_flow(call: Call, request: ChatRequest) -> Flow[StreamSession]:
    """Open a stream at the first candidate that begins to answer; from then on nothing is tried again.

    Raises:
        OmniError: As `chat_flow`, for failures before the first piece of the answer.
    """

    def once(target: Target, wire: Wire, prepared: _Prepared) -> Flow[StreamSession | OmniError]:
        begun = call.clock()
        reply = yield from _negotiate(call, target, wire, prepared, stream=True)
        if isinstance(reply, OmniError):
            return reply
        built, head = reply

        def finish(response: ChatResponse, elapsed_s: float) -> ChatResponse:
            return _finish(response, call, target, prepared, built, elapsed_s)

        session = StreamSession(
            head=head,
            decoder=wire.decoder(built, target),
            target=target,
            request=prepared.request,
            decision=call.decision,
            finish=finish,
            clock=call.clock,
            begun=begun,
            observers=call.observers,
        )
        if _is_whole(head):
            whole, broken = yield from _read_all(head, call.limits.max_response_bytes)
            if broken is None:
                broken = _take_whole(session, wire, whole, built, target)
        else:
            broken = yield from _await_beginning(session)
        if broken is not None:
            return broken
        return session

    try:
        return (yield from _first_to_answer(call, request, once))
    except BaseException as error:  # a stream that has begun tells of its own end
        _tell_end(call, None, error)
        raise


def _tell_end(call: Call, response: ChatResponse | None, error: BaseException | None) -> None:
    for observer in call.observers:
        observer.ended(response, error if isinstance(error, OmniError) else None)


def _await_beginning(session: StreamSession) -> Flow[OmniError | None]:
    """Read until something of the answer can be given out; return what prevented it."""
    while not session.has_begun:
        data = yield Read(session.head)
        error = session.begin(data)
        if error is not None:
            yield Close(session.head)
            return _from_success(error, session.head)
    return None


def _from_success(error: OmniError, reply: HttpResponse | StreamHead) -> OmniError:
    """Return an error found in a success, with what its headers say as they would beside an error status.

    Without its traceback, whose frames hold the provider's answer: it may have repeated a key.
    """
    error.__traceback__ = None
    error.request_id = error.request_id or request_id_of(reply.headers)
    if error.retry_after_s is None and error.retryable:
        error.retry_after_s = retry_after_s(reply.headers)
    return error


def _take_whole(
    session: StreamSession, wire: Wire, reply: HttpResponse, built: Built, target: Target
) -> OmniError | None:
    """Take a whole answer for a stream: some servers do not stream although they were asked to."""
    try:
        session.take_whole(wire.parse(reply, built, target))
    except OmniError as error:
        return _from_success(error, reply)
    return None


def plain_flow(call: Call, http: HttpRequest, read: Callable[[HttpResponse, Target], T]) -> Flow[T]:
    """Send one request that is not a chat to the call's only target and return what `read` makes of the answer.

    Raises:
        OmniError: The last attempt's error.
    """
    target = call.targets[0]
    wire = wire_named(target.endpoint.spec.wire)

    def once() -> Flow[T | OmniError]:
        reply: HttpResponse | OmniError = yield Send(_limited(call, http))
        if isinstance(reply, OmniError):
            return reply
        if reply.status >= 400:
            return _status_error(wire, reply, target)
        try:
            return read(reply, target)
        except OmniError as error:
            return error

    outcome = yield from _persist(call, target, once)
    if isinstance(outcome, OmniError):
        raise with_attempts(call, outcome)
    return outcome


@frozen
class _Prepared:
    """A request fitted to a target, and what had to be left out for that."""

    request: ChatRequest
    dropped: tuple[str, ...]


_Once: TypeAlias = Callable[[Target, Wire, _Prepared], Flow["T | OmniError"]]


def _first_to_answer(call: Call, request: ChatRequest, once: _Once[T]) -> Flow[T]:
    failures: list[OmniError] = []
    for target in call.targets:
        wire = wire_named(target.endpoint.spec.wire)
        try:
            prepared = _Prepared(*fit(request, target, wire.params))
        except UnsupportedParameterError as error:
            failures.append(error)
            continue
        outcome = yield from _persist(call, target, partial(once, target, wire, prepared))
        if not isinstance(outcome, OmniError):
            return outcome
        failures.append(outcome)
        remaining_s = call.remaining_s()
        if remaining_s is not None and remaining_s <= 0:
            break
    raise summary(call, failures)


def _persist(call: Call, target: Target, once: Callable[[], Flow[T | OmniError]]) -> Flow[T | OmniError]:
    """Try one target until it answers, or until its failure is final for it.

    Raises:
        OmniError: No other candidate could do better: the request itself is at fault.
    """
    may_be_stale = True
    attempt = 0
    seen: list[type[OmniError]] = []
    while True:
        remaining_s = call.remaining_s()
        if remaining_s is not None and remaining_s <= 0:
            return out_of_time(call, target)
        outcome = yield from _watched(call, target, once)
        if not isinstance(outcome, OmniError):
            return outcome
        if may_be_stale and isinstance(outcome, TransportError) and outcome.phase == "stale":
            may_be_stale = False  # an old connection is nobody's fault: a new one, at once, and it counts for nothing
            continue
        alike = seen.count(type(outcome))
        seen.append(type(outcome))
        judgement = call.retry.judge(attempt, outcome, alike=alike, remaining_s=call.remaining_s())
        match judgement:
            case Again(delay_s):
                _log.info("%s %s: %s; again in %.2f s", target.provider, target.model.id, outcome, delay_s)
                yield Sleep(delay_s)
                attempt += 1
            case Next():
                # A dead key must not hide behind its fallback.
                level = (
                    logging.WARNING if isinstance(outcome, AuthenticationError | QuotaExceededError) else logging.INFO
                )
                _log.log(level, "%s %s: %s; giving it up", target.provider, target.model.id, outcome)
                return outcome
            case Stop():
                raise with_attempts(call, outcome)


def _watched(call: Call, target: Target, once: Callable[[], Flow[T | OmniError]]) -> Flow[T | OmniError]:
    """Try once, and let the observers know how it went."""
    begun = call.clock()
    for observer in call.observers:
        observer.started(target)
    try:
        outcome = yield from once()
    except BaseException:  # the caller gave it up
        for observer in call.observers:
            observer.left(target)
        raise
    elapsed_s = call.clock() - begun
    if isinstance(outcome, OmniError):
        note(call, target, outcome, elapsed_s)
    else:
        response = outcome if isinstance(outcome, ChatResponse) else None
        for observer in call.observers:
            observer.succeeded(target, response, elapsed_s)
    return outcome


def _negotiate(
    call: Call, target: Target, wire: Wire, prepared: _Prepared, *, stream: bool
) -> Flow[tuple[Built, Any] | OmniError]:
    """Send the request in the form this server is known or found to take; return what was built and the 2xx reply."""
    form = call.forms.get(_form_key(target, wire, prepared, stream), "") if call.forms else ""
    refusal: OmniError | None = None
    http: HttpRequest | None = None
    while True:
        try:
            built = wire.build(prepared.request, target, stream=stream, form=form)
        except OmniError as error:
            return error
        if refusal is not None and http is not None and (built.http.url, built.http.body) == (http.url, http.body):
            return refusal  # the other form is the same request
        http = _limited(call, built.http)
        reply: Any = yield Open(http) if stream else Send(http)
        if stream and not isinstance(reply, OmniError) and reply.status >= 400:
            # The status is known and says more than a body that broke off.
            reply, _ = yield from _read_all(reply, _ERROR_BODY_BYTES)
        if isinstance(reply, OmniError):
            return about(reply, target)
        if reply.status < 400:
            if form:
                call.forms[_form_key(target, wire, prepared, stream)] = form
            return built, reply
        refusal = _status_error(wire, reply, target)
        other = wire.other_form(form, reply)
        if other is None:
            return refusal
        form = other


def _form_key(target: Target, wire: Wire, prepared: _Prepared, stream: bool) -> tuple[str, ...]:
    at, model = target.endpoint, target.model.name if wire.forms_by_model else ""
    return (at.base_url, at.spec.wire, model, str(stream), str(prepared.request.routing is not None))


def _limited(call: Call, http: HttpRequest) -> HttpRequest:
    return HttpRequest(http.method, http.url, http.headers, http.body, call.limits)


_ERROR_BODY_BYTES = 1024 * 1024
"""What is beyond a megabyte of an error does not explain more."""


def _is_whole(head: StreamHead) -> bool:
    return head.headers.get("content-type", "").startswith(("application/json", "text/html"))


def _read_all(head: StreamHead, limit_bytes: int) -> Flow[tuple[HttpResponse, OmniError | None]]:
    """Read a body to its end or its limit; return it as far as it came, and what broke it off."""
    failure: OmniError | None = None
    pieces: list[bytes] = []
    size = 0
    while size < limit_bytes:
        data: bytes | OmniError | None = yield Read(head)
        if isinstance(data, OmniError):
            failure = data
            break
        if data is None:
            break
        pieces.append(data)
        size += len(data)
    yield Close(head)
    return HttpResponse(head.status, head.headers, b"".join(pieces)), failure


def _status_error(wire: Wire, reply: HttpResponse, target: Target) -> OmniError:
    error = wire.error(reply, target)
    if error.retry_after_s is None:
        error.retry_after_s = retry_after_s(reply.headers)
    return error


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _finish(
    response: ChatResponse, call: Call, target: Target, prepared: _Prepared, built: Built, elapsed_s: float
) -> ChatResponse:
    """Return the response with what only the flow knows: price, decision, attempts and what was left out."""
    routing = prepared.request.routing
    explanation = response.explanation
    if explanation is None and call.decision is not None and routing is not None and routing.verbose:
        explanation = call.decision.explanation
    return evolve(
        response,
        usage=priced(response.usage, target.model.price),
        explanation=explanation,
        decision=call.decision if response.decision is None else response.decision,
        attempts=tuple(call.attempts),
        dropped_params=tuple(sorted({*prepared.dropped, *built.dropped})) if prepared.dropped or built.dropped else (),
        structured_by=built.structured_by,
        latency_s=elapsed_s,
        model_id=response.model_id or target.model.id,
    )
