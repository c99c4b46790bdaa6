"""Canary keys, searched in everything a program can print, pickle, log or trace: none is found."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from conftest import Omni
from fault_kit import MODEL, QUESTION, ask, failure, providers
from faultserver import Act, FaultServer, delta, stream, whole
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import ConfigurationError

# Two keys that look like keys, and two that look like nothing in particular.
LOOKS = "sk-proj-C4n4ryKeyThatLooksLikeOne0123456789"
PLAIN = "c4n4ry.plain.0f1e2d3c4b5a69788796a5b4c3d2e1f0"
HEADER = "c4n4ry+header+value+8877665544332211"
HOSTED = "c4n4ry_hosted_1029384756"
TESTS = str(Path(__file__).parent.parent)
CANARIES = (LOOKS, PLAIN, HEADER, HOSTED)


def leaks(text: str) -> list[str]:
    """Return the canaries in a text, whole or by a tell-tale part of them."""
    return [canary for canary in CANARIES if canary in text or canary[-12:] in text]


def everything_of(error: BaseException) -> str:
    """Return all that can be shown of an error: text, fields, pickle, and the locals of every frame but the tests'."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    stack = [frame for frame in told.stack if not frame.filename.startswith(TESTS)]
    shown = [str(error), repr(error), repr(error.args), repr(vars(error)), *told.format_exception_only()]
    shown += [f"{frame.line} {frame.locals}" for frame in stack]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # One level deeper than repr goes: what a debugger shows when a local is opened.
        if not frame.f_code.co_filename.startswith(TESTS):
            shown += [repr(vars(value)) for value in frame.f_locals.values() if _can_be_opened(value)]
    link = error.__cause__ if error.__suppress_context__ else error.__context__
    if link is not None:
        shown.append(everything_of(link))
    shown.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(shown)


def _can_be_opened(value: object) -> bool:
    return hasattr(value, "__dict__") and type(value).__module__.startswith("omnilabs")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything any logger says at its most talkative."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)r"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def configured(omni: Omni, server: FaultServer, key: str, **options: Any) -> Any:
    headers = {"x-extra-credential": HEADER}
    return omni.client(providers=providers(server, api_key=key, headers=headers), max_retries=0, **options)


def echo(status: int) -> Act:
    """Repeat the key as a careless provider does: in the message, in fields, and in names."""
    error = {"message": f"Bad key {LOOKS} / {PLAIN}", "param": {"got": [PLAIN], PLAIN: LOOKS}, "code": "x"}
    return whole(status, {"error": error})


FAULTS: dict[str, Act] = {
    **{str(status): echo(status) for status in (400, 401, 403, 404, 422, 429, 500, 503)},
    "HTML": whole(502, f"<html>{PLAIN} {LOOKS}</html>".encode()),
    "no JSON": whole(200, f"{PLAIN} {LOOKS}".encode()),
    "no answer in it": whole(200, {"got": f"{PLAIN} {LOOKS}"}),
    "an error in a 200": whole(200, {"error": {"message": f"{PLAIN} {LOOKS}", "code": 401}}),
    "reset": Act(then="reset"),
    "redirect": whole(307, b"", {"location": "http://127.0.0.1:9/"}),
    "garbage": Act((b"HTTP/9 what\r\n\r\n",), then="close"),
    "silence": Act(then="hold"),
    "an error in a stream": stream(delta("a"), {"error": {"message": f"{PLAIN} {LOOKS}", "code": 500}}),
    "bad JSON in a stream": stream(delta("a"), f"data: {{{PLAIN} {LOOKS}\n\n".encode()),
    "a stream cut off": stream(delta("a"), ends=False, then="reset"),
}


@pytest.mark.parametrize("key", [LOOKS, PLAIN], ids=["looks like a key", "looks like nothing"])
@pytest.mark.parametrize("act", FAULTS.values(), ids=FAULTS)
def test_no_error_shows_a_key(omni: Omni, server: FaultServer, log: io.StringIO, act: Act, key: str):
    server.answer = lambda request: act
    client = configured(omni, server, key, first_byte_timeout_s=0.1)
    streamed = act.pieces[:1] != () and b"event-stream" in act.pieces[0]
    error = failure(lambda: ask(client, streamed=streamed))
    # A key that looks like one is taken out wherever it comes from; another where it is the one that was sent.
    mine = [canary for canary in leaks(everything_of(error) + log.getvalue()) if canary in (key, LOOKS, HEADER)]
    assert mine == []
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"  # it was sent, and only there
    assert server.requests[0].headers["x-extra-credential"] == HEADER


