"""Targets, requests and answers for the tests of the Gemini wire, and the official SDK's types as their judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.genai import types
from pydantic import BaseModel

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import ChatRequest, build_request
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.providers._base import Built, Endpoint, Target
from omnilabs.providers._gemini import WIRE
from omnilabs.providers._registry import PROVIDERS

KEY = "AIza" + "x" * 35
ALL = Capabilities(tools=True, images=True, pdf=True, audio=True, json_schema=True, reasoning=True)
NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"
WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK: Mapping[str, Any] = {"type": "function", "function": {"name": "get_time", "description": "The time."}}

_BODY: Mapping[str, type[BaseModel]] = {
    "contents": types.Content,
    "systemInstruction": types.Content,
    "tools": types.Tool,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": types.SafetySetting,
}


def target(
    model: str = NEW, *, able: Capabilities = ALL, base_url: str = "http://127.0.0.1:9/v1beta", key: str | None = KEY
) -> Target:
    secret = None if key is None else Secret(key)
    return Target(Endpoint(PROVIDERS["gemini"], base_url, secret), ModelInfo(model, "gemini", capabilities=able))


def request(
    messages: object = "Hi", *, temperature: float | None = None, max_tokens: int | None = None, **options: Any
) -> ChatRequest:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return build_request(messages, temperature=temperature, max_tokens=max_tokens, routing=None, options=options)


def built(messages: object = "Hi", to: Target | None = None, **options: Any) -> Built:
    return WIRE.build(request(messages, **options), to or target(), stream=False)


def body_of(messages: object = "Hi", to: Target | None = None, **options: Any) -> dict[str, Any]:
    """Return the request's JSON, which the SDK's types have accepted."""
    body: dict[str, Any] = json.loads(built(messages, to, **options).http.body)
    judge(body)
    return body


def judge(body: Mapping[str, Any]) -> None:
    """Raise unless every field is of the SDK's type for it; those types refuse fields they do not know."""
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            _BODY[name].model_validate_json(json.dumps(item))


def sdk_json(parts: Sequence[Mapping[str, Any]], finish: str | None = "STOP", **fields: Any) -> str:
    """Return a response as the SDK's own types write it."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    candidate |= fields.pop("candidate", {})
    answer = types.GenerateContentResponse.model_validate_json(json.dumps({"candidates": [candidate], **fields}))
    return answer.model_dump_json(by_alias=True, exclude_none=True)


def parsed(text: str, how: Built | None = None, to: Target | None = None) -> ChatResponse:
    return WIRE.parse(HttpResponse(200, {}, text.encode()), how or built(to=to), to or target())


def sse(texts: Iterable[str]) -> bytes:
    return "".join(f"data: {text}\r\n\r\n" for text in texts).encode()


def chunks_of(pieces: Iterable[bytes], how: Built | None = None, to: Target | None = None) -> list[ChatChunk]:
    events, decoder = EventDecoder(), WIRE.decoder(how or built(to=to), to or target())
    chunks = [chunk for piece in pieces for event in events.feed(piece) for chunk in decoder.feed(event)]
    chunks += [chunk for event in events.flush() for chunk in decoder.feed(event)]
    return chunks


def streamed(texts: Iterable[str], how: Built | None = None, to: Target | None = None) -> ChatResponse:
    answer = Accumulator()
    for chunk in chunks_of([sse(texts)], how, to):
        answer.add(chunk)
    return answer.response()
