"""Carries `HttpRequest` values; with `_patience` and `_failures` the only importer of the HTTP library.

One pool per client object; for asyncio one per event loop, because a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import lru_cache
from weakref import WeakKeyDictionary

import httpx2

from omnilabs._failures import FAILURES, failure, refused, too_large
from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._patience import Patience, make_patient
from omnilabs._secret import Secret
from omnilabs.errors import OmniError

__all__ = ["AsyncHttpTransport", "HttpTransport"]

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
            sent = _outgoing(client, request, patience)
            response = client._transport_for_url(sent.url).handle_request(sent)
        except FAILURES as exc:
            return failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = refused(response.status_code, headers, request)
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
        except FAILURES as exc:
            return failure(exc, self._request, self._patience, began=True, response=self._response)
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return too_large(self._request, self._response.status_code, self._response.headers)

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
            sent = _outgoing(client, request, patience)
            response = await client._transport_for_url(sent.url).handle_async_request(sent)
        except FAILURES as exc:
            return failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = refused(response.status_code, headers, request)
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
        except FAILURES as exc:
            return failure(exc, self._request, self._patience, began=True, response=self._response)
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return too_large(self._request, self._response.status_code, self._response.headers)

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
        except FAILURES:
            return


def _sync_body(response: httpx2.Response) -> httpx2.SyncByteStream:
    assert isinstance(response.stream, httpx2.SyncByteStream)
    return response.stream


def _async_body(response: httpx2.Response) -> httpx2.AsyncByteStream:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return response.stream


class _Masked(bytes):
    """A header value that a debugger or a traceback with locals shows masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'**********'"


@lru_cache(maxsize=128)
def _parsed(url: str) -> httpx2.URL:
    """Return an address parsed; a client asks few of them, over and over."""
    return httpx2.URL(url)


def _outgoing(client: httpx2.Client | httpx2.AsyncClient, request: HttpRequest, patience: Patience) -> httpx2.Request:
    """Return the library's request.

    It goes to the transport that the client would choose, proxies of the environment included, but not through the
    client's `send`: redirects, cookies and authentication are not wanted here, and looking for them takes a tenth of a
    millisecond a call. `tests/unit/test_transport.py` fails if that place changes.
    """
    headers = [*client.headers.raw]
    for name, value in request.headers.items():
        headers.append(
            (name.encode(), _Masked(value.reveal().encode()) if isinstance(value, Secret) else value.encode())
        )
    return httpx2.Request(
        request.method,
        _parsed(request.url),
        headers=headers,
        content=request.body or None,
        extensions={"timeout": patience.timeouts},
    )


def _headers(response: httpx2.Response) -> dict[str, str]:
    """Return a response's headers by lower-case name; of repeated ones, which none we read is, the last."""
    return {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in response.headers.raw}
