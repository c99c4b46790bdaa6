"""Failures on demand: `sandbox/<fault>` fails as a real provider does, so that a fallback can be tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from omnilabs._frozen import evolve, frozen
from omnilabs._sandbox._answer import Answer, limited
from omnilabs._sandbox._wire import Reply, error_body, error_reply, frame
from omnilabs.errors import OmniError, RequestTimeoutError, TransportError

__all__ = ["FAULTS", "Fault", "fault_of"]

_PROVIDER = "sandbox"
_HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


def _same_answer(answer: Answer) -> Answer:
    return answer


def _same_reply(model: str, reply: Reply) -> Reply:
    return reply


@frozen
class Fault:
    """One way to fail.

    Attributes:
        about: What happens, in a line.
        alter: What becomes of the answer before it goes on the wire.
        strike: What becomes of the reply of a model of this name.
        times: How many requests to one transport it strikes before the model answers; None strikes always.
    """

    about: str
    alter: Callable[[Answer], Answer] = _same_answer
    strike: Callable[[str, Reply], Reply | OmniError] = _same_reply
    times: int | None = None


def fault_of(model: str, earlier_requests: int) -> Fault | None:
    """Return the fault a model name asks for, None for any other name and for a fault that is over.

    Args:
        model: The model's bare name, such as "rate-limited".
        earlier_requests: How many requests to it the transport has answered before.
    """
    fault = _FAULTS.get(model)
    return fault if fault is not None and (fault.times is None or earlier_requests < fault.times) else None


def _status(
    status: int, message: str, *, type_: str, code: str | None = None, retry_after_s: int | None = None
) -> Callable[[str, Reply], Reply]:
    def strike(model: str, reply: Reply) -> Reply:
        return error_reply(status, message, type_=type_, code=code, retry_after_s=retry_after_s)

    return strike


def _time_out(model: str, reply: Reply) -> OmniError:
    return RequestTimeoutError(
        "[sandbox] no answer began in time", phase="first_byte", maybe_billed=True, provider=_PROVIDER, model=model
    )


def _refuse_connection(model: str, reply: Reply) -> OmniError:
    return TransportError("[sandbox] the connection was refused", phase="connect", provider=_PROVIDER, model=model)


def _break(model: str, reply: Reply) -> Reply:
    error = TransportError(
        "[sandbox] the connection broke in the middle of the answer",
        phase="body",
        maybe_billed=True,
        provider=_PROVIDER,
        model=model,
    )
    return evolve(reply, pieces=(*_half(reply), error))


def _truncate(model: str, reply: Reply) -> Reply:
    if reply.is_stream:
        return evolve(reply, pieces=_half(reply))
    return evolve(reply, pieces=tuple(piece[: len(piece) // 2] for piece in reply.pieces if isinstance(piece, bytes)))


def _garble(model: str, reply: Reply) -> Reply:
    if reply.is_stream:
        return evolve(reply, pieces=(*_half(reply), b'data: {"id":"sandbox-","choices":[{"del\n\n'))
    return evolve(reply, headers={**reply.headers, "content-type": "text/html"}, pieces=(_HTML,))


def _fail_inside(model: str, reply: Reply) -> Reply:
    message, type_ = "the server had an error while it was answering", "server_error"
    if reply.is_stream:
        return evolve(reply, pieces=(*_half(reply), frame(error_body(message, type_=type_))))
    return error_reply(500, message, type_=type_)


def _half(reply: Reply) -> tuple[bytes | OmniError, ...]:
    """Return the first half of a stream, which always holds content; nothing of a whole answer."""
    return reply.pieces[: len(reply.pieces) // 2]


def _empty(answer: Answer) -> Answer:
    return Answer("")


def _run_out(answer: Answer) -> Answer:
    return limited(answer, max(1, answer.tokens // 2))


def _decline(answer: Answer) -> Answer:
    return Answer(None, finish_reason="content_filter", refusal="[sandbox] I cannot help with that.")


_OVERLOADED = _status(503, "the engine is overloaded, try again later", type_="server_error", code="overloaded")

_FAULTS: Mapping[str, Fault] = {
    "rate-limited": Fault(
        "429 with `retry-after: 1`, every time",
        strike=_status(
            429, "rate limit reached for requests", type_="requests", code="rate_limit_exceeded", retry_after_s=1
        ),
    ),
    "quota-exceeded": Fault(
        "429 with code insufficient_quota: waiting does not help",
        strike=_status(429, "you exceeded your current quota", type_="insufficient_quota", code="insufficient_quota"),
    ),
    "overloaded": Fault("503, every time", strike=_OVERLOADED),
    "flaky": Fault("503 to the first request of each client, then answers", strike=_OVERLOADED, times=1),
    "server-error": Fault("500, every time", strike=_status(500, "the server had an error", type_="server_error")),
    "bad-key": Fault(
        "401: the key is wrong",
        strike=_status(401, "incorrect API key provided", type_="invalid_request_error", code="invalid_api_key"),
    ),
    "not-found": Fault(
        "404: no such model",
        strike=_status(404, "the model does not exist", type_="invalid_request_error", code="model_not_found"),
    ),
    "context-length": Fault(
        "400 with code context_length_exceeded, however short the prompt",
        strike=_status(
            400,
            "this model's maximum context length is 0 tokens, your messages are longer",
            type_="invalid_request_error",
            code="context_length_exceeded",
        ),
    ),
    "timeout": Fault("no first byte in time, reported at once", strike=_time_out),
    "connection": Fault("the connection is refused", strike=_refuse_connection),
    "broken-stream": Fault("the connection breaks in the middle of the answer", strike=_break),
    "truncated-stream": Fault("the answer ends in the middle without saying so", strike=_truncate),
    "error-in-stream": Fault("an error object in the middle of the stream; 500 to a whole answer", strike=_fail_inside),
    "malformed": Fault("200 with a broken JSON chunk in the stream; an HTML page for a whole answer", strike=_garble),
    "empty": Fault("an answer without a character", alter=_empty),
    "length": Fault("the answer is cut off half way: finish reason length", alter=_run_out),
    "refusal": Fault("no content but a refusal: finish reason content_filter", alter=_decline),
}

FAULTS: Mapping[str, str] = MappingProxyType({name: fault.about for name, fault in _FAULTS.items()})
"""What each model name of the sandbox that fails on purpose does, by name."""
