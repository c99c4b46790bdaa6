"""Reading Gemini's answers: one reader for whole answers and for the events of a stream.

Source: the types of the `google-genai` package 3.4 and https://ai.google.dev/api/generate-content, read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from omnilabs._messages import Opaque
from omnilabs._response import ChatChunk, ToolCallDelta
from omnilabs._sse import ServerSentEvent
from omnilabs._usage import Usage
from omnilabs.errors import ResponseFormatError
from omnilabs.providers._base import Built, Target, made_call_id
from omnilabs.providers._gemini_errors import describe_error, in_band_error
from omnilabs.providers._structured import AnswerReader

__all__ = ["GeminiDecoder", "read_usage"]

_NOTHING: Mapping[str, Any] = {}
_CONTENT_FILTER = "content_filter"
_FINISH: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": _CONTENT_FILTER,
    "RECITATION": _CONTENT_FILTER,
    "BLOCKLIST": _CONTENT_FILTER,
    "PROHIBITED_CONTENT": _CONTENT_FILTER,
    "SPII": _CONTENT_FILTER,
    "ESCALATION": _CONTENT_FILTER,
    "MODEL_ARMOR": _CONTENT_FILTER,
    "IMAGE_SAFETY": _CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": _CONTENT_FILTER,
    "IMAGE_RECITATION": _CONTENT_FILTER,
}
"""Every other reason, such as MALFORMED_FUNCTION_CALL, is passed on as its own lower-case word."""
_ANNOTATIONS = ("groundingMetadata", "citationMetadata", "urlContextMetadata")


class GeminiDecoder:
    """Turns Gemini's responses, one per event, into chunks.

    A message built from the chunks goes back part for part, as signatures demand. A signature closes its part; opaque
    data without any close the unsigned text before a signed one, and reasoning, which they mark as this provider's own.
    A part that this package has no value for, such as executed code or a signature on an empty text, is kept whole in
    the opaque data of a reasoning part without text.
    """

    def __init__(self, target: Target, built: Built) -> None:
        self._target = target
        self._built = built
        self.answer = None if built.answer_tool is None else AnswerReader(built.answer_tool)
        self._head: dict[str, Any] = {}  # what every chunk of this response carries
        self._open: Literal["text", "reasoning"] | None = None  # the part that more text would join
        self._calls = 0
        self._is_complete = False
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._usage_sent: Usage | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a finish reason has been seen, or that the prompt was blocked."""
        return self._is_complete

    @property
    def usage(self) -> Usage | None:
        """The last usage reported. A stream reports it with every event; a chunk carries it at the end."""
        return self._usage

    def feed(self, event: ServerSentEvent) -> Iterable[ChatChunk]:
        """Return the chunks of one event.

        Raises:
            APIStatusError: An error in the stream, alone or in an array.
            ResponseFormatError: Not JSON, or not a response.
        """
        data = event.data
        if not data.strip() or data == "[DONE]":  # the mark comes from gateways; Gemini sends none
            return ()
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise self._bad(f"sent a stream event that is not JSON: {exc}", data) from None
        return self.read(body)

    def read(self, body: object, *, is_whole: bool = False) -> Sequence[ChatChunk]:
        """Return the chunks of one response: a part of the answer, or the whole of it.

        Raises:
            APIStatusError: It is an error, alone or in an array.
            ResponseFormatError: It is not of the documented shape.
        """
        error = describe_error(body)
        if error:
            raise in_band_error(error, self._target)
        if not isinstance(body, Mapping):
            raise self._bad("sent something that is not an object", json.dumps(body))
        fields = cast("Mapping[str, Any]", body)
        self._head = {
            "model": _text(fields.get("modelVersion")) or self._target.model.name,
            "provider": self._target.provider,
            "id": _text(fields.get("responseId")),
        }
        if isinstance(usage := fields.get("usageMetadata"), Mapping):
            self._usage = read_usage(usage)
        chunks = list(self._read_candidate(self._candidate(fields)))
        if isinstance(feedback := fields.get("promptFeedback"), Mapping) and feedback.get("blockReason"):
            self._is_complete = True
            chunks += self._ending(_CONTENT_FILTER, ({"promptFeedback": feedback},))
        elif self._is_complete and self._usage != self._usage_sent:
            chunks += self._ending(None)  # usage that came after the finish reason
        if self.answer is None:
            return chunks
        return self.answer.read(chunks, is_over=is_whole or self._is_complete)

    def _candidate(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the first candidate: asking for several takes `extra_body`, and the others stay in `raw`."""
        candidates: Any = fields.get("candidates") or ()
        if not isinstance(candidates, list | tuple) or not all(isinstance(row, Mapping) for row in candidates):
            raise self._bad("sent candidates that are not a list of objects", json.dumps(candidates))
        return next((row for row in candidates if not row.get("index")), _NOTHING)

    def _read_candidate(self, candidate: Mapping[str, Any]) -> Iterator[ChatChunk]:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        if parts is not None and not isinstance(parts, list):
            raise self._bad("sent candidates[0].content.parts that is not a list", json.dumps(parts))
        for part in parts or ():
            if not isinstance(part, Mapping):
                raise self._bad("sent a part that is not an object", json.dumps(part))
            yield from self._read_part(part)
        notes = tuple({name: candidate[name]} for name in _ANNOTATIONS if candidate.get(name))
        logprobs = _read_logprobs(candidate.get("logprobsResult"))
        reason = candidate.get("finishReason")
        if isinstance(reason, str) and reason != "FINISH_REASON_UNSPECIFIED":
            self._is_complete = True
            yield from self._end_reasoning()
            yield from self._ending(self._finish_word(reason), notes, logprobs)
        elif notes or logprobs:
            yield ChatChunk(annotations=notes, logprobs=logprobs, **self._head)

    def _read_part(self, part: Mapping[str, Any]) -> Iterator[ChatChunk]:
        call, text, signature = part.get("functionCall"), part.get("text"), part.get("thoughtSignature")
        rest = {name: value for name, value in part.items() if name != "thoughtSignature"}
        signed = {"thoughtSignature": signature} if isinstance(signature, str) else {}
        if call is not None:
            yield from self._read_call(call, signed)
        elif isinstance(text, str) and text and rest.keys() <= {"text", "thought"}:
            yield from self._read_text("reasoning" if part.get("thought") else "text", text, signed)
        elif signed or rest.keys() - {"text", "thought"}:
            yield from self._end_reasoning()
            self._open = None
            yield self._opaque(signed | {"part": rest}, reasoning="")

    def _read_text(
        self, kind: Literal["text", "reasoning"], text: str, signed: Mapping[str, Any]
    ) -> Iterator[ChatChunk]:
        if self._open != kind:
            yield from self._end_reasoning()
        elif signed:
            yield self._opaque({})
        if kind == "text":
            yield ChatChunk(content=text, **self._head)
        else:
            yield ChatChunk(reasoning=text, **self._head)
        self._open = kind
        if signed:
            self._open = None
            yield self._opaque(signed)

    def _end_reasoning(self) -> Iterator[ChatChunk]:
        """Mark unsigned reasoning as this provider's own, which no other one gets."""
        if self._open == "reasoning":
            self._open = None
            yield self._opaque({})

    def _read_call(self, call: object, signed: Mapping[str, Any]) -> Iterator[ChatChunk]:
        name = call.get("name") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(name, str):
            raise self._bad("sent a functionCall without a name", json.dumps(call))
        yield from self._end_reasoning()
        arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
        if name == self._built.answer_tool:
            # The answer is shown as text and goes back as text, so its signature has no part to return to, and text
            # after it joins none before it.
            signed, self._open = {}, None
        index, self._calls = self._calls, self._calls + 1
        opaque = Opaque(self._target.provider, signed) if signed else None
        delta = ToolCallDelta(index, _text(call.get("id")) or made_call_id(self._built, index), name, arguments, opaque)
        yield ChatChunk(tool_calls=(delta,), **self._head)

    def _finish_word(self, reason: str) -> str:
        word = _FINISH.get(reason, reason.lower())
        return "tool_calls" if word == "stop" and self._calls else word

    def _ending(
        self,
        finish: str | None,
        annotations: tuple[Mapping[str, Any], ...] = (),
        logprobs: tuple[Mapping[str, Any], ...] = (),
    ) -> Iterator[ChatChunk]:
        """Yield the chunk with the finish reason and the usage, unless it would only repeat them."""
        finish = None if finish == self._finish else finish
        usage = None if self._usage == self._usage_sent else self._usage
        self._finish, self._usage_sent = finish or self._finish, self._usage
        if finish or usage or annotations or logprobs:
            yield ChatChunk(finish_reason=finish, usage=usage, annotations=annotations, logprobs=logprobs, **self._head)

    def _opaque(self, data: Mapping[str, Any], reasoning: str | None = None) -> ChatChunk:
        return ChatChunk(reasoning=reasoning, opaque=Opaque(self._target.provider, data), **self._head)

    def _bad(self, what: str, body: str) -> ResponseFormatError:
        target = self._target
        return ResponseFormatError(
            f"{target.provider} {what}", body_prefix=body, provider=target.provider, model=target.model.id
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _read_logprobs(result: object) -> tuple[Mapping[str, Any], ...]:
    """Return log-probabilities per token as OpenAI's wire has them."""
    if not isinstance(result, Mapping):
        return ()
    steps: Any = result.get("topCandidates") or ()
    tops = [step.get("candidates") or () for step in steps if isinstance(step, Mapping)]
    chosen: Any = result.get("chosenCandidates") or ()
    tokens = [token for token in chosen if isinstance(token, Mapping)]
    tops += [()] * (len(tokens) - len(tops))
    return tuple(
        _token(token) | {"top_logprobs": [_token(other) for other in top]}
        for token, top in zip(tokens, tops, strict=False)
    )


def _token(candidate: Mapping[str, Any]) -> dict[str, Any]:
    text = str(candidate.get("token", ""))
    return {"token": text, "logprob": candidate.get("logProbability", 0.0), "bytes": list(text.encode())}


# ---- usage


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Return `usageMetadata` in disjoint buckets. A count that is absent is zero, as protobuf's JSON leaves zeros out.

    `promptTokenCount` includes cached tokens and excludes `toolUsePromptTokenCount`, the prompts of tools that run at
    the provider, which are input too; `candidatesTokenCount` excludes `thoughtsTokenCount`; the details tell how many
    of the tokens are sound. A usage without any part gives only its total.
    """
    total = _count(usage, "totalTokenCount")
    if not usage.keys() & {"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"}:
        return Usage(reported_total_tokens=total or None)
    given = _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount")
    cached = min(_count(usage, "cachedContentTokenCount"), given)
    sound = _sound(usage, "promptTokensDetails") + _sound(usage, "toolUsePromptTokensDetails")
    fresh_sound = min(max(sound - _sound(usage, "cacheTokensDetails"), 0), given - cached)
    thoughts = _count(usage, "thoughtsTokenCount")
    output = _count(usage, "candidatesTokenCount") + thoughts
    return Usage(
        uncached_input_tokens=given - cached - fresh_sound,
        output_tokens=output,
        cache_read_tokens=cached,
        input_audio_tokens=fresh_sound,
        reasoning_tokens=thoughts,
        output_audio_tokens=min(_sound(usage, "candidatesTokensDetails"), output),
        reported_total_tokens=total or None,
    )


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, str) and value.isdigit():  # protobuf's JSON writes 64-bit integers as text
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _sound(usage: Mapping[str, Any], name: str) -> int:
    details: Any = usage.get(name) or ()
    return sum(
        _count(row, "tokenCount") for row in details if isinstance(row, Mapping) and row.get("modality") == "AUDIO"
    )
