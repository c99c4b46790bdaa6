"""The HTTP library's insides that the time limits stand on, and what the transport makes of its failures."""

from __future__ import annotations

import gc
import inspect
import ssl
import time
import traceback
from collections.abc import Iterator
from typing import Any

import httpcore2
import httpx2
import pytest
from faultserver import Act, FaultServer, completion, encoded, head, whole

from omnilabs._failures import failure
from omnilabs._http import HttpLimits, HttpRequest, HttpResponse, StreamHead
from omnilabs._patience import Patience, make_patient
from omnilabs._secret import Secret
from omnilabs._transport import AsyncHttpTransport, HttpTransport
from omnilabs.errors import ConfigurationError, RequestTimeoutError, ResponseFormatError, TransportError


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    carrier = HttpTransport()
    yield carrier
    carrier.close()


def request(url: str, body: bytes = b"{}", **limits: float) -> HttpRequest:
    return HttpRequest("POST", url, {"content-type": "application/json"}, body, HttpLimits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [httpx2.Client, httpx2.AsyncClient])
def test_the_library_still_has_the_places_that_patience_needs(kind: type[httpx2.Client] | type[httpx2.AsyncClient]):
    client: Any = kind(proxy=None)
    base = httpcore2.NetworkBackend if kind is httpx2.Client else httpcore2.AsyncNetworkBackend
    assert isinstance(client._mounts, dict)
    assert client._transport_for_url(httpx2.URL("https://example.com/")) is client._transport
    assert isinstance(client._transport._pool._network_backend, base)
    make_patient(client)
    patient = client._transport._pool._network_backend
    assert isinstance(patient, base)
    assert type(patient).__module__ == "omnilabs._patience"
    pools = httpcore2.ConnectionPool if kind is httpx2.Client else httpcore2.AsyncConnectionPool
    assert isinstance(client._transport._pool, pools)
    # A new connection must get the backend that was put there, not one it makes itself.
    pool: Any = client._transport._pool
    connection = pool.create_connection(httpcore2.Origin(b"http", b"127.0.0.1", 80))
    assert connection._network_backend is patient


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("_Backend", httpcore2.NetworkBackend),
        ("_Stream", httpcore2.NetworkStream),
        ("_AsyncBackend", httpcore2.AsyncNetworkBackend),
        ("_AsyncStream", httpcore2.AsyncNetworkStream),
    ],
)
def test_every_operation_of_the_library_is_wrapped(ours: str, theirs: type):
    import omnilabs._patience as patience

    wrapper = getattr(patience, ours)
    operations = {name for name, _ in inspect.getmembers(theirs, inspect.isfunction) if not name.startswith("_")}
    assert operations <= wrapper.__dict__.keys()


def test_the_library_hands_the_time_limits_on_as_they_are(server: FaultServer, transport: HttpTransport):
    """If it copied them to plain floats, a deadline would no longer shrink with every byte."""
    server.answer = lambda _: Act((head(200, 1000), *([b" "] * 1000)), gap_s=0.02)
    begun = time.monotonic()
    failed = transport.send(request(server.url, deadline=begun + 0.4))
    assert isinstance(failed, RequestTimeoutError)
    assert failed.phase == "total"
    assert 0.3 < time.monotonic() - begun < 1.0


def test_a_limit_is_the_smaller_of_its_own_and_what_is_left():
    patience = Patience(HttpLimits(connect_timeout_s=10, deadline=time.monotonic() + 3))
    assert 2.5 < patience.connect_s() <= 3
    patience = Patience(HttpLimits(connect_timeout_s=1, deadline=time.monotonic() + 3))
    assert patience.connect_s() == 1
    patience = Patience(HttpLimits(deadline=time.monotonic() - 1))
    with pytest.raises(httpcore2.ReadTimeout):
        patience.read_s()


def test_a_kept_connection_is_used_again_and_told(server: FaultServer, transport: HttpTransport):
    for _ in range(3):
        assert isinstance(transport.send(request(server.url)), HttpResponse)
    assert server.connections == 1
    server.script(Act(then="close"))
    failed = transport.send(request(server.url))
    assert isinstance(failed, TransportError)
    assert failed.phase == "stale"


def test_a_connection_that_answered_a_little_is_not_called_stale(server: FaultServer, transport: HttpTransport):
    transport.send(request(server.url))
    server.script(Act((b"HTTP/1.1 200",), then="close"))
    failed = transport.send(request(server.url))
    assert isinstance(failed, TransportError)
    assert failed.phase == "receive"


def test_secret_headers_are_revealed_on_the_wire_alone(server: FaultServer, transport: HttpTransport):
    wanted = HttpRequest("POST", server.url, {"authorization": Secret("Bearer test-key")}, b"{}")
    assert isinstance(transport.send(wanted), HttpResponse)
    assert server.requests[0].headers["authorization"] == "Bearer test-key"
    assert "test-key" not in repr(wanted)


