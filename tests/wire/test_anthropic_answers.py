"""Answers of the Anthropic wire: whole and streamed, made by the official SDK's types, cut anywhere."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from anthropic import types
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.anthropic_kit import (
    OLD,
    build,
    built_for,
    chunks,
    message,
    parse,
    redacted,
    sse,
    stream_events,
    streamed,
    text,
    thinking,
    tool_use,
    usage,
)

from omnilabs._messages import Opaque, ReasoningPart, TextPart, ToolCall
from omnilabs._models import Price
from omnilabs._response import ChatResponse
from omnilabs._sse import EventDecoder
from omnilabs._usage import cost_usd
from omnilabs.errors import ResponseFormatError
from omnilabs.providers._anthropic import WIRE

SEARCH = types.ServerToolUseBlock(type="server_tool_use", id="srv_1", name="web_search", input={"query": "x"})
FOUND = types.WebSearchToolResultBlock(type="web_search_tool_result", tool_use_id="srv_1", content=[])
ANSWERS: dict[str, dict[str, Any]] = {
    "text": message(text("Hello!")),
    "unicode": message(text("Grüße, 世界 😀 — “ok”\n\n")),
    "two texts": message(text("One. "), text("Two.")),
    "length": message(text("Once upon"), stop="max_tokens"),
    "stop sequence": message(text("Up to here"), stop="stop_sequence"),
    "refusal": message(text("I "), stop="refusal"),
    "empty": message(),
    "tool": message(text("Looking."), tool_use("get_weather", city="Röm"), stop="tool_use"),
    "parallel tools": message(
        tool_use("get_weather", "toolu_1", city="Rome"), tool_use("get_time", "toolu_2"), stop="tool_use"
    ),
    "thinking": message(thinking("Hmm… let me see."), text("42.")),
    "hidden thinking": message(thinking(""), text("42.")),
    "redacted thinking": message(redacted(), thinking("More.", "sig2"), text("42.")),
    "thinking twice": message(thinking("A.", "s1"), thinking("B.", "s2"), text("C.")),
    "thinking and tools": message(
        thinking("A.", "s1"), tool_use("f", "t1", n=1), thinking("B.", "s2"), tool_use("g", "t2"), stop="tool_use"
    ),
    "server tool": message(text("Searching. "), SEARCH, FOUND, text("Found."), stop="end_turn"),
    "cached": message(
        text("Hi."),
        used=usage(
            3,
            7,
            cache_read_input_tokens=1_000,
            cache_creation_input_tokens=300,
            cache_creation=types.CacheCreation(ephemeral_5m_input_tokens=100, ephemeral_1h_input_tokens=200),
            output_tokens_details=types.OutputTokensDetails(thinking_tokens=4),
        ),
    ),
}


def same(whole: ChatResponse, stream: ChatResponse) -> bool:
    """Whether both are the same answer; only a whole one has the provider's JSON."""
    return whole.to_dict() == stream.to_dict() and whole.parts == stream.parts and whole.tool_calls == stream.tool_calls


# ---- whole answers


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_reads_as_the_sdk_reads_it(name):
    response, judge = parse(ANSWERS[name]), types.Message.model_validate(ANSWERS[name])
    assert response.content == "".join(block.text for block in judge.content if block.type == "text")
    assert [(c.id, c.name, c.arguments) for c in response.tool_calls] == [
        (block.id, block.name, block.input) for block in judge.content if block.type == "tool_use"
    ]
    assert (response.reasoning or "") == "".join(b.thinking for b in judge.content if b.type == "thinking")
    assert (response.id, response.model, response.provider) == (judge.id, judge.model, "anthropic")
    assert response.usage.output_tokens == judge.usage.output_tokens
    assert response.raw == ANSWERS[name]


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("something_new", "something_new"),
        (None, None),
    ],
)
def test_finish_reasons(stop, finish):
    assert parse(message(text("x"), stop=stop)).finish_reason == finish


def test_a_refusals_explanation_is_told_apart_from_the_answer():
    details = types.RefusalStopDetails(type="refusal", category="bio", explanation="Not this.")
    whole = message(text("I "), stop="refusal", stop_details=details)
    for response in (parse(whole), streamed(sse(stream_events(whole)))):
        assert (response.content, response.refusal, response.finish_reason) == ("I ", "Not this.", "content_filter")
    bare = message(stop="refusal", stop_details=details)
    for response in (parse(bare), streamed(sse(stream_events(bare)))):
        assert (response.content, response.refusal) == ("Not this.", "Not this.")


