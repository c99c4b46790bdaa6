"""Targets, requests and answers for the tests of the Anthropic wire, and the official SDK's types as their judge.

Answers and events are made with the types of the `anthropic` package 2.12 (2026-11-23).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from anthropic import types
from anthropic.types import message_create_params as params
from pydantic import BaseModel, TypeAdapter

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import ChatRequest, build_request
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.providers._anthropic import WIRE
from omnilabs.providers._base import Built, Endpoint, Target
from omnilabs.providers._registry import PROVIDERS

KEY = "sk-ant-" + "canary" * 6
OLD_ABLE = Capabilities(images=True, pdf=True, json_schema=True, reasoning=True)
NEW_ABLE = Capabilities(images=True, pdf=True, json_schema=True, reasoning=True, temperature=False)
PLAIN_ABLE = Capabilities()
WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK: Mapping[str, Any] = {"type": "function", "function": {"name": "get_time"}}

_UNSTREAMED = TypeAdapter[Any](params.MessageCreateParamsNonStreaming)
_STREAMED = TypeAdapter[Any](params.MessageCreateParamsStreaming)
# SDK 2 speaks API version 2026-10-21 and has no types for these; version 2023-06-01, which we speak, takes them.
_OF_OUR_VERSION = ("temperature", "top_p")


def target(
    able: Capabilities = OLD_ABLE,
    *,
    model: str = "claude-sonnet-4-5",
    max_output_tokens: int | None = 64_000,
    base_url: str = "https://api.anthropic.com",
    key: str | None = KEY,
    **spec: Any,
) -> Target:
    info = ModelInfo(model, "anthropic", max_output_tokens=max_output_tokens, capabilities=able)
    row = replace(PROVIDERS["anthropic"], **spec)
    return Target(Endpoint(row, base_url, None if key is None else Secret(key)), info)


OLD = target()
"""A model that takes a temperature and thinks with a budget, as Claude 4.5 and older."""
NEW = target(NEW_ABLE, model="claude-opus-5", max_output_tokens=128_000)
"""A model that takes no sampling settings and thinks adaptively, as Claude 4.7 and newer."""
PLAIN = target(PLAIN_ABLE, model="claude-3-haiku", max_output_tokens=4_096)
"""A model without native schemas or thinking."""


def request(
    messages: object = "Hi", *, temperature: float | None = None, max_tokens: int | None = None, **options: Any
) -> ChatRequest:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return build_request(messages, temperature=temperature, max_tokens=max_tokens, routing=None, options=options)


def build(
    messages: object = "Hi", at: Target = OLD, *, stream: bool = False, form: str = "", **settings: Any
) -> tuple[dict[str, Any], Built]:
    """Return the request's JSON, after the SDK's types have accepted it, and what was built."""
    built = WIRE.build(request(messages, **settings), at, stream=stream, form=form)
    body = json.loads(built.http.body)
    judged = {name: value for name, value in body.items() if name not in _OF_OUR_VERSION}
    judged = {name: value for name, value in judged.items() if name not in (settings.get("extra_body") or {})}
    adapter = _STREAMED if stream else _UNSTREAMED
    # The types ignore fields they do not know; what they give back shows which those are.
    assert _thawed(adapter.validate_python(judged)) == judged
    return body, built


def _thawed(value: Any) -> Any:
    """Return validated data as plain JSON; the SDK's lists are validated only as they are read."""
    if isinstance(value, BaseModel):
        return _thawed(value.model_dump(exclude_unset=True))
    if isinstance(value, Mapping):
        return {key: _thawed(item) for key, item in value.items()}
    if isinstance(value, Iterator | list | tuple):
        return [_thawed(item) for item in value]
    return value


def built_for(at: Target = OLD, messages: object = "Hi", *, stream: bool = False, **settings: Any) -> Built:
    return build(messages, at, stream=stream, **settings)[1]


def text(value: str) -> types.TextBlock:
    return types.TextBlock(type="text", text=value)


