"""The HTTP library's failures as ours, and what is refused of its responses."""

from __future__ import annotations

import socket
import ssl
import time
import traceback
from collections.abc import Mapping
from typing import Any, TypeAlias

import httpcore2
import httpx2

from omnilabs._http import HttpRequest, request_id_of
from omnilabs._patience import Patience
from omnilabs.errors import (
    ConfigurationError,
    OmniError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    TransportError,
)

__all__ = ["FAILURES", "failure", "refused", "too_large"]

Failure: TypeAlias = (
    httpcore2.TimeoutException
    | httpcore2.NetworkError
    | httpcore2.ProtocolError
    | httpcore2.ProxyError
    | httpcore2.UnsupportedProtocol
    | httpx2.DecodingError
    | httpx2.InvalidURL
    | ssl.SSLError
    | OSError
)
FAILURES = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    httpx2.DecodingError,
    httpx2.InvalidURL,
    ssl.SSLError,
    OSError,
)
_TIMEOUT_PHASES: Mapping[type[httpcore2.TimeoutException], str] = {
    httpcore2.ConnectTimeout: "connect",
    httpcore2.PoolTimeout: "connect",
    httpcore2.WriteTimeout: "send",
    httpcore2.ReadTimeout: "first_byte",
}


def refused(status: int, headers: Mapping[str, str], request: HttpRequest) -> OmniError | None:
    """Return why a response is not read: a redirect, which could carry the key elsewhere, or too large a body."""
    if 300 <= status < 400:
        return TransportError(
            f"{_host(request)} redirects; the key is bound to the address it was configured for: set base_url to the "
            "new address if you trust it",
            phase="redirect",
            status=status,
            retryable=False,
        )
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > request.limits.max_response_bytes:
        return too_large(request, status, headers)
    return None


def too_large(request: HttpRequest, status: int, headers: Mapping[str, str]) -> ResponseTooLargeError:
    return ResponseTooLargeError(
        f"{_host(request)} answered with more than {request.limits.max_response_bytes} bytes; raise "
        "max_response_bytes to read it",
        status=status,
        request_id=request_id_of(headers),
    )


def _host(request: HttpRequest) -> str:
    return httpx2.URL(request.url).host


def failure(
    exc: BaseException,
    request: HttpRequest,
    patience: Patience,
    *,
    began: bool,
    head: tuple[int, Mapping[str, str]] | None = None,
) -> OmniError:
    """Return our error for one of the library's; `head` is the status and headers of an answer that had begun.

    Raises:
        BaseException: It is none of them, but an interrupt, a cancellation or a defect: raised on as it is, without
            the library's frames.
    """
    _forget_frames(exc)
    if not isinstance(exc, FAILURES):
        raise exc
    fields: dict[str, Any] = {}
    if head is not None:
        fields = {"status": head[0], "request_id": request_id_of(head[1])}
    error = _classify(exc, request, patience, began=began, fields=fields)
    error.__cause__ = type(exc)(str(exc)) if type(exc).__module__ == "builtins" else None
    return error


def _forget_frames(exc: BaseException) -> None:
    """Cut off the tracebacks of an exception and of those behind it: their frames hold the request as it is sent.

    Of what may be a defect a note keeps where it was, without the values.
    """
    if isinstance(exc, Exception) and not isinstance(exc, FAILURES):
        exc.add_note("Raised in the HTTP library:\n" + "".join(traceback.format_tb(exc.__traceback__)))
    exc.__traceback__ = None
    # An exception whose first frame is still running is one that the caller was handling when it called.
    running = {frame for frame, _ in traceback.walk_stack(None)}
    left = [exc.__cause__, exc.__context__]
    while left:
        link = left.pop()
        if link is not None and link.__traceback__ is not None and link.__traceback__.tb_frame not in running:
            link.__traceback__ = None
            left += [link.__cause__, link.__context__]


def _classify(
    exc: Failure, request: HttpRequest, patience: Patience, *, began: bool, fields: dict[str, Any]
) -> OmniError:
    if isinstance(exc, httpcore2.TimeoutException):
        return _timed_out(exc, request, patience, began=began, fields=fields)
    if isinstance(exc, httpcore2.LocalProtocolError):
        # Its text repeats the header, which may be the key.
        return ConfigurationError(
            "a header holds characters that HTTP does not allow: check the headers you configured"
        )
    if isinstance(exc, httpcore2.UnsupportedProtocol | httpx2.InvalidURL):
        return ConfigurationError(f"the request to {request.url!r} cannot be sent: {exc}; check base_url")
    if isinstance(exc, httpx2.DecodingError):
        return ResponseFormatError(f"the answer's compression is broken: {exc}", **fields)
    phase, maybe_billed = _phase(exc, began=began)
    if phase in ("send", "receive") and patience.is_reused and not patience.is_heard:
        # The server may have closed the idle connection while the request was on its way.
        phase = "stale"
    what = "broke off its answer" if phase == "body" else f"could not be reached ({phase})"
    return TransportError(
        f"{httpx2.URL(request.url).host} {what}: {exc or type(exc).__name__}",
        phase=phase,
        maybe_billed=maybe_billed,
        retryable=phase != "tls",
        **fields,
    )


def _timed_out(
    exc: httpcore2.TimeoutException, request: HttpRequest, patience: Patience, *, began: bool, fields: dict[str, Any]
) -> RequestTimeoutError:
    host = httpx2.URL(request.url).host
    phase = "idle" if began else _TIMEOUT_PHASES.get(type(exc), "first_byte")
    if request.limits.deadline is not None and time.monotonic() >= request.limits.deadline - 0.002:
        phase = "total"
    limits = {
        "connect": f"connect within {request.limits.connect_timeout_s:g} s",
        "send": f"take the request within {request.limits.first_byte_timeout_s:g} s",
        "first_byte": f"begin to answer within {request.limits.first_byte_timeout_s:g} s",
        "idle": f"send anything for {request.limits.idle_timeout_s:g} s",
        "total": "finish before the call's deadline",
    }
    return RequestTimeoutError(
        f"{host} did not {limits[phase]}",
        phase=phase,
        maybe_billed=phase not in ("connect", "send"),
        retryable=phase != "total",
        **fields,
    )


def _phase(exc: BaseException, *, began: bool) -> tuple[str, bool]:
    """Return how far the request came, and whether the provider may have worked on it."""
    if began:
        return "body", True
    if isinstance(exc, httpcore2.ConnectError | httpcore2.ProxyError | ssl.SSLError):
        link: BaseException | None = exc
        while link is not None:
            if isinstance(link, ssl.SSLError):
                return "tls", False
            if isinstance(link, socket.gaierror):
                return "dns", False
            link = link.__cause__ or link.__context__
        return "connect", False
    if isinstance(exc, httpcore2.WriteError):
        return "send", False
    return "receive", True
