"""What a mock cannot say: answers of each dialect, whole and as a stream, made with the official SDKs' own types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loopback import event_bytes
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from wire import anthropic_kit, gemini_kit


@dataclass(frozen=True)
class Call:
    """A tool call; `signature` is what Gemini attaches to it."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    signature: str | None = None


@dataclass(frozen=True)
class Answer:
    """An answer, whoever gives it. Tokens as each provider counts them are made of `usage`.

    `fresh`, `read`, `written` and `hour` are disjoint parts of the prompt; `output` includes `thought`.
    """

    text: str = ""
    thinking: str = ""
    signature: str | None = None
    redacted: str | None = None
    calls: Sequence[Call] = ()
    finish: str = "stop"
    refusal: str | None = None
    fresh: int = 12
    read: int = 0
    written: int = 0
    hour: int = 0
    output: int = 34
    thought: int = 0
    logprobs: bool = False
    wires: frozenset[str] = frozenset({"openai", "anthropic", "gemini"})


OSLO = Call("call_1", "get_weather", {"city": "Tromsø", "days": [1, 2.5, None, {"a": '"'}]})
SIGNED = Call("call_1", "get_weather", {"city": "Oslo"}, "c2lnbmF0dXJl")
ANTHROPIC, OPENAI = frozenset({"anthropic"}), frozenset({"openai"})
ANSWERS: Mapping[str, Answer] = {
    "text": Answer("Hello, how are you?"),
    "unicode": Answer("東京 😀 é\u0301 \u2028 ‮abc \x7f"),
    "empty text": Answer(""),
    "one letter": Answer("a"),
    "text like the wire": Answer('data: [DONE]\n\nevent: x\r\n: ping {"choices": []}'),
    "long": Answer("word " * 400),
    "cut off": Answer("cut o", finish="length"),
    "filtered": Answer("I", finish="content_filter"),
    "refused": Answer(refusal="I cannot help with that.", finish="stop", wires=OPENAI),
    "refused after a word": Answer("Well, ", refusal="Not this.", finish="content_filter", wires=ANTHROPIC),
    "refused at once": Answer(refusal="Not this.", finish="content_filter", wires=ANTHROPIC),
    "a call": Answer(calls=(OSLO,), finish="tool_calls"),
    "text and a call": Answer("Let me see.", calls=(OSLO,), finish="tool_calls"),
    "no arguments": Answer(calls=(Call("call_1", "get_time"),), finish="tool_calls"),
    "parallel calls": Answer(
        "Both.",
        calls=(OSLO, Call("call_2", "get_time"), Call("call_3", "get_weather", {"city": "é😀"})),
        finish="tool_calls",
    ),
    "cached": Answer("Yes.", read=1000),
    "written": Answer("Yes.", fresh=3, read=1000, written=300, hour=40, wires=ANTHROPIC),
    "cache writes": Answer("Yes.", fresh=3, read=1000, written=300, wires=OPENAI),
    "thinking": Answer("Yes.", "Hm, let me think 😀", "EqQBCgIYAhIM", thought=20),
    "thinking, then a call": Answer("", "Hm.", "EqQBCgIYAhIM", calls=(SIGNED,), finish="tool_calls", thought=9),
    "thinking, cut off": Answer("", "Hm, let me", "", finish="length", thought=34),
    "hidden thinking": Answer("Yes.", redacted="EmwKAhgB", thought=20, wires=ANTHROPIC),
    "log probabilities": Answer("Yes.", logprobs=True, wires=frozenset({"openai", "gemini"})),
}
CASES = [(wire, name) for name, answer in ANSWERS.items() for wire in sorted(answer.wires)]

PIECE = 3


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


# ---- OpenAI

TOKEN = {"token": "Yes.", "logprob": -0.25, "bytes": [89, 101, 115, 46], "top_logprobs": []}


def _openai_usage(answer: Answer) -> dict[str, Any]:
    prompt = answer.fresh + answer.read + answer.written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer.output,
        "total_tokens": prompt + answer.output,
        "prompt_tokens_details": {"cached_tokens": answer.read, "cache_write_tokens": answer.written},
        "completion_tokens_details": {"reasoning_tokens": answer.thought},
    }