def test_a_small_request_is_one_packet(server: FaultServer, transport: HttpTransport):
    for _ in range(5):
        assert isinstance(transport.send(request(server.url, b'{"a": 1}')), HttpResponse)
    assert [seen.reads for seen in server.requests] == [1] * 5


def test_a_large_request_arrives_whole(server: FaultServer, transport: HttpTransport):
    for size in (64 * 1024 - 1, 64 * 1024 + 1, 3_000_000):
        assert isinstance(transport.send(request(server.url, body := b"x" * size)), HttpResponse)
        assert server.requests[-1].body == body


def test_a_request_without_a_body_is_sent_at_once(server: FaultServer, transport: HttpTransport):
    assert isinstance(transport.send(HttpRequest("GET", server.url)), HttpResponse)
    assert server.requests[0].method == "GET"
    assert "content-length" not in server.requests[0].headers


def test_a_header_the_caller_gives_takes_the_place_of_the_librarys(server: FaultServer, transport: HttpTransport):
    transport.send(HttpRequest("POST", server.url, {"User-Agent": "mine/1"}, b"{}"))
    transport.send(HttpRequest("POST", server.url, {}, b"{}"))
    assert [seen.headers["user-agent"].startswith("mine") for seen in server.requests] == [True, False]
    assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


def test_the_proxy_of_the_environment_is_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    transport = HttpTransport()
    assert isinstance(transport.send(request("http://provider.invalid/v1")), HttpResponse)
    assert server.requests[0].path == "http://provider.invalid/v1"
    assert server.requests[0].headers["host"] == "provider.invalid"
    transport.close()


def test_a_call_leaves_nothing_to_the_garbage_collector(server: FaultServer, transport: HttpTransport):
    """A cycle per call makes the collector walk the whole heap of the application now and then."""
    transport.send(request(server.url))
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            transport.send(request(server.url))
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_a_compression_that_is_broken_is_a_broken_answer(server: FaultServer, transport: HttpTransport):
    server.script(whole(200, b"\x1f\x8bnot gzip at all", {"content-encoding": "gzip"}))
    assert isinstance(transport.send(request(server.url)), ResponseFormatError)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "http://[::1", "http://127.0.0.1:99999/"])
def test_an_address_that_is_none_is_a_configuration_error(transport: HttpTransport, url: str):
    assert isinstance(transport.send(request(url)), ConfigurationError | TransportError)


def test_a_failure_keeps_its_own_kind_and_none_of_the_librarys(transport: HttpTransport):
    failed = transport.send(request("https://127.0.0.1:9"))
    assert isinstance(failed, TransportError)
    assert failed.__traceback__ is None
    link: BaseException | None = failed
    while link is not None:
        assert not type(link).__module__.startswith(("httpx2", "httpcore2", "anyio"))
        link = link.__cause__ or link.__context__
    assert ssl.SSLError not in type(failed).__mro__


async def test_bodies_are_read_as_they_come(server: FaultServer):
    body = encoded(completion())
    server.answer = lambda _: Act((head(200, body), body[:10], body[10:]), gap_s=0.05)
    transport = AsyncHttpTransport()
    opened = await transport.open(request(server.url))
    assert isinstance(opened, StreamHead)
    pieces = [piece async for piece in _pieces(opened)]
    assert len(pieces) >= 2
    assert b"".join(pieces) == body
    await opened.stream.aclose()
    await transport.aclose()


async def _pieces(opened: StreamHead):
    while (piece := await opened.stream.read()) is not None:
        yield piece


def test_a_defect_keeps_where_it_was_in_a_note_without_the_values(server: FaultServer, transport: HttpTransport):
    wrong: Any = {"authorization": Secret("c4n4ry"), "x-count": 1}
    with pytest.raises(AttributeError, match="encode") as caught:
        transport.open(HttpRequest("POST", server.url, wrong, b"{}", HttpLimits()))
    (note,) = caught.value.__notes__
    assert "_transport.py" in note
    assert "in outgoing" in note
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-2:] == ["open", "failure"]


def test_an_interrupt_is_raised_on_without_the_librarys_frames_and_leaves_the_callers_error_alone():
    def library() -> None:
        wire = b"authorization: c4n4ry"
        try:
            raise OSError("full")
        except OSError as exc:
            raise KeyboardInterrupt from (exc if wire else None)

    mine, caught = LookupError("the caller's"), None
    try:
        raise mine
    except LookupError:
        try:
            library()
        except BaseException as exc:
            with pytest.raises(KeyboardInterrupt) as caught:
                failure(exc, request("http://127.0.0.1:9"), Patience(HttpLimits()), began=False)
    assert caught is not None
    full = caught.value.__cause__
    assert isinstance(full, OSError)
    assert full.__traceback__ is None
    assert full.__context__ is mine
    assert mine.__traceback__ is not None
    assert "library" not in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
