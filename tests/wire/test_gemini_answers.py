"""Answers of the Gemini wire, whole and streamed: parts, calls, finish reasons, usage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.gemini_kit import CLOCK, built, chunks_of, parsed, sdk_json, sse, streamed, target

from omnilabs._accumulate import Accumulator
from omnilabs._messages import Opaque, ReasoningPart, TextPart
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._sse import ServerSentEvent
from omnilabs._usage import Usage
from omnilabs.errors import OverloadedError, RateLimitError, ResponseFormatError
from omnilabs.providers._gemini import WIRE

USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Tromsø", "days": 2}}}


# ---- what an answer says


def test_a_text_answer_has_its_text_model_id_and_usage():
    answer = parsed(
        sdk_json([{"text": "Hi 😀"}], modelVersion="gemini-3.5-flash-001", responseId="r1", usageMetadata=USAGE)
    )
    assert (answer.content, answer.model, answer.id) == ("Hi 😀", "gemini-3.5-flash-001", "r1")
    assert (answer.provider, answer.finish_reason) == ("gemini", "stop")
    assert answer.parts == (TextPart("Hi 😀"),)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)
    assert answer.raw is not None
    assert answer.raw["responseId"] == "r1"


def test_thoughts_are_reasoning_and_not_content():
    answer = parsed(sdk_json([{"text": "Hmm. ", "thought": True}, {"text": "So.", "thought": True}, {"text": "42"}]))
    assert (answer.content, answer.reasoning) == ("42", "Hmm. So.")
    assert answer.parts == (ReasoningPart("Hmm. So.", Opaque("gemini", {})), TextPart("42"))


def test_calls_have_names_arguments_and_signatures():
    signed = {**CALL, "thoughtSignature": "c2ln"}
    answer = parsed(sdk_json([{"text": "Let me look."}, signed, {"functionCall": {"id": "x9", "name": "get_time"}}]))
    first, second = answer.tool_calls
    assert (first.name, first.arguments) == ("get_weather", {"city": "Tromsø", "days": 2})
    assert first.opaque == Opaque("gemini", {"thoughtSignature": "c2ln"})
    assert (second.id, second.name, second.arguments, second.opaque) == ("x9", "get_time", {}, None)
    assert (answer.finish_reason, answer.content) == ("tool_calls", "Let me look.")


def test_calls_without_ids_get_stable_ones_that_differ_by_call_and_by_turn():
    text = sdk_json([CALL, CALL])
    how = built("first")
    one, other = parsed(text, how).tool_calls
    assert one.id != other.id
    assert (one.name, one.arguments) == (other.name, other.arguments)
    assert streamed([text], how).tool_calls == parsed(text, how).tool_calls == (one, other)
    assert parsed(text, built("second")).tool_calls[0].id != one.id


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_function_call"),
        ("UNEXPECTED_TOOL_CALL", "unexpected_tool_call"),
        ("LANGUAGE", "language"),
        ("OTHER", "other"),
        (None, None),
        ("FINISH_REASON_UNSPECIFIED", None),
    ],
)
def test_finish_reasons_are_words_every_provider_shares(reason: str | None, word: str | None):
    assert parsed(sdk_json([{"text": "x"}], reason)).finish_reason == word


def test_every_finish_reason_of_the_sdk_gives_a_lower_case_word():
    for reason in types.FinishReason:
        word = parsed(sdk_json([{"text": "x"}], reason.value)).finish_reason
        assert word is None or word == word.lower()


def test_a_new_finish_reason_is_passed_on():
    text = json.dumps({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "GOT_BORED"}]})
    assert parsed(text).finish_reason == "got_bored"


def test_a_call_cut_off_by_the_length_is_not_reported_as_complete():
    assert parsed(sdk_json([CALL], "MAX_TOKENS")).finish_reason == "length"


@pytest.mark.parametrize("candidate", [{"content": None}, {"content": {"role": "model"}}, {"content": {"parts": []}}])
def test_a_candidate_without_content_is_an_empty_answer(candidate: dict[str, Any]):
    answer = parsed(sdk_json([], "SAFETY", candidate=candidate, usageMetadata=USAGE))
    assert (answer.content, answer.finish_reason, answer.parts) == ("", "content_filter", ())
    assert answer.usage.input_tokens == 7


def test_a_blocked_prompt_is_an_empty_filtered_answer_with_its_usage():
    text = types.GenerateContentResponse.model_validate_json(
        json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    ).model_dump_json(by_alias=True, exclude_none=True)
    for answer in (parsed(text), streamed([text])):
        assert (answer.content, answer.finish_reason) == ("", "content_filter")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 0)
        assert answer.annotations == ({"promptFeedback": {"blockReason": "SAFETY"}},)


def test_citations_are_given_as_they_came():
    grounding = {"webSearchQueries": ["oslo"], "groundingChunks": [{"web": {"uri": "https://h", "title": "t"}}]}
    cited = {"citations": [{"startIndex": 1, "endIndex": 2, "uri": "https://h"}]}
    candidate = {"groundingMetadata": grounding, "citationMetadata": cited}
    answer = parsed(sdk_json([{"text": "x"}], candidate=candidate))
    assert answer.annotations == ({"groundingMetadata": grounding}, {"citationMetadata": cited})


def test_log_probabilities_have_the_shape_of_openais():
    result = {
        "chosenCandidates": [{"token": "é", "tokenId": 1, "logProbability": -0.1}, {"token": "!"}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.1}, {"token": "e"}]}],
    }
    answer = parsed(sdk_json([{"text": "é!"}], candidate={"logprobsResult": result}))
    assert answer.logprobs == (
        {
            "token": "é",
            "logprob": -0.1,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.1, "bytes": [195, 169]},
                {"token": "e", "logprob": 0.0, "bytes": [101]},
            ],
        },
        {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
    )


def test_only_the_first_candidate_is_shown_and_the_answer_says_so():
    rows = [{"content": {"parts": [{"text": text}]}, "index": i, "finishReason": "STOP"} for i, text in enumerate("ab")]
    answer = parsed(json.dumps({"candidates": rows}))
    assert answer.content == "a"
    assert answer.warnings == ("the answer has 2 candidates; all but the first are only in raw",)
    texts = [json.dumps({"candidates": [row]}) for row in rows]
    assert streamed(texts).content == "a"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '"hello"',
        '{"usageMetadata": {"promptTokenCount": 1}}',
        '{"candidates": {"content": 1}}',
        '{"candidates": [3]}',
        '{"candidates": [{"content": {"parts": {"text": "x"}}}]}',
        '{"candidates": [{"content": {"parts": ["x"]}}]}',
        '{"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}',
        "<html>busy</html>",
        "",
    ],
)
def test_a_body_of_another_shape_is_an_error_that_shows_its_beginning(text: str):
    with pytest.raises(ResponseFormatError) as caught:
        parsed(text)
    assert caught.value.retryable
    assert (caught.value.body_prefix != "") == (text != "")


def test_an_error_in_a_success_is_raised_as_its_code():
    with pytest.raises(OverloadedError) as caught:
        parsed('{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}')
    assert caught.value.status == 503


# ---- usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, Usage(7, 3, reported_total_tokens=10)),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 125,
            },
            Usage(40, 25, cache_read_tokens=60, reasoning_tokens=20, reported_total_tokens=125),
        ),
        (
            {
                "promptTokenCount": 100,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 30},
                    {"modality": "AUDIO", "tokenCount": 70},
                ],
                "candidatesTokenCount": 9,
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}],
            },
            Usage(30, 9, input_audio_tokens=70, output_audio_tokens=9),
        ),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 50,
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}, {"modality": "TEXT", "tokenCount": 10}],
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 70}],
                "candidatesTokenCount": 1,
            },
            Usage(20, 1, cache_read_tokens=50, input_audio_tokens=30),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 32, "candidatesTokenCount": 4, "totalTokenCount": 46},
            Usage(42, 4, reported_total_tokens=46),
        ),
        ({"promptTokenCount": 8, "totalTokenCount": 8}, Usage(8, 0, reported_total_tokens=8)),
        ({"totalTokenCount": 8}, Usage(reported_total_tokens=8)),
        ({}, Usage()),
        (None, Usage()),
    ],
)
def test_usage_is_in_disjoint_buckets(usage: dict[str, Any] | None, expected: Usage):
    answer = parsed(sdk_json([{"text": "x"}], usageMetadata=usage))
    assert answer.usage == expected
    if usage and "totalTokenCount" in usage and "promptTokenCount" in usage:
        assert answer.usage.all_tokens == usage["totalTokenCount"]


@given(
    st.fixed_dictionaries(
        {"promptTokenCount": st.integers(0, 10**6)},
        optional={
            "cachedContentTokenCount": st.integers(0, 10**6),
            "candidatesTokenCount": st.integers(0, 10**6),
            "thoughtsTokenCount": st.integers(0, 10**6),
            "toolUsePromptTokenCount": st.integers(0, 10**6),
            "promptTokensDetails": st.lists(st.just({"modality": "AUDIO", "tokenCount": 5000})),
            "cacheTokensDetails": st.lists(st.just({"modality": "AUDIO", "tokenCount": 3000})),
        },
    )
)
def test_no_usage_is_counted_twice_or_below_zero(usage: dict[str, Any]):
    got = parsed(sdk_json([{"text": "x"}], usageMetadata=usage)).usage
    assert got.input_tokens == usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0)
    assert got.output_tokens == usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    assert got.uncached_input_tokens is not None
    assert min(got.uncached_input_tokens, got.cache_read_tokens, got.input_audio_tokens) >= 0
    assert got.output_tokens is not None
    assert got.reasoning_tokens <= got.output_tokens


# ---- streams

STREAM = [
    sdk_json([{"text": "I ", "thought": True}], None, responseId="r", usageMetadata={"promptTokenCount": 7}),
    sdk_json([{"text": "think.", "thought": True}], None, responseId="r"),
    sdk_json([{"text": "Grüß "}], None, responseId="r", usageMetadata={"promptTokenCount": 7}),
    sdk_json([{"text": "Gott 😀"}], None, responseId="r"),
    sdk_json([{"text": "", "thoughtSignature": "AAEC"}], None, responseId="r"),
    sdk_json([{**CALL, "thoughtSignature": "c2ln"}, CALL], None, responseId="r"),
    sdk_json([{"text": ""}], responseId="r", usageMetadata={**USAGE, "thoughtsTokenCount": 5, "totalTokenCount": 15}),
]
WHOLE = sdk_json(
    [
        {"text": "I think.", "thought": True},
        {"text": "Grüß Gott 😀"},
        {"text": "", "thoughtSignature": "AAEC"},
        {**CALL, "thoughtSignature": "c2ln"},
        CALL,
    ],
    responseId="r",
    usageMetadata={**USAGE, "thoughtsTokenCount": 5, "totalTokenCount": 15},
)


def test_a_stream_ends_in_the_response_of_an_unstreamed_call():
    assert streamed(STREAM) == replace(parsed(WHOLE), raw=None)
    assert streamed(STREAM).message == parsed(WHOLE).message


def test_finish_reason_and_usage_come_once_at_the_end():
    chunks = chunks_of([sse(STREAM)])
    assert [bool(chunk.finish_reason or chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].finish_reason == "tool_calls"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.output_tokens == 8


def test_an_event_after_the_end_repeats_nothing():
    note = json.dumps({"candidates": [{"groundingMetadata": {"webSearchQueries": ["q"]}, "finishReason": "STOP"}]})
    last = chunks_of([sse([*STREAM, STREAM[-1], note])])[-2:]
    assert [(chunk.finish_reason, chunk.usage is not None) for chunk in last] == [("tool_calls", True), (None, False)]
    assert len(last[1].annotations) == 1


def test_usage_after_the_finish_reason_replaces_what_came_before():
    late = json.dumps({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 99}})
    assert streamed([*STREAM, late]).usage.output_tokens == 99


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_no_cut_through_the_bytes_changes_the_message(data: st.DataObject, newline: str, bom: bool, ends: bool):
    text = ("\ufeff" if bom else "") + ": ping\n\n" + "".join(f"data: {event}\n\n" for event in STREAM)
    raw = (text if ends else text.rstrip("\n")).replace("\n", newline).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    edges = [0, *cuts, len(raw)]
    pieces = [raw[start:stop] for start, stop in itertools.pairwise(edges)]
    assert _joined(chunks_of(pieces)) == replace(parsed(WHOLE), raw=None)


def test_every_single_byte_as_its_own_piece_gives_the_same_message():
    raw = sse(STREAM)
    assert _joined(chunks_of(raw[i : i + 1] for i in range(len(raw)))) == replace(parsed(WHOLE), raw=None)


def _joined(chunks: Sequence[ChatChunk]) -> ChatResponse:
    answer = Accumulator()
    for chunk in chunks:
        answer.add(chunk)
    return answer.response()


_PART = st.one_of(
    st.builds(lambda text: {"text": text}, st.text(max_size=4)),
    st.builds(lambda text: {"text": text, "thought": True}, st.text(max_size=4)),
    st.builds(lambda n: {"functionCall": {"name": "f", "args": {"n": n}}}, st.integers()),
    st.just({"executableCode": {"language": "PYTHON", "code": "1"}}),
)
_SIGNED = st.builds(lambda part, sign: {**part, "thoughtSignature": sign}, _PART, st.sampled_from(["AAEC", "c2ln"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.one_of(_PART, _SIGNED), min_size=1, max_size=3), min_size=1, max_size=5))
def test_parts_spread_over_events_give_the_response_of_all_parts_in_one(events: list[list[dict[str, Any]]]):
    texts = [json.dumps({"candidates": [{"content": {"parts": parts}}]}) for parts in events]
    texts.append(json.dumps({"candidates": [{"finishReason": "STOP"}]}))
    together = [part for parts in events for part in parts]
    whole = json.dumps({"candidates": [{"content": {"parts": together}, "finishReason": "STOP"}]})
    assert streamed(texts) == replace(parsed(whole), raw=None)


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_a_stream_without_its_last_event_is_not_complete(cut: int):
    decoder = WIRE.decoder(built(), target())
    for text in STREAM[:cut]:
        list(decoder.feed(ServerSentEvent("", text)))
    assert not decoder.is_complete
    for text in STREAM[cut:]:
        list(decoder.feed(ServerSentEvent("", text)))
    assert decoder.is_complete


@pytest.mark.parametrize("array", [False, True])
def test_an_error_in_a_stream_is_raised_as_its_code(array: bool):
    error: Any = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(RateLimitError, match="slow down"):
        streamed([STREAM[0], json.dumps([error] if array else error)])


@pytest.mark.parametrize("text", ["{", "nonsense", "[1]", "7", '{"candidates": [{"content": {"parts": 4}}]}'])
def test_an_event_of_another_shape_is_an_error(text: str):
    with pytest.raises(ResponseFormatError) as caught:
        streamed([STREAM[0], text])
    assert caught.value.provider == "gemini"


@pytest.mark.parametrize("text", ["", " ", "[DONE]"])
def test_events_that_say_nothing_are_passed_over(text: str):
    decoder = WIRE.decoder(built(), target())
    assert list(decoder.feed(ServerSentEvent("", text))) == []
    assert not decoder.is_complete


def test_two_streams_of_one_wire_share_nothing():
    first, second = WIRE.decoder(built(), target()), WIRE.decoder(built(tools=[CLOCK]), target())
    list(first.feed(ServerSentEvent("", STREAM[-1])))
    assert first.is_complete
    assert not second.is_complete