def _openai_call(call: Call) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False) if call.arguments else ""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def openai_whole(answer: Answer, *, details: bool = False) -> dict[str, Any]:
    """Return a completion; with `details` the thinking comes as OpenRouter's `reasoning_details`."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": answer.refusal}
    if answer.calls:
        message["tool_calls"] = [_openai_call(call) for call in answer.calls]
    if answer.thinking and details:
        message |= {"reasoning": answer.thinking, "reasoning_details": [_detail(answer.thinking, answer.signature)]}
    elif answer.thinking:
        message["reasoning_content"] = answer.thinking
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}
    if answer.logprobs:
        choice["logprobs"] = {"content": [TOKEN], "refusal": None}
    made = ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4.1-2025-04-14",
            "choices": [choice],
            "usage": _openai_usage(answer),
        }
    )
    whole: dict[str, Any] = json.loads(made.model_dump_json(exclude_unset=True))
    return whole


def _detail(text: str, signature: str | None) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "signature": signature, "format": "anthropic-claude-v1", "index": 0}


def openai_events(answer: Answer, *, details: bool = False) -> list[dict[str, Any] | str]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for piece in _pieces(answer.thinking):
        said = {"reasoning": piece, "reasoning_details": [_detail(piece, None)]}
        deltas.append(said if details else {"reasoning_content": piece})
    if details and answer.thinking:
        deltas.append({"reasoning_details": [{**_detail("", answer.signature)}]})
    deltas += [{"content": piece} for piece in _pieces(answer.text)]
    deltas += [{"refusal": piece} for piece in _pieces(answer.refusal or "")]
    for index, call in enumerate(answer.calls):
        whole = _openai_call(call)
        arguments = whole["function"]["arguments"]
        whole["function"] = {"name": call.name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, **whole}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": p}}]} for p in _pieces(arguments)]
    chunks: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None} for delta in deltas
    ]
    if answer.logprobs:
        chunks[-1]["logprobs"] = {"content": [TOKEN], "refusal": None}
    chunks.append({"index": 0, "delta": {}, "finish_reason": answer.finish})
    bodies: list[dict[str, Any]] = [{"choices": [choice], "usage": None} for choice in chunks]
    bodies.append({"choices": [], "usage": _openai_usage(answer)})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1-2025-04-14"}
    made = [ChatCompletionChunk.model_validate({**head, **body}) for body in bodies]
    return [*(json.loads(chunk.model_dump_json(exclude_unset=True)) for chunk in made), "[DONE]"]


# ---- Anthropic

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def anthropic_whole(answer: Answer) -> dict[str, Any]:
    kit = anthropic_kit
    blocks: list[Any] = []
    if answer.redacted is not None:
        blocks.append(kit.redacted(answer.redacted))
    if answer.thinking:
        blocks.append(kit.thinking(answer.thinking, answer.signature or ""))
    if answer.text:
        blocks.append(kit.text(answer.text))
    blocks += [kit.tool_use(call.name, call.id, **call.arguments) for call in answer.calls]
    written = answer.written + answer.hour
    details = {"output_tokens_details": {"thinking_tokens": answer.thought}} if answer.thought else {}
    used = kit.usage(
        answer.fresh,
        answer.output,
        cache_read_input_tokens=answer.read,
        cache_creation_input_tokens=written,
        cache_creation={"ephemeral_5m_input_tokens": answer.written, "ephemeral_1h_input_tokens": answer.hour},
        **details,
    )
    fields: dict[str, Any] = {}
    if answer.refusal:
        fields["stop_details"] = {"type": "refusal", "category": "bio", "explanation": answer.refusal}
    return kit.message(*blocks, stop=_STOPS[answer.finish], used=used, **fields)


def anthropic_events(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    return [(event["type"], event) for event in anthropic_kit.stream_events(anthropic_whole(answer), piece=PIECE)]


# ---- Gemini

_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


def _gemini_usage(answer: Answer) -> dict[str, Any]:
    prompt = answer.fresh + answer.read
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": answer.read,
        "candidatesTokenCount": answer.output - answer.thought,
        "thoughtsTokenCount": answer.thought,
        "totalTokenCount": prompt + answer.output,
    }


def _gemini_parts(answer: Answer, *, split: bool) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for text, thought in ((answer.thinking, {"thought": True}), (answer.text, {})):
        pieces = _pieces(text) if split else [text] if text else []
        parts += [{"text": piece, **thought} for piece in pieces]
    for call in answer.calls:
        signed = {"thoughtSignature": call.signature} if call.signature else {}
        # No id, as the Gemini API sends calls.
        parts.append({"functionCall": {"name": call.name, "args": dict(call.arguments)}, **signed})
    return parts


def _gemini_logprobs(answer: Answer) -> dict[str, Any]:
    if not answer.logprobs:
        return {}
    chosen = [{"token": "Yes.", "logProbability": -0.25, "tokenId": 7}]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": [{"candidates": []}]}}


def gemini_whole(answer: Answer) -> dict[str, Any]:
    text = gemini_kit.sdk_json(
        _gemini_parts(answer, split=False),
        _REASONS[answer.finish],
        candidate=_gemini_logprobs(answer),
        usageMetadata=_gemini_usage(answer),
        responseId="r1",
        modelVersion="gemini-2.5-flash",
    )
    whole: dict[str, Any] = json.loads(text)
    return whole


def gemini_events(answer: Answer) -> list[dict[str, Any]]:
    about: dict[str, Any] = {"responseId": "r1", "modelVersion": "gemini-2.5-flash"}
    parts = _gemini_parts(answer, split=True)
    early = {"promptTokenCount": answer.fresh + answer.read, "totalTokenCount": answer.fresh + answer.read}
    texts = [gemini_kit.sdk_json([part], None, usageMetadata=early, **about) for part in parts]
    last = gemini_kit.sdk_json(
        [],
        _REASONS[answer.finish],
        candidate=_gemini_logprobs(answer),
        usageMetadata=_gemini_usage(answer),
        **about,
    )
    return [json.loads(text) for text in (*texts, last)]


WHOLE = {"openai": openai_whole, "anthropic": anthropic_whole, "gemini": gemini_whole}


def events(wire: str, answer: Answer) -> list[Any]:
    """Return the events of an answer in a dialect, as `loopback.events` takes them."""
    match wire:
        case "openai":
            return list(openai_events(answer))
        case "anthropic":
            return list(anthropic_events(answer))
        case _:
            return list(gemini_events(answer))


def stream_bytes(wire: str, answer: Answer) -> bytes:
    """Return a stream's bytes."""
    return b"".join(event_bytes(event) for event in events(wire, answer))
