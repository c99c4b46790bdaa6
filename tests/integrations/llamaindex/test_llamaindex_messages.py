"""Messages beyond what the kit checks of every LLM: signatures, citations, cache marks, other classes' histories."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_omni._calls import Ask
from llamaindex_omni._inbound import to_omni_messages
from llamaindex_omni._outbound import blocks_of, to_chat_response
from llamaindex_omni._streaming import Snapshots
from omnilabs import ChatChunk, ChatResponse
from omnilabs.errors import InvalidRequestError
from omnilabs.types import ChatMessage as OmniMessage
from omnilabs.types import FilePart, ImagePart, Opaque, Part, ReasoningPart, TextPart, ToolCall, Usage


def sent(*blocks: ContentBlock, role: str = "user", **kwargs: Any) -> OmniMessage:
    [message] = to_omni_messages([ChatMessage(role=role, blocks=list(blocks), **kwargs)])
    return message


def parts(message: OmniMessage) -> list[Part]:
    assert not isinstance(message.content, str)
    return list(message.parts)


def answer(**fields: Any) -> ChatResponse:
    return ChatResponse("gpt-4o", fields.pop("content", ""), "openai", fields.pop("usage", Usage(10, 5)), **fields)


@pytest.mark.parametrize(
    ("role", "wire"),
    [
        (MessageRole.SYSTEM, "system"),
        (MessageRole.DEVELOPER, "system"),
        (MessageRole.USER, "user"),
        (MessageRole.ASSISTANT, "assistant"),
        (MessageRole.CHATBOT, "assistant"),
        (MessageRole.MODEL, "assistant"),
        (MessageRole.TOOL, "tool"),
        (MessageRole.FUNCTION, "tool"),
    ],
)
def test_every_role_of_llamaindex_has_a_place(role: MessageRole, wire: str) -> None:
    [message] = to_omni_messages([ChatMessage(role=role, content="x", additional_kwargs={"tool_call_id": "1"})])
    assert (message.role, message.tool_call_id) == (wire, "1" if wire == "tool" else None)


def test_signatures_survive_a_memory_store() -> None:
    signed = [Opaque("anthropic", {"signature": name}) for name in ("thought", "text", "call")]
    given = (ReasoningPart("Hm.", signed[0]), TextPart("Look:", opaque=signed[1]))
    call = ToolCall("call_1", "ping", '{"n": 1}', signed[2])
    told = ChatMessage(role="assistant", blocks=blocks_of(answer(content="Look:", parts=given, tool_calls=(call,))))
    stored = ChatMessage.model_validate_json(told.model_dump_json())
    assert stored.content == "Look:"
    [message] = to_omni_messages([stored])
    assert (tuple(message.parts), tuple(message.calls)) == (given, (call,))


def test_plain_answers_carry_nothing_extra() -> None:
    blocks = blocks_of(answer(content="Hi.", tool_calls=(ToolCall("1", "ping"),)))
    assert blocks == [TextBlock(text="Hi."), ToolCallBlock(tool_call_id="1", tool_name="ping", tool_kwargs={})]


def test_thoughts_of_other_classes_go_as_thoughts() -> None:
    message = sent(ThinkingBlock(content="Hm."), TextBlock(text="Yes."), role="assistant")
    assert parts(message) == [ReasoningPart("Hm."), TextPart("Yes.")]


def test_deltas_add_up_where_a_thought_stands_between_two_texts() -> None:
    snapshots = Snapshots(Ask((), None, {}, {}, "router"))
    pieces = [ChatChunk("One"), ChatChunk(" two."), ChatChunk(reasoning="Hm."), ChatChunk("Three.")]
    told = [snapshots.add(piece) for piece in pieces]
    assert told[-1].message.content == "".join(one.delta or "" for one in told) == "One two.\nThree."
    assert [block.block_type for block in told[-1].message.blocks] == ["text", "thinking", "text"]
    assert told[1].message.content == "One two."


def test_reasoning_tokens_are_noted_at_the_thought() -> None:
    [thought, _] = blocks_of(
        answer(content="4", parts=(ReasoningPart("Hm."), TextPart("4")), usage=Usage(1, 9, reasoning_tokens=8))
    )
    assert isinstance(thought, ThinkingBlock)
    assert thought.num_tokens == 8


@pytest.mark.parametrize(("ttl", "mark"), [("5m", "5m"), ("1h", "1h")])
def test_a_cache_point_marks_the_part_before_it(ttl: str, mark: str) -> None:
    point = CachePoint(cache_control=CacheControl(type="ephemeral", ttl=ttl))
    first, second = parts(sent(TextBlock(text="long"), point, TextBlock(text="short")))
    assert (getattr(first, "cache", None), getattr(second, "cache", None)) == (mark, None)


def test_a_cache_point_after_nothing_is_left_out_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    point = CachePoint(cache_control=CacheControl(type="ephemeral"))
    assert parts(sent(point, TextBlock(text="x"))) == [TextPart("x")]
    assert "CachePoint" in caplog.text


def test_citable_material_goes_with_its_title_and_source() -> None:
    block = CitableBlock(title="Report", source="report.pdf", content=[TextBlock(text="Sales rose.")])
    assert [getattr(part, "text", None) for part in parts(sent(block))] == ["Report\nSource: report.pdf", "Sales rose."]


def test_citations_in_an_answer_are_not_sent_back_as_its_words() -> None:
    quote = CitationBlock(
        cited_content=TextBlock(text="Sales rose."), source="a", title="b", additional_location_info={}
    )
    assert parts(sent(TextBlock(text="They rose."), quote, role="assistant")) == [TextPart("They rose.")]


def test_url_citations_come_as_blocks() -> None:
    cited = {"url": "https://example.org", "title": "Example", "start_index": 0, "end_index": 4}
    response = to_chat_response(
        answer(content="They rose.", annotations=({"type": "url_citation", "url_citation": cited},)), {}
    )
    block = response.message.blocks[-1]
    assert isinstance(block, CitationBlock)
    assert (block.source, block.title) == ("https://example.org", "Example")
    assert block.cited_content == TextBlock(text="They")
    assert response.additional_kwargs["annotations"][0]["url_citation"] == cited
    assert response.message.content == "They rose."


def test_text_documents_go_as_text() -> None:
    document = DocumentBlock(data=b"# Title", document_mimetype="text/markdown")
    assert parts(sent(document)) == [TextPart("# Title")]


def test_documents_by_address_are_not_downloaded() -> None:
    [part] = parts(sent(DocumentBlock(url="https://files.invalid/a.pdf", document_mimetype="application/pdf")))
    assert isinstance(part, FilePart)
    assert part.url == "https://files.invalid/a.pdf"


def test_data_urls_are_taken_apart() -> None:
    [part] = parts(sent(ImageBlock(url="data:image/png;base64,AAAA")))
    assert part == ImagePart(data="AAAA", media_type="image/png")


def test_an_image_of_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="ImageBlock"):
        sent(ImageBlock(image=b"not an image"))


class SdkCall:
    """A tool call as the openai package's objects are."""

    def model_dump(self) -> dict[str, Any]:
        return {"id": "call_1", "type": "function", "function": {"name": "ping", "arguments": '{"n": 1}'}}


