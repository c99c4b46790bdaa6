"""Spans and metrics of calls, by the names of OpenTelemetry's GenAI conventions; nothing where nobody listens.

One span per call, with the tokens, the cost and the decision, and below it one per attempt. The conventions are still
in development, so their names stand here as literals instead of in a dependency.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans and .../gen-ai-metrics, read 2026-11-23.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from omnilabs._decision import Decision
from omnilabs._messages import ChatMessage, ReasoningPart, TextPart
from omnilabs._observer import Observer
from omnilabs._request import ChatRequest
from omnilabs._response import ChatResponse
from omnilabs._usage import Usage
from omnilabs.errors import ConfigurationError, OmniError, TransportError

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer

    from omnilabs.providers import Target

__all__ = ["Telemetry", "TelemetryMode", "Trace"]

TelemetryMode: TypeAlias = bool | Literal["content"] | None
"""None: where the application has set a tracer provider up; "content": with messages and answers in the spans."""

_Attributes: TypeAlias = dict[str, "str | bool | int | float | Sequence[str]"]

_SETTINGS: Mapping[str, str] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "stop": "gen_ai.request.stop_sequences",
}
# The conventions' own names of providers, where they differ from ours.
_PROVIDERS: Mapping[str, str] = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"}
# The conventions ask for these bucket boundaries.
_TOKENS = tuple(4**exponent for exponent in range(14))
_SECONDS = tuple(0.01 * 2**exponent for exponent in range(14))


class Telemetry:
    """A client's tracer and instruments. They are looked up once, when the first call is traced."""

    def __init__(self, *, with_content: bool) -> None:
        """Look the tracer and the instruments up.

        Raises:
            ConfigurationError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ConfigurationError(
                "telemetry needs OpenTelemetry: pip install 'omnirouter[otel]', or leave telemetry out"
            ) from None
        self.with_content = with_content
        self.tracer: Tracer = trace.get_tracer("omnilabs")
        meter = metrics.get_meter("omnilabs")
        self.tokens: Histogram = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.duration: Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of the call, retries and fallbacks included",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    @staticmethod
    def is_wanted(mode: TelemetryMode) -> bool:
        """Whether calls are to be traced: as told, else if the application has set a tracer provider up.

        An application that never imported OpenTelemetry has not, so it is not imported to find out.
        """
        if mode is not None:
            return mode is not False
        trace: Any = sys.modules.get("opentelemetry.trace")
        if trace is None:
            return False
        return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))


class Trace(Observer):
    """One call as a span and its attempts as spans below it."""

    def __init__(
        self,
        telemetry: Telemetry,
        request: ChatRequest,
        targets: Sequence[Target],
        decision: Decision | None,
        clock: Callable[[], float],
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._begun = clock()
        self._attempt: Span | None = None
        self._attempts = 0
        self._common = _address(targets[0])
        self._span = _begin(telemetry, f"chat {targets[0].model.name}", self._common)
        self._span.set_attributes(_asked(request))
        if decision is not None:
            self._span.set_attributes(_decided(decision))
        if telemetry.with_content:
            self._span.set_attribute("gen_ai.input.messages", json.dumps([_content(m) for m in request.messages]))

    def started(self, target: Target) -> None:
        """An attempt begins."""
        self._attempts += 1
        attributes = _address(target) | {"omni.attempt": self._attempts}
        del attributes["gen_ai.operation.name"]  # who counts operations must not count an attempt for one
        self._attempt = _begin(self._telemetry, f"attempt {target.model.name}", attributes, self._span)

    def failed(self, target: Target, error: OmniError, elapsed_s: float) -> None:
        """An attempt failed."""
        span, self._attempt = self._attempt, None
        if span is not None:
            _blame(span, error)
            if isinstance(error, TransportError):
                span.set_attributes({"omni.phase": error.phase, "omni.maybe_billed": error.maybe_billed})
            span.end()

    def succeeded(self, target: Target, response: ChatResponse | None, elapsed_s: float) -> None:
        """An attempt succeeded; that of a stream goes on until its end."""
        if response is None:
            if self._attempt is not None:
                self._attempt.set_attribute("omni.first_chunk_s", elapsed_s)
            return
        self._end_attempt()

    def ended(self, response: ChatResponse | None, error: BaseException | None) -> None:
        """The call ended: with a response, an error, or neither if it was cancelled."""
        self._end_attempt()
        span, common = self._span, self._common
        span.set_attribute("omni.attempts", self._attempts)
        if isinstance(error, OmniError):
            _blame(span, error)
            common = common | {"error.type": type(error).__name__}
            response = error.partial
        elif response is None:
            span.set_attribute("error.type", "cancelled")
            common = common | {"error.type": "cancelled"}
        if response is not None:
            common = common | {"gen_ai.response.model": response.model}
            span.set_attributes(_answered(response))
            self._count(response.usage, common)
            if self._telemetry.with_content:
                answer = _content(response.message) | {"finish_reason": response.finish_reason or ""}
                span.set_attribute("gen_ai.output.messages", json.dumps([answer]))
        self._telemetry.duration.record(self._clock() - self._begun, common)
        span.end()

    def _count(self, usage: Usage, common: _Attributes) -> None:
        if usage.is_estimated:
            return  # a metric is no place for a guess
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens is not None:
                self._telemetry.tokens.record(tokens, common | {"gen_ai.token.type": kind})

    def _end_attempt(self) -> None:
        span, self._attempt = self._attempt, None
        if span is not None:
            span.end()


def _begin(telemetry: Telemetry, name: str, attributes: _Attributes, parent: Span | None = None) -> Span:
    from opentelemetry import trace

    context = None if parent is None else trace.set_span_in_context(parent)
    return telemetry.tracer.start_span(name, context=context, kind=trace.SpanKind.CLIENT, attributes=attributes)


def _blame(span: Span, error: OmniError) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__name__)
    if error.status is not None:
        span.set_attribute("http.response.status_code", error.status)
    # The message has no key in it; the exception with its chain stays out.
    span.set_status(Status(StatusCode.ERROR, error.message))


def _address(target: Target) -> _Attributes:
    parts = urlsplit(target.endpoint.base_url)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(target.provider, target.provider),
        "gen_ai.request.model": target.model.name,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }


def _asked(request: ChatRequest) -> _Attributes:
    given = request.given_params()
    attributes: _Attributes = {wire: given[ours] for ours, wire in _SETTINGS.items() if ours in given}
    if "response_format" in given:
        attributes["gen_ai.output.type"] = "json"
    return attributes


def _decided(decision: Decision) -> _Attributes:
    attributes: _Attributes = {
        "omni.decision.candidates": [candidate.model for candidate in decision.ranked],
        "omni.decision.rejected": len(decision.rejected),
        "omni.decision.policy": decision.policy,
        "omni.decision.catalog_version": decision.catalog_version,
        "omni.decision.select_ms": decision.select_ms,
    }
    if decision.weights is not None:
        attributes |= {f"omni.decision.{name}": weight for name, weight in decision.weights.items()}
    expected = decision.ranked[0] if decision.ranked else None
    if expected is not None:
        attributes["omni.decision.expected_quality"] = expected.quality
        if expected.cost_usd is not None:
            attributes["omni.decision.expected_cost_usd"] = float(expected.cost_usd)
    return attributes


def _answered(response: ChatResponse) -> _Attributes:
    usage = response.usage
    facts: dict[str, Any] = {
        "gen_ai.response.model": response.model,
        "gen_ai.response.id": response.id,
        "gen_ai.response.finish_reasons": [response.finish_reason] if response.finish_reason else None,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
        "omni.cost_usd": usage.total_cost,
        "omni.cost_source": usage.cost_source,
        "omni.usage_is_estimated": usage.is_estimated,
        "omni.model_id": response.model_id,
        "omni.provider": response.provider,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _content(message: ChatMessage) -> dict[str, Any]:
    """Return a message as the conventions have it; media by their kind only."""
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case TextPart(text):
                parts.append({"type": "text", "content": text})
            case ReasoningPart(text):
                parts.append({"type": "reasoning", "content": text})
            case _:
                parts.append({"type": part.type})
    parts += [{"type": "tool_call", "id": c.id, "name": c.name, "arguments": c.arguments_json} for c in message.calls]
    if message.role == "tool":
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
    return {"role": message.role, "parts": parts}
