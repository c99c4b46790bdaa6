"""Messages of ours as LangChain's standard content blocks, read the way users read them: `message.content_blocks`."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCallChunk

import langchain_omni.chat_models  # noqa: F401  # registers the translator

OURS = {"model_provider": "omni"}
SIGNED = {"provider": "anthropic", "data": {"signature": "s"}}
CALL = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
BROKEN = {"name": "add", "args": '{"a": 1', "id": "c2", "error": "cut off", "type": "invalid_tool_call"}
TEXT = {"type": "text", "text": "It is salty."}


def blocks(content: Any = "", **fields: Any) -> list[Any]:
    return AIMessage(content, response_metadata=OURS, **fields).content_blocks


def citing(*annotations: dict[str, Any]) -> list[Any]:
    (text,) = blocks("It is salty.", additional_kwargs={"annotations": list(annotations)})
    assert text["text"] == "It is salty."
    read: list[Any] = text["annotations"]
    return read


def test_calls_good_and_broken_are_blocks():
    assert blocks(tool_calls=[CALL], invalid_tool_calls=[BROKEN]) == [CALL, BROKEN]


def test_what_a_provider_signed_goes_along_with_its_call():
    (block,) = blocks(tool_calls=[CALL], additional_kwargs={"omni_replay": {"calls": {"c1": SIGNED}}})
    assert block == {**CALL, "extras": {"opaque": SIGNED}}


def test_signed_thoughts_stand_where_they_came_and_citations_at_the_last_text():
    parts = [
        {"type": "text", "text": "Wait."},
        {"type": "reasoning", "text": "Hm.", "opaque": SIGNED},
        {"type": "text", "text": "It is salty."},
    ]
    citation = {"url": "https://example.org/a"}
    found = blocks("Wait.It is salty.", additional_kwargs={"omni_replay": {"parts": parts}, "annotations": [citation]})
    assert found == [
        {"type": "text", "text": "Wait."},
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"opaque": SIGNED}},
        {**TEXT, "annotations": [{"type": "citation", "url": "https://example.org/a"}]},
    ]


@pytest.mark.parametrize(
    ("given", "citation"),
    [
        (
            {"type": "url_citation", "url_citation": {"url": "u", "title": "T", "start_index": 0, "end_index": 3}},
            {"type": "citation", "url": "u", "title": "T", "start_index": 0, "end_index": 3},
        ),
        (
            {"type": "url_citation", "url": "u", "favicon": "f"},
            {"type": "citation", "url": "u", "extras": {"favicon": "f"}},
        ),
        (
            {"cited_text": "salty", "document_index": 2},
            {"type": "citation", "cited_text": "salty", "extras": {"document_index": 2}},
        ),
        (
            {"type": "file_citation", "file_id": "f1"},
            {"type": "non_standard_annotation", "value": {"type": "file_citation", "file_id": "f1"}},
        ),
    ],
)
def test_a_citation_is_read_in_any_shape(given: dict[str, Any], citation: dict[str, Any]):
    assert citing(given) == [citation]


def test_blocks_that_are_there_already_stay_and_calls_come_once():
    assert blocks([TEXT, CALL, "loose"], tool_calls=[CALL]) == [TEXT, CALL]


@pytest.mark.parametrize("index", [None, 0, 3])
def test_a_calls_pieces_stay_pieces_until_the_last_chunk(index: int | None):
    piece: ToolCallChunk = {"name": "add", "args": '{"a"', "id": "c1", "index": index, "type": "tool_call_chunk"}
    chunk = AIMessageChunk(content="", response_metadata=OURS, tool_call_chunks=[piece])
    (block,) = chunk.content_blocks
    assert block["type"] == "tool_call_chunk"
    assert block.get("index") == (None if index is None else f"lc_tc_{index}")
    rest: ToolCallChunk = {"name": None, "args": ": 1}", "id": None, "index": index, "type": "tool_call_chunk"}
    last = AIMessageChunk(content="", response_metadata=OURS, tool_call_chunks=[rest], chunk_position="last")
    if index is not None:
        assert (chunk + last).content_blocks == [CALL]
