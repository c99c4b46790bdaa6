"""Server-sent events from bytes: incremental, any chunk boundary, per the WHATWG specification.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, read 2026-11-23.
"""

from __future__ import annotations

from typing import NamedTuple

from omnilabs.errors import ResponseTooLargeError

__all__ = ["EventDecoder", "ServerSentEvent"]

_MAX_EVENT_BYTES = 32 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    """One event: its name ("" if it had none) and its data, lines joined by a newline."""

    event: str
    data: str


class EventDecoder:
    """Turns bytes into events; `flush` gives what a missing final blank line left behind."""

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._tail = bytearray()  # grows in place: an event may come in thousands of pieces
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._started = False
        self._skip_lf = False
        self._idle = False
        self._max_event_bytes = max_event_bytes
        self.has_replaced = False
        """Whether bytes that are not UTF-8 became replacement characters."""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events these bytes complete.

        Raises:
            ResponseTooLargeError: One event is larger than the limit.
        """
        # One whole event a read is how most streams come.
        if self._idle and data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 and data.endswith(b"\n\n"):
            if b"\r" not in data:
                return [ServerSentEvent("", self._text(data[6:-2]))]
        events = self._feed(data)
        self._idle = self._started and not (self._tail or self._data or self._event or self._skip_lf)
        return events

    def _feed(self, data: bytes) -> list[ServerSentEvent]:
        if not self._started:
            data = bytes(self._tail) + data
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._tail[:] = data
                return []
            self._tail.clear()
            self._started = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        if self._skip_lf and data:  # the other half of a CRLF that two reads split
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if b"\n" not in data and b"\r" not in data:
            self._tail += data
            self._check_size(len(self._tail))
            return []
        buffer = bytes(self._tail) + data
        if b"\r" in buffer:
            self._skip_lf = buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = buffer.split(b"\n")
        self._tail[:] = lines.pop()
        events: list[ServerSentEvent] = []
        for line in lines:
            self._line(line, events)
        self._check_size(len(self._tail) + self._size)
        return events

    def flush(self) -> list[ServerSentEvent]:
        """Return the event that the end of the stream completes, if any.

        The specification throws it away; providers end streams without a blank line, and losing their last event
        would lose the usage.
        """
        events: list[ServerSentEvent] = []
        if self._tail:
            tail = bytes(self._tail)
            self._tail.clear()
            self._line(tail, events)
        self._line(b"", events)
        return events

    def _line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if not line:
            if self._data:
                events.append(ServerSentEvent(self._event, "\n".join(self._data)))
            self._event, self._data, self._size = "", [], 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(self._text(value[1:] if value[:1] == b" " else value))
            self._size += len(value)
        elif name == b"event":
            self._event = self._text(value[1:] if value[:1] == b" " else value)

    def _text(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.has_replaced = True
            return value.decode("utf-8", "replace")

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            raise ResponseTooLargeError(f"one stream event is larger than {self._max_event_bytes} bytes")
