"""A raw-socket server on 127.0.0.1 that misbehaves to the byte: resets, drips, stalls, lies about lengths.

An `Act` says what happens to one request. The server plays its script and then `answer`; it records what arrived, on
which connection, and how soon a client that gave up was gone.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

_Then = Literal["keep", "close", "reset", "hold"]


@dataclass(frozen=True)
class Act:
    """What happens to one request.

    Attributes:
        pieces: What is sent, each piece by itself.
        gap_s: Seconds to wait before each piece but the first.
        first_s: Seconds to wait before the first.
        then: Keep the connection for the next request, close it, reset it (RST), or say nothing until the client goes.
    """

    pieces: tuple[bytes, ...] = ()
    gap_s: float = 0.0
    first_s: float = 0.0
    then: _Then = "keep"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case. `reads` counts the pieces it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    at: float
    reads: int = 1

    @property
    def json(self) -> Any:
        return json.loads(self.body)


ANSWER = "Four."
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def completion(content: str = ANSWER, **fields: Any) -> dict[str, Any]:
    """Return the JSON of a whole OpenAI-shaped answer."""
    message = {"role": "assistant", "content": content}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "c1", "object": "chat.completion", "model": "m", "choices": choices, "usage": USAGE, **fields}


def whole(status: int, body: object, headers: Mapping[str, str] | None = None, then: _Then = "keep") -> Act:
    """Answer in one piece with JSON, or with bytes as they are."""
    return Act((head(status, payload := encoded(body), headers) + payload,), then=then)


def encoded(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def head(status: int, payload: bytes | int, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a status line and headers for a body of these bytes, or of this many."""
    length = payload if isinstance(payload, int) else len(payload)
    fields = {"content-type": "application/json", "content-length": str(length), **(headers or {})}
    return b"HTTP/1.1 %d Status\r\n" % status + "".join(f"{n}: {v}\r\n" for n, v in fields.items()).encode() + b"\r\n"


def stream_head(headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **(headers or {})}
    return b"HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()).encode() + b"\r\n"


STREAM_HEAD = stream_head()
LAST_CHUNK = b"0\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse(item: object) -> bytes:
    """Return one event: JSON for a mapping, data for a str, bytes as they are."""
    if isinstance(item, bytes):
        return item
    return f"data: {item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)}\n\n".encode()


def delta(content: str | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the JSON of an OpenAI-shaped chunk."""
    choice = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **fields}


def stream(
    *items: object,
    then: _Then = "keep",
    ends: bool = True,
    gap_s: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> Act:
    """Stream these events; `ends` says whether the last chunk of the transfer is sent."""
    pieces = [stream_head(headers), *(chunked(sse(item)) for item in items), *([LAST_CHUNK] if ends else [])]
    return Act(tuple(pieces) if gap_s else (b"".join(pieces),), gap_s=gap_s, then=then)


def good_stream(content: str = ANSWER) -> Act:
    """Stream a whole answer, letter by letter."""
    return stream(*map(delta, content), delta(finish="stop"), delta(usage=USAGE) | {"choices": []}, "[DONE]")


def obliging(request: Seen) -> Act:
    """Answer as a healthy server does."""
    return good_stream() if b'"stream":true' in request.body else whole(200, completion())


@dataclass
class FaultServer:
    """Plays `script`, then `answer`.

    Attributes:
        requests: What arrived, in order.
        connections: How many connections were opened.
        greeting: What is said to every connection instead of listening to it.
        gone_after_s: For each connection a client left while it was served: seconds since the last byte sent to it.
    """

    answer: Callable[[Seen], Act] = obliging
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    gone_after_s: list[float] = field(default_factory=list)
    greeting: bytes | None = None

    def __post_init__(self) -> None:
        self._script: deque[Act] = deque()
        self._lock = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def script(self, *acts: Act) -> Self:
        """Do this to the next requests, in order."""
        self._script.extend(acts)
        return self

    def hang_up(self) -> None:
        """Close every connection that is open now, as an idle time-out does."""
        with self._lock:
            _shut(self._open)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Wait until something is so; return whether it became so in time."""
        with self._lock:
            return self._lock.wait_for(condition, seconds)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        _shut([self._listener])
        self._accepting.join()
        self.hang_up()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                number = self.connections
            thread = threading.Thread(target=self._serve, args=(connection, number))
            self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.greeting is not None:
                connection.recv(65536)
                connection.sendall(self.greeting)
                return
            while (request := _read(connection, number)) is not None:
                with self._lock:
                    self.requests.append(request)
                    act = self._script.popleft() if self._script else None
                    self._lock.notify_all()
                if not self._play(act or self.answer(request), connection):
                    return
        except OSError:
            pass  # the client was faster
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()
                self._threads.discard(threading.current_thread())
                self._lock.notify_all()

    def _play(self, act: Act, connection: socket.socket) -> bool:
        """Do it; return whether another request may come on this connection."""
        sent_at = time.monotonic()
        for number, piece in enumerate(act.pieces):
            pause_s = act.gap_s if number else act.first_s
            if pause_s and self._left(connection, pause_s):
                self._note_gone(sent_at)
                return False
            try:
                connection.sendall(piece)
            except OSError:
                self._note_gone(sent_at)
                return False
            sent_at = time.monotonic()
        if act.then == "hold":
            while not self._left(connection, 0.5):
                if self._closing.is_set():
                    return False
            self._note_gone(sent_at)
        if act.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return act.then == "keep"

    def _note_gone(self, since: float) -> None:
        with self._lock:
            self.gone_after_s.append(time.monotonic() - since)
            self._lock.notify_all()

    def _left(self, connection: socket.socket, seconds: float) -> bool:
        """Wait; return whether the client hung up meanwhile."""
        readable, _, _ = select.select([connection], [], [], seconds)
        try:
            return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True


def _shut(sockets: Iterable[socket.socket]) -> None:
    for each in list(sockets):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster


def _read(connection: socket.socket, number: int) -> Seen | None:
    """Read one request, or None when the client has gone."""
    data = b""
    reads = 0
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
        reads += 1
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wanted = int(headers.get("content-length", 0))
    while len(body) < wanted:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
        reads += 1
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, body, number, time.monotonic(), reads)
