"""Reading what the hosted service says: both of its stream forms, its function calls, and its errors in a 200.

A plain stream is unnamed events, `data: {"content": ...}`, ended by `[DONE]`. A reasoning stream is named events:
`metadata`, `thinking_start`, `reasoning`, `content`, `block_start`, `block_stop`, and `usage` at its end, with or
without `[DONE]`. The name stands in `event:` or in the data's `type`; both are read. Later versions name the events of
plain chats too, and send a tool's call as `function_call` (as far as it has come) and `function_call_complete`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from omnilabs._messages import ToolCall
from omnilabs._response import ChatChunk, ToolCallDelta
from omnilabs._sse import ServerSentEvent
from omnilabs.errors import APIStatusError, ResponseFormatError
from omnilabs.providers._base import Built, Target
from omnilabs.providers._openai_compat import WIRE as OPENAI
from omnilabs.providers._openai_compat import describe_error, in_band_error
from omnilabs.providers._usage_shapes import read_usage

__all__ = ["OmniRouterDecoder", "fault_of", "is_quota", "read_calls", "said_in", "text_at"]

_SILENT = frozenset({"thinking_start", "block_start", "block_stop", "function_call"})
_NAMES = _SILENT | {"metadata", "reasoning", "content", "usage", "function_call_complete", "function_call_error"}
# The service's own words for a used-up allowance; a rate limit of what stands before it has none of them.
_QUOTA = ("quota", "maximum number of tokens")


class OmniRouterDecoder:
    """Turns one stream of the service into chunks.

    It is complete after `[DONE]`, a `done` event, a finish reason, or a named `usage` event, which closes a reasoning
    stream.
    """

    def __init__(self, target: Target, built: Built) -> None:
        self._target = target
        self._model = target.model.id
        self._provider = target.provider
        self._calls = 0
        self._has_answer = False
        self._openai = OPENAI.decoder(built, target)
        self.answer = self._openai.answer
        self._is_complete = False

    @property
    def is_complete(self) -> bool:
        """Whether the stream has said that it is over."""
        return self._is_complete

    def feed(self, event: ServerSentEvent) -> Iterable[ChatChunk]:
        """Return the chunk of one event. An event of an unknown name, without any known field, says nothing.

        Raises:
            APIStatusError: An error in the stream, as if its code were the HTTP status.
            ResponseFormatError: Not a JSON object, content that is not text, or an end without any answer.
        """
        if event.data.strip() == "[DONE]" or event.event == "done":
            if not self._has_answer:
                raise self._bad_event(event, "ended the stream without an answer")
            self._is_complete = True
            return ()
        body = self._object(event)
        kind = event.event if event.event in _NAMES else text_at(body, "type")
        if kind == "function_call_error":
            raise self._bad_event(event, "could not read the arguments of a function call")
        if (fault := fault_of(body, self._target)) is not None:
            raise fault
        if kind in _SILENT:
            return ()
        if body.get("choices"):
            chunks = tuple(self._openai.feed(event))
            self._has_answer, self._is_complete = True, self._is_complete or self._openai.is_complete
            return chunks
        chunk = self._read(body, kind, event)
        self._is_complete = self._is_complete or kind == "usage" or chunk.finish_reason is not None
        return (chunk,)

    def _read(self, body: Mapping[str, Any], kind: str | None, event: ServerSentEvent) -> ChatChunk:
        content, reasoning = body.get("content"), text_at(body, "reasoning")
        if content is not None and not isinstance(content, str):
            raise self._bad_event(event, "sent content that is not text")
        if kind == "reasoning":
            content, reasoning = None, content or reasoning
        is_call = kind == "function_call_complete"
        calls = self._deltas({"function_calls": [body]} if is_call else body)
        usage = body.get("usage", body if kind == "usage" else None)
        self._has_answer = self._has_answer or content is not None or bool(reasoning or calls or usage)
        self._model = text_at(body, "model") or self._model
        self._provider = text_at(body, "provider") or self._provider
        return ChatChunk(
            content=content or "",
            model=self._model,
            provider=self._provider,
            usage=read_usage(usage) if usage else None,
            finish_reason=text_at(body, "finish_reason"),
            tool_calls=calls,
            reasoning=reasoning,
            id=None if is_call else text_at(body, "id"),
            explanation=text_at(body, "explanation"),
        )

    def _deltas(self, body: Mapping[str, Any]) -> tuple[ToolCallDelta, ...]:
        first = self._calls
        calls = read_calls(body, self._target, first=first)
        self._calls += len(calls)
        return tuple(
            ToolCallDelta(index, call.id, call.name, call.arguments_json) for index, call in enumerate(calls, first)
        )

    def _object(self, event: ServerSentEvent) -> Mapping[str, Any]:
        """Return the event's data; of an `error` event whatever it is becomes the error."""
        body: object
        try:
            body = json.loads(event.data)
        except (ValueError, RecursionError):
            if event.event != "error":
                raise self._bad_event(event, "sent a stream event that is not JSON") from None
            body = event.data
        if event.event == "error" and not (isinstance(body, dict) and "error" in body):
            body = {"error": body or "an error without a message"}
        if not isinstance(body, dict):
            raise self._bad_event(event, "sent a stream event that is not an object")
        return cast("Mapping[str, Any]", body)

    def _bad_event(self, event: ServerSentEvent, what: str) -> ResponseFormatError:
        return ResponseFormatError(
            f"{self._target.provider} {what}",
            body_prefix=event.data,
            provider=self._target.provider,
            model=self._target.model.id,
        )


