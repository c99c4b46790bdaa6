"""The only importer of the HTTP library: carries `HttpRequest` values and turns its exceptions into ours.

One pool per client object; for asyncio one per event loop, because a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import httpx2

from omnilabs._http import HttpRequest, HttpResponse, StreamHead, request_id_of
from omnilabs._patience import Patience, make_patient
from omnilabs._secret import Secret
from omnilabs.errors import (
    ConfigurationError,
    OmniError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    TransportError,
)

__all__ = ["AsyncHttpTransport", "HttpTransport"]

_Failure: TypeAlias = httpx2.RequestError | httpx2.InvalidURL | httpx2.StreamError | ssl.SSLError | OSError
_FAILURES = (httpx2.RequestError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError)
_TIMEOUT_PHASES: Mapping[type[httpx2.TimeoutException], str] = {
    httpx2.ConnectTimeout: "connect",
    httpx2.PoolTimeout: "connect",
    httpx2.WriteTimeout: "send",
    httpx2.ReadTimeout: "first_byte",
}
_DRAIN_S = 0.25


def _limits(max_connections: int) -> httpx2.Limits:
    # The pool's queue costs more than the requests beyond about a hundred connections (benchmarks/overhead.py).
    return httpx2.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=30.0
    )


class HttpTransport:
    """Blocking transport. Thread-safe; after a fork the child opens connections of its own."""

    def __init__(self, max_connections: int = 100) -> None:
        self._max_connections = max_connections
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._pid = 0

    def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Send and read the whole answer."""
        head = self.open(request)
        if isinstance(head, OmniError):
            return head
        stream: _HttpStream = head.stream
        pieces: list[bytes] = []
        try:
            while True:
                data = stream.read()
                if data is None:
                    return HttpResponse(head.status, head.headers, b"".join(pieces))
                if isinstance(data, OmniError):
                    return data
                pieces.append(data)
        finally:
            stream.close()

    def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Send and return once the status and headers are in."""
        patience = Patience(request.limits)
        try:
            client = self._connected()
            response = client.send(_outgoing(client, request, patience), stream=True)
        except _FAILURES as exc:
            return _failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = _refused(response.status_code, headers, request)
        if refusal is not None:
            response.close()
            return refusal
        patience.begin_body()
        is_encoded = "content-encoding" in headers
        return StreamHead(response.status_code, headers, _HttpStream(response, request, patience, is_encoded))

    def close(self) -> None:
        """Close every connection; the transport opens new ones if it is used again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _connected(self) -> httpx2.Client:
        client = self._client
        if client is not None and self._pid == os.getpid():
            return client
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # A child process must not touch its parent's connections, not even to close them.
                self._client = httpx2.Client(limits=_limits(self._max_connections), follow_redirects=False)
                make_patient(self._client)
                self._pid = os.getpid()
            return self._client


