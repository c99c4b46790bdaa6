"""HTTP as values: what to send, what came back, and who carries it. No HTTP library's type appears here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from omnilabs._frozen import frozen
from omnilabs._secret import Secret
from omnilabs.errors import OmniError, ResponseFormatError

__all__ = [
    "AsyncByteStream",
    "AsyncTransport",
    "ByteStream",
    "HttpLimits",
    "HttpRequest",
    "HttpResponse",
    "StreamHead",
    "Transport",
]


@frozen
class HttpLimits:
    """How long, in seconds, and how much, in bytes. `deadline` is a reading of the monotonic clock."""

    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 300.0
    idle_timeout_s: float = 120.0
    deadline: float | None = None
    max_response_bytes: int = 32 * 1024 * 1024


DEFAULT_LIMITS = HttpLimits()


@frozen
class HttpRequest:
    """One request and its limits.

    `body` is encoded once, so that a retry sends the same bytes. Header values may be `Secret`; a transport reveals
    them at the last moment.
    """

    method: str
    url: str
    headers: Mapping[str, str | Secret] = field(default_factory=dict[str, "str | Secret"])
    body: bytes = b""
    limits: HttpLimits = DEFAULT_LIMITS


@frozen
class HttpResponse:
    """A whole response. Header names are lower case. Its repr shows nothing that the provider may have repeated."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become replacement characters."""
        return self.body.decode("utf-8", "replace")

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return request_id_of(self.headers)

    def json(self) -> Any:
        """Return the body's JSON.

        Raises:
            ResponseFormatError: The body is not JSON; the error holds its beginning.
        """
        try:
            return json.loads(self.body)
        except UnicodeDecodeError:
            pass  # `text` replaces what is not UTF-8
        except (ValueError, RecursionError) as exc:
            raise self._not_json(exc) from None
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as exc:
            raise self._not_json(exc) from None

    def _not_json(self, exc: Exception) -> ResponseFormatError:
        what = self.headers.get("content-type", "no content type") if self.body else "an empty body"
        return ResponseFormatError(
            f"the answer is not JSON ({what}): {exc}",
            body_prefix=self.text,
            status=self.status,
            request_id=self.request_id,
        )


@frozen
class StreamHead:
    """The beginning of a response whose body is still to be read from `stream`."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    stream: Any = field(repr=False, compare=False)


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the provider's request id from lower-case headers."""
    for name in ("x-request-id", "request-id", "x-goog-request-id", "cf-ray"):
        if name in headers:
            return headers[name]
    return None


class ByteStream(Protocol):
    """A response body that is being read."""

    def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure as a value."""
        ...

    def drain(self) -> None:
        """The answer is whole: read what little may follow it, for a moment, to keep the connection usable."""
        ...

    def close(self) -> None:
        """Give up the connection; it is not used again unless the body had been read to its end."""
        ...


class AsyncByteStream(Protocol):
    """`ByteStream` for asyncio."""

    async def read(self) -> bytes | OmniError | None:
        """Return the next bytes, None at the end, or the failure as a value."""
        ...

    async def drain(self) -> None:
        """The answer is whole: read what little may follow it, for a moment, to keep the connection usable."""
        ...

    async def aclose(self) -> None:
        """Give up the connection."""
        ...


class Transport(Protocol):
    """Carries requests. A failure is returned, never raised: the flow alone decides what becomes of it."""

    def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Send and read the whole answer."""
        ...

    def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Send and return once the status and headers are in; `head.stream` is a `ByteStream`."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class AsyncTransport(Protocol):
    """`Transport` for asyncio."""

    async def send(self, request: HttpRequest) -> HttpResponse | OmniError:
        """Send and read the whole answer."""
        ...

    async def open(self, request: HttpRequest) -> StreamHead | OmniError:
        """Send and return once the status and headers are in; `head.stream` is an `AsyncByteStream`."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
