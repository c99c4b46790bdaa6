"""Server-sent events come out the same however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilabs._sse import EventDecoder, ServerSentEvent
from omnilabs.errors import ResponseTooLargeError

STREAM = (
    "\ufeff: a comment\r\n"
    'data: {"text": "héllo 🙂"}\r\n\r\n'
    "event: ping\ndata\n\n"
    "id: 7\nretry: 10\n\n"
    "data: one\rdata:two\r\r"
    "event: last\ndata:  three \n"
).encode()
EVENTS = [
    ServerSentEvent("", '{"text": "héllo 🙂"}'),
    ServerSentEvent("ping", ""),
    ServerSentEvent("", "one\ntwo"),
    ServerSentEvent("last", " three "),
]


def decode(pieces: list[bytes]) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.flush()


def test_comments_ids_and_retry_times_are_passed_over():
    assert decode([STREAM]) == EVENTS


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_changes_nothing(cut: int):
    assert decode([STREAM[:cut], STREAM[cut:]]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cuts_change_nothing(cuts: list[int]):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert decode([STREAM[a:b] for a, b in pairwise(edges)]) == EVENTS


def test_one_byte_at_a_time_changes_nothing():
    assert decode([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


def test_whole_events_and_halves_mix():
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent("", "a")]
    assert decoder.feed(b"data: b\n\n") == [ServerSentEvent("", "b")]
    assert decoder.feed(b"data: c\n") == []
    assert decoder.feed(b"data: d\n\n") == [ServerSentEvent("", "c\nd")]
    assert decoder.feed(b"data: e\r\n\r\n") == [ServerSentEvent("", "e")]


def test_invalid_utf8_becomes_the_replacement_character():
    assert decode([b"data: a\xffb\n\n"]) == [ServerSentEvent("", "a\ufffdb")]


def test_an_event_beyond_the_limit_is_refused():
    decoder = EventDecoder(max_event_bytes=100)
    decoder.feed(b"data: 0123456789\n" * 5)
    with pytest.raises(ResponseTooLargeError):
        decoder.feed(b"data: 0123456789\n" * 5)


@given(st.binary(max_size=300))
def test_any_bytes_give_events_or_nothing(data: bytes):
    for event in decode([data]):
        assert isinstance(event.data, str)
