"""The three official SDKs as judges: what they take as a request, and what they read in an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import anthropic
import openai
from anthropic.types import message_create_params as anthropic_params
from google import genai
from google.genai import types as gemini_types
from judges.scenarios import Scenario
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import completion_create_params as openai_params
from pydantic import BaseModel, TypeAdapter

from omnilabs import ChatResponse
from omnilabs._request import DEFAULT_TEMPERATURE, build_request
from omnilabs._secret import Secret
from omnilabs.providers import PROVIDERS, Endpoint, Target, wire_named
from omnilabs.providers._base import Built, fit
from omnilabs.router._catalog import Catalog

KEY = "test-key-canary"


@dataclass(frozen=True)
class Told:
    """What an answer says, whoever read it."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    refusal: str | None = None


def told(response: ChatResponse) -> Told:
    """Return what our client read."""
    usage = response.usage
    return Told(
        response.content,
        response.reasoning or "",
        tuple((call.name, call.arguments) for call in response.tool_calls),
        response.finish_reason,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        response.refusal,
    )


def as_answer(seen: Told, answer_tool: str | None) -> Told:
    """Return what an SDK read with the forced tool's arguments as the content, which is how we show them."""
    given = [arguments for name, arguments in seen.calls if name == answer_tool]
    if answer_tool is None or not given:
        return seen
    rest = tuple(call for call in seen.calls if call[0] != answer_tool)
    value = given[0]["value"] if "_value" in answer_tool else given[0]
    return replace(seen, content=json.dumps(value), calls=rest, finish="tool_calls" if rest else "stop")


def same_json(one: str, other: str) -> bool:
    """Whether two texts are equal, or the same JSON."""
    try:
        return one == other or bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def thawed(value: Any) -> Any:
    """Return validated data as plain JSON; the SDKs' lists are validated only as they are read."""
    if isinstance(value, BaseModel):
        return thawed(value.model_dump(exclude_unset=True))
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, Iterator | list | tuple):
        return [thawed(item) for item in value]
    return value


class Judge(Protocol):
    """One SDK, as a client of one server."""

    def ask(self, body: Mapping[str, Any], model: str, *, stream: bool) -> Told: ...

    def close(self) -> None: ...


_OPENAI = TypeAdapter[Any](openai_params.CompletionCreateParamsNonStreaming)
_OPENAI_STREAMED = TypeAdapter[Any](openai_params.CompletionCreateParamsStreaming)
_ANTHROPIC = TypeAdapter[Any](anthropic_params.MessageCreateParamsNonStreaming)
_ANTHROPIC_STREAMED = TypeAdapter[Any](anthropic_params.MessageCreateParamsStreaming)
# SDK 2 speaks API version 2026-10-21 and has no types for these; version 2023-06-01, which we speak, takes them.
_OF_OUR_VERSION = ("temperature", "top_p")
_GEMINI: Mapping[str, type[BaseModel]] = {
    "contents": gemini_types.Content,
    "systemInstruction": gemini_types.Content,
    "tools": gemini_types.Tool,
    "toolConfig": gemini_types.ToolConfig,
    "generationConfig": gemini_types.GenerationConfig,
}


def validate_openai(body: Mapping[str, Any], own: frozenset[str] = frozenset()) -> None:
    """Raise unless the SDK's types hold all of the body but for a provider's `own` fields."""
    judged = {name: value for name, value in body.items() if name not in own}
    adapter = _OPENAI_STREAMED if judged.get("stream") else _OPENAI
    # The types ignore fields they do not know; what they give back shows which those are.
    assert thawed(adapter.validate_python(judged)) == judged


def validate_anthropic(body: Mapping[str, Any], own: frozenset[str] = frozenset()) -> None:
    """Raise unless the SDK's types hold all of the body."""
    judged = {name: value for name, value in body.items() if name not in {*_OF_OUR_VERSION, *own}}
    adapter = _ANTHROPIC_STREAMED if judged.get("stream") else _ANTHROPIC
    assert thawed(adapter.validate_python(judged)) == judged


def validate_gemini(body: Mapping[str, Any], own: frozenset[str] = frozenset()) -> None:
    """Raise unless the SDK's types hold every field; they refuse fields they do not know."""
    for name, value in body.items():
        if name not in own:
            for item in value if isinstance(value, list) else [value]:
                _GEMINI[name].model_validate_json(json.dumps(item))


VALIDATE = {"openai": validate_openai, "anthropic": validate_anthropic, "gemini": validate_gemini}
MODELS: Mapping[str, Mapping[str, str]] = {
    "openai": {"plain": "gpt-4.1", "thinking": "gpt-5-mini", "simple": "gpt-4-turbo"},
    "anthropic": {"plain": "claude-sonnet-4-6", "thinking": "claude-opus-5", "simple": "claude-3-5-haiku"},
    "gemini": {"plain": "gemini-2.5-flash", "thinking": "gemini-3.5-flash", "simple": "gemini-2.5-pro"},
}
"""By wire: a model that takes a temperature, one that reasons, and one that is asked for a schema by a forced tool."""


def target(provider: str, model: str, base_url: str = "http://127.0.0.1:9/v1", **able: Any) -> Target:
    """Return a model of the catalogue at a provider's row."""
    info = Catalog.load().find(f"{provider}/{model}") or Catalog.load().find(model)
    assert info is not None
    info = replace(info, capabilities=replace(info.capabilities, **able))
    return Target(Endpoint(PROVIDERS[provider], base_url, Secret(KEY)), info)


