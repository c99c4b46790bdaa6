"""OpenAI's chat-completions wire from the answering side: a completion, the frames of a stream, an error.

Source: https://platform.openai.com/docs/api-reference/chat and the types of the `openai` package 3.54, read 2026-11-23.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from hashlib import sha256
from typing import Any, NamedTuple

from omnilabs._frozen import frozen
from omnilabs._sandbox._answer import Answer
from omnilabs._sandbox._request import Request, canonical
from omnilabs._sandbox._tokens import prompt_tokens
from omnilabs.errors import OmniError

__all__ = ["Reply", "error_reply", "frame", "reply_to"]

FINGERPRINT = "sandbox"
_ID_CHARS = 24
# As long as a word, so that a script without spaces comes in pieces too. Every text is the sum of its pieces.
_PIECE = re.compile(r"\s*\S{1,12}|\s+")


@frozen
class Reply:
    """An HTTP answer as the reads it arrives in; an error among them ends it there."""

    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes | OmniError, ...]
    is_stream: bool = field(default=False)


class _Identity(NamedTuple):
    """What every piece of one answer says of itself."""

    id: str
    model: str


def reply_to(request: Request, answer: Answer) -> Reply:
    """Return the answer on the wire: one JSON body, or one frame per read."""
    identity = _Identity(f"sandbox-{sha256(canonical(request.body)).hexdigest()[:_ID_CHARS]}", request.model)
    headers = {"x-request-id": f"req_{identity.id}"}
    if request.is_stream:
        frames = tuple(frame(chunk) for chunk in _chunks(request, answer, identity))
        headers["content-type"] = "text/event-stream; charset=utf-8"
        return Reply(200, headers, (*frames, b"data: [DONE]\n\n"), is_stream=True)
    return Reply(
        200, {**headers, "content-type": "application/json"}, (_encode(_completion(request, answer, identity)),)
    )


def error_reply(
    status: int,
    message: str,
    *,
    type_: str,
    code: str | None = None,
    param: str | None = None,
    retry_after_s: int | None = None,
) -> Reply:
    """Return an error in OpenAI's shape."""
    headers = {"content-type": "application/json", "x-request-id": f"req_sandbox-{status}"}
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    return Reply(status, headers, (_encode(error_body(message, type_=type_, code=code, param=param)),))


def error_body(message: str, *, type_: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """Return the JSON of an error."""
    return {"error": {"message": f"[sandbox] {message}", "type": type_, "param": param, "code": code}}


def frame(data: object) -> bytes:
    """Return one server-sent event."""
    return b"data: " + _encode(data) + b"\n\n"


def _encode(value: object) -> bytes:
    # ASCII: a request may hold half a surrogate pair, which JSON can say and UTF-8 cannot.
    return json.dumps(value, separators=(",", ":")).encode()


def _completion(request: Request, answer: Answer, identity: _Identity) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": _call_id(identity, at),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for at, call in enumerate(answer.calls)
        ]
    logprobs = _logprobs(request, _pieces(answer.content or ""))
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": answer.finish_reason}
    return {**_head("chat.completion", identity), "choices": [choice], "usage": _usage(request, answer)}


def _chunks(request: Request, answer: Answer, identity: _Identity) -> Iterator[dict[str, Any]]:
    """Yield the chunks: the role, the answer in pieces, the finish reason, the usage if it was asked for."""
    head = _head("chat.completion.chunk", identity)
    if request.has_stream_usage:
        head["usage"] = None
    for delta, finish_reason in _deltas(answer, identity):
        logprobs = _logprobs(request, [delta["content"]] if delta.get("content") else [])
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        yield {**head, "choices": [choice]}
    if request.has_stream_usage:
        yield {**head, "choices": [], "usage": _usage(request, answer)}


def _deltas(answer: Answer, identity: _Identity) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": None if answer.content is None else "", "refusal": None}, None
    for piece in _pieces(answer.content or ""):
        yield {"content": piece}, None
    for piece in _pieces(answer.refusal or ""):
        yield {"refusal": piece}, None
    for at, call in enumerate(answer.calls):
        opening = {"index": at, "id": _call_id(identity, at), "type": "function"}
        yield {"tool_calls": [{**opening, "function": {"name": call.name, "arguments": ""}}]}, None
        for piece in _pieces(call.arguments):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}, None
    yield {}, answer.finish_reason


def _head(kind: str, identity: _Identity) -> dict[str, Any]:
    # No clock here: 0 is as good a moment as any, and the same in every run.
    return {"id": identity.id, "object": kind, "created": 0, "model": identity.model, "system_fingerprint": FINGERPRINT}


def _pieces(text: str) -> list[str]:
    return _PIECE.findall(text)


def _call_id(identity: _Identity, at: int) -> str:
    return f"call_{identity.id}-{at}"


def _logprobs(request: Request, pieces: list[str]) -> dict[str, Any] | None:
    """Return log-probabilities where asked for: 0 throughout, as nothing here is left to chance."""
    if request.top_logprobs is None or not pieces:
        return None
    tokens = [{"token": one, "bytes": list(one.encode("utf-8", "surrogatepass")), "logprob": 0.0} for one in pieces]
    alternatives = min(request.top_logprobs, 1)
    return {"content": [{**token, "top_logprobs": [token] * alternatives} for token in tokens], "refusal": None}


def _usage(request: Request, answer: Answer) -> dict[str, Any]:
    given, made = prompt_tokens(request.body), answer.tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
