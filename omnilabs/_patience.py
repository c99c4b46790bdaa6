"""Time limits that hold whatever the server does: one byte at a time does not buy it more.

The HTTP library limits each read by itself, so a server that drips bytes holds a call for ever. Here every read, write
and connect gets the smaller of its own limit and what is left before the deadline, and none is begun after it. On the
way each request learns whether its connection had been used before, which tells a stale one from a failing server.
"""

from __future__ import annotations

import time
from typing import Any, TypeAlias

import httpcore2
import httpx2

from omnilabs._http import HttpLimits

__all__ = ["Patience", "make_patient"]

_LEAST_S = 0.001
_JOINED_BYTES = 64 * 1024
"""Beyond this a copy costs more than the system call it saves."""


class Patience:
    """The time limits of one request, and what its connection was like.

    It goes through the HTTP library in the place of the limits: every operation asks it how long to wait from now.

    Attributes:
        deadline: Reading of the monotonic clock at which the call ends, or None.
        is_reused: The request went out on a connection that had carried another before.
        is_heard: The server has sent something in answer.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.deadline = limits.deadline
        self.is_reused = False
        self.is_heard = False
        self._limits = limits
        self._read_timeout_s = limits.first_byte_timeout_s

    def timeouts(self) -> dict[str, Any]:
        """Return what the library takes as its time limits."""
        # Not kept: a cycle would leave every call to the garbage collector.
        return {"connect": self, "write": self, "read": self, "pool": self._pool_s()}

    def _pool_s(self) -> float:
        # The pool waits on a condition of its own, which knows nothing of limits that shrink.
        limit_s = self._limits.first_byte_timeout_s
        return limit_s if self.deadline is None else max(_LEAST_S, min(limit_s, self.deadline - time.monotonic()))

    def connect_s(self) -> float:
        """Return the seconds to wait for a connection; as the others, it raises when the deadline has passed."""
        return self._now(self._limits.connect_timeout_s, httpcore2.ConnectTimeout)

    def write_s(self) -> float:
        """Return the seconds to wait until the server takes more."""
        return self._now(self._limits.first_byte_timeout_s, httpcore2.WriteTimeout)

    def read_s(self) -> float:
        """Return the seconds to wait for the next bytes."""
        return self._now(self._read_timeout_s, httpcore2.ReadTimeout)

    def _now(self, limit_s: float, expired: type[httpcore2.TimeoutException]) -> float:
        if self.deadline is None:
            return limit_s
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:  # a server that always has a byte ready must not outlive it
            raise expired("the deadline has passed")
        return min(limit_s, left_s)

    def begin_body(self) -> None:
        """From now on, wait for the next bytes rather than for the first."""
        self._read_timeout_s = self._limits.idle_timeout_s

    def hurry(self, seconds: float) -> None:
        """Allow this many seconds more at the most."""
        latest = time.monotonic() + seconds
        self.deadline = latest if self.deadline is None else min(self.deadline, latest)


_Timeout: TypeAlias = Patience | float | None
"""A request's patience; the library's own operations, such as closing, have a number or none."""


def _connect_s(timeout: _Timeout) -> float | None:
    return timeout.connect_s() if isinstance(timeout, Patience) else timeout


class _Conversation:
    """Whose request a connection carries, and the part of it that is kept back to be sent with the next."""

    def __init__(self) -> None:
        self._owner: Patience | None = None
        self._kept = b""

    def say(self, buffer: bytes, timeout: _Timeout) -> tuple[bytes, ...]:
        """Return what to send now: the library writes a message's head and body apart, and b"" at its end.

        Sent together they are one packet and one system call, and wake the server once.
        """
        self._carry(timeout)
        kept, self._kept = self._kept, b""
        if not buffer:
            return (kept,) if kept else ()
        if not kept:
            self._kept = buffer
            return ()
        return (kept + buffer,) if len(buffer) <= _JOINED_BYTES else (kept, buffer)

    def kept(self) -> bytes:
        """Return what was kept back, because an answer is expected now."""
        kept, self._kept = self._kept, b""
        return kept

    def _carry(self, timeout: _Timeout) -> None:
        if isinstance(timeout, Patience):
            if self._owner is not None and self._owner is not timeout:
                timeout.is_reused = True
            self._owner = timeout


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
        self, host: str, port: int, timeout: _Timeout = None, *args: Any, **kwargs: Any
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, _connect_s(timeout), *args, **kwargs))

    def connect_unix_socket(
        self, path: str, timeout: _Timeout = None, *args: Any, **kwargs: Any
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, _connect_s(timeout), *args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        self._conversation = _Conversation()

    def read(self, max_bytes: int, timeout: _Timeout = None) -> bytes:
        if kept := self._conversation.kept():
            self._send(kept, timeout)
        if not isinstance(timeout, Patience):
            return self._inner.read(max_bytes, timeout)
        data = self._inner.read(max_bytes, timeout.read_s())
        timeout.is_heard = timeout.is_heard or bool(data)
        return data

    def write(self, buffer: bytes, timeout: _Timeout = None) -> None:
        for piece in self._conversation.say(buffer, timeout):
            self._send(piece, timeout)

    def _send(self, buffer: bytes, timeout: _Timeout) -> None:
        self._inner.write(buffer, timeout.write_s() if isinstance(timeout, Patience) else timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: _Timeout = None) -> _Stream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _connect_s(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self, host: str, port: int, timeout: _Timeout = None, *args: Any, **kwargs: Any
    ) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(await self._inner.connect_tcp(host, port, _connect_s(timeout), *args, **kwargs))

    async def connect_unix_socket(
        self, path: str, timeout: _Timeout = None, *args: Any, **kwargs: Any
    ) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(await self._inner.connect_unix_socket(path, _connect_s(timeout), *args, **kwargs))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self._conversation = _Conversation()

    async def read(self, max_bytes: int, timeout: _Timeout = None) -> bytes:
        if kept := self._conversation.kept():
            await self._send(kept, timeout)
        if not isinstance(timeout, Patience):
            return await self._inner.read(max_bytes, timeout)
        data = await self._inner.read(max_bytes, timeout.read_s())
        timeout.is_heard = timeout.is_heard or bool(data)
        return data

    async def write(self, buffer: bytes, timeout: _Timeout = None) -> None:
        for piece in self._conversation.say(buffer, timeout):
            await self._send(piece, timeout)

    async def _send(self, buffer: bytes, timeout: _Timeout) -> None:
        await self._inner.write(buffer, timeout.write_s() if isinstance(timeout, Patience) else timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: _Timeout = None
    ) -> _AsyncStream:
        return _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, _connect_s(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
