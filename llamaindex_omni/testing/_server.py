"""An OpenAI-shaped server on loopback that says what it was told to, and remembers what it was asked."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

__all__ = [
    "Break",
    "Calls",
    "Endless",
    "Fail",
    "OpenAIServer",
    "Refuse",
    "Reply",
    "Request",
    "Say",
    "Structured",
    "ToolCallReply",
]

USAGE: Mapping[str, Any] = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3},
}


_BREATH_S = 0.25


@dataclass(frozen=True)
class Say:
    """Answer with a text.

    Attributes:
        text: The text; streamed, it comes word by word.
        reasoning: What the model thought before.
        reasoning_field: Where it says so: `reasoning_content` (most servers) or `reasoning` (OpenRouter, vLLM).
        logprobs: Log-probabilities per token, as OpenAI sends them.
        delay_s: Seconds to wait before anything is sent.
        finish_reason: Why the answer ends.
    """

    text: str = "Hello there, friend."
    reasoning: str | None = None
    reasoning_field: str = "reasoning_content"
    logprobs: tuple[Mapping[str, Any], ...] = ()
    delay_s: float = 0.0
    finish_reason: str = "stop"


@dataclass(frozen=True)
class ToolCallReply:
    """One call of `Calls`; `id=None` leaves the id out, as some servers do."""

    name: str
    arguments: str = "{}"
    id: str | None = "call_1"


@dataclass(frozen=True)
class Calls:
    """Answer with tool calls; streamed, the arguments come in pieces of four characters.

    Attributes:
        calls: The calls.
        text: What the model says before them.
        finish_reason: `length` where the answer is cut off.
    """

    calls: tuple[ToolCallReply, ...]
    text: str | None = None
    finish_reason: str = "tool_calls"


@dataclass(frozen=True)
class Refuse:
    """Decline to answer, in the field that OpenAI has for it."""

    refusal: str = "I cannot help with that."


@dataclass(frozen=True)
class Structured:
    """Answer with an object: by the only tool where there is one, otherwise as text."""

    json: str

    def reply_to(self, body: Mapping[str, Any]) -> Say | Calls:
        """Return the plain reply to a request."""
        tools = body.get("tools")
        return Calls((ToolCallReply(tools[0]["function"]["name"], self.json),)) if tools else Say(self.json)


@dataclass(frozen=True)
class Fail:
    """Answer with an error status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Break:
    """Stream a text and then break off: by an `error` event, or by closing the connection."""

    text: str = "Hello there"
    by_event: bool = True


@dataclass(frozen=True)
class Endless:
    """Stream words until the reader goes away."""

    word: str = "on "


