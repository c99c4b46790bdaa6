"""A loopback chat-completions server that behaves like a small, strict model: it refuses what OpenAI's API refuses.

It calls the tools it is given with arguments taken from the text, fills JSON schemas, counts tokens, and streams in
pieces of a few characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from loopback import Loopback, Recorded, Reply, events

_FIELDS = {
    "model",
    "messages",
    "temperature",
    "max_completion_tokens",
    "max_tokens",
    "top_p",
    "stop",
    "seed",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "user",
}
_PARTS = {"text": "text", "image_url": "image_url", "input_audio": "input_audio", "file": "file"}
_DETAILS = {
    "cache_read_input": ("prompt_tokens_details", "cached_tokens"),
    "cache_creation_input": ("prompt_tokens_details", "cache_write_tokens"),
    "audio_input": ("prompt_tokens_details", "audio_tokens"),
    "audio_output": ("completion_tokens_details", "audio_tokens"),
    "reasoning_output": ("completion_tokens_details", "reasoning_tokens"),
}
"""What a prompt that holds the key asks the usage to report, and where."""


class ChatServer(Loopback):
    """The server; its `url` is a `base_url`, and `requests` hold what it was sent."""

    def answer(self, request: Recorded) -> Reply:
        """Return the answer, or 400 with the reason why OpenAI's API would refuse the request."""
        body = request.json
        try:
            check(body)
        except BadRequestError as exc:
            return Reply(400, {"error": {"message": str(exc), "type": "invalid_request_error", "code": None}})
        message = reply_to(body)
        usage = usage_of(body, message)
        head = {"id": "chatcmpl-1", "created": 1, "model": f"{body['model']}-2026-01-01"}
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return Reply(body={**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = {**head, "object": "chat.completion.chunk"}
        pieces = [{**chunk, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas(message)]
        pieces.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            pieces.append({**chunk, "choices": [], "usage": usage})
        return events(*pieces, "[DONE]")


class BadRequestError(Exception):
    """What OpenAI's API answers 400 for."""


def check(body: Mapping[str, Any]) -> None:
    """Refuse what OpenAI's API refuses: unknown fields, wrong parts, tool results without their call."""
    if unknown := sorted(body.keys() - _FIELDS):
        raise BadRequestError(f"Unrecognized request argument supplied: {unknown[0]}")
    if body.get("stop") == []:
        raise BadRequestError("stop must not be empty")
    if "tool_choice" in body and not body.get("tools"):
        raise BadRequestError("tool_choice is only allowed when tools are specified")
    if body.get("tool_choice") == "any":
        raise BadRequestError("Invalid value: 'any'")
    called: set[str] = set()
    for message in body["messages"]:
        _check_message(message, called)
        called |= {call["id"] for call in message.get("tool_calls") or ()}
    for tool in body.get("tools") or ():
        if set(tool) != {"type", "function"} or "name" not in tool["function"]:
            raise BadRequestError(f"Invalid tool: {tool}")


def _check_message(message: Mapping[str, Any], called: set[str]) -> None:
    if message["role"] not in ("system", "developer", "user", "assistant", "tool"):
        raise BadRequestError(f"Invalid role {message['role']!r}")
    if unknown := sorted(message.keys() - {"role", "content", "name", "tool_calls", "tool_call_id"}):
        raise BadRequestError(f"Unrecognized message field {unknown[0]}")
    if message["role"] == "tool" and message["tool_call_id"] not in called:
        raise BadRequestError("messages with role 'tool' must answer a preceding tool call")
    content = message.get("content")
    if content is None and not message.get("tool_calls"):
        raise BadRequestError("content is required")
    for part in content if isinstance(content, list) else ():
        if _PARTS.get(part["type"]) not in part:
            raise BadRequestError(f"Invalid content part {part}")
    for call in message.get("tool_calls") or ():
        if call["type"] != "function" or not isinstance(json.loads(call["function"]["arguments"]), dict):
            raise BadRequestError(f"Invalid tool call {call}")


def reply_to(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the assistant's message."""
    last = body["messages"][-1]
    text = text_of(last)
    form = body.get("response_format")
    choice = body.get("tool_choice")
    wants = choice == "required" or isinstance(choice, Mapping) or (choice is None and "?" in text)
    if body.get("tools") and last["role"] != "tool" and wants:
        return _tool_call(body["tools"], choice, text)
    if form and form["type"] == "json_schema":
        return _said(json.dumps(filled(form["json_schema"]["schema"], text), ensure_ascii=False))
    if form:
        return _said(json.dumps({name: "something" for name in re.findall(r"'(\w+)'", text)}))
    said = f"You said: {text[:40]}. That is all I know about it."
    for stop in body.get("stop") or ():
        said = said.partition(stop)[0]
    message = _said(said)
    if "[reason]" in text:
        message["reasoning_content"] = "First this, then that."
    if "[cite]" in text:
        citation = {"url": "https://example.org/a", "title": "A", "start_index": 0, "end_index": 3}
        message["annotations"] = [{"type": "url_citation", "url_citation": citation}]
    return message


def _said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _tool_call(tools: list[dict[str, Any]], choice: Any, text: str) -> dict[str, Any]:
    wanted = choice["function"]["name"] if isinstance(choice, Mapping) else tools[0]["function"]["name"]
    function = next(tool["function"] for tool in tools if tool["function"]["name"] == wanted)
    arguments = json.dumps(filled(function.get("parameters") or {}, text), ensure_ascii=False)
    call = {"id": "call_abc", "type": "function", "function": {"name": wanted, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def filled(schema: Mapping[str, Any], text: str) -> Any:
    """Return a value of the schema, its numbers and quoted strings taken from the text."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], text)
    if kind == "object":
        return {name: filled(part, text) for name, part in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [filled(schema.get("items") or {}, text)]
    number = re.search(r"\d+", text)
    if kind in ("integer", "number"):
        return int(number[0]) if number else 0
    if kind == "boolean":
        return True
    quoted = re.search(r"'([^']+)'", text)
    return quoted[1] if quoted else text[:20] or "something"


def text_of(message: Mapping[str, Any]) -> str:
    """Return a wire message's text."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")


def usage_of(body: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a usage: a token per four characters, and the details the prompt names."""
    prompt = len(json.dumps(body["messages"])) // 4 + 1
    completion = len(json.dumps(message)) // 4 + 1
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    for key, (group, name) in _DETAILS.items():
        if key in text_of(body["messages"][-1]):
            usage.setdefault(group, {})[name] = 3
    return usage


def deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message in pieces as OpenAI streams it."""
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(message.get("reasoning_content") or ""):
        yield {"reasoning_content": piece}
    for piece in _pieces(message["content"] or ""):
        yield {"content": piece}
    if message.get("annotations"):
        yield {"annotations": message["annotations"]}
    for index, call in enumerate(message.get("tool_calls") or ()):
        head = {"index": index, "id": call["id"], "type": "function"}
        yield {"tool_calls": [{**head, "function": {"name": call["function"]["name"], "arguments": ""}}]}
        for piece in _pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> list[str]:
    return [text[start : start + 7] for start in range(0, len(text), 7)]