def test_no_log_at_its_most_talkative_shows_a_key(omni: Omni, server: FaultServer, log: io.StringIO):
    client = configured(omni, server, PLAIN)
    ask(client, streamed=False)
    ask(client, streamed=True)
    assert "httpcore2" in log.getvalue()  # the libraries did talk
    assert leaks(log.getvalue()) == []


@pytest.mark.parametrize("kind", [OmniClient, AsyncOmniClient])
def test_a_client_shows_no_key_and_does_not_pickle_one(server: FaultServer, kind: Callable[..., Any]):
    client = kind(providers=providers(server, api_key=PLAIN, headers={"x-extra-credential": HEADER}))
    shown: set[int] = set()
    assert leaks(_open_up(client, shown)) == []
    assert len(shown) > 20  # it was opened up indeed
    for give_away in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            give_away(client)


def _open_up(value: object, seen: set[int], depth: int = 0) -> str:
    """Return the repr of a value and of all that its attributes reach, as a debugger would show it."""
    if id(value) in seen or depth > 8 or isinstance(value, str | bytes | int | float):
        return ""
    seen.add(id(value))
    names = [*getattr(value, "__dict__", {}), *(n for c in type(value).__mro__ for n in _slots(c))]
    inner = [getattr(value, name, None) for name in names if not _is_the_secret(value, name)]
    if isinstance(value, dict):
        inner += value.values()
    elif isinstance(value, list | tuple):
        inner += value
    ours = type(value).__module__.partition(".")[0] in ("omnilabs", "builtins")
    return repr(value) + "".join(_open_up(item, seen, depth + 1) for item in inner) if ours else repr(value)


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_the_secret(value: object, name: str) -> bool:
    return type(value).__name__ == "Secret" and name == "_value"


def _with_header(name: str, value: str) -> dict[str, Any]:
    return {"x": {"base_url": "http://127.0.0.1:9", "headers": {name: value}}}


