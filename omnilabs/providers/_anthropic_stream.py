"""Reading Anthropic messages: one reader for the events of a stream and for whole answers, so that both agree.

Sources: https://platform.claude.com/docs/en/build-with-claude/streaming and the types of the `anthropic` package 2.12
(`RawMessageStreamEvent`, `Message`, `Usage`), read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from omnilabs._http import HttpResponse
from omnilabs._messages import Opaque
from omnilabs._response import ChatChunk, ToolCallDelta
from omnilabs._sse import ServerSentEvent
from omnilabs._usage import Usage
from omnilabs.errors import ResponseFormatError
from omnilabs.providers._anthropic_errors import fault_error, fault_of
from omnilabs.providers._anthropic_messages import THOUGHTS_BEFORE
from omnilabs.providers._base import Target
from omnilabs.providers._structured import AnswerReader

__all__ = ["AnthropicDecoder", "read_usage"]

Fields = Mapping[str, Any]

_NOTHING: Fields = {}
_FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Block:
    """A content block that is still growing."""

    def __init__(self, fields: Fields, call: int | None) -> None:
        self.fields: dict[str, Any] = dict(fields)
        self.call = call
        self.pieces: list[str] = []
        self.has_shown_reasoning = False

    @property
    def kind(self) -> object:
        return self.fields.get("type")

    def input_json(self) -> str:
        """The tool's input as text: as it was streamed, or as it came whole. No text at all means no arguments."""
        return "".join(self.pieces) or json.dumps(self.fields.get("input") or {}, ensure_ascii=False)