@pytest.mark.parametrize(
    "call", [{"id": "call_1", "type": "function", "function": {"name": "ping", "arguments": '{"n": 1}'}}, SdkCall()]
)
def test_calls_that_older_classes_left_in_the_kwargs_are_read(call: Any) -> None:
    message = sent(role="assistant", additional_kwargs={"tool_calls": [call]})
    assert list(message.calls) == [ToolCall("call_1", "ping", '{"n": 1}')]


def test_calls_that_stand_in_both_places_are_sent_once() -> None:
    block = ToolCallBlock(tool_call_id="call_1", tool_name="ping", tool_kwargs={"n": 1})
    message = sent(block, role="assistant", additional_kwargs={"tool_calls": [SdkCall()]})
    assert len(message.calls) == 1


def test_other_classes_kwargs_do_not_go_to_the_provider() -> None:
    message = sent(TextBlock(text="x"), additional_kwargs={"refusal": None, "audio": {}, "name": "ann"})
    assert message == OmniMessage("user", "x", "ann")


def test_usage_of_any_dialect_is_counted_by_openais_names() -> None:
    usage = Usage(10, 5, cache_read_tokens=90)
    theirs = {"usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}}
    raw: Any = to_chat_response(answer(content="x", usage=usage, raw=theirs), {}).raw
    assert raw["usage"] == {**theirs["usage"], "prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}


def test_unknown_usage_is_not_made_up() -> None:
    response = to_chat_response(answer(content="x", usage=Usage()), {})
    assert isinstance(response.raw, dict)
    assert "usage" not in response.raw
    assert "prompt_tokens" not in response.additional_kwargs
    json.dumps(response.raw)