def test_usage_is_in_disjoint_buckets():
    used = parse(ANSWERS["cached"]).usage
    assert used.uncached_input_tokens == 3
    assert used.cache_read_tokens == 1_000
    assert (used.cache_write_tokens, used.cache_write_1h_tokens) == (100, 200)
    assert (used.output_tokens, used.reasoning_tokens) == (7, 4)
    assert used.input_tokens == 1_303


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"cache_creation_input_tokens": 50}, (50, 0)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}}, (20, 30)),
        ({"cache_creation_input_tokens": None, "cache_creation": None}, (0, 0)),
        ({"cache_creation_input_tokens": 60, "cache_creation": {"ephemeral_1h_input_tokens": 10}}, (50, 10)),
        ({"server_tool_use": {"web_search_requests": 2}, "service_tier": "new", "speed": "fast"}, (0, 0)),
    ],
)
def test_cache_writes_are_told_by_lifetime(fields, written):
    body = message(text("x"))
    body["usage"] |= fields
    used = parse(body).usage
    assert (used.cache_write_tokens, used.cache_write_1h_tokens) == written


def test_cached_tokens_are_charged_at_their_own_rate():
    # 100 uncached, 900 read, 50 written and 10 out of claude-haiku-4-5, by hand.
    body = message(text("x"), used=usage(100, 10, cache_read_input_tokens=900, cache_creation_input_tokens=50))
    price = Price(Decimal(1), Decimal(5), Decimal("0.1"), Decimal("1.25"), Decimal(2))
    assert cost_usd(parse(body).usage, price) == Decimal("0.0003025")


@pytest.mark.parametrize("used", [None, {}, {"input_tokens": None}, {"input_tokens": "3", "output_tokens": -1}])
def test_usage_that_was_not_reported_is_not_made_up(used):
    body = message(text("x")) | {"usage": used}
    assert parse(body).usage.all_tokens is None


def test_citations_are_annotations():
    cited = types.CitationCharLocation(
        type="char_location",
        cited_text="a",
        document_index=0,
        document_title=None,
        start_char_index=0,
        end_char_index=1,
        file_id=None,
    )
    whole = message(types.TextBlock(type="text", text="A.", citations=[cited]))
    [note] = parse(whole).annotations
    assert note["cited_text"] == "a"
    events = stream_events(message(text("A.")))
    delta = {"type": "citations_delta", "citation": json.loads(cited.model_dump_json())}
    events.insert(4, {"type": "content_block_delta", "index": 0, "delta": delta})
    assert streamed(sse(events)).annotations == (note,)


def test_blocks_and_fields_of_new_kinds_do_not_break_an_answer():
    body = message(text("A."))
    body["content"].insert(0, {"type": "hologram", "payload": {"x": [1]}})
    body["brand_new"] = {"y": 1}
    response = parse(body)
    assert response.content == "A."
    assert response.parts[0] == ReasoningPart("", Opaque("anthropic", {"type": "hologram", "payload": {"x": [1]}}))


# ---- the conversation goes on


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("how", ["whole", "streamed"])
def test_an_answer_goes_back_as_it_came(name, how):
    whole = ANSWERS[name]
    response = parse(whole) if how == "whole" else streamed(sse(stream_events(whole)))
    sent, built = build([{"role": "user", "content": "Hi"}, response.message, {"role": "user", "content": "Go on."}])
    came = [{key: value for key, value in block.items() if value is not None} for block in whole["content"]]
    if name == "two texts":
        came = [{"type": "text", "text": "One. Two."}]
    replayed = [turn["content"] for turn in sent["messages"] if turn["role"] == "assistant"]
    assert replayed == ([came] if came else [])
    assert built.dropped == ()


def test_thinking_of_this_provider_is_left_out_for_another():
    response = parse(ANSWERS["thinking and tools"])
    providers: set[str] = set()
    for part in response.parts:
        assert isinstance(part, TextPart | ReasoningPart)
        assert part.opaque is not None
        providers.add(part.opaque.provider)
    assert providers == {"anthropic"}
    assert response.tool_calls[0].opaque == Opaque("anthropic", {"thoughts_before": 1})
    assert response.tool_calls[1] == ToolCall("t2", "g", "{}")


