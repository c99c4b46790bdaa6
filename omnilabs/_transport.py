"""Carries `HttpRequest` values; with `_patience` and `_failures` the only importer of the HTTP library.

One pool per client object; for asyncio one per event loop, because a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import httpcore2
import httpx2

from omnilabs._failures import FAILURES, failure, refused, too_large
from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._patience import Patience, make_patient
from omnilabs._secret import Secret
from omnilabs.errors import OmniError

__all__ = ["AsyncHttpTransport", "HttpTransport"]

_DRAIN_S = 0.25
C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)


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
        self._connected: _Connected[httpx2.Client] | None = None

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
            pool, sent = self._connections().outgoing(request, patience)
            response = pool.handle_request(sent)
        except BaseException as exc:
            return failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = refused(response.status, headers, request)
        if refusal is not None:
            response.close()
            return refusal
        patience.begin_body()
        return StreamHead(response.status, headers, _HttpStream(response, headers, request, patience))

    def close(self) -> None:
        """Close every connection; the transport opens new ones if it is used again."""
        with self._lock:
            connected, self._connected = self._connected, None
        if connected is not None and connected.is_own():
            connected.client.close()

    def _connections(self) -> _Connected[httpx2.Client]:
        connected = self._connected
        if connected is not None and connected.is_own():
            return connected
        with self._lock:
            if self._connected is None or not self._connected.is_own():
                # A child process must not touch its parent's connections, not even to close them.
                client = httpx2.Client(limits=_limits(self._max_connections), follow_redirects=False)
                self._connected = _Connected(client)
            return self._connected


class _HttpStream:
    """A body that is being read, at most `max_response_bytes` of it."""

    def __init__(
        self, response: httpcore2.Response, headers: Mapping[str, str], request: HttpRequest, patience: Patience
    ) -> None:
        self._response = response
        self._headers = headers
        self._request = request
        self._patience = patience
        self._bytes = _bytes(response, headers)
        self._left = request.limits.max_response_bytes

    def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure."""
        try:
            data = next(self._bytes, None)
        except BaseException as exc:
            return failure(exc, self._request, self._patience, began=True, head=(self._response.status, self._headers))
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return too_large(self._request, self._response.status, self._headers)

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
            pool, sent = (await self._connections()).outgoing(request, patience)
            response = await pool.handle_async_request(sent)
        except BaseException as exc:
            return failure(exc, request, patience, began=False)
        headers = _headers(response)
        refusal = refused(response.status, headers, request)
        if refusal is not None:
            await response.aclose()
            return refusal
        patience.begin_body()
        return StreamHead(response.status, headers, _AsyncHttpStream(response, headers, request, patience))

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def _connections(self) -> _Connected[httpx2.AsyncClient]:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.connected.is_own():
            client = httpx2.AsyncClient(limits=_limits(self._max_connections), follow_redirects=False)
            pool = self._pools[loop] = _LoopPool(_Connected(client))
            await pool.tie_to_loop()
        return pool.connected


class _LoopPool:
    """One event loop's client, closed by the loop itself if nobody did it before.

    `asyncio.run` closes the asynchronous generators of its loop before the loop; a suspended one that closes the client
    is therefore the place to clean up, and repeated `asyncio.run` leaves no socket behind.
    """

    def __init__(self, connected: _Connected[httpx2.AsyncClient]) -> None:
        self.connected = connected
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
            await self.connected.client.aclose()


class _AsyncHttpStream:
    """`_HttpStream` for asyncio."""

    def __init__(
        self, response: httpcore2.Response, headers: Mapping[str, str], request: HttpRequest, patience: Patience
    ) -> None:
        self._response = response
        self._headers = headers
        self._request = request
        self._patience = patience
        self._bytes = _async_bytes(response, headers)
        self._left = request.limits.max_response_bytes

    async def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure."""
        try:
            data = await anext(self._bytes, None)
        except BaseException as exc:
            return failure(exc, self._request, self._patience, began=True, head=(self._response.status, self._headers))
        if data is None:
            return None
        self._left -= len(data)
        if self._left >= 0:
            return data
        return too_large(self._request, self._response.status, self._headers)

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


# Decoding has a price for every piece; most answers need none.


def _bytes(response: httpcore2.Response, headers: Mapping[str, str]) -> Iterator[bytes]:
    assert isinstance(response.stream, Iterable)
    if "content-encoding" not in headers:
        return iter(response.stream)
    return httpx2.Response(response.status, headers=response.headers, content=response.stream).iter_bytes()


def _async_bytes(response: httpcore2.Response, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, AsyncIterable)
    if "content-encoding" not in headers:
        return aiter(response.stream)
    return httpx2.Response(response.status, headers=response.headers, content=response.stream).aiter_bytes()


class _Masked(bytes):
    """A header value that a debugger or a traceback with locals shows masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'**********'"


class _Route(NamedTuple):
    """An address as the pool takes it, the pool that leads there, and the headers that every request has."""

    pool: Any
    url: httpcore2.URL
    headers: Mapping[bytes, bytes]


class _Connected(Generic[C]):
    """The library's client, for what it is good at: proxies and certificates of the environment, and its pools.

    Requests go to the pool that the client would choose, but not through the client: redirects, cookies and
    authentication are not wanted here, and its requests and responses, which allow for them, cost a call a quarter of
    its time. `tests/unit/test_transport.py` fails if those places change.
    """

    def __init__(self, client: C) -> None:
        make_patient(client)
        self.client: C = client
        self._pid = os.getpid()
        self._routes: dict[str, _Route] = {}

    def is_own(self) -> bool:
        """Whether this process opened it, and not its parent."""
        return self._pid == os.getpid()

    def outgoing(self, request: HttpRequest, patience: Patience) -> tuple[Any, httpcore2.Request]:
        """Return the pool to ask and its request."""
        route = self._routes.get(request.url) or self._find(request.url)
        headers = {**route.headers}
        if request.body or request.method != "GET":
            headers[b"content-length"] = b"%d" % len(request.body)
        for name, value in request.headers.items():
            headers[name.lower().encode()] = (
                _Masked(value.reveal().encode()) if isinstance(value, Secret) else value.encode()
            )
        return route.pool, httpcore2.Request(
            request.method,
            route.url,
            headers=list(headers.items()),
            content=request.body,
            extensions={"timeout": patience.timeouts()},
        )

    def _find(self, address: str) -> _Route:
        url = httpx2.URL(address)
        transport: Any = self.client._transport_for_url(url)
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        route = self._routes[address] = _Route(
            transport._pool,
            httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            {b"host": url.netloc, **{name.lower(): value for name, value in self.client.headers.raw}},
        )
        return route


_ROUTES = 256
"""How many addresses are remembered; a client asks few of them, over and over."""


def _headers(response: httpcore2.Response) -> dict[str, str]:
    """Return a response's headers by lower-case name; of repeated ones, which none we read is, the last."""
    return {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in response.headers}
