"""Requests of the Gemini wire: the route, messages and tools; the official SDK's types accept each of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire.gemini_kit import CLOCK, KEY, NEW, OLD, WEATHER, body_of, built, request, target

from omnilabs._http import HttpResponse
from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, TextPart, ToolCall
from omnilabs.errors import InvalidRequestError
from omnilabs.providers._base import fit
from omnilabs.providers._gemini import WIRE

PNG = "aGVsbG8="


# ---- the route and the key


def test_the_routes_are_generate_content_and_its_stream():
    to = target(OLD, base_url="https://example.test/v1beta")
    whole, stream = (WIRE.build(request(), to, stream=streams).http for streams in (False, True))
    assert whole.url == "https://example.test/v1beta/models/gemini-2.5-flash:generateContent"
    assert stream.url == "https://example.test/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert whole.method == stream.method == "POST"
    assert whole.body == stream.body


def test_the_key_is_in_one_header_and_nowhere_else():
    http = built().http
    assert KEY not in http.url
    assert KEY.encode() not in http.body
    assert KEY not in repr(http)
    header = http.headers["x-goog-api-key"]
    assert not isinstance(header, str)
    assert header.reveal() == KEY
    assert [name for name in http.headers if "auth" in name.lower()] == []


def test_without_a_key_there_is_no_key_header():
    assert "x-goog-api-key" not in built(to=target(key=None)).http.headers


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("../files/x", "models/..%2Ffiles%2Fx"),
        ("models/../files", "models/..%2Ffiles"),
        ("a?key=b#c d", "models/a%3Fkey%3Db%23c%20d"),
        ("..", "models/.."),
    ],
)
def test_no_model_name_leaves_its_segment_of_the_path(name: str, path: str):
    url = built(to=target(name, base_url="http://h/v1beta")).http.url
    assert url == f"http://h/v1beta/{path}:generateContent"


# ---- messages


def test_leading_system_messages_are_the_system_instruction():
    body = body_of(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
        ]
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]


def test_a_later_system_message_stays_where_it_is_and_is_marked():
    body = body_of(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "system", "content": "Answer in French."},
            {"role": "user", "content": "Bye"},
        ]
    )
    assert "systemInstruction" not in body
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert [part["text"] for part in body["contents"][2]["parts"]] == [
        "<system>\n",
        "Answer in French.",
        "\n</system>",
        "Bye",
    ]


def test_system_messages_alone_are_the_users_turn():
    body = body_of([{"role": "system", "content": "Write a poem."}])
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Write a poem."}]}]}


def test_messages_of_one_role_in_a_row_are_one_turn():
    body = body_of(
        [
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": "c"},
            {"role": "assistant", "content": "d"},
        ]
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
    ]


@pytest.mark.parametrize("text", ["naïve – 東京 😀", "line\nbreak\ttab", "\x00\u2028", ""])
def test_text_arrives_as_it_was_written(text: str):
    assert body_of(text)["contents"] == [{"role": "user", "parts": [{"text": text}]}]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (ImagePart(data=PNG, media_type="image/png"), {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{PNG}"}},
            {"inlineData": {"mimeType": "image/webp", "data": PNG}},
        ),
        (
            FilePart(data=PNG, media_type="application/pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": PNG}},
        ),
        (AudioPart(data=PNG, media_type="audio/wav"), {"inlineData": {"mimeType": "audio/wav", "data": PNG}}),
        (
            ImagePart(url="https://h/a/cat.JPG?w=1"),
            {"fileData": {"fileUri": "https://h/a/cat.JPG?w=1", "mimeType": "image/jpeg"}},
        ),
        (
            ImagePart(url="https://h/cat", media_type="image/heic"),
            {"fileData": {"fileUri": "https://h/cat", "mimeType": "image/heic"}},
        ),
        (FilePart(url="gs://b/d.pdf"), {"fileData": {"fileUri": "gs://b/d.pdf", "mimeType": "application/pdf"}}),
        (AudioPart(url="https://h/a.mp3"), {"fileData": {"fileUri": "https://h/a.mp3", "mimeType": "audio/mp3"}}),
        (
            FilePart(url="https://generativelanguage.googleapis.com/v1beta/files/abc"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
    ],
)
def test_media_go_inline_or_by_address(part: Any, wire: dict[str, Any]):
    body = body_of([{"role": "user", "content": [{"type": "text", "text": "See"}, part]}])
    assert body["contents"][0]["parts"] == [{"text": "See"}, wire]


@pytest.mark.parametrize("url", ["http://h/cat.png", "ftp://h/cat.png", "file:///etc/passwd", "cat.png"])
def test_an_address_gemini_does_not_fetch_is_refused_before_any_request(url: str):
    with pytest.raises(InvalidRequestError, match="pass its bytes"):
        built([{"role": "user", "content": [ImagePart(url=url)]}])


def test_hints_gemini_has_no_place_for_are_reported():
    parts = [
        TextPart("a", cache="1h"),
        ImagePart(data=PNG, media_type="image/png", detail="low"),
        FilePart(data=PNG, media_type="application/pdf", filename="a.pdf"),
    ]
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    how = built([{"role": "user", "content": parts, "name": "Ann"}], tools=[strict])
    assert how.dropped == ("cache", "detail", "filename", "name", "strict")


# ---- tools


def test_a_tool_loop_with_parallel_calls_goes_out_as_one_turn_each():
    body = body_of(
        [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}},
                    {"id": "c2", "function": {"name": "get_time", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"hour": 3}'},
            {"role": "user", "content": "Go on"},
        ],
        target(OLD),
        tools=[WEATHER, CLOCK],
    )
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "get_weather", "args": {"city": "Oslo"}}},
                {"functionCall": {"id": "c2", "name": "get_time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "get_weather", "response": {"result": "rain"}}},
                {"functionResponse": {"id": "c2", "name": "get_time", "response": {"hour": 3}}},
                {"text": "Go on"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("sunny", None, {"result": "sunny"}),
        ("", None, {"result": ""}),
        ("[1, 2]", None, {"result": "[1, 2]"}),
        ('{"a": NaN}', None, {"result": '{"a": NaN}'}),
        ('{"a": {"b": [1]}}', None, {"a": {"b": [1]}}),
        ("no such city", True, {"error": "no such city"}),
        ('{"code": 7}', True, {"error": '{"code": 7}'}),
    ],
)
def test_a_tools_result_is_an_object(text: str, is_error: bool | None, response: dict[str, Any]):
    messages = [
        ChatMessage("user", "?"),
        ChatMessage("assistant", None, tool_calls=[ToolCall("c", "f")]),
        ChatMessage("tool", text, tool_call_id="c", is_error=is_error),
    ]
    assert body_of(messages)["contents"][2]["parts"][0]["functionResponse"]["response"] == response


def test_results_come_before_what_else_is_in_their_turn():
    messages = [
        ChatMessage("user", "?"),
        ChatMessage("assistant", None, tool_calls=[ToolCall("c", "f")]),
        ChatMessage("system", "Hurry."),
        ChatMessage("tool", "done", tool_call_id="c"),
    ]
    parts = body_of(messages)["contents"][2]["parts"]
    assert "functionResponse" in parts[0]
    assert [part["text"] for part in parts[1:]] == ["<system>\n", "Hurry.", "\n</system>"]


@pytest.mark.parametrize(("model", "inside"), [(NEW, True), (OLD, False)])
def test_an_image_in_a_tools_result_is_not_lost(model: str, inside: bool):
    messages = [
        ChatMessage("user", "?"),
        ChatMessage("assistant", None, tool_calls=[ToolCall("c", "f")]),
        ChatMessage("tool", [TextPart("here"), ImagePart(data=PNG, media_type="image/png")], tool_call_id="c"),
    ]
    parts = body_of(messages, target(model))["contents"][2]["parts"]
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert parts[0]["functionResponse"]["response"] == {"result": "here"}
    assert parts[0]["functionResponse"].get("parts") == ([image] if inside else None)
    assert parts[1:] == ([] if inside else [image])


def test_a_result_of_an_unknown_call_is_refused_unless_it_is_named():
    with pytest.raises(InvalidRequestError, match="'c9'"):
        built([ChatMessage("user", "?"), ChatMessage("tool", "x", tool_call_id="c9")])
    body = body_of([ChatMessage("user", "?"), ChatMessage("tool", "x", name="f", tool_call_id="c9")])
    assert body["contents"][0]["parts"][0]["functionResponse"]["name"] == "f"


def test_arguments_that_are_no_object_are_kept_as_text():
    messages = [ChatMessage("user", "?"), ChatMessage("assistant", None, tool_calls=[ToolCall("c", "f", '{"a": ')])]
    assert body_of(messages)["contents"][1]["parts"][0]["functionCall"]["args"] == {"arguments": '{"a": '}


def test_tools_are_declared_with_json_schema_and_without_arguments_with_none():
    empty = {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}}
    free = {
        "type": "function",
        "function": {"name": "any", "parameters": {"type": "object", "additionalProperties": True}},
    }
    body = body_of(tools=[WEATHER, CLOCK, empty, free])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "The weather of a city.",
                    "parametersJsonSchema": WEATHER["function"]["parameters"],
                },
                {"name": "get_time", "description": "The time."},
                {"name": "stop"},
                {"name": "any", "parametersJsonSchema": {"type": "object", "additionalProperties": True}},
            ]
        }
    ]


def test_schemas_keep_their_meaning_in_the_keywords_gemini_reads():
    schema = {
        "type": "object",
        "$defs": {"A": {"type": "object", "properties": {"again": {"$ref": "#/$defs/A"}}}},
        "properties": {
            "const": {"const": "x"},  # a property of that name, not the keyword
            "yes": {"const": True},
            "a": {"$ref": "#/$defs/A", "description": "an A"},
            "b": {"allOf": [{"$ref": "#/$defs/A"}], "default": {"$ref": "data, not a schema", "x": 1}},
            "c": {"type": ["string", "null"], "enum": ["const", None]},
            "d": {"type": "array", "items": {"const": 3}, "prefixItems": [{"const": "p"}]},
        },
        "additionalProperties": False,
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    sent = body_of(tools=[tool])["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert sent["$defs"] == schema["$defs"]
    assert sent["properties"] == {
        "const": {"enum": ["x"]},
        "yes": {"const": True},
        "a": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "an A"},
        "b": {"anyOf": [{"$ref": "#/$defs/A"}], "default": {"$ref": "data, not a schema", "x": 1}},
        "c": {"type": ["string", "null"], "enum": ["const", None]},
        "d": {"type": "array", "items": {"enum": [3]}, "prefixItems": [{"enum": ["p"]}]},
    }
    assert sent["additionalProperties"] is False


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("get_time", {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        (
            {"type": "function", "function": {"name": "get_time"}},
            {"mode": "ANY", "allowedFunctionNames": ["get_time"]},
        ),
    ],
)
def test_tool_choice_is_the_function_calling_mode(choice: Any, calling: dict[str, Any] | None):
    body = body_of(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert body.get("toolConfig") == (None if calling is None else {"functionCallingConfig": calling})


def test_parallel_tool_calls_is_no_setting_of_this_wire():
    asked = request(tools=[WEATHER], parallel_tool_calls=False, unsupported="drop")
    kept, dropped = fit(asked, target(), WIRE.params)
    assert dropped == ("parallel_tool_calls",)
    assert kept.parallel_tool_calls is None


def test_there_is_no_other_form_to_try():
    assert WIRE.other_form("", HttpResponse(400, {}, b"{}")) is None


def test_a_request_leaves_its_messages_as_they_were():
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache": "5m"}]}]
    before = json.dumps(messages)
    extra: dict[str, Any] = {"generationConfig": {"topK": 1}}
    built(messages, temperature=0.5, tools=[WEATHER], extra_body=extra)
    assert json.dumps(messages) == before
    assert extra == {"generationConfig": {"topK": 1}}