WRONG: dict[str, Callable[[], object]] = {
    "an unknown mode": lambda: OmniClient(mode="nonsense"),  # type: ignore[arg-type]
    "an unknown mode of asyncio": lambda: AsyncOmniClient(mode="nonsense"),  # type: ignore[arg-type]
    "two that exclude each other": lambda: OmniClient(api_key=HOSTED, mode="embedded"),
    "a key with a line end": lambda: OmniClient(api_key=f"{HOSTED}\n{PLAIN}"),
    "a provider's key with a space": lambda: OmniClient(providers={"openai": {"api_key": f"{PLAIN} {LOOKS}"}}),
    "an unknown field": lambda: OmniClient(providers={"openai": {"api_key": PLAIN, "keys": 1}}),
    "an address that is none": lambda: OmniClient(providers={"x": {"base_url": "nonsense", "api_key": PLAIN}}),
    "a password in the address": lambda: OmniClient(providers={"x": {"base_url": f"https://me:{PLAIN}@host/v1"}}),
    "a password in the service's address": lambda: OmniClient(base_url=f"https://me:{PLAIN}@host/v1"),
    "a header with a line end": lambda: OmniClient(providers=_with_header("x-extra", f"{PLAIN}\n{HEADER}")),
    "a header in no alphabet of HTTP": lambda: OmniClient(providers=_with_header("x-extra", f"{PLAIN}é")),
    "a header's name with a space": lambda: OmniClient(providers=_with_header("x extra", PLAIN)),
    "a limit that is none": lambda: OmniClient(api_key=HOSTED, timeout_s=-1),
    "an unknown setting": lambda: OmniClient(api_key=HOSTED, colour="red"),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("construct", WRONG.values(), ids=WRONG)
def test_a_wrong_configuration_shows_no_key(monkeypatch: pytest.MonkeyPatch, construct: Callable[[], object]):
    monkeypatch.setenv("OPENAI_API_KEY", LOOKS)
    monkeypatch.setenv("ANTHROPIC_API_KEY", PLAIN)
    monkeypatch.setenv("OMNI_API_KEY", HOSTED)
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        construct()
    assert leaks(everything_of(caught.value)) == []


@pytest.mark.parametrize("act", ["redirect", "refusal", "garbage"])
def test_no_error_shows_a_key_that_came_back_in_a_header(omni: Omni, server: FaultServer, act: str):
    back = {"x-request-id": f"r-{PLAIN}", "location": f"http://127.0.0.1:9/{PLAIN}"}
    server.script(
        {
            "redirect": whole(307, b"", back),
            "refusal": whole(400, {"error": {"message": "no"}}, back),
            "garbage": Act((f"HTTP/9 {PLAIN}\r\n\r\n".encode(),), then="close"),
        }[act]
    )
    error = failure(lambda: ask(configured(omni, server, PLAIN), streamed=False))
    assert leaks(everything_of(error)) == []


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_shows_no_key(server: FaultServer):
    server.answer = lambda request: Act(then="hold")

    def interrupt() -> None:
        server.wait_for(lambda: bool(server.requests))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with OmniClient(providers=providers(server, api_key=PLAIN, headers={"x-extra-credential": HEADER})) as client:
        thread.start()
        with pytest.raises(KeyboardInterrupt) as caught:
            client.chat(QUESTION, MODEL)
        thread.join()
    assert caught.value.__traceback__ is not None
    assert leaks(everything_of(caught.value)) == []


class Interruption:
    """Ctrl-C at one line of a call, which no signal can be made to hit."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        """Every line at which a variable shows a canary."""
        self._at: tuple[str, int] | None = None

    def during(self, work: Callable[[], object], at: tuple[str, int] | None = None) -> object:
        """Run, interrupted the first time that a variable shows a canary at that line."""
        self._at = at
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return work()
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        line = (frame.f_code.co_filename, frame.f_lineno)
        watched = self._at is None or line == self._at
        if watched and not line[0].startswith(TESTS) and leaks("".join(_shown(frame.f_locals))):
            self.lines.add(line)
            if self._at is not None:
                self._at = ("", 0)  # once: what cleans up is not interrupted again
                raise KeyboardInterrupt
        return self._trace


def _shown(values: Mapping[str, object]) -> Iterator[str]:
    for value in list(values.values()):
        with contextlib.suppress(AttributeError):  # what is under construction cannot be shown yet
            yield repr(value)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_interrupt_at_any_line_of_a_call_shows_no_key(omni: Omni, server: FaultServer, streamed: bool):
    interruption = Interruption()
    client = configured(omni, server, PLAIN)
    ask(configured(omni, server, PLAIN), streamed=streamed)  # what is imported at the first call is not watched
    interruption.during(partial(ask, client, streamed=streamed))
    lines = interruption.lines.copy()
    assert len(lines) > 50  # the HTTP library does have the key in its variables
    for line in lines:
        with pytest.raises(KeyboardInterrupt) as caught:
            interruption.during(partial(ask, configured(omni, server, PLAIN), streamed=streamed), at=line)
        assert leaks(everything_of(caught.value)) == [], line


def test_no_span_and_no_metric_shows_a_key(omni: Omni, server: FaultServer, monkeypatch: pytest.MonkeyPatch):
    exporter, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", MeterProvider([reader]))
    server.script(echo(401), echo(500))
    client = configured(omni, server, PLAIN, telemetry="content")
    failure(lambda: ask(client, streamed=False))
    failure(lambda: ask(client, streamed=True))
    ask(client, streamed=False)
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert len(spans) == 6
    assert leaks("".join(spans) + str(reader.get_metrics_data())) == []
    provider.shutdown()


def test_a_key_is_sent_to_its_own_host_alone(omni: Omni, server: FaultServer):
    with FaultServer() as other:
        both = {
            "one": {"base_url": server.url, "api_key": PLAIN, "headers": {"x-extra-credential": HEADER}},
            "two": {"base_url": other.url},
        }
        client = omni.client(providers=both)
        ask(client, streamed=False, model="one/m")
        ask(client, streamed=False, model="two/m")
        assert leaks(repr(server.requests)) == [PLAIN, HEADER]
        assert leaks(repr(other.requests)) == []


def test_the_environments_key_is_not_sent_to_another_address(server: FaultServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", LOOKS)
    with OmniClient(providers={"openai": {"base_url": server.url}}) as client:
        client.chat(QUESTION, "openai/gpt-4o")
    assert leaks(repr(server.requests)) == []


def test_an_uncaught_error_prints_no_key(server: FaultServer, capsys: pytest.CaptureFixture[str]):
    server.script(echo(401))
    with OmniClient(providers=providers(server, api_key=PLAIN), max_retries=0) as client:
        try:
            client.chat(QUESTION, MODEL)
        except Exception:
            sys.excepthook(*sys.exc_info())
    printed = capsys.readouterr().err
    assert "AuthenticationError" in printed
    assert leaks(printed) == []
