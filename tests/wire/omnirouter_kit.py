"""Requests, replies and streams for the tests of the hosted service's wire."""

from __future__ import annotations

import json
from typing import Any

from loopback import event_bytes

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._request import DEFAULT_TEMPERATURE, ChatRequest, build_request, build_routing
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.errors import OmniError
from omnilabs.providers._base import Endpoint, ProviderSpec, Target
from omnilabs.providers._omnirouter import WIRE
from omnilabs.types import ChatChunk, ChatResponse, ModelInfo

SPEC = ProviderSpec("omnirouter", "omnirouter", "https://service.example")
ENDPOINT = Endpoint(SPEC, "https://service.example/", Secret("k-123"))
TARGET = Target(ENDPOINT, ModelInfo(id="claude-3-5-sonnet", provider="omnirouter", name="claude-3-5-sonnet-20241022"))
JOKE = [{"role": "user", "content": "Tell me a joke."}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SELECT = {"k": 5, "model_names": None, "rel_cost": 0.5, "rel_latency": 0.0, "rel_accuracy": 0.5, "verbose": False}


def chat(messages: object = JOKE, *, max_tokens: int | None = None, **options: Any) -> ChatRequest:
    temperature = options.pop("temperature", DEFAULT_TEMPERATURE)
    return build_request(messages, temperature=temperature, max_tokens=max_tokens, routing=None, options=options)


def select(messages: object = JOKE, routing: dict[str, Any] | None = None, **options: Any) -> ChatRequest:
    weights = build_routing(**{**SELECT, **(routing or {})})
    temperature = options.pop("temperature", DEFAULT_TEMPERATURE)
    return build_request(messages, temperature=temperature, max_tokens=None, routing=weights, options=options)


def body_of(request: ChatRequest, *, stream: bool = False, form: str = "") -> Any:
    return json.loads(WIRE.build(request, TARGET, stream=stream, form=form).http.body)


def reply(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def parse(body: Any, request: ChatRequest | None = None) -> ChatResponse:
    return WIRE.parse(reply(body), WIRE.build(request or chat(), TARGET, stream=False), TARGET)


def error(body: Any, status: int, **headers: str) -> OmniError:
    return WIRE.error(reply(body, status, **headers), TARGET)


def stream(data: bytes | list[bytes], request: ChatRequest | None = None) -> tuple[ChatResponse, list[ChatChunk], bool]:
    built = WIRE.build(request or chat(), TARGET, stream=True)
    events, decoder, seen = EventDecoder(), WIRE.decoder(built, TARGET), Accumulator()
    chunks: list[ChatChunk] = []
    for piece in [data] if isinstance(data, bytes) else data:
        for event in events.feed(piece):
            chunks += decoder.feed(event)
    for event in events.flush():
        chunks += decoder.feed(event)
    for chunk in chunks:
        seen.add(chunk)
    return seen.response(), chunks, decoder.is_complete


def sse(*items: Any) -> bytes:
    return b"".join(event_bytes(item) for item in items)
