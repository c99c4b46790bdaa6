"""Reading OpenAI-shaped messages: one reader for whole answers and for the chunks of a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from omnilabs._frozen import evolve
from omnilabs._messages import Opaque, ToolCall
from omnilabs._response import ChatChunk, ToolCallDelta
from omnilabs._sse import ServerSentEvent
from omnilabs._usage import Usage
from omnilabs.errors import APIStatusError, ResponseFormatError
from omnilabs.providers._base import Built, Target, made_call_id
from omnilabs.providers._structured import AnswerReader

__all__ = ["OpenAIDecoder", "chunk_of", "finish_word", "first_choice", "joined", "read_tool_calls", "read_usage"]


class OpenAIDecoder:
    """Turns one OpenAI-shaped stream into chunks."""

    def __init__(self, target: Target, built: Built, in_band_error: Callable[[object, Target], APIStatusError]) -> None:
        self._target = target
        self._built = built
        self.answer = None if built.answer_tool is None else AnswerReader(built.answer_tool)
        self._in_band_error = in_band_error
        self._finished = target.endpoint.spec.ends_without_mark
        self._calls: list[str] = []  # the id of each call, by index
        self._thought = False
        self._replay: dict[str, Any] = {}

    @property
    def is_complete(self) -> bool:
        """Whether a finish reason or `[DONE]` has been seen, or the provider is known to send neither."""
        return self._finished

    def feed(self, event: ServerSentEvent) -> Iterable[ChatChunk]:
        """Return the chunks of one event, if it says anything.

        Raises:
            APIStatusError: An `error` object in the stream.
            ResponseFormatError: Not JSON, or not an object.
        """
        data = event.data
        if data == "[DONE]":
            self._finished = True
            return () if self.answer is None else self.answer.read((), is_over=True)
        if not data.strip():
            return ()
        target = self._target
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise ResponseFormatError(
                f"{target.provider} sent a stream event that is not JSON: {exc}",
                body_prefix=data,
                provider=target.provider,
                model=target.model.id,
            ) from None
        if not isinstance(body, dict):
            raise ResponseFormatError(
                f"{target.provider} sent a stream event that is not an object",
                body_prefix=data,
                provider=target.provider,
                model=target.model.id,
            )
        if body.get("error"):
            raise self._in_band_error(body["error"], target)
        chunks = self._read(body)
        return chunks if self.answer is None else self.answer.read(chunks, is_over=self._finished)

    def _read(self, body: dict[str, Any]) -> Iterable[ChatChunk]:
        choice = first_choice(body)
        if choice.get("error"):
            raise self._in_band_error(choice["error"], self._target)
        message: Any = choice.get("delta") or choice.get("message") or _NOTHING
        if not isinstance(message, dict):
            message = _NOTHING
        if self._is_plain(body, choice, message):
            model, provider = _word(body, "model") or self._target.model.name, self._target.provider
            return (ChatChunk(message["content"], model, provider, id=_word(body, "id")),)
        calls = self._call_deltas(message["tool_calls"]) if message.get("tool_calls") else ()
        chunk = chunk_of(body, choice, message, self._target, calls)
        place = self._target.endpoint.spec.replays_reasoning
        if place and message.get(place) and "delta" in choice:
            known = self._replay.get(place)
            self._replay[place] = message[place] if known is None else joined(known, message[place])
        if chunk.finish_reason is not None:
            self._finished = True
            chunk = evolve(chunk, finish_reason=finish_word(chunk.finish_reason, has_calls=any(self._calls)))
        self._thought = self._thought or chunk.reasoning is not None
        answers = bool(chunk.content or chunk.tool_calls or chunk.finish_reason)
        if answers and self._replay:
            return self._thinking_to_replay(chunk), chunk
        extras = chunk.reasoning or chunk.usage or chunk.refusal or chunk.annotations or chunk.logprobs
        return (chunk,) if answers or extras else ()

    def _is_plain(self, body: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> bool:
        """Whether a chunk is a piece of text and nothing else, as nearly all are."""
        return (
            message.keys() <= _TEXT_FIELDS
            and isinstance(message.get("content"), str)
            and message["content"] != ""
            and not (choice.get("finish_reason") or choice.get("logprobs") or body.get("usage") or body.get("x_groq"))
            and not self._replay
        )

    def _thinking_to_replay(self, chunk: ChatChunk) -> ChatChunk:
        """Return the chunk that closes the reasoning with what the provider wants back."""
        replay, self._replay = self._replay, {}
        return ChatChunk(
            model=chunk.model,
            provider=chunk.provider,
            reasoning=None if self._thought else "",
            id=chunk.id,
            opaque=Opaque(self._target.provider, replay),
        )

    def _call_deltas(self, calls: object) -> tuple[ToolCallDelta, ...]:
        """Number the calls: by `index` where sent, else a new id or name opens the next call."""
        deltas: list[ToolCallDelta] = []
        for call in calls if isinstance(calls, list) else ():
            if not isinstance(call, dict):
                continue
            function = call.get("function")
            function = function if isinstance(function, dict) else _NOTHING
            call_id, name, index = _word(call, "id"), _word(function, "name"), call.get("index")
            if not isinstance(index, int) or not 0 <= index < _MOST_CALLS:
                opens = (call_id is not None and call_id not in self._calls) or (call_id is None and name is not None)
                known = self._calls.index(call_id) if call_id in self._calls else len(self._calls) - 1
                index = len(self._calls) if opens or known < 0 else known
            if index >= len(self._calls) and call_id is None:
                call_id = made_call_id(self._built, index)
            while len(self._calls) <= index:
                self._calls.append("")
            if call_id is not None:
                self._calls[index] = call_id
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
            deltas.append(ToolCallDelta(index, call_id, name, text))
        return tuple(deltas)


_NOTHING: dict[str, Any] = {}
_TEXT_FIELDS = frozenset({"content", "role"})


def chunk_of(
    body: Mapping[str, Any],
    choice: Mapping[str, Any],
    message: Mapping[str, Any],
    target: Target,
    calls: tuple[ToolCallDelta, ...] = (),
) -> ChatChunk:
    """Return what a message or delta says. `body` is the whole JSON, `choice` its first choice."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if content is not None and not isinstance(content, str):
        reasoning = reasoning or _text_of(content, "thinking")
        content = _text_of(content, "text")
    refusal = message.get("refusal")
    opaque = None
    if "delta" not in choice:
        place = target.endpoint.spec.replays_reasoning
        opaque = Opaque(target.provider, {place: message[place]}) if place and message.get(place) else None
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    usage = _usage_of(body)
    return ChatChunk(
        content=content or (refusal if isinstance(refusal, str) else "") or "",
        model=_word(body, "model") or target.model.name,
        provider=target.provider,
        usage=read_usage(usage) if usage else None,
        finish_reason=_FINISH.get(finish, finish) if isinstance(finish := choice.get("finish_reason"), str) else None,
        tool_calls=calls,
        reasoning=reasoning if isinstance(reasoning, str) and reasoning else None,
        id=_word(body, "id"),
        opaque=opaque,
        annotations=_objects(message.get("annotations")),
        logprobs=_objects(tokens),
        refusal=refusal if isinstance(refusal, str) and refusal else None,
    )