class _HttpStream:
    """A body that is being read, at most `max_response_bytes` of it."""

    def __init__(self, response: httpx2.Response, request: HttpRequest, patience: Patience, is_encoded: bool) -> None:
        self._response = response
        self._request = request
        self._patience = patience
        # Decoding has a price for every piece; most streams need none.
        self._bytes: Iterator[bytes] = response.iter_bytes() if is_encoded else iter(_sync_body(response))
        self._left = request.limits.max_response_bytes

    def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure."""
        try:
            data = next(self._bytes, None)
        except _FAILURES as exc:
            return _failure(exc, self._request, self._patience, began=True, response=self._response)
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return _too_large(self._request, self._response.status_code, self._response.headers)

    def drain(self) -> None:
        """Read what little may follow a finished answer, so that the connection can be used again."""
        self._patience.hurry(_DRAIN_S)
        if not isinstance(self.read(), bytes):
            return
        self.close()

    def close(self) -> None:
        """Give up the connection, unless the body was read to its end."""
        self._response.close()


class AsyncHttpTransport:
    """`HttpTransport` for asyncio: one pool per event loop, closed with its loop."""

    def __init__(self, max_connections: int = 100) -> None:
        self._max_connections = max_connections
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = WeakKeyDictionary()

    async def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Send and read the whole answer."""
        head = await self.open(request)
        if isinstance(head, OmniError):
            return head
        stream: _AsyncHttpStream = head.stream
        pieces: list[bytes] = []
        try:
            while True:
                data = await stream.read()
                if data is None:
                    return HttpResponse(head.status, head.headers, b"".join(pieces))
                if isinstance(data, OmniError):
                    return data
                pieces.append(data)
        finally:
            await stream.aclose()

    async def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Send and return once the status and headers are in."""
        patience = Patience(request.limits)
        try:
            client = await self._connected()
            response = await client.send(_outgoing(client, request, patience), stream=True)
        except _FAILURES as exc:
            return _failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = _refused(response.status_code, headers, request)
        if refusal is not None:
            await response.aclose()
            return refusal
        patience.begin_body()
        is_encoded = "content-encoding" in headers
        return StreamHead(response.status_code, headers, _AsyncHttpStream(response, request, patience, is_encoded))

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def _connected(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.pid != os.getpid():
            client = httpx2.AsyncClient(limits=_limits(self._max_connections), follow_redirects=False)
            make_patient(client)
            pool = self._pools[loop] = _LoopPool(client)
            await pool.tie_to_loop()
        return pool.client


class _LoopPool:
    """One event loop's client, closed by the loop itself if nobody did it before.

    `asyncio.run` closes the asynchronous generators of its loop before the loop; a suspended one that closes the client
    is therefore the place to clean up, and repeated `asyncio.run` leaves no socket behind.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.pid = os.getpid()
        self._guard = self._until_closed()

    async def tie_to_loop(self) -> None:
        """Start the guard, which registers it with the running loop."""
        await anext(self._guard)

    async def aclose(self) -> None:
        """Close the client."""
        await self._guard.aclose()

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.client.aclose()


class _AsyncHttpStream:
    """`_HttpStream` for asyncio."""

    def __init__(self, response: httpx2.Response, request: HttpRequest, patience: Patience, is_encoded: bool) -> None:
        self._response = response
        self._request = request
        self._patience = patience
        self._bytes: AsyncIterator[bytes] = response.aiter_bytes() if is_encoded else aiter(_async_body(response))
        self._left = request.limits.max_response_bytes

    async def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure."""
        try:
            data = await anext(self._bytes, None)
        except _FAILURES as exc:
            return _failure(exc, self._request, self._patience, began=True, response=self._response)
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return _too_large(self._request, self._response.status_code, self._response.headers)

    async def drain(self) -> None:
        """Read what little may follow a finished answer, so that the connection can be used again."""
        self._patience.hurry(_DRAIN_S)
        if not isinstance(await self.read(), bytes):
            return
        await self.aclose()

    async def aclose(self) -> None:
        """Give up the connection, unless the body was read to its end."""
        await self._response.aclose()
        # The library reads through nested generators, which an event loop would close later, in any order, and loudly.
        # Reading on from the closed connection ends them here, from the inside out.
        try:
            while await anext(self._bytes, None) is not None:
                pass
        except _FAILURES:
            return


def _sync_body(response: httpx2.Response) -> httpx2.SyncByteStream:
    assert isinstance(response.stream, httpx2.SyncByteStream)
    return response.stream


def _async_body(response: httpx2.Response) -> httpx2.AsyncByteStream:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return response.stream


class _Masked(str):
    """A header value that a debugger or a traceback with locals shows masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


@lru_cache(maxsize=128)
def _parsed(url: str) -> httpx2.URL:
    """Return an address parsed; a client asks few of them, over and over."""
    return httpx2.URL(url)


def _outgoing(client: httpx2.Client | httpx2.AsyncClient, request: HttpRequest, patience: Patience) -> httpx2.Request:
    return client.build_request(
        request.method,
        _parsed(request.url),
        headers={n: _Masked(v.reveal()) if isinstance(v, Secret) else v for n, v in request.headers.items()},
        content=request.body or None,
        extensions={"timeout": patience.timeouts},
    )


def _headers(response: httpx2.Response) -> dict[str, str]:
    """Return a response's headers by lower-case name; of repeated ones, which none we read is, the last."""
    return {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in response.headers.raw}


