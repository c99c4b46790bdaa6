"""No socket but loopback, no key of the developer's, and `omni`: each client test runs sync and async."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from omnilabs import AsyncOmniClient, ChatChunk, OmniClient
from omnilabs.providers import PROVIDERS

# How long an example takes says more of the machine than of the code; benchmarks/ measure that.
settings.register_profile("tests", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

_OURS = ("OMNI_API_KEY", "OMNI_BASE_URL", "OMNI_MODE")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the keys or the proxies of whoever runs it."""
    names = {*_OURS, *(name for row in PROVIDERS.values() for name in (*row.key_env, *row.base_url_env))}
    names |= {name for name in os.environ if name.lower().endswith("_proxy")}
    for name in names & os.environ.keys():
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere but this machine is a failed test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {host!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, in a background job of a shell too, which is told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Omni:
    """A client of either kind behind one blocking face, so that one test body serves both."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._open: list[Callable[[], None]] = []
        self._runner = asyncio.Runner() if mode == "async" else None

    def client(self, *args: Any, **kwargs: Any) -> Face:
        """Return a client made with these arguments; it is closed with the test."""
        if self._runner is None:
            blocking = OmniClient(*args, **kwargs)
            self._open.append(blocking.close)
            return Face(blocking, lambda value: value)
        run = self._runner.run
        client = AsyncOmniClient(*args, **kwargs)
        self._open.append(lambda: run(client.aclose()))
        return Face(client, lambda value: run(value))

    def close(self) -> None:
        """Close what was opened."""
        for close in self._open:
            close()
        if self._runner is not None:
            self._runner.close()


class Face:
    """A client's methods, each returning what the blocking one would."""

    def __init__(self, client: Any, run: Callable[[Any], Any]) -> None:
        self.raw = client
        self._run = run

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.raw, name)
        return (lambda *a, **k: self._result(method(*a, **k))) if callable(method) else method

    def _result(self, value: Any) -> Any:
        if asyncio.iscoroutine(value):
            value = self._run(value)
        return Stream(value, self._run) if hasattr(value, "__aiter__") else value


class Stream:
    """An asynchronous stream read with a plain `for`."""

    def __init__(self, stream: Any, run: Callable[[Any], Any]) -> None:
        self._stream = stream
        self._run = run

    def __iter__(self) -> Iterator[ChatChunk]:
        while True:
            try:
                yield self._run(anext(self._stream))
            except StopAsyncIteration:
                return

    def close(self) -> None:
        self._run(self._stream.aclose())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@pytest.fixture(params=["sync", "async"])
def omni(request: pytest.FixtureRequest) -> Iterator[Omni]:
    """Makes clients of both kinds; a test that takes it runs twice."""
    kit = Omni(request.param)
    yield kit
    kit.close()
