"""A stream's bytes may be cut anywhere and dressed as the specification allows: the message is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges.answers import ANSWERS, CASES, openai_events, stream_bytes
from judges.dialects import build, target
from judges.scenarios import CLOCK, WEATHER, Scenario, user
from loopback import event_bytes

from omnilabs import ChatResponse
from omnilabs._http import StreamHead
from omnilabs._request import build_request
from omnilabs._stream import StreamSession
from omnilabs.errors import StreamInterruptedError
from omnilabs.providers import PROVIDERS, Target, wire_named

ASKED = Scenario("", [user("What is the weather?")], {"tools": [WEATHER, CLOCK]})
ROUTER = "openrouter/anthropic/claude-sonnet-5.5"
MODEL = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-2.5-flash"}
REQUEST = build_request(ASKED.messages, temperature=None, max_tokens=None, routing=None, options={})


@lru_cache
def whom(wire: str) -> Target:
    return target(wire, MODEL[wire])


def read(to: Target, pieces: Iterable[bytes]) -> ChatResponse:
    """Return the response of a stream whose bytes arrive in these pieces."""
    wire = wire_named(to.endpoint.spec.wire)
    session = StreamSession(
        head=StreamHead(200, {}, None),
        decoder=wire.decoder(build(to, ASKED, stream=True), to),
        target=to,
        request=REQUEST,
        decision=None,
        finish=lambda response, _: response,
        clock=lambda: 0.0,
        begun=0.0,
        observers=(),
    )
    for piece in pieces:
        session.feed(piece)
    session.end()
    return session.response


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def router_stream() -> bytes:
    """Return a stream whose thinking comes as OpenRouter's details."""
    answer = ANSWERS["thinking, then a call"]
    return b"".join(event_bytes(event) for event in openai_events(answer, details=True))


