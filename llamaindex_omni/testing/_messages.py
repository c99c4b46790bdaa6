"""Checks of messages: every block in and out, and nothing that is passed in changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._calling import call
from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import OpenAIServer, Say

__all__ = ["MessageChecks"]

# One pixel.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_WAV = (
    b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00D\xac\x00\x00\x88X\x01\x00\x02\x00\x10\x00data"
    + bytes(4)
)
_PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
_BOTH = pytest.mark.parametrize("endpoint", ["chat", "achat"])


class MessageChecks(Kit):
    """What goes to the model, and what comes back."""

    @_BOTH
    def test_roles_keep_their_places(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """System, user and assistant arrive in order, consecutive ones included."""
        roles = ["system", "user", "assistant", "user", "user"]
        call(llm, endpoint, [ChatMessage(role=role, content=f"{role}!") for role in roles])
        assert [message["role"] for message in server.requests[0].body["messages"]] == roles

    @_BOTH
    def test_several_texts_all_arrive(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """A message of two text blocks loses neither."""
        call(llm, endpoint, [ChatMessage(role="user", blocks=[TextBlock(text="one"), TextBlock(text="two")])])
        sent = json.dumps(server.requests[0].body["messages"])
        assert "one" in sent
        assert "two" in sent

    def test_an_empty_message_does_not_break_the_conversation(self, llm: LLM, server: OpenAIServer) -> None:
        """Agents do send an assistant's empty text."""
        messages = [ChatMessage("Hello?"), ChatMessage(role="assistant", content=""), ChatMessage("Still there?")]
        call(llm, "chat", messages)
        assert len(server.requests[0].body["messages"]) == 3

    @pytest.mark.parametrize("given", ["bytes", "path", "url"])
    def test_images_arrive(self, llm: LLM, server: OpenAIServer, tmp_path: Any, given: str) -> None:
        """As bytes, from a file, or by address, which is not downloaded here."""
        self.needs("has_images")
        (tmp_path / "dot.png").write_bytes(_PNG)
        image: dict[str, Callable[[], ImageBlock]] = {
            "bytes": lambda: ImageBlock(image=_PNG, detail="low"),
            "path": lambda: ImageBlock(path=tmp_path / "dot.png"),
            "url": lambda: ImageBlock(url="https://images.invalid/dot.png"),
        }
        call(llm, "chat", [ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), image[given]()])])
        part = server.requests[0].body["messages"][0]["content"][1]
        encoded = f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"
        assert part["type"] == "image_url"
        assert part["image_url"]["url"] == ("https://images.invalid/dot.png" if given == "url" else encoded)
        assert part["image_url"].get("detail") in {"bytes": ("low",)}.get(given, (None, "auto"))

    def test_audio_arrives(self, llm: LLM, server: OpenAIServer) -> None:
        """As base64 with its format."""
        self.needs("has_audio")
        message = ChatMessage(role="user", blocks=[TextBlock(text="Who speaks?"), AudioBlock(audio=_WAV, format="wav")])
        call(llm, "chat", [message])
        part = server.requests[0].body["messages"][0]["content"][1]
        assert part["input_audio"] == {"data": base64.b64encode(_WAV).decode(), "format": "wav"}

    def test_documents_arrive(self, llm: LLM, server: OpenAIServer) -> None:
        """As a file with its name."""
        self.needs("has_documents")
        document = DocumentBlock(data=_PDF, title="paper.pdf", document_mimetype="application/pdf")
        call(llm, "chat", [ChatMessage(role="user", blocks=[TextBlock(text="Sum up."), document])])
        part = server.requests[0].body["messages"][0]["content"][1]
        encoded = f"data:application/pdf;base64,{base64.b64encode(_PDF).decode()}"
        assert part == {"type": "file", "file": {"filename": "paper.pdf", "file_data": encoded}}

    def test_a_block_nobody_takes_is_refused_by_name(self, llm: LLM, server: OpenAIServer) -> None:
        """Dropping a video would answer another question than the one asked."""
        message = ChatMessage(role="user", blocks=[VideoBlock(video=b"\x00\x00", video_mimetype="video/mp4")])
        with pytest.raises(ValueError, match=r"(?i)video"):
            call(llm, "chat", [message])
        assert not server.requests

    def test_a_cache_point_breaks_nothing(self, llm: LLM, server: OpenAIServer) -> None:
        """Where the provider has no cache marks, the rest of the message arrives."""
        point = CachePoint(cache_control=CacheControl(type="ephemeral"))
        call(llm, "chat", [ChatMessage(role="user", blocks=[TextBlock(text="A long text."), point])])
        assert "A long text." in json.dumps(server.requests[0].body["messages"])

    @_BOTH
    def test_tool_history_round_trips(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """Calls, their thoughts and their results arrive as the provider wrote them."""
        self.needs("has_tools")
        blocks = [
            ThinkingBlock(content="I should look."),
            TextBlock(text="Let me look."),
            ToolCallBlock(tool_call_id="call_9", tool_name="get_weather", tool_kwargs={"city": "Paris"}),
        ]
        call(
            llm,
            endpoint,
            [
                ChatMessage("Weather?"),
                ChatMessage(role="assistant", blocks=blocks),
                ChatMessage(role="tool", content="Sunny.", additional_kwargs={"tool_call_id": "call_9"}),
            ],
        )
        _, asked, told = server.requests[0].body["messages"]
        function = asked["tool_calls"][0]["function"]
        assert (asked["tool_calls"][0]["id"], function["name"]) == ("call_9", "get_weather")
        assert json.loads(function["arguments"]) == {"city": "Paris"}
        assert (told["role"], told["tool_call_id"]) == ("tool", "call_9")

    @_BOTH
    def test_messages_are_not_changed(self, llm: LLM, endpoint: str) -> None:
        """The caller's list and its messages stay as they were."""
        messages = [
            ChatMessage(role="system", content="Be kind."),
            ChatMessage(role="user", blocks=[TextBlock(text="one"), ImageBlock(image=_PNG)])
            if self.has_images
            else ChatMessage("one"),
        ]
        before = [message.model_copy(deep=True) for message in messages]
        call(llm, endpoint, messages)
        assert messages == before

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    @_BOTH
    def test_thoughts_come_as_a_block(self, llm: LLM, server: OpenAIServer, endpoint: str, field: str) -> None:
        """Before the text, whatever the server calls the field."""
        self.needs("has_thinking")
        server.replies(Say("Four.", reasoning="Two and two.", reasoning_field=field))
        answer = call(llm, endpoint)[0]
        assert isinstance(answer, ChatResponse)
        first, *rest = answer.message.blocks
        assert isinstance(first, ThinkingBlock)
        assert (first.content, answer.message.content, len(rest)) == ("Two and two.", "Four.", 1)

    @pytest.mark.parametrize("endpoint", ["chat", "achat", "complete", "acomplete"])
    def test_logprobs_come_when_asked_for(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """Per token, with its alternatives."""
        self.needs("has_logprobs")
        top = [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}]
        server.replies(Say("Hi", logprobs=({"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": top},)))
        answer = call(llm, endpoint, **self.logprobs_settings)[0]
        assert answer.logprobs is not None
        assert (answer.logprobs[0][0].token, answer.logprobs[0][0].logprob) == ("Hi", -0.1)

    def test_what_is_not_set_is_not_sent(self, llm: LLM, server: OpenAIServer) -> None:
        """Reasoning models refuse a temperature; nobody asked for one."""
        call(llm, "chat")
        call(llm, "stream_chat")
        unwanted = {"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n", "seed"}
        assert [unwanted & request.body.keys() for request in server.requests] == [set(), set()]

    @_BOTH
    def test_what_is_set_is_sent(self, server: OpenAIServer, endpoint: str) -> None:
        """On the LLM, and for one call, which has the last word."""
        with self.made(server, temperature=0.25) as llm:
            call(llm, endpoint)
            call(llm, endpoint, temperature=0.75)
        assert [request.body["temperature"] for request in server.requests] == [0.25, 0.75]
