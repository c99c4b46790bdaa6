"""A chat-completions body, checked as OpenAI checks it and read into what the sandbox answers from.

Source: https://platform.openai.com/docs/api-reference/chat/create, read 2026-11-23.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from omnilabs._frozen import frozen
from omnilabs._sandbox._schema import Schema, as_list, as_schema

__all__ = ["BadBody", "Conversation", "Request", "Tool", "ToolResult", "read_request"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_MEDIA: Mapping[str, str] = {"image_url": "image", "input_audio": "sound", "file": "file"}


class BadBody(ValueError):
    """The body is not a chat-completions request: HTTP 400. `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class Tool(NamedTuple):
    """A function the model may call; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: Schema


class ToolResult(NamedTuple):
    """What a tool answered."""

    tool: str
    text: str


@frozen
class Conversation:
    """The messages, sorted by what they are to the last user message: the turn.

    Attributes:
        system: Text of all system messages.
        earlier: Texts of the user messages before the turn's.
        user: Text of the last user message that has text, or "".
        called: Names of the tools called in this turn.
        results: What the tools answered in this turn.
        media: How many images, sounds and files the turn holds, by kind.
    """

    system: str
    earlier: tuple[str, ...]
    user: str
    called: tuple[str, ...]
    results: tuple[ToolResult, ...]
    media: Mapping[str, int]


@frozen
class Request:
    """A checked request.

    Attributes:
        body: The JSON as it came.
        choice: auto, none, required, or the name of the tool to call.
        answer_format: text, json_object or json_schema.
        schema: The schema of a json_schema answer.
        max_tokens: Most tokens of the answer, or None.
        top_logprobs: Log-probabilities with so many alternatives; None asks for none.
    """

    body: Mapping[str, Any]
    model: str
    conversation: Conversation
    tools: tuple[Tool, ...]
    choice: str
    is_parallel: bool
    answer_format: str
    schema: Schema
    stop: tuple[str, ...]
    max_tokens: int | None
    is_stream: bool
    has_stream_usage: bool
    top_logprobs: int | None


def read_request(body: Mapping[str, Any]) -> Request:
    """Return the request of a JSON body.

    Raises:
        BadBody: A field that OpenAI would refuse, or one that the sandbox cannot honour (`n` above 1).
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadBody("you must provide a model parameter", "model")
    if body.get("n") not in (None, 1):
        raise BadBody(f"the sandbox gives one choice, not n={body['n']!r}", "n")
    messages = _messages(body)
    tools = _tools(body)
    answer_format, schema = _response_format(body)
    return Request(
        body,
        model,
        _conversation(messages),
        tools,
        _choice(body, tools),
        body.get("parallel_tool_calls") is not False,
        answer_format,
        schema,
        _stop(body),
        _max_tokens(body),
        body.get("stream") is True,
        as_schema(body.get("stream_options")).get("include_usage") is True,
        _top_logprobs(body),
    )


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = as_list(body.get("messages"))
    if not messages:
        raise BadBody("messages must be a list of at least one message", "messages")
    for at, message in enumerate(messages):
        role = as_schema(message).get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise BadBody(f"messages[{at}].role is {role!r}: use one of {', '.join(sorted(_ROLES))}", "messages")
    return messages


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for at, item in enumerate(as_list(body.get("tools"))):
        function = as_schema(as_schema(item).get("function"))
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise BadBody(f"tools[{at}].function.name is missing; only function tools are known", "tools")
        description = function.get("description")
        text = description if isinstance(description, str) else ""
        tools.append(Tool(name, text, as_schema(function.get("parameters"))))
    return tuple(tools)


def _choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> str:
    """Return auto, none, required, or the name of a tool that is there."""
    given = body.get("tool_choice")
    name = as_schema(as_schema(given).get("function")).get("name")
    if given is None or given in ("auto", "none"):
        return given if tools and given else "auto"
    if not tools:
        raise BadBody("tool_choice is only allowed when tools are specified", "tool_choice")
    if given == "required":
        return "required"
    if not isinstance(name, str) or name not in {tool.name for tool in tools}:
        raise BadBody(f"tool_choice {name or given!r} is none of the tools", "tool_choice")
    return name


def _response_format(body: Mapping[str, Any]) -> tuple[str, Schema]:
    given = as_schema(body.get("response_format"))
    kind = given.get("type", "text")
    if kind in ("text", "json_object"):
        return str(kind), {}
    schema = as_schema(given.get("json_schema")).get("schema")
    if kind != "json_schema" or not isinstance(schema, dict):
        raise BadBody("response_format is text, json_object, or json_schema with json_schema.schema", "response_format")
    return "json_schema", as_schema(schema)


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    given = body.get("stop")
    return tuple(
        stop for stop in ([given] if isinstance(given, str) else as_list(given)) if isinstance(stop, str) and stop
    )


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        value = body.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadBody(f"{key} is a whole number of at least 1, not {value!r}", key)
            return value
    return None


def _top_logprobs(body: Mapping[str, Any]) -> int | None:
    """Return how many alternatives per token are asked for; None where no log-probabilities are."""
    given = body.get("top_logprobs")
    if body.get("logprobs") is not True:
        return None
    return given if isinstance(given, int) and given > 0 else 0


def _conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    asking = [at for at, one in enumerate(messages) if one["role"] == "user" and text_of(one).strip()]
    start = asking[-1] if asking else -1
    turn = messages[max(start, 0) :]
    calls = {call_id: name for message in turn for call_id, name in _calls(message)}
    results = (one for one in turn if one["role"] in ("tool", "function"))
    return Conversation(
        system="\n\n".join(text_of(one) for one in messages if one["role"] in ("system", "developer")),
        earlier=tuple(text_of(messages[at]) for at in asking[:-1]),
        user=text_of(messages[start]) if asking else "",
        called=tuple(name for message in turn for _, name in _calls(message)),
        results=tuple(ToolResult(_tool_name(one, calls), text_of(one)) for one in results),
        media=Counter(kind for one in turn if one["role"] == "user" for kind in media_of(one)),
    )


def _calls(message: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the id and tool name of each call an assistant made."""
    for call in as_list(message.get("tool_calls")) if message["role"] == "assistant" else ():
        yield str(as_schema(call).get("id")), str(as_schema(as_schema(call).get("function")).get("name"))


def _tool_name(message: Mapping[str, Any], calls: Mapping[str, str]) -> str:
    return calls.get(str(message.get("tool_call_id"))) or str(message.get("name") or "the tool")


def text_of(message: Mapping[str, Any]) -> str:
    """Return all text of a message's content."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts = (part if isinstance(part, str) else as_schema(part).get("text") for part in as_list(content))
    return "\n".join(text for text in texts if isinstance(text, str))


def media_of(message: Mapping[str, Any]) -> Iterable[str]:
    """Yield "image", "sound" or "file" for each medium in a message's content."""
    for part in as_list(message.get("content")):
        kind = as_schema(part).get("type")
        if isinstance(kind, str) and kind in _MEDIA:
            yield _MEDIA[kind]


def canonical(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that an answer's id is made of: the same for a stream and for a whole answer."""
    asked = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
    return json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()