def _word(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a field's text, or None where there is none or it is something else."""
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _objects(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


_MOST_CALLS = 1024
"""An index beyond it is no index: the room for the calls before it would have to be made."""

_FINISH: Mapping[str, str] = {
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
}


def finish_word(word: str | None, *, has_calls: bool) -> str | None:
    """Return why the answer ended, told by what it holds: OpenAI says "stop" of a call that the request named."""
    return "tool_calls" if word == "stop" and has_calls else word


def first_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first choice, or nothing: others may come in the same stream, where several were asked for."""
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return _NOTHING


def _text_of(content: object, kind: str) -> str:
    """Return the text of content parts of a kind: Mistral's reasoning models send "thinking" and "text" as parts.

    Source: https://docs.mistral.ai/capabilities/reasoning/, read 2026-11-23.
    """
    if not isinstance(content, list):
        return ""
    texts = (part.get(kind) for part in content if isinstance(part, dict) and part.get("type") == kind)
    return "".join(text if isinstance(text, str) else _text_of(text, "text") for text in texts)


def read_tool_calls(message: Mapping[str, Any], built: Built, target: Target) -> tuple[ToolCall, ...]:
    """Return a whole message's tool calls; a call without an id gets a stable one, no arguments are `{}`."""
    calls: list[ToolCall] = []
    given = message.get("tool_calls") or []
    for index, call in enumerate(given if isinstance(given, list) else [given]):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ResponseFormatError(
                f"{target.provider} sent tool_calls[{index}] without a function name",
                body_prefix=json.dumps(call),
                provider=target.provider,
                model=target.model.id,
            )
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        calls.append(ToolCall(_word(call, "id") or made_call_id(built, index), function["name"], text or "{}"))
    return tuple(calls)


def joined(before: Any, piece: Any) -> Any:
    """Return a streamed field with the piece that follows: text joins text, a list the list.

    Of details in pieces (OpenRouter's `reasoning_details`), the pieces of one become one, as a whole answer has it.
    """
    if isinstance(before, list) and isinstance(piece, list):
        details = list(before)
        for detail in piece:
            if details and _continues(details[-1], detail):
                details[-1] = _joined_detail(details[-1], detail)
            else:
                details.append(detail)
        return details
    return before + piece if isinstance(before, str) and isinstance(piece, str) else piece


_GROWING = ("text", "summary", "data")


def _continues(before: object, piece: object) -> bool:
    return (
        isinstance(before, dict)
        and isinstance(piece, dict)
        and "index" in piece
        and all(before.get(name) == piece.get(name) for name in ("index", "type"))
    )


def _joined_detail(before: Mapping[str, Any], piece: Mapping[str, Any]) -> dict[str, Any]:
    grown = {
        name: before[name] + piece[name]
        for name in _GROWING
        if isinstance(before.get(name), str) and isinstance(piece.get(name), str)
    }
    said = {name: value for name, value in piece.items() if value is not None}
    return {**before, **said, **grown}


def _usage_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    groq = body.get("x_groq")
    usage = body.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
    return usage if isinstance(usage, dict) else None


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Return an OpenAI-shaped usage in disjoint buckets.

    `prompt_tokens` include cached ones on this wire; `completion_tokens` include reasoning except where the total shows
    that they do not (xAI); DeepSeek names cache hits `prompt_cache_hit_tokens`, Moonshot `cached_tokens`; OpenRouter
    reports the US dollars it charged as `cost`.
    """
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    total = _count(usage, "total_tokens")
    if prompt is None:
        return Usage(reported_total_tokens=total, output_tokens=completion)
    given, made = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    read = _first(given, usage, "cached_tokens", "prompt_cache_hit_tokens")
    written = sound = reasoning = spoken = 0
    if given:
        written, sound = _count(given, "cache_write_tokens") or 0, _count(given, "audio_tokens") or 0
    if made:
        reasoning, spoken = _count(made, "reasoning_tokens") or 0, _count(made, "audio_tokens") or 0
    if completion is None:
        completion = max(total - prompt, 0) if total is not None else 0
    elif reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    cost = _cost(usage)
    return Usage(
        uncached_input_tokens=max(prompt - read - written - sound, 0),
        output_tokens=completion,
        cache_read_tokens=read,
        cache_write_tokens=written,
        input_audio_tokens=sound,
        reasoning_tokens=min(reasoning, completion),
        output_audio_tokens=min(spoken, completion),
        reported_total_tokens=total,
        cost_usd=cost,
        cost_source="unknown" if cost is None else "provider",
    )


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        return None
    return int(value)


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = usage.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _first(details: Mapping[str, Any], usage: Mapping[str, Any], *names: str) -> int:
    for fields in (details, usage):
        for name in names:
            if (value := _count(fields, name)) is not None:
                return value
    return 0


def _cost(usage: Mapping[str, Any]) -> Decimal | None:
    cost = usage.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float | str):
        return None
    try:
        value = Decimal(str(cost))
    except InvalidOperation:
        return None
    return value if value.is_finite() and value >= 0 else None