# ---- streams


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("piece", [1, 1_000])
def test_a_stream_ends_in_the_answer_of_an_unstreamed_call(name, piece):
    whole = ANSWERS[name]
    assert same(parse(whole), streamed(sse(stream_events(whole, piece=piece))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_where_the_bytes_are_cut_does_not_matter(data):
    whole = ANSWERS[data.draw(st.sampled_from(sorted(ANSWERS)))]
    newline = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    stream = sse(stream_events(whole), newline=newline)
    if data.draw(st.booleans()):
        stream = b"\xef\xbb\xbf: comment" + newline.encode() * 2 + stream.rstrip()
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=40))
    assert same(parse(whole), streamed(stream, cuts=cuts))


def test_a_stream_cut_at_every_byte_gives_the_same_answer():
    stream = sse(stream_events(ANSWERS["thinking and tools"]))
    assert same(parse(ANSWERS["thinking and tools"]), streamed(stream, cuts=range(len(stream))))


def test_a_stream_shows_text_thinking_and_arguments_as_they_come():
    whole = message(thinking("Hmm."), text("Hello!"), tool_use("f", "t1", a=1), stop="tool_use")
    seen = chunks(sse(stream_events(whole, piece=3)))
    assert [c.reasoning for c in seen if c.reasoning] == ["Hmm", "."]
    assert [c.content for c in seen if c.content] == ["Hel", "lo!"]
    deltas = [call for c in seen for call in c.tool_calls]
    assert (deltas[0].id, deltas[0].name, deltas[0].arguments_json) == ("t1", "f", "")
    assert "".join(call.arguments_json for call in deltas) == '{"a": 1}'
    assert {call.index for call in deltas} == {0}
    assert [c.opaque.data for c in seen if c.opaque] == [json.loads(thinking("Hmm.").model_dump_json())]
    assert {(c.model, c.provider, c.id) for c in seen} == {("claude-sonnet-4-5-20250929", "anthropic", "msg_1")}


def test_only_message_stop_completes_a_stream():
    decoder = WIRE.decoder(built_for(), OLD)
    events = stream_events(ANSWERS["text"])
    for event in EventDecoder().feed(sse(events[:-1])):
        list(decoder.feed(event))
    assert not decoder.is_complete
    for event in EventDecoder().feed(sse(events[-1:])):
        list(decoder.feed(event))
    assert decoder.is_complete


def test_the_tokens_of_the_prompt_are_told_as_soon_as_the_stream_opens():
    first = chunks(sse(stream_events(ANSWERS["cached"])))[0]
    assert first.usage is not None
    assert (first.usage.uncached_input_tokens, first.usage.cache_read_tokens) == (3, 1_000)


def test_the_last_counts_of_a_stream_stand():
    events = stream_events(ANSWERS["cached"])
    events[-2]["usage"] = {"output_tokens": 9, "input_tokens": 4, "cache_read_input_tokens": None}
    used = streamed(sse(events)).usage
    assert (used.uncached_input_tokens, used.cache_read_tokens, used.output_tokens) == (4, 1_000, 9)


def test_events_and_pieces_of_new_kinds_are_passed_over():
    events = stream_events(ANSWERS["text"])
    events.insert(3, {"type": "brand_new", "x": 1})
    events.insert(4, {"type": "content_block_delta", "index": 0, "delta": {"type": "smell_delta", "smell": "?"}})
    stream = sse(events) + b"data: [DONE]\n\n"
    assert same(parse(ANSWERS["text"]), streamed(stream))


def test_a_tools_input_that_comes_whole_is_not_lost():
    events = stream_events(ANSWERS["tool"])
    begun = next(e for e in events if e.get("content_block", {}).get("type") == "tool_use")
    begun["content_block"]["input"] = {"city": "Rome"}
    events = [e for e in events if e.get("delta", {}).get("type") != "input_json_delta"]
    [call] = streamed(sse(events)).tool_calls
    assert call.arguments == {"city": "Rome"}


@pytest.mark.parametrize(
    "data",
    [
        b"data: {oops\n\n",
        b"data: [1]\n\n",
        b'data: {"type": "content_block_delta", "index": 5, "delta": {"type": "text_delta", "text": "x"}}\n\n',
        b'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}}\n\n',
        b'data: {"type": "content_block_start", "index": 0}\n\n',
    ],
)
def test_a_broken_event_is_an_error_that_shows_it(data):
    with pytest.raises(ResponseFormatError) as caught:
        chunks(data)
    assert caught.value.provider == "anthropic"
    assert caught.value.body_prefix
