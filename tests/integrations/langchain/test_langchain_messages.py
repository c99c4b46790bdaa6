"""LangChain's messages on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from langchain_omni import ChatOmni
from omnilabs.errors import InvalidRequestError

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
PDF: dict[str, Any] = {
    "type": "file",
    "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,aGk="},
}
WAV = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
HI = {"type": "text", "text": "hi"}
CALL = {"name": "add", "args": {"a": "ä"}, "id": "c1", "type": "tool_call"}
WIRE_CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": "ä"}'}}


def sent(server: ChatServer, served: dict[str, Any], *messages: BaseMessage) -> list[dict[str, Any]]:
    """Return what the messages are on the wire, after a first human one."""
    ChatOmni(model="gpt-4o", **served).invoke([HumanMessage("first"), *messages])
    every: list[dict[str, Any]] = server.requests[-1].json["messages"]
    return every[1:]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "hi"}, HI),
        ("hi", HI),
        ({"type": "image", "base64": "aGk=", "mime_type": "image/png"}, PNG),
        ({"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"}, PNG),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}, PNG),
        (PNG, PNG),
        (
            {"type": "image", "url": "https://example.org/a.png"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ),
        ({"type": "file", "base64": "aGk=", "mime_type": "application/pdf"}, PDF),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}, PDF),
        (
            {"type": "file", "base64": "aGk=", "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}},
            {"type": "file", "file": {**PDF["file"], "filename": "a.pdf"}},
        ),
        (PDF, PDF),
        ({"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"}, WAV),
        (WAV, WAV),
        ({"type": "text-plain", "text": "hi", "mime_type": "text/plain"}, HI),
        (
            {"type": "text-plain", "text": "hi", "title": "T", "mime_type": "text/plain"},
            {"type": "text", "text": "T\nhi"},
        ),
        ({"type": "non_standard", "value": HI}, HI),
    ],
)
def test_a_block_becomes_the_wires_part(chat_server: ChatServer, served: dict[str, Any], block: Any, part: Any):
    (message,) = sent(chat_server, served, HumanMessage([block]))
    assert message == {"role": "user", "content": [part]}


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"type": "video", "base64": "aGk="}, "'video'"),
        ({"type": "image", "file_id": "f1"}, "a file_id"),
        ({"type": "image"}, "neither url nor base64"),
        ({"type": "text-plain", "url": "https://example.org"}, "read the file first"),
        ({"type": "non_standard", "value": "x"}, "no content part"),
    ],
)
def test_a_block_without_counterpart_is_refused_by_name(served: dict[str, Any], block: Any, says: str):
    with pytest.raises(InvalidRequestError, match=says):
        ChatOmni(model="gpt-4o", **served).invoke([HumanMessage([block])])


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
        (ChatMessage(role="developer", content="be brief"), {"role": "system", "content": "be brief"}),
        (HumanMessage("hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}),
        (AIMessage("hello"), {"role": "assistant", "content": "hello"}),
        (AIMessage([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), {"content": "ab"}),
        (AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}, HI]), {"content": "hi"}),
    ],
)
def test_a_message_keeps_its_role_and_text(
    chat_server: ChatServer, served: dict[str, Any], message: BaseMessage, wire: dict[str, Any]
):
    (got,) = sent(chat_server, served, message)
    assert {name: got[name] for name in wire} == wire


def test_a_tool_loop_keeps_calls_results_and_unicode(chat_server: ChatServer, served: dict[str, Any]):
    broken = {"name": "add", "args": '{"a": 1', "id": "c2", "error": "cut off", "type": "invalid_tool_call"}
    call, result, failed = sent(
        chat_server,
        served,
        AIMessage([{"type": "tool_use", "id": "c1", "name": "add", "input": {}}], tool_calls=[CALL]),
        ToolMessage("3", tool_call_id="c1"),
        ToolMessage("no such city", tool_call_id="c1", status="error"),
    )
    assert call == {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]}
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "3"}
    assert failed["content"] == "Error: no such city"
    from langchain_omni._convert import to_omni_messages

    (both,) = to_omni_messages([AIMessage("", tool_calls=[CALL], invalid_tool_calls=[broken])])
    assert [item["id"] for item in both["tool_calls"]] == ["c1", "c2"]
    assert both["tool_calls"][1]["function"]["arguments"] == '{"a": 1'


def test_another_integrations_own_blocks_are_left_out_with_a_warning(
    chat_server: ChatServer, served: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    (got,) = sent(chat_server, served, AIMessage([{"type": "server_tool_result", "output": "x"}, HI]))
    assert got["content"] == "hi"
    assert "server_tool_result" in caplog.text


@pytest.mark.parametrize("kind", [HumanMessageChunk, SystemMessageChunk])
def test_a_chunk_is_sent_as_the_message_it_is_of(chat_server: ChatServer, served: dict[str, Any], kind: Any):
    (message,) = sent(chat_server, served, kind(content="hi"))
    assert message == {"role": {"H": "user", "S": "system"}[kind.__name__[0]], "content": "hi"}


def test_a_tools_result_may_be_a_chunk(chat_server: ChatServer, served: dict[str, Any]):
    call, result = sent(
        chat_server, served, AIMessage("", tool_calls=[CALL]), ToolMessageChunk(content="2", tool_call_id="c1")
    )
    assert (call["tool_calls"], result) == ([WIRE_CALL], {"role": "tool", "tool_call_id": "c1", "content": "2"})


@pytest.mark.parametrize(
    "source",
    [
        {"type": "text", "media_type": "text/plain", "data": "The sky is blue."},
        {"type": "content", "content": "The sky is blue."},
        {"type": "content", "content": [{"type": "text", "text": "The sky"}, {"type": "text", "text": "is blue."}]},
    ],
)
def test_anthropics_documents_of_text_are_text(chat_server: ChatServer, served: dict[str, Any], source: Any):
    (message,) = sent(chat_server, served, HumanMessage([{"type": "document", "title": "Sky", "source": source}]))
    said = message["content"] if isinstance(message["content"], str) else message["content"][0]["text"]
    assert said.replace("\n", " ") == "Sky The sky is blue."


@pytest.mark.parametrize("source", [{"type": "text"}, {"type": "content", "content": [{"type": "image"}]}])
def test_a_document_without_text_is_refused(served: dict[str, Any], source: Any):
    with pytest.raises(InvalidRequestError, match=r"source\.data"):
        ChatOmni(model="gpt-4o", **served).invoke([HumanMessage([{"type": "document", "source": source}])])


def test_a_function_message_is_refused(served: dict[str, Any]):
    with pytest.raises(InvalidRequestError, match="FunctionMessage"):
        ChatOmni(model="gpt-4o", **served).invoke([FunctionMessage(name="f", content="x")])


def test_messages_are_never_changed(served: dict[str, Any]):
    message = HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}])
    before = message.model_copy(deep=True)
    ChatOmni(model="gpt-4o", **served).invoke([message])
    assert message == before