def tool_use(name: str, call_id: str = "toolu_1", **arguments: Any) -> types.ToolUseBlock:
    return types.ToolUseBlock(type="tool_use", id=call_id, name=name, input=arguments)


def thinking(thought: str, signature: str = "EqQBCgIYAhIM") -> types.ThinkingBlock:
    return types.ThinkingBlock(type="thinking", thinking=thought, signature=signature)


def redacted(data: str = "EmwKAhgB") -> types.RedactedThinkingBlock:
    return types.RedactedThinkingBlock(type="redacted_thinking", data=data)


def usage(input_tokens: int = 10, output_tokens: int = 5, **fields: Any) -> types.Usage:
    return types.Usage(input_tokens=input_tokens, output_tokens=output_tokens, **fields)


def message(
    *content: Any, stop: str | None = "end_turn", used: types.Usage | None = None, **fields: Any
) -> dict[str, Any]:
    """Return a whole answer as JSON, made by the SDK's type."""
    made = types.Message.model_construct(
        id="msg_1",
        type="message",
        role="assistant",
        model="claude-sonnet-4-5-20250929",
        content=list(content),
        stop_reason=stop,
        stop_sequence=None,
        usage=used or usage(),
        **fields,
    )
    whole: dict[str, Any] = json.loads(made.model_dump_json(exclude_unset=True, warnings=False))
    return whole


def reply(body: object, status: int = 200, **headers: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def parse(body: object, at: Target = OLD, built: Built | None = None) -> ChatResponse:
    return WIRE.parse(reply(body), built or built_for(at), at)


def stream_events(whole: Mapping[str, Any], *, piece: int = 4) -> list[dict[str, Any]]:
    """Return the events in which the API streams this message, its text in pieces of `piece` characters."""
    first = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": first}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        events += [{**event, "index": index} for event in _block_events(block, piece)]
    final = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    if whole.get("stop_details"):
        final["stop_details"] = whole["stop_details"]
    used = {name: whole["usage"][name] for name in ("output_tokens", "output_tokens_details") if name in whole["usage"]}
    events += [{"type": "message_delta", "delta": final, "usage": used}, {"type": "message_stop"}]
    adapter = TypeAdapter[Any](types.RawMessageStreamEvent)
    for event in events:
        if event["type"] != "ping":
            adapter.validate_python(event)
    return events


def _block_events(block: Mapping[str, Any], piece: int) -> Iterable[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    begun = dict(block)
    match block["type"]:
        case "text":
            deltas = [{"type": "text_delta", "text": part} for part in _pieces(block["text"], piece)]
            begun["text"] = ""
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": part} for part in _pieces(block["thinking"], piece)]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            begun |= {"thinking": "", "signature": ""}
        case "tool_use" | "server_tool_use":
            written = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            parts = ["", *_pieces(written, piece)]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            begun["input"] = {}
        case _:
            pass
    yield {"type": "content_block_start", "content_block": begun}
    for delta in deltas:
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}


def _pieces(value: str, size: int) -> list[str]:
    return [value[start : start + size] for start in range(0, len(value), size)]


def sse(events: Iterable[Mapping[str, Any]], *, newline: str = "\n") -> bytes:
    lines = (f"event: {e['type']}{newline}data: {json.dumps(e, ensure_ascii=False)}{newline}{newline}" for e in events)
    return "".join(lines).encode()


def chunks(data: bytes, at: Target = OLD, built: Built | None = None, cuts: Sequence[int] = ()) -> list[ChatChunk]:
    """Return the chunks of a stream whose bytes arrive cut at these places; the stream must be complete."""
    decoder, events = WIRE.decoder(built or built_for(at), at), EventDecoder()
    made: list[ChatChunk] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        for event in events.feed(data[start:end]):
            made += decoder.feed(event)
    for event in events.flush():
        made += decoder.feed(event)
    assert decoder.is_complete
    return made


def streamed(data: bytes, at: Target = OLD, built: Built | None = None, cuts: Sequence[int] = ()) -> ChatResponse:
    seen = Accumulator()
    for chunk in chunks(data, at, built, cuts):
        seen.add(chunk)
    return seen.response()
