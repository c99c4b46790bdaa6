"""Time limits that hold whatever the server does: one byte at a time does not buy it more.

The HTTP library limits each read by itself, so a server that drips bytes holds a call for ever. Here every read, write
and connect gets the smaller of its own limit and what is left before the deadline, and none is begun after it. On the
way each request learns whether its connection had been used before, which tells a stale one from a failing server.
"""

from __future__ import annotations

import time
from typing import Any

import httpcore2
import httpx2

from omnilabs._http import HttpLimits

__all__ = ["Patience", "make_patient"]

_LEAST_S = 0.001


class _Limit(float):
    """A time limit in seconds that knows whose patience it belongs to; the library hands it on as it is."""

    owner: Patience

    def now(self, expired: type[httpcore2.TimeoutException]) -> float:
        """Return the seconds to wait from now.

        Raises:
            TimeoutException: The deadline has passed; a server that always has a byte ready must not outlive it.
        """
        deadline = self.owner.deadline
        if deadline is None:
            return float(self)
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise expired("the deadline has passed")
        return min(float(self), left_s)


class Patience:
    """The time limits of one request, and what its connection was like.

    Attributes:
        deadline: Reading of the monotonic clock at which the call ends, or None.
        is_reused: The request went out on a connection that had carried another before.
        is_heard: The server has sent something in answer.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.deadline = limits.deadline
        self.is_reused = False
        self.is_heard = False
        self._idle_timeout_s = limits.idle_timeout_s
        first_byte = self._limit(limits.first_byte_timeout_s)
        self.timeouts: dict[str, float] = {
            "connect": self._limit(limits.connect_timeout_s),
            "write": first_byte,
            "read": first_byte,
            # The pool waits on a condition of its own, which knows nothing of limits that shrink.
            "pool": self._pool_s(limits),
        }

    @staticmethod
    def _pool_s(limits: HttpLimits) -> float:
        if limits.deadline is None:
            return limits.first_byte_timeout_s
        return max(_LEAST_S, min(limits.first_byte_timeout_s, limits.deadline - time.monotonic()))

    def _limit(self, seconds: float) -> _Limit:
        limit = _Limit(seconds)
        limit.owner = self
        return limit

    def begin_body(self) -> None:
        """From now on, wait for the next bytes rather than for the first."""
        self.timeouts["read"] = self._limit(self._idle_timeout_s)

    def hurry(self, seconds: float) -> None:
        """Allow this many seconds more at the most."""
        latest = time.monotonic() + seconds
        self.deadline = latest if self.deadline is None else min(self.deadline, latest)


def _seconds(timeout: float | None, expired: type[httpcore2.TimeoutException]) -> float | None:
    return timeout.now(expired) if isinstance(timeout, _Limit) else timeout


def _carry(timeout: float | None, before: Patience | None) -> Patience | None:
    """Return whose request a connection carries now, given whose it carried before."""
    if not isinstance(timeout, _Limit):
        return before
    owner = timeout.owner
    if before is not None and before is not owner:
        owner.is_reused = True
    return owner


def _heard(timeout: float | None) -> None:
    if isinstance(timeout, _Limit):
        timeout.owner.is_heard = True


def make_patient(client: httpx2.Client | httpx2.AsyncClient) -> None:
    """Let a client's connections keep to `Patience`.

    The library has no public place for a network backend below its client, which also sets up the proxies of the
    environment; `tests/unit/test_transport.py` fails if these attributes change.
    """
    transports: list[Any] = [client._transport, *client._mounts.values()]
    for transport in transports:
        if transport is not None:
            backend = transport._pool._network_backend
            wrap = _Backend if isinstance(client, httpx2.Client) else _AsyncBackend
            transport._pool._network_backend = wrap(backend)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.NetworkStream:
        return _Stream(
            self._inner.connect_tcp(host, port, _seconds(timeout, httpcore2.ConnectTimeout), *args, **kwargs)
        )

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.NetworkStream:
        return _Stream(
            self._inner.connect_unix_socket(path, _seconds(timeout, httpcore2.ConnectTimeout), *args, **kwargs)
        )

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        self._owner: Patience | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, _seconds(timeout, httpcore2.ReadTimeout))
        if data:
            _heard(timeout)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._owner = _carry(timeout, self._owner)
        self._inner.write(buffer, _seconds(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _seconds(timeout, httpcore2.ConnectTimeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(
            await self._inner.connect_tcp(host, port, _seconds(timeout, httpcore2.ConnectTimeout), *args, **kwargs)
        )

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(
            await self._inner.connect_unix_socket(path, _seconds(timeout, httpcore2.ConnectTimeout), *args, **kwargs)
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self._owner: Patience | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._inner.read(max_bytes, _seconds(timeout, httpcore2.ReadTimeout))
        if data:
            _heard(timeout)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._owner = _carry(timeout, self._owner)
        await self._inner.write(buffer, _seconds(timeout, httpcore2.WriteTimeout))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _AsyncStream:
        return _AsyncStream(
            await self._inner.start_tls(ssl_context, server_hostname, _seconds(timeout, httpcore2.ConnectTimeout))
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
