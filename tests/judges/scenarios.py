"""What is asked: conversations and settings that every wire must carry, each valid for the official SDK's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omnilabs import ChatMessage
from omnilabs.types import AudioPart, FilePart, ImagePart, TextPart, ToolCall

PNG = b"\x89PNG\r\n\x1a\n\xff\xfe"
WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK: Mapping[str, Any] = {"type": "function", "function": {"name": "get_time", "description": "The time now."}}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
BY_SCHEMA: Mapping[str, Any] = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA}}
LIST_SCHEMA: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "list", "schema": {"type": "array", "items": {"type": "string"}}},
}


@dataclass(frozen=True)
class Scenario:
    """A request. `model` says which kind of model is asked: `plain` takes a temperature, `thinking` reasons."""

    name: str
    messages: list[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = "plain"


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def called(*calls: ToolCall, content: str | None = None) -> ChatMessage:
    return ChatMessage("assistant", content, tool_calls=calls)


def result(call_id: str, content: Any, **fields: Any) -> ChatMessage:
    return ChatMessage("tool", content, tool_call_id=call_id, **fields)


OSLO = ToolCall("call_1", "get_weather", '{"city": "Tromsø"}')
NOW = ToolCall("call_2", "get_time", "")

SCENARIOS = [
    Scenario("text", [user("Tell me a joke.")]),
    Scenario("unicode", [user("東京の天気は？ 😀 é\u0301 ‮abc")]),
    Scenario("control characters", [user("a\u0000b\tc\r\nd\u2028e")]),
    Scenario("a lone surrogate", [user("half \ud83d a pair")]),
    Scenario("system first", [{"role": "system", "content": "Be brief."}, user("Hi")]),
    Scenario("system in the middle", [user("Hi"), {"role": "system", "content": "Be brief."}, user("And now?")]),
    Scenario(
        "system last",
        [user("Hi"), ChatMessage("assistant", "Hello."), user("Go on"), {"role": "system", "content": "In French."}],
    ),
    Scenario("developer", [{"role": "developer", "content": "Be brief."}, user("Hi")]),
    Scenario("two system messages", [ChatMessage("system", "A"), ChatMessage("system", "B"), user("Hi")]),
    Scenario("two user messages", [user("Hi"), user("Are you there?")]),
    Scenario("assistant prefix", [user("Count to 3"), ChatMessage("assistant", "1, 2,"), user("go on")]),
    Scenario("a name", [ChatMessage("user", "Hi", name="ada")]),
    Scenario("sampling", [user("Hi")], {"temperature": 0.2, "max_tokens": 50, "stop": ["END", "\n\n"]}),
    Scenario("top_p and seed", [user("Hi")], {"temperature": None, "top_p": 0.5, "seed": 7}),
    Scenario("penalties", [user("Hi")], {"presence_penalty": 0.5, "frequency_penalty": -0.5}),
    Scenario("logprobs", [user("Hi")], {"logprobs": True, "top_logprobs": 2}),
    Scenario("tools", [user("What is the weather in Oslo?")], {"tools": [WEATHER, CLOCK]}),
    Scenario("a tool by name", [user("Anything")], {"tools": [WEATHER, CLOCK], "tool_choice": "get_weather"}),
    Scenario("some tool", [user("Anything")], {"tools": [WEATHER, CLOCK], "tool_choice": "required"}),
    Scenario("no tool", [user("Anything")], {"tools": [WEATHER], "tool_choice": "none"}),
    Scenario("a tool without arguments", [user("What time is it?")], {"tools": [CLOCK]}),
    Scenario("one call at a time", [user("Weather?")], {"tools": [WEATHER, CLOCK], "parallel_tool_calls": False}),
    Scenario("a tool result", [user("Weather?"), called(OSLO), result("call_1", "4 °C")], {"tools": [WEATHER]}),
    Scenario(
        "parallel results",
        [user("Both?"), called(OSLO, NOW, content="Looking."), result("call_2", "noon"), result("call_1", '{"t": 4}')],
        {"tools": [WEATHER, CLOCK]},
    ),
    Scenario(
        "a failed tool",
        [user("Weather?"), called(OSLO), result("call_1", "no network", is_error=True), user("Try again")],
        {"tools": [WEATHER]},
    ),
    Scenario(
        "broken arguments",
        [user("Weather?"), called(ToolCall("call_1", "get_weather", '{"city": ')), result("call_1", "?")],
        {"tools": [WEATHER]},
    ),
    Scenario(
        "an image from a tool",
        [user("Look"), called(NOW), result("call_2", [TextPart("here"), ImagePart.from_bytes(PNG, "image/png")])],
        {"tools": [CLOCK]},
    ),
    Scenario("an image by address", [user(["See", {"type": "image_url", "image_url": {"url": "https://h/a.png"}}])]),
    Scenario("an image as data", [user([TextPart("See"), ImagePart.from_bytes(PNG, "image/png", "high")])]),
    Scenario("a pdf", [user([FilePart.from_bytes(b"%PDF-1.4", filename="a.pdf"), TextPart("Sum it up")])]),
    Scenario("a schema", [user("A trip?")], {"response_format": BY_SCHEMA}),
    Scenario("a schema that is no object", [user("Names?")], {"response_format": LIST_SCHEMA}),
    Scenario("a schema beside tools", [user("A trip?")], {"response_format": BY_SCHEMA, "tools": [WEATHER]}),
    Scenario("a schema of a model without", [user("A trip?")], {"response_format": BY_SCHEMA}, "simple"),
    Scenario("a list of a model without", [user("Names?")], {"response_format": LIST_SCHEMA}, "simple"),
    Scenario("any json", [user("As JSON")], {"response_format": {"type": "json_object"}}),
    Scenario("reasoning", [user("Why?")], {"reasoning_effort": "low"}, "thinking"),
    Scenario("no reasoning", [user("Why?")], {"reasoning_effort": "none"}, "thinking"),
    Scenario("a thinking budget", [user("Why?")], {"reasoning_budget_tokens": 2048, "temperature": None}, "plain"),
    Scenario("cache marks", [user([TextPart("A long document", cache="5m"), TextPart("And?", cache="1h")])]),
    Scenario("a long history", [m for n in range(40) for m in (user(f"q{n}"), ChatMessage("assistant", f"a{n}"))][:-1]),
]
SOUND = Scenario("a sound", [user([AudioPart.from_bytes(b"RIFF", "audio/wav"), TextPart("What is said?")])])