Reply: TypeAlias = Say | Calls | Refuse | Structured | Fail | Break | Endless


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class OpenAIServer:
    """Serves `/chat/completions` in threads of its own, in a `with` block.

    A reply script is used up in order; the last reply is repeated for ever. Usage is streamed only to those who ask for
    it with `stream_options`, as OpenAI does.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.readers_gone = threading.Semaphore(0)
        """Released once for every endless stream whose reader went away."""
        self._script: deque[Reply] = deque([Say()])
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """The address to give an OpenAI client."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def replies(self, *script: Reply) -> None:
        """Answer the next requests with these, and all later ones with the last."""
        with self._lock:
            self._script = deque(script)

    def take(self, request: Request) -> Reply:
        """Record a request and return its reply."""
        with self._lock:
            self.requests.append(request)
            return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def reader_left(self, within_s: float = 5.0) -> bool:
        """Whether the reader of an endless stream goes away within this many seconds."""
        return self.readers_gone.acquire(timeout=within_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: OpenAIServer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a reader that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        """Answer a chat request as the script says."""
        http = cast("_Http", self.server)
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = http.owner.take(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if isinstance(reply, Structured):
            reply = reply.reply_to(body)
        if isinstance(reply, Fail):
            self._send_json(reply.status, {"error": {"message": "no", "type": "test"}}, reply.headers)
        elif not body.get("stream"):
            if isinstance(reply, Say) and reply.delay_s:
                time.sleep(reply.delay_s)
            self._send_json(200, _whole(reply, body))
        else:
            self._send_stream(reply, body, http)

    def _send_json(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _send_stream(self, reply: Reply, body: Mapping[str, Any], http: _Http) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        if isinstance(reply, Endless):
            self._stream_until_left(reply, body, http)
            return
        if isinstance(reply, Say) and reply.delay_s:
            time.sleep(reply.delay_s)
        for event in _events(reply, body):
            self.wfile.write(f"data: {event}\n\n".encode())
        if isinstance(reply, Break) and not reply.by_event:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _stream_until_left(self, reply: Endless, body: Mapping[str, Any], http: _Http) -> None:
        event = f"data: {json.dumps(_chunk(body, {'role': 'assistant', 'content': reply.word}))}\n\n".encode()
        try:
            while not http.stopping.is_set():
                self.wfile.write(event)
                readable, _, _ = select.select([self.connection], [], [], 0.02)
                if readable and not self.connection.recv(1):
                    break
        except OSError:
            pass
        http.owner.readers_gone.release()


def _whole(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": getattr(reply, "text", "")}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": _finish_of(reply)}
    if isinstance(reply, Calls):
        message["tool_calls"] = [_call(call) for call in reply.calls]
    if isinstance(reply, Refuse):
        message |= {"content": None, "refusal": reply.refusal}
    if isinstance(reply, Say):
        if reply.reasoning is not None:
            message[reply.reasoning_field] = reply.reasoning
        if reply.logprobs:
            choice["logprobs"] = {"content": list(reply.logprobs)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": dict(USAGE),
    }


def _finish_of(reply: Reply) -> str:
    return reply.finish_reason if isinstance(reply, Say | Calls) else "stop"


def _call(call: ToolCallReply) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return wire if call.id is None else {"id": call.id, **wire}


def _events(reply: Reply, body: Mapping[str, Any]) -> Iterator[str]:
    for delta, logprobs in _deltas(reply):
        yield json.dumps(_chunk(body, delta, logprobs=logprobs))
    if isinstance(reply, Break):
        time.sleep(_BREATH_S)  # so that the reader has read something before the answer breaks off
        if reply.by_event:
            yield json.dumps({"error": {"message": "the model fell over", "type": "server_error", "code": 500}})
        return
    yield json.dumps(_chunk(body, {}, finish=_finish_of(reply)))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps({**_chunk(body, {}), "choices": [], "usage": dict(USAGE)})
    yield "[DONE]"


def _deltas(reply: Reply) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | None]]:
    yield {"role": "assistant", "content": ""}, None
    if isinstance(reply, Say):
        for piece in _words(reply.reasoning or ""):
            yield {reply.reasoning_field: piece}, None
        for index, piece in enumerate(_words(reply.text)):
            yield {"content": piece}, reply.logprobs[index] if index < len(reply.logprobs) else None
    elif isinstance(reply, Calls):
        for delta in _call_deltas(reply):
            yield delta, None
    elif isinstance(reply, Refuse):
        for piece in _words(reply.refusal):
            yield {"refusal": piece}, None
    elif isinstance(reply, Break):
        for piece in _words(reply.text):
            yield {"content": piece}, None


def _call_deltas(reply: Calls) -> Iterator[dict[str, Any]]:
    for piece in _words(reply.text or ""):
        yield {"content": piece}
    for index, call in enumerate(reply.calls):
        yield {"tool_calls": [{"index": index, **_call(ToolCallReply(call.name, "", call.id))}]}
        for at in range(0, len(call.arguments), 4):
            yield {"tool_calls": [{"index": index, "function": {"arguments": call.arguments[at : at + 4]}}]}


def _words(text: str) -> Iterator[str]:
    for index, word in enumerate(text.split(" ") if text else ()):
        yield word if index == 0 else f" {word}"


def _chunk(
    body: Mapping[str, Any],
    delta: Mapping[str, Any],
    *,
    finish: str | None = None,
    logprobs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "delta": dict(delta), "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": [logprobs]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
    }
