"""What OpenTelemetry is told: spans of a call and its attempts, tokens and seconds, and no prompt unasked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import MODEL, QUESTION, ask, failure, providers
from faultserver import ANSWER, Act, FaultServer, delta, stream, whole
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router.pools import model as model_of

from omnilabs import OmniClient
from omnilabs.errors import ConfigurationError, StreamInterruptedError

if TYPE_CHECKING:
    from conftest import Omni

streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


class Seen:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader])

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def call(self) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name.startswith("chat ")]
        return found

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith("attempt ")]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        return [point for metric in found if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """An application's OpenTelemetry set up for this test alone; its own setters work once per process."""
    exported = Seen()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", exported.tracer_provider)
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", exported.meter_provider)
    yield exported
    exported.tracer_provider.shutdown()
    exported.meter_provider.shutdown()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@streamed_or_not
def test_a_call_is_a_span_with_the_conventions_names(omni: Omni, server: FaultServer, seen: Seen, streamed: bool):
    ask(omni.client(providers=providers(server)), streamed=streamed, max_tokens=50, temperature=0.5, stop=["\n"])
    attributes = dict(seen.call.attributes or {})
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("\n",),
        "gen_ai.response.model": "m",
        "gen_ai.response.id": "c1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "omni.attempts": 1,
        "omni.cost_source": "unknown",
    }
    assert {name: attributes.get(name) for name in expected} == expected
    assert seen.call.kind is trace.SpanKind.CLIENT
    assert seen.call.status.is_ok
    (attempt,) = seen.attempts
    assert attempt.parent is not None
    assert attempt.parent.span_id == seen.call.context.span_id


@streamed_or_not
def test_every_attempt_is_a_span_below_the_calls(omni: Omni, server: FaultServer, seen: Seen, streamed: bool):
    server.script(whole(503, {"error": {"message": "busy"}}, {"retry-after-ms": "0"}), Act(then="close"))
    ask(omni.client(providers=providers(server)), streamed=streamed)
    told = [dict(span.attributes or {}) for span in seen.attempts]
    assert [attributes["omni.attempt"] for attributes in told] == [1, 2, 3]
    assert told[0]["error.type"] == "OverloadedError"
    assert told[0]["http.response.status_code"] == 503
    assert told[1]["error.type"] == "TransportError"
    assert told[1]["omni.maybe_billed"] is True
    assert "error.type" not in told[2]
    assert [span.status.is_ok for span in seen.attempts] == [False, False, True]
    assert all("gen_ai.operation.name" not in attributes for attributes in told)  # one call is one operation
    assert "error.type" not in dict(seen.call.attributes or {})


@streamed_or_not
def test_a_failed_call_is_told_by_its_class(omni: Omni, server: FaultServer, seen: Seen, streamed: bool):
    server.script(whole(401, {"error": {"message": "Bad key sk-canary-0123456789"}}))
    failure(lambda: ask(omni.client(providers=providers(server)), streamed=streamed))
    assert not seen.call.status.is_ok
    assert dict(seen.call.attributes or {})["error.type"] == "AuthenticationError"
    assert "canary" not in "".join(span.to_json() for span in seen.spans)
    (duration,) = seen.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "AuthenticationError"


def test_a_broken_stream_is_told_once_with_what_had_come(omni: Omni, server: FaultServer, seen: Seen):
    server.script(stream(delta("Half")))
    failure(lambda: ask(omni.client(providers=providers(server)), streamed=True))
    attributes = dict(seen.call.attributes or {})
    assert attributes["error.type"] == StreamInterruptedError.__name__
    assert attributes["omni.usage_is_estimated"] is True
    assert [dict(span.attributes or {})["error.type"] for span in seen.attempts] == [StreamInterruptedError.__name__]
    assert seen.points("gen_ai.client.token.usage") == []  # a guess is no measurement