def build(to: Target, scenario: Scenario, *, stream: bool = False, unsupported: str = "drop") -> Built:
    """Return the request we build, everything the target cannot take left out."""
    options = {"temperature": DEFAULT_TEMPERATURE, **scenario.options, "unsupported": unsupported}
    temperature, max_tokens = options.pop("temperature"), options.pop("max_tokens", None)
    request = build_request(
        scenario.messages, temperature=temperature, max_tokens=max_tokens, routing=None, options=options
    )
    wire = wire_named(to.endpoint.spec.wire)
    fitted, dropped = fit(request, to, wire.params)
    built = wire.build(fitted, to, stream=stream)
    return replace(built, dropped=tuple(sorted({*dropped, *built.dropped})))


def body_of(built: Built) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(built.http.body)
    return body


# ---- clients


class OpenAIJudge:
    def __init__(self, base_url: str) -> None:
        self._client = openai.OpenAI(api_key=KEY, base_url=base_url, max_retries=0)

    def ask(self, body: Mapping[str, Any], model: str, *, stream: bool) -> Told:
        create: Any = self._client.chat.completions.create
        if not stream:
            return _of_completion(create(**body))
        state = ChatCompletionStreamState()
        for chunk in create(**body):
            state.handle_chunk(chunk)
        return _of_completion(state.current_completion_snapshot)  # the final one refuses to be cut off

    def close(self) -> None:
        self._client.close()


def _of_completion(answer: Any) -> Told:
    choice, usage = answer.choices[0], answer.usage
    message = choice.message
    calls = tuple((c.function.name, json.loads(c.function.arguments or "{}")) for c in message.tool_calls or ())
    # OpenAI says "stop" of a call that the request named.
    finish = "tool_calls" if calls and choice.finish_reason == "stop" else choice.finish_reason
    details = usage.prompt_tokens_details
    return Told(
        message.content or message.refusal or "",
        getattr(message, "reasoning_content", None) or "",
        calls,
        finish,
        usage.prompt_tokens,
        usage.completion_tokens,
        (details.cached_tokens or 0) if details else 0,
        message.refusal,
    )


class AnthropicJudge:
    def __init__(self, base_url: str) -> None:
        self._client = anthropic.Anthropic(api_key=KEY, base_url=base_url, max_retries=0)

    def ask(self, body: Mapping[str, Any], model: str, *, stream: bool) -> Told:
        own = {name: body[name] for name in _OF_OUR_VERSION if name in body}
        given = {name: value for name, value in body.items() if name not in {*own, "stream"}}
        if not stream:
            create: Any = self._client.messages.create
            return _of_message(create(**given, extra_body=own))
        opened: Any = self._client.messages.stream
        with opened(**given, extra_body=own) as events:
            return _of_message(events.get_final_message())

    def close(self) -> None:
        self._client.close()


_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _of_message(answer: Any) -> Told:
    usage = answer.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = answer.stop_details
    refusal = (details.explanation or None) if details else None
    text = "".join(block.text for block in answer.content if block.type == "text")
    return Told(
        text or refusal or "",
        "".join(block.thinking for block in answer.content if block.type == "thinking"),
        tuple((block.name, block.input) for block in answer.content if block.type == "tool_use"),
        _STOPS.get(answer.stop_reason, answer.stop_reason),
        usage.input_tokens + read + written,
        usage.output_tokens,
        read,
        refusal,
    )


class GeminiJudge:
    def __init__(self, base_url: str) -> None:
        options = gemini_types.HttpOptions(base_url=base_url, api_version="v1beta")
        self._client = genai.Client(api_key=KEY, http_options=options)

    def ask(self, body: Mapping[str, Any], model: str, *, stream: bool) -> Told:
        fields: dict[str, Any] = {**body.get("generationConfig", {})}
        fields |= {name: body[name] for name in ("systemInstruction", "tools", "toolConfig") if name in body}
        fields["automaticFunctionCalling"] = {"disable": True}
        config = gemini_types.GenerateContentConfig.model_validate_json(json.dumps(fields))
        contents: Any = [gemini_types.Content.model_validate_json(json.dumps(turn)) for turn in body["contents"]]
        models = self._client.models
        if stream:
            return _of_gemini(list(models.generate_content_stream(model=model, contents=contents, config=config)))
        return _of_gemini([models.generate_content(model=model, contents=contents, config=config)])

    def close(self) -> None:
        self._client.close()


_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}


def _of_gemini(answers: list[Any]) -> Told:
    parts = [part for answer in answers for part in answer.parts or ()]
    calls = tuple((p.function_call.name, p.function_call.args or {}) for p in parts if p.function_call)
    usage = answers[-1].usage_metadata
    reasons = [c.finish_reason.value for answer in answers for c in answer.candidates or () if c.finish_reason]
    finish = _REASONS.get(reasons[-1], reasons[-1].lower()) if reasons else None
    return Told(
        "".join(part.text or "" for part in parts if not part.thought),
        "".join(part.text or "" for part in parts if part.thought),
        calls,
        "tool_calls" if finish == "stop" and calls else finish,
        usage.prompt_token_count or 0,
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        usage.cached_content_token_count or 0,
    )


JUDGES: Mapping[str, type[OpenAIJudge] | type[AnthropicJudge] | type[GeminiJudge]] = {
    "openai": OpenAIJudge,
    "anthropic": AnthropicJudge,
    "gemini": GeminiJudge,
}