@pytest.mark.parametrize(("wire", "name"), [case for case in CASES if case[1] != "long"])
def test_a_stream_cut_in_two_at_every_byte_gives_the_same_message(wire: str, name: str):
    data = stream_bytes(wire, ANSWERS[name])
    expected = read(whom(wire), [data])
    assert (expected.content, len(expected.tool_calls)) == (
        ANSWERS[name].text or ANSWERS[name].refusal or "",
        len(ANSWERS[name].calls),
    )
    # Truly every byte of two of them; of the others some hundred places, and every byte where the answer ends.
    step = 1 if name in ("unicode", "no arguments") else max(1, len(data) // 300)
    for place in {*range(0, len(data), step), *range(max(0, len(data) - 200), len(data))}:
        assert read(whom(wire), [data[:place], data[place:]]) == expected


@pytest.mark.parametrize(("wire", "name"), CASES)
def test_a_stream_byte_by_byte_gives_the_same_message(wire: str, name: str):
    data = stream_bytes(wire, ANSWERS[name])
    assert read(whom(wire), [data[i : i + 1] for i in range(len(data))]) == read(whom(wire), [data])


def test_streamed_reasoning_details_are_what_a_whole_answer_has():
    to = target("openrouter", "anthropic/claude-sonnet-5.5")
    data = router_stream()
    expected = read(to, [data])
    part = expected.parts[0]
    assert part["opaque"]["data"] == {
        "reasoning_details": [
            {
                "type": "reasoning.text",
                "text": "Hm.",
                "signature": "EqQBCgIYAhIM",
                "format": "anthropic-claude-v1",
                "index": 0,
            }
        ]
    }
    for place in range(len(data)):
        assert read(to, [data[:place], data[place:]]) == expected


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def bom(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def commented(data: bytes) -> bytes:
    """Return the stream with comments, retry and id fields, and events without data, as proxies send them."""
    noise = b": ping\n\n:\n\nid: 7\nretry: 10\n\nevent: keepalive\n\ndata:\n\n"
    return noise + re.sub(rb"\n\n", b"\n\n" + noise.replace(b"\\", b"\\\\"), data)


def unended(data: bytes) -> bytes:
    return data.rstrip(b"\n")


def unspaced(data: bytes) -> bytes:
    return re.sub(rb"(?m)^(data|event): ", rb"\1:", data)


DRESSES = [crlf, bom, commented, unended, unspaced]


@pytest.mark.parametrize("dress", DRESSES, ids=lambda dress: dress.__name__)
@pytest.mark.parametrize(("wire", "name"), CASES)
def test_how_a_stream_is_dressed_does_not_matter(wire: str, name: str, dress):
    data = stream_bytes(wire, ANSWERS[name])
    assert read(whom(wire), [dress(data)]) == read(whom(wire), [data])


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([case for case in CASES if case[1] != "long"]),
    st.lists(st.sampled_from(DRESSES), unique=True),
    st.lists(st.integers(0, 6_000), max_size=40),
)
def test_any_dress_cut_anywhere_gives_the_same_message(case, dresses, places):
    wire, name = case
    plain = stream_bytes(wire, ANSWERS[name])
    data = plain
    # The mark is first or it is none, and what ends the stream is cut before lines are made longer.
    for dress in (unended, unspaced, commented, crlf, bom):
        if dress in dresses and not (dress is unended and commented in dresses):
            data = dress(data)
    assert read(whom(wire), cut(data, places)) == read(whom(wire), [plain])


@pytest.mark.parametrize("wire", MODEL)
def test_a_stream_cut_off_before_its_end_is_an_error_that_holds_what_came(wire: str):
    data = stream_bytes(wire, ANSWERS["text"])
    mark = {"openai": b'"finish_reason": "stop"', "anthropic": b"message_delta", "gemini": b'"STOP"'}[wire]
    before = data[: data.rindex(b"\n\n", 0, data.index(mark)) + 2]
    with pytest.raises(StreamInterruptedError) as broken:
        read(whom(wire), [before])
    partial = broken.value.partial
    assert partial is not None
    assert partial.content == ANSWERS["text"].text
    assert partial.usage.is_estimated


@pytest.mark.parametrize("wire", MODEL)
def test_calls_of_a_broken_stream_are_not_given_out_to_be_executed(wire: str):
    data = stream_bytes(wire, ANSWERS["parallel calls"])
    mark = {"openai": b'"finish_reason": "tool_calls"', "anthropic": b"message_delta", "gemini": b'"STOP"'}[wire]
    with pytest.raises(StreamInterruptedError) as broken:
        read(whom(wire), [data[: data.index(mark)]])
    assert broken.value.partial is not None
    assert broken.value.partial.tool_calls == ()


def test_a_server_known_to_mark_no_end_may_leave_it_out():
    events = [event for event in openai_events(ANSWERS["text"]) if not isinstance(event, str)][:-2]
    data = b"".join(map(event_bytes, events))
    ollama = replace(whom("openai"), endpoint=replace(whom("openai").endpoint, spec=PROVIDERS["ollama"]))
    assert read(ollama, [data]).content == ANSWERS["text"].text
    with pytest.raises(StreamInterruptedError):
        read(whom("openai"), [data])


def test_usage_is_taken_from_any_chunk_and_the_last_one_counts():
    answer = ANSWERS["cached"]
    events = [event for event in openai_events(answer) if not isinstance(event, str)]
    expected = read(whom("openai"), [stream_bytes("openai", answer)]).usage
    assert expected.input_tokens == 1012
    usage = events.pop()["usage"]
    for place in range(1, len(events)):
        moved = json.loads(json.dumps(events))
        moved[0]["usage"] = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}
        moved[place]["usage"] = usage
        assert read(whom("openai"), [b"".join(map(event_bytes, [*moved, "[DONE]"]))]).usage == expected
    groq = json.loads(json.dumps(events))
    groq[-1]["x_groq"] = {"id": "r", "usage": usage}
    assert read(whom("openai"), [b"".join(map(event_bytes, [*groq, "[DONE]"]))]).usage == expected