def _refused(status: int, headers: Mapping[str, str], request: HttpRequest) -> OmniError | None:
    """Return why a response is not read: a redirect, which could carry the key elsewhere, or too large a body."""
    if 300 <= status < 400:
        return TransportError(
            f"{_host(request)} redirects; the key is bound to the address it was configured for: set base_url to the "
            "new address if you trust it",
            phase="redirect",
            status=status,
            retryable=False,
        )
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > request.limits.max_response_bytes:
        return _too_large(request, status, headers)
    return None


def _too_large(request: HttpRequest, status: int, headers: Mapping[str, str]) -> ResponseTooLargeError:
    return ResponseTooLargeError(
        f"{_host(request)} answered with more than {request.limits.max_response_bytes} bytes; raise "
        "max_response_bytes to read it",
        status=status,
        request_id=request_id_of(headers),
    )


def _host(request: HttpRequest) -> str:
    return httpx2.URL(request.url).host


def _failure(
    exc: _Failure, request: HttpRequest, patience: Patience, *, began: bool, response: httpx2.Response | None = None
) -> OmniError:
    """Return our error for one of the library's. Its traceback is cut off: its frames hold the request's headers."""
    fields: dict[str, Any] = {}
    if response is not None:
        fields = {"status": response.status_code, "request_id": request_id_of(response.headers)}
    error = _classify(exc, request, patience, began=began, fields=fields)
    error.__cause__ = type(exc)(str(exc)) if type(exc).__module__ == "builtins" else None
    return error


def _classify(
    exc: _Failure, request: HttpRequest, patience: Patience, *, began: bool, fields: dict[str, Any]
) -> OmniError:
    if isinstance(exc, httpx2.TimeoutException):
        return _timed_out(exc, request, patience, began=began, fields=fields)
    if isinstance(exc, httpx2.LocalProtocolError):
        # Its text repeats the header, which may be the key.
        return ConfigurationError(
            "a header holds characters that HTTP does not allow: check the headers you configured"
        )
    if isinstance(exc, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return ConfigurationError(f"the request to {request.url!r} cannot be sent: {exc}; check base_url")
    if isinstance(exc, httpx2.DecodingError):
        return ResponseFormatError(f"the answer's compression is broken: {exc}", **fields)
    phase, maybe_billed = _phase(exc, began=began)
    if phase in ("send", "receive") and patience.is_reused and not patience.is_heard:
        # The server may have closed the idle connection while the request was on its way.
        phase = "stale"
    what = "broke off its answer" if phase == "body" else f"could not be reached ({phase})"
    return TransportError(
        f"{httpx2.URL(request.url).host} {what}: {exc or type(exc).__name__}",
        phase=phase,
        maybe_billed=maybe_billed,
        retryable=phase != "tls",
        **fields,
    )


def _timed_out(
    exc: httpx2.TimeoutException, request: HttpRequest, patience: Patience, *, began: bool, fields: dict[str, Any]
) -> RequestTimeoutError:
    host = httpx2.URL(request.url).host
    phase = "idle" if began else _TIMEOUT_PHASES.get(type(exc), "first_byte")
    if request.limits.deadline is not None and time.monotonic() >= request.limits.deadline - 0.002:
        phase = "total"
    limits = {
        "connect": f"connect within {request.limits.connect_timeout_s:g} s",
        "send": f"take the request within {request.limits.first_byte_timeout_s:g} s",
        "first_byte": f"begin to answer within {request.limits.first_byte_timeout_s:g} s",
        "idle": f"send anything for {request.limits.idle_timeout_s:g} s",
        "total": "finish before the call's deadline",
    }
    return RequestTimeoutError(
        f"{host} did not {limits[phase]}",
        phase=phase,
        maybe_billed=phase not in ("connect", "send"),
        retryable=phase != "total",
        **fields,
    )


def _phase(exc: BaseException, *, began: bool) -> tuple[str, bool]:
    """Return how far the request came, and whether the provider may have worked on it."""
    if began:
        return "body", True
    if isinstance(exc, httpx2.ConnectError | httpx2.ProxyError | ssl.SSLError):
        link: BaseException | None = exc
        while link is not None:
            if isinstance(link, ssl.SSLError):
                return "tls", False
            if isinstance(link, socket.gaierror):
                return "dns", False
            link = link.__cause__ or link.__context__
        return "connect", False
    if isinstance(exc, httpx2.WriteError):
        return "send", False
    return "receive", True