def text_at(body: Mapping[str, Any], name: str) -> str | None:
    """Return a field's text, or None where it is absent, empty or something else."""
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def read_calls(body: Mapping[str, Any], target: Target, *, first: int = 0) -> tuple[ToolCall, ...]:
    """Return the calls of `function_calls` (arguments as an object) or of OpenAI's `tool_calls` (as text).

    A call without an id gets `call_<n>`, counted from `first`: a tool's result has to name the call it answers.

    Raises:
        ResponseFormatError: A call without a name, or with arguments that are neither an object nor text.
    """
    field = "function_calls" if body.get("function_calls") else "tool_calls"
    given = body.get(field)
    calls: list[ToolCall] = []
    for index, item in enumerate(cast("list[object]", given) if isinstance(given, list) else ()):
        call = cast("Mapping[str, Any]", item) if isinstance(item, Mapping) else {}
        function = call.get("function", call)
        name = function.get("name") if isinstance(function, Mapping) else None
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        if not (isinstance(name, str) and name) or not isinstance(arguments, Mapping | str | None):
            raise ResponseFormatError(
                f"{target.provider} sent {field}[{index}] without a name, or with arguments that are not an object",
                body_prefix=json.dumps(item),
                provider=target.provider,
                model=target.model.id,
            )
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))
        calls.append(ToolCall(text_at(call, "id") or f"call_{first + index}", name, arguments))
    return tuple(calls)


def fault_of(body: Mapping[str, Any], target: Target) -> APIStatusError | None:
    """Return the error a 2xx body or event holds: an `error`, or a `detail` with no answer beside it."""
    error: object = body.get("error")
    if not error:
        if not body.get("detail") or "content" in body:
            return None
        error = {"message": said_in(body)[0], "code": 422 if isinstance(body["detail"], list) else 500}
    message = said_in({"error": error})[0]
    found = in_band_error(error, target)
    if found.status == 500 and isinstance(error, Mapping):  # a code nobody knows: its type may say more
        found = in_band_error({"message": message, "type": error.get("type")}, target)
    if found.status == 429 and is_quota(message):
        found = in_band_error({"message": message, "code": "insufficient_quota"}, target)
    return found


def is_quota(message: str) -> bool:
    """Whether a 429 says that the account's tokens are used up, for which the service has no code."""
    return any(words in message.lower() for words in _QUOTA)


def said_in(body: object) -> tuple[str, str | None]:
    """Return an error body's message, "" if it has none, and the code beside it.

    FastAPI's list of invalid fields becomes "messages.0.role: field required; ...".
    """
    if isinstance(body, str):
        return body, None
    if isinstance(body, Mapping) and body.get("detail"):
        detail: object = body["detail"]
        if isinstance(detail, list):
            return "; ".join(_invalid_field(item) for item in cast("list[object]", detail)), None
        body = detail if isinstance(detail, Mapping) else {"message": str(detail)}
    message, code = describe_error(body)
    return message or "", code


def _invalid_field(item: object) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    loc: object = item.get("loc")
    steps = [str(step) for step in cast("list[object]", loc)] if isinstance(loc, list) else []
    where = ".".join(steps[1:] if steps[:1] == ["body"] else steps)
    return f"{where}: {item.get('msg')}" if where else str(item.get("msg"))
