"""Messages are read from dicts of every shape the field writes, and bad ones say what is wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from omnilabs import ChatMessage
from omnilabs._messages import parse_messages
from omnilabs.errors import InvalidRequestError, ResponseFormatError
from omnilabs.types import AudioPart, FilePart, ImagePart, Opaque, ReasoningPart, TextPart, ToolCall

PNG = base64.b64encode(b"not really a picture").decode()


def part_of(part: dict[str, Any]) -> object:
    (message,) = parse_messages([{"role": "user", "content": [part]}])
    return message.parts[0]


def test_a_message_reads_as_the_documentation_indexes_it():
    message = ChatMessage(role="user", content="Tell me a joke.")
    assert message["content"] == "Tell me a joke."
    assert dict(message) == {"role": "user", "content": "Tell me a joke."}
    assert message == ChatMessage("user", "Tell me a joke.")
    with pytest.raises(KeyError):
        message["contents"]


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"type": "text", "text": "x"}, TextPart("x")),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, TextPart("x", cache="5m")),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, TextPart("x", cache="1h")),
        ({"type": "image_url", "image_url": "https://a/b.png"}, ImagePart(url="https://a/b.png")),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            ImagePart(data=PNG, media_type="image/png", detail="low"),
        ),
        ({"type": "image", "data": PNG, "media_type": "image/png"}, ImagePart(data=PNG, media_type="image/png")),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            AudioPart(data=PNG, media_type="audio/wav"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
            FilePart(data=PNG, media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "reasoning", "text": "hm"}, ReasoningPart("hm")),
    ],
)
def test_content_parts_of_every_shape_are_read(part: dict[str, Any], read: object):
    assert part_of(part) == read


def test_bytes_are_encoded():
    part = ImagePart.from_bytes(b"abc", "image/png")
    assert part.data_url == "data:image/png;base64," + base64.b64encode(b"abc").decode()


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "empty"),
        ("hello", "list"),
        ({"role": "user", "content": "x"}, "list"),
        ([{"content": "x"}], "no 'role'"),
        ([{"role": "user"}], "no 'content'"),
        ([{"role": "robot", "content": "x"}], "unknown role 'robot'"),
        ([{"role": "assistant"}], "no 'content'"),
        ([{"role": "tool", "content": "x"}], "tool_call_id"),
        ([{"role": "user", "content": 3}], "int content"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "unknown content part type 'smell'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "lacks or misuses"),
        ([{"role": "user", "content": [{"type": "image", "data": PNG}]}], "media_type"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,%%"}]}], "base64"),
        ([{"role": "user", "content": [{"type": "text", "text": "x", "cache": "2h"}]}], "'5m' or '1h'"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "'function' with 'name'"),
        ([object()], "must be a ChatMessage or dict"),
    ],
)
def test_a_bad_message_is_named_before_anything_is_sent(messages: Any, says: str):
    with pytest.raises(InvalidRequestError, match=says.replace("(", r"\(")):
        parse_messages(messages)


def test_the_second_message_is_the_one_named():
    with pytest.raises(InvalidRequestError) as caught:
        parse_messages([{"role": "user", "content": "x"}, {"role": "user"}])
    assert caught.value.parameter == "messages[1]"


def test_openai_calls_and_the_services_function_calls_read_alike():
    openai = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    service = {"id": "c1", "name": "f", "arguments": {"a": 1}}
    (one,) = parse_messages([{"role": "assistant", "content": None, "tool_calls": [openai]}])
    (two,) = parse_messages([{"role": "assistant", "content": "", "function_calls": [service]}])
    assert one.calls[0] == two.calls[0] == ToolCall("c1", "f", '{"a": 1}')


def test_a_tool_call_reads_both_ways():
    call = ToolCall("c1", "f", '{"a": 1}')
    assert call["arguments"] == {"a": 1}
    assert call["function"]["arguments"] == '{"a": 1}'
    assert call["type"] == "function"
    assert ToolCall("c1", "f", "").arguments == {}


@pytest.mark.parametrize("text", ["{", "[1]", "null"])
def test_broken_arguments_are_an_error_when_read_and_not_before(text: str):
    call = ToolCall("c1", "f", text)
    assert call.arguments_json == text
    with pytest.raises(ResponseFormatError, match="'f'"):
        _ = call.arguments


def test_a_message_survives_json():
    opaque = Opaque("anthropic", {"type": "thinking", "signature": "abc"})
    message = ChatMessage(
        "assistant",
        (ReasoningPart("hm", opaque), TextPart("Hello")),
        tool_calls=(ToolCall("c1", "f", '{"a": 1}', Opaque("gemini", {"thoughtSignature": "x"})),),
    )
    (back,) = parse_messages([json.loads(json.dumps(message.to_dict()))])
    assert back == message


def test_reading_messages_changes_nothing_the_caller_holds():
    content = [{"type": "text", "text": "x"}]
    given = [{"role": "user", "content": content}]
    parse_messages(given)
    assert given == [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
