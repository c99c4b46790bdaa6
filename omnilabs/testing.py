"""Doubles for your own tests: a transport that plays a script, and a clock that moves when told.

```python
from omnilabs._frozen import frozen
from omnilabs import OmniClient
from omnilabs.testing import ScriptedTransport, completion

transport = ScriptedTransport([completion("Hello!")])
client = OmniClient(providers={"openai": {"api_key": "test"}}, transport=transport)
assert client.chat([{"role": "user", "content": "Hi"}], "gpt-4o-mini").content == "Hello!"
assert transport.requests[0].json["messages"][0]["content"] == "Hi"
```

To see how your code behaves when models fail, the sandbox's own faults need no script: `sandbox/rate-limited`,
`sandbox/broken-stream` and the others (`omnilabs.testing.FAULTS`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from omnilabs._frozen import frozen
from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._sandbox import FAULTS
from omnilabs.errors import OmniError

__all__ = ["FAULTS", "AsyncScriptedTransport", "FakeClock", "Recorded", "ScriptedTransport", "completion", "failure"]

Reply: TypeAlias = HttpResponse | OmniError | Sequence[bytes | OmniError]
"""A whole answer, a failure, or the pieces of a stream."""


@frozen
class Recorded:
    """A request that was sent: method, address and the JSON of its body. Keys are not kept."""

    method: str
    url: str
    json: Any


class FakeClock:
    """A monotonic clock in seconds that stands still until it is moved."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def move(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


class _Script:
    """Replies in order, and what was asked."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._replies = list(replies)
        self.requests: list[Recorded] = []

    def answer(self, request: HttpRequest) -> HttpResponse | OmniError:
        reply = self._next(request)
        if isinstance(reply, HttpResponse | OmniError):
            return reply
        broken = next((piece for piece in reply if isinstance(piece, OmniError)), None)
        return broken or HttpResponse(200, {}, b"".join(piece for piece in reply if isinstance(piece, bytes)))

    def open(self, request: HttpRequest) -> tuple[int, Mapping[str, str], Sequence[bytes | OmniError]] | OmniError:
        reply = self._next(request)
        if isinstance(reply, OmniError):
            return reply
        if isinstance(reply, HttpResponse):
            return reply.status, reply.headers, [reply.body]
        return 200, {"content-type": "text/event-stream"}, reply

    def _next(self, request: HttpRequest) -> Reply:
        self.requests.append(Recorded(request.method, request.url, json.loads(request.body) if request.body else None))
        if not self._replies:
            raise AssertionError(f"the script has no reply for request {len(self.requests)}: {request.url}")
        return self._replies.pop(0)


class ScriptedTransport:
    """A transport for `OmniClient(transport=...)` that plays replies in order and records the requests.

    Raises:
        AssertionError: More requests than replies.
    """

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._script = _Script(replies)

    @property
    def requests(self) -> Sequence[Recorded]:
        """What was asked so far."""
        return self._script.requests

    def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Return the next reply."""
        return self._script.answer(request)

    def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Return the next reply as a stream."""
        opened = self._script.open(request)
        if isinstance(opened, OmniError):
            return opened
        status, headers, pieces = opened
        return StreamHead(status, headers, _Pieces(pieces))

    def close(self) -> None:
        """Nothing is open."""


class AsyncScriptedTransport:
    """`ScriptedTransport` for `AsyncOmniClient(transport=...)`."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._script = _Script(replies)

    @property
    def requests(self) -> Sequence[Recorded]:
        """What was asked so far."""
        return self._script.requests

    async def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Return the next reply."""
        return self._script.answer(request)

    async def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Return the next reply as a stream."""
        opened = self._script.open(request)
        if isinstance(opened, OmniError):
            return opened
        status, headers, pieces = opened
        return StreamHead(status, headers, _AsyncPieces(pieces))

    async def aclose(self) -> None:
        """Nothing is open."""


class _Pieces:
    def __init__(self, pieces: Sequence[bytes | OmniError]) -> None:
        self._pieces = iter(pieces)

    def read(self) -> bytes | OmniError | None:
        return next(self._pieces, None)

    def drain(self) -> None:
        self._pieces = iter(())

    def close(self) -> None:
        self._pieces = iter(())


class _AsyncPieces:
    def __init__(self, pieces: Sequence[bytes | OmniError]) -> None:
        self._inner = _Pieces(pieces)

    async def read(self) -> bytes | OmniError | None:
        return self._inner.read()

    async def drain(self) -> None:
        self._inner.drain()

    async def aclose(self) -> None:
        self._inner.close()


def completion(content: str = "", *, model: str = "test-model", **message: Any) -> HttpResponse:
    """Return an OpenAI-shaped answer with this text; `message` adds fields such as `tool_calls`."""
    calls = bool(message.get("tool_calls"))
    body = {
        "id": "test",
        "model": model,
        "choices": [
            {
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": "tool_calls" if calls else "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    return HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())


def failure(status: int, message: str = "scripted", *, code: str = "", **headers: str) -> HttpResponse:
    """Return an OpenAI-shaped error answer; `headers` such as `retry_after="2"` get dashes for underscores."""
    body = {"error": {"message": message, "code": code, "type": code}}
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, fields, json.dumps(body).encode())