class AnthropicDecoder:
    """Turns one message, streamed or whole, into chunks.

    Signed thinking is given out verbatim once its block is complete, as the `opaque` of a chunk; so is every block
    this package has no part for (server tools and their results), because the API wants it back.
    """

    def __init__(self, target: Target, answer_tool: str | None = None) -> None:
        self._target = target
        self.answer = None if answer_tool is None else AnswerReader(answer_tool)
        self._complete = False
        self._model = target.model.name
        self._id: str | None = None
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._unplaced: list[int] = []
        self._thoughts = 0
        self._has_text = False
        self._readers: Mapping[object, Callable[[Fields], Iterable[ChatChunk]]] = {
            "message_start": self._start,
            "content_block_start": self._start_block,
            "content_block_delta": self._grow_block,
            "content_block_stop": self._stop_block,
            "message_delta": self._end,
            "message_stop": self._stop,
        }

    @property
    def is_complete(self) -> bool:
        """Whether `message_stop` has been seen."""
        return self._complete

    def feed(self, event: ServerSentEvent) -> Iterable[ChatChunk]:
        """Return the chunks of one event. Pings and events of unknown types say nothing.

        Raises:
            APIStatusError: An error event, mapped as if its type were the HTTP status.
            ResponseFormatError: Not a JSON object, or a piece of a block that never began.
        """
        if not event.data.strip() or event.data == "[DONE]":
            return ()
        try:
            body = json.loads(event.data)
        except (ValueError, RecursionError) as exc:
            raise self._bad(f"a stream event that is not JSON: {exc}", event.data) from None
        if not isinstance(body, dict):
            raise self._bad("a stream event that is not an object", event.data)
        fault = fault_of(body)
        if fault is not None:
            raise fault_error(fault, HttpResponse(200, {}, b""), self._target, in_band=True, body=body)
        reader = self._readers.get(str(body.get("type", event.event)))
        return self._shown(reader(body)) if reader is not None else ()

    def whole(self, message: Fields) -> Iterable[ChatChunk]:
        """Return the chunks of a whole message.

        Raises:
            ResponseFormatError: `content` is not a list of blocks, or a block is not of its documented shape.
        """
        content = message.get("content")
        if not isinstance(content, list):
            raise self._bad("no list as content", message)
        return self._shown(self._whole(message, content))

    def _whole(self, message: Fields, content: Iterable[object]) -> Iterable[ChatChunk]:
        yield from self._start({"message": message})
        for index, block in enumerate(content):
            yield from self._start_block({"index": index, "content_block": block})
            yield from self._stop_block({"index": index})
        yield from self._end({"delta": message, "usage": message.get("usage")})
        self._complete = True

    def _shown(self, chunks: Iterable[ChatChunk]) -> tuple[ChatChunk, ...]:
        read = tuple(chunks)  # first, as it says whether the message is complete
        return read if self.answer is None else self.answer.read(read, is_over=self._complete)

    def _start(self, event: Fields) -> Iterable[ChatChunk]:
        message = _fields(event, "message")
        if isinstance(model := message.get("model"), str):
            self._model = model
        if isinstance(message_id := message.get("id"), str):
            self._id = message_id
        self._usage.update(_fields(message, "usage"))
        return (self._chunk(usage=read_usage(self._usage) if self._usage else None),)

    def _start_block(self, event: Fields) -> Iterable[ChatChunk]:
        fields = event.get("content_block")
        if not isinstance(fields, Mapping) or not isinstance(fields.get("type"), str):
            raise self._bad("a content block without a type", fields)
        call = self._calls if fields["type"] == "tool_use" else None
        block = self._blocks[_index(event)] = _Block(fields, call)
        if call is not None:
            self._calls += 1
            self._unplaced.append(call)
            name = self._text(fields, "name")
            yield self._chunk(tool_calls=(ToolCallDelta(call, str(fields.get("id") or "") or None, name),))
        elif block.kind == "text":
            citations = fields.get("citations")
            yield from self._show_text(self._text(fields, "text"), citations if isinstance(citations, list) else ())
        elif block.kind == "thinking":
            yield from self._show_reasoning(block, self._text(fields, "thinking"))

    def _grow_block(self, event: Fields) -> Iterable[ChatChunk]:
        block = self._blocks.get(_index(event))
        if block is None:
            raise self._bad("a piece of a content block that has not begun", event)
        delta = _fields(event, "delta")
        match delta.get("type"):
            case "text_delta":
                return self._show_text(self._text(delta, "text"))
            case "thinking_delta":
                block.fields["thinking"] = str(block.fields.get("thinking") or "") + self._text(delta, "thinking")
                return self._show_reasoning(block, delta["thinking"])
            case "signature_delta":
                block.fields["signature"] = self._text(delta, "signature")
            case "input_json_delta":
                block.pieces.append(self._text(delta, "partial_json"))
                return self._show_arguments(block, block.pieces[-1])
            case "citations_delta":
                return self._show_text("", [delta.get("citation")])
            case _:
                pass  # of a kind that is newer than this reader
        return ()

    def _stop_block(self, event: Fields) -> Iterable[ChatChunk]:
        block = self._blocks.pop(_index(event), None)
        if block is None or block.kind == "text":
            return ()
        if block.call is not None:
            return () if any(block.pieces) else self._show_arguments(block, block.input_json())
        if block.pieces:
            block.fields["input"] = _parsed(block.input_json())
        return self._give_back(block)

    def _give_back(self, block: _Block) -> Iterable[ChatChunk]:
        """Return the chunk with a block the provider must get back; the calls before it learn their place."""
        provider = self._target.provider
        place = Opaque(provider, {THOUGHTS_BEFORE: self._thoughts})
        calls = tuple(ToolCallDelta(call, opaque=place) for call in self._unplaced)
        self._unplaced = []
        self._thoughts += 1
        opened = None if block.has_shown_reasoning else ""
        return (self._chunk(reasoning=opened, opaque=Opaque(provider, block.fields), tool_calls=calls),)

    def _end(self, event: Fields) -> Iterable[ChatChunk]:
        delta = _fields(event, "delta")
        # Counts are cumulative; what the last event leaves out or null stands as the first one gave it.
        self._usage.update({name: value for name, value in _fields(event, "usage").items() if value is not None})
        reason = delta.get("stop_reason")
        finish = _FINISH.get(reason, reason) if isinstance(reason, str) else None
        explanation = _fields(delta, "stop_details").get("explanation")
        refusal = explanation if isinstance(explanation, str) and explanation else None
        yield self._chunk(
            content=refusal if refusal and not self._has_text else "",
            finish_reason=finish,
            usage=read_usage(self._usage) if self._usage else None,
            refusal=refusal,
        )

    def _stop(self, _event: Fields) -> Iterable[ChatChunk]:
        self._complete = True
        for index in sorted(self._blocks):
            yield from self._stop_block({"index": index})

    def _show_text(self, text: str, citations: Iterable[object] = ()) -> Iterable[ChatChunk]:
        self._has_text |= bool(text)
        cited = tuple(dict(citation) for citation in citations if isinstance(citation, Mapping))
        return (self._chunk(content=text, annotations=cited),) if text or cited else ()

    def _show_reasoning(self, block: _Block, text: str) -> Iterable[ChatChunk]:
        if not text:
            return ()
        block.has_shown_reasoning = True
        return (self._chunk(reasoning=text),)

    def _show_arguments(self, block: _Block, piece: str) -> Iterable[ChatChunk]:
        if not piece or block.call is None:
            return ()
        return (self._chunk(tool_calls=(ToolCallDelta(block.call, arguments_json=piece),)),)

    def _chunk(self, **said: Any) -> ChatChunk:
        return ChatChunk(model=self._model, provider=self._target.provider, id=self._id, **said)

    def _text(self, fields: Fields, name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str):
            raise self._bad(f"no text as {name!r} of a {fields.get('type')!r}", fields)
        return value

    def _bad(self, what: str, near: object) -> ResponseFormatError:
        return ResponseFormatError(
            f"{self._target.provider} sent {what}",
            body_prefix=near if isinstance(near, str) else json.dumps(near, default=str),
            provider=self._target.provider,
            model=self._target.model.id,
        )


def _index(event: Fields) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


def _fields(event: Fields, name: str) -> Fields:
    value = event.get(name)
    return cast("Fields", value) if isinstance(value, Mapping) else _NOTHING


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def read_usage(usage: Fields) -> Usage:
    """Return a usage in disjoint buckets.

    On this wire `input_tokens` are the uncached ones; cache reads and writes come beside them, the writes' lifetimes in
    `cache_creation` only. `output_tokens` include thinking.
    """
    read = _count(usage, "cache_read_input_tokens") or 0
    lifetimes = _fields(usage, "cache_creation")
    hour = _count(lifetimes, "ephemeral_1h_input_tokens") or 0
    written = _count(usage, "cache_creation_input_tokens")
    if written is None:
        written = hour + (_count(lifetimes, "ephemeral_5m_input_tokens") or 0)
    hour = min(hour, written)
    output = _count(usage, "output_tokens")
    thinking = _count(_fields(usage, "output_tokens_details"), "thinking_tokens") or 0
    return Usage(
        uncached_input_tokens=_count(usage, "input_tokens"),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written - hour,
        cache_write_1h_tokens=hour,
        reasoning_tokens=min(thinking, output or 0),
    )


def _count(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
