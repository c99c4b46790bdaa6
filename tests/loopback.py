"""A server on 127.0.0.1 for tests: records what it is asked, answers what it is told, and leaves nothing open."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; header names in lower case. `peer` tells its connection from others."""

    method: str
    path: str
    headers: Mapping[str, str]
    json: Any
    peer: str = ""


@dataclass(frozen=True)
class Reply:
    """What to answer: JSON (or bytes as they are) in one piece, or `pieces` as a chunked stream that may break off."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] | None = None
    breaks: bool = False


def events(*items: Mapping[str, Any] | tuple[str, Mapping[str, Any]] | str, breaks: bool = False) -> Reply:
    """Return a stream: data objects, (name, data) pairs, or raw data such as "[DONE]"."""
    return Reply(headers={"Content-Type": "text/event-stream"}, pieces=tuple(map(event_bytes, items)), breaks=breaks)


def event_bytes(item: Mapping[str, Any] | tuple[str, Mapping[str, Any]] | str) -> bytes:
    """Return one event's bytes."""
    if isinstance(item, str):
        return f"data: {item}\n\n".encode()
    name, data = item if isinstance(item, tuple) else ("", item)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Loopback:
    """Serves a script of replies, and what `answer` says when the script is over.

    Attributes:
        requests: Every request that arrived, in order.
    """

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._script: deque[Reply] = deque()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def script(self, *replies: Reply) -> None:
        """Answer the next requests with these, in order, whatever they ask."""
        self._script.extend(replies)

    def answer(self, request: Recorded) -> Reply:
        """Return the reply to a request the script has none for."""
        raise AssertionError(f"nothing is scripted for {request.method} {request.path}")

    def serve(self, request: Recorded) -> Reply:
        """Record a request and return its reply."""
        self.requests.append(request)
        return self._script.popleft() if self._script else self.answer(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()
        if self._http.faults and error is None:
            raise self._http.faults[0]


class _Http(ThreadingHTTPServer):
    """Serves connections in threads, and can end those a client keeps alive."""

    daemon_threads = False  # server_close() joins them: nothing is left behind

    def __init__(self, service: Loopback) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self.faults: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Wake the threads that wait for another request on a kept connection."""
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep a fault of this server for the end of the test; a client that hangs up is none."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.faults.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Recorded(
            self.command, self.path, headers, json.loads(body) if body else None, str(self.client_address)
        )
        reply = self.server.service.serve(request)
        self.send_response(reply.status)
        if reply.pieces is None:
            self._send_whole(reply)
        else:
            self._send_pieces(reply)

    def _send_whole(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _send_pieces(self, reply: Reply) -> None:
        for name, value in {**reply.headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in reply.pieces or ():
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if reply.breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")