def test_a_stream_left_early_ends_its_spans(omni: Omni, server: FaultServer, seen: Seen):
    server.script(stream(*map(delta, "abcdef"), ends=False, then="hold"))
    answer = omni.client(providers=providers(server)).chat(QUESTION, MODEL, stream=True)
    assert next(iter(answer)).content == "a"
    answer.close()
    assert dict(seen.call.attributes or {})["omni.usage_is_estimated"] is True
    assert len(seen.attempts) == 1


def test_tokens_and_seconds_are_measured(omni: Omni, server: FaultServer, seen: Seen):
    client = omni.client(providers=providers(server))
    for _ in range(3):
        ask(client, streamed=False)
    tokens = {point.attributes["gen_ai.token.type"]: point for point in seen.points("gen_ai.client.token.usage")}
    assert {kind: (point.count, point.sum) for kind, point in tokens.items()} == {"input": (3, 27), "output": (3, 6)}
    (duration,) = seen.points("gen_ai.client.operation.duration")
    assert duration.count == 3
    assert 0 < duration.sum < 5
    assert duration.attributes["gen_ai.request.model"] == "m"


def test_a_decision_is_told(omni: Omni, server: FaultServer, seen: Seen):
    models = [model_of("good", provider="local", ability=2.0), model_of("poor", provider="local", ability=-1.0)]
    client = omni.client(providers=providers(server), models=models)
    response = client.smart_select(QUESTION, rel_cost=0.0, rel_accuracy=1.0)
    attributes = dict(seen.call.attributes or {})
    assert attributes["omni.decision.candidates"] == ("good", "poor")
    assert attributes["omni.decision.policy"] == response.decision.policy
    assert attributes["omni.decision.rel_accuracy"] == 1.0
    assert attributes["omni.cost_usd"] == pytest.approx(11e-6)
    assert attributes["omni.cost_source"] == "catalogue"


@streamed_or_not
def test_prompts_and_answers_are_told_only_when_asked_for(omni: Omni, server: FaultServer, seen: Seen, streamed: bool):
    ask(omni.client(providers=providers(server)), streamed=streamed)
    ask(omni.client(providers=providers(server), telemetry=True), streamed=streamed)
    told = "".join(span.to_json() for span in seen.spans)
    assert QUESTION[0]["content"] not in told
    assert ANSWER not in told
    seen.exporter.clear()
    ask(omni.client(providers=providers(server), telemetry="content"), streamed=streamed)
    attributes = dict(seen.call.attributes or {})
    assert QUESTION[0]["content"] in str(attributes["gen_ai.input.messages"])
    assert ANSWER in str(attributes["gen_ai.output.messages"])


def test_nothing_is_told_when_it_is_switched_off(omni: Omni, server: FaultServer, seen: Seen):
    ask(omni.client(providers=providers(server), telemetry=False), streamed=False)
    assert seen.spans == []


def test_spans_are_children_of_the_applications_own(omni: Omni, server: FaultServer, seen: Seen):
    client = omni.client(providers=providers(server))
    with trace.get_tracer("app").start_as_current_span("request"):
        ask(client, streamed=False)
    request = next(span for span in seen.spans if span.name == "request")
    assert seen.call.parent is not None
    assert seen.call.parent.span_id == request.context.span_id


def test_without_a_provider_set_up_opentelemetry_is_not_even_imported(server: FaultServer):
    program = f"""
import sys
from omnilabs import OmniClient
with OmniClient(providers={providers(server)!r}) as client:
    print(client.chat({QUESTION!r}, {MODEL!r}).content)
print([name for name in sys.modules if name.startswith("opentelemetry")])
sys.modules["opentelemetry"] = None  # as if it were not installed
with OmniClient(providers={providers(server)!r}, telemetry=True) as client:
    try:
        client.chat({QUESTION!r}, {MODEL!r})
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    answer, imported, refused = done.stdout.splitlines()
    assert (answer, imported) == (ANSWER, "[]")
    assert "omnirouter[otel]" in refused


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigurationError, match="telemetry"):
        OmniClient(mode="sandbox", telemetry="everything")  # type: ignore[arg-type]  # wrong on purpose
