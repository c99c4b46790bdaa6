"""The two transports of the sandbox: thin, over one function from a request's body to the reply."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Any

from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._sandbox._answer import compose
from omnilabs._sandbox._faults import FAULTS, fault_of
from omnilabs._sandbox._request import BadBody, read_request
from omnilabs._sandbox._wire import Reply, error_reply, reply_to
from omnilabs.errors import OmniError

__all__ = ["AsyncSandboxTransport", "SandboxTransport", "answer"]

_ROUTE = "/chat/completions"


def answer(body: Mapping[str, Any], *, earlier_requests: int = 0) -> Reply | OmniError:
    """Return the sandbox's reply to a chat-completions body: a pure function of its arguments.

    Args:
        body: The request's JSON.
        earlier_requests: How many requests to the same model went before; only `flaky` looks at it.
    """
    try:
        request = read_request(body)
    except BadBody as bad:
        return error_reply(400, str(bad), type_="invalid_request_error", param=bad.param)
    said = compose(request)
    fault = fault_of(request.model, earlier_requests)
    if fault is None:
        return reply_to(request, said)
    return fault.strike(request.model, reply_to(request, fault.alter(said)))


class _Desk:
    """Reads requests and has them answered. Its one state: how often each fault was asked for."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._lock = Lock()

    def reply(self, request: HttpRequest) -> Reply | OmniError:
        """Return the reply to an HTTP request."""
        if request.method != "POST" or not request.url.split("?")[0].endswith(_ROUTE):
            message = f"the sandbox answers POST {_ROUTE} only"
            return error_reply(404, message, type_="invalid_request_error", code="unknown_url")
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return error_reply(400, "the body is not a JSON object", type_="invalid_request_error")
        return answer(body, earlier_requests=self._count(body.get("model")))

    def _count(self, model: object) -> int:
        """Count a request to a fault; return how many there were before."""
        if not isinstance(model, str) or model not in FAULTS:
            return 0
        with self._lock:
            self._asked[model] += 1
            return self._asked[model] - 1


def _whole(reply: Reply | OmniError) -> HttpResponse | OmniError:
    if isinstance(reply, OmniError):
        return reply
    body = b""
    for piece in reply.pieces:
        if isinstance(piece, OmniError):
            return piece
        body += piece
    return HttpResponse(reply.status, reply.headers, body)


class _Stream:
    """A body that is read piece by piece."""

    def __init__(self, reply: Reply) -> None:
        self._pieces = iter(reply.pieces)

    def read(self) -> bytes | OmniError | None:
        """Return the next piece, None at the end."""
        return next(self._pieces, None)

    def drain(self) -> None:
        """Read what follows the answer: nothing that matters."""
        self.close()

    def close(self) -> None:
        """End the body here."""
        self._pieces = iter(())


class _AsyncStream:
    """`_Stream` for asyncio."""

    def __init__(self, reply: Reply) -> None:
        self._stream = _Stream(reply)

    async def read(self) -> bytes | OmniError | None:
        """Return the next piece, None at the end."""
        return self._stream.read()

    async def drain(self) -> None:
        """Read what follows the answer: nothing that matters."""
        self._stream.drain()

    async def aclose(self) -> None:
        """End the body here."""
        self._stream.close()


class SandboxTransport:
    """A `Transport` that answers in-process in OpenAI's wire format: no socket, no clock, no chance.

    The same request gets the same bytes in every process. Model names in `FAULTS` fail as they say; any other name
    answers. Time limits are not looked at: an answer takes no time.
    """

    def __init__(self) -> None:
        self._desk = _Desk()

    def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Return the whole answer, or the failure."""
        return _whole(self._desk.reply(request))

    def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Return the answer's head, with its body to be read, or the failure."""
        reply = self._desk.reply(request)
        return reply if isinstance(reply, OmniError) else StreamHead(reply.status, reply.headers, _Stream(reply))

    def close(self) -> None:
        """Do nothing: there is no connection."""


class AsyncSandboxTransport:
    """`SandboxTransport` for asyncio."""

    def __init__(self) -> None:
        self._desk = _Desk()

    async def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Return the whole answer, or the failure."""
        return _whole(self._desk.reply(request))

    async def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Return the answer's head, with its body to be read, or the failure."""
        reply = self._desk.reply(request)
        return reply if isinstance(reply, OmniError) else StreamHead(reply.status, reply.headers, _AsyncStream(reply))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""
