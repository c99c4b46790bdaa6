"""Whether and when to try again, as tables; and what a provider may ask a client to wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from omnilabs._retry import Again, Judgement, Next, RetryPolicy, Stop, retry_after_s
from omnilabs.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    NotFoundError,
    OmniError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    ServerError,
    TransportError,
    UnsupportedParameterError,
    from_status,
)

HALF = RetryPolicy(random=lambda: 0.5)

FIRST: list[tuple[OmniError, Judgement]] = [
    (ServerError("x"), Again(0.25)),
    (OverloadedError("x"), Again(0.25)),
    (RateLimitError("x"), Again(0.25)),
    (from_status(408, "x"), Again(0.25)),
    (from_status(409, "x"), Again(0.25)),
    (from_status(425, "x"), Again(0.25)),
    (ResponseFormatError("x"), Again(0.25)),
    *((TransportError("x", phase=phase), Again(0.25)) for phase in ("connect", "dns", "send", "receive", "body")),
    (TransportError("x", phase="tls"), Next()),
    (TransportError("x", phase="redirect"), Next()),
    (RequestTimeoutError("x", phase="first_byte"), Again(0.25)),
    (RequestTimeoutError("x", phase="total", retryable=False), Next()),
    (ResponseTooLargeError("x"), Next()),
    (AuthenticationError("x"), Next()),
    (NotFoundError("x"), Next()),
    (QuotaExceededError("x"), Next()),
    (ContextLengthError("x"), Next()),
    (UnsupportedParameterError("x"), Next()),
    (ConfigurationError("x"), Next()),
    (BadRequestError("x"), Stop()),
    (from_status(418, "x"), Stop()),
]


@pytest.mark.parametrize(("error", "expected"), FIRST, ids=lambda value: repr(value)[:60])
def test_the_errors_class_decides(error: OmniError, expected: Judgement):
    assert HALF.judge(0, error) == expected


@pytest.mark.parametrize(("error", "most"), [(ServerError("x"), 2), (ResponseFormatError("x"), 1)])
@pytest.mark.parametrize("attempt", range(4))
def test_an_error_is_worth_so_many_retries(error: OmniError, most: int, attempt: int):
    assert isinstance(HALF.judge(attempt, error), Again if attempt < most else Next)


def test_a_failure_of_another_kind_does_not_use_up_the_one_retry():
    assert isinstance(HALF.judge(1, ResponseFormatError("x"), alike=0), Again)
    assert isinstance(HALF.judge(1, ResponseFormatError("x"), alike=1), Next)
    assert isinstance(HALF.judge(2, ResponseFormatError("x"), alike=0), Next)
    assert isinstance(HALF.judge(1, TransportError("x", phase="dns"), alike=1), Next)


def always(share: float) -> Callable[[], float]:
    return lambda: share


@pytest.mark.parametrize(("attempt", "top_s"), [(0, 0.5), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (5000, 60.0)])
def test_waits_double_up_to_a_limit_with_full_jitter(attempt: int, top_s: float):
    for share in (0.0, 0.25, 0.999):
        judgement = RetryPolicy(10_000, random=always(share)).judge(attempt, ServerError("x"))
        assert judgement == Again(share * top_s)


@pytest.mark.parametrize("wait_s", [0.0, 0.5, 7.0, 60.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_wait_that_was_asked_for_is_only_lengthened(wait_s: float, share: float):
    judgement = RetryPolicy(random=lambda: share).judge(0, RateLimitError("x", retry_after_s=wait_s))
    assert isinstance(judgement, Again)
    assert wait_s <= judgement.delay_s <= wait_s + 0.05


def test_a_wait_that_is_too_long_goes_to_the_next_candidate():
    assert HALF.judge(0, RateLimitError("x", retry_after_s=60.5)) == Next()
    assert isinstance(RetryPolicy(max_delay_s=3600).judge(0, RateLimitError("x", retry_after_s=3000)), Again)


@pytest.mark.parametrize(("remaining_s", "begun"), [(0.2, False), (0.25, False), (0.3, True), (None, True)])
def test_a_wait_the_deadline_does_not_allow_is_not_begun(remaining_s: float | None, begun: bool):
    assert isinstance(HALF.judge(0, ServerError("x"), remaining_s=remaining_s), Again if begun else Next)


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
IN_90_S = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
HEADERS = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "a fraction": ({"retry-after": "0.25"}, 0.25),
    "milliseconds": ({"retry-after-ms": "1500"}, 1.5),
    "both": ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
    "milliseconds that are none": ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
    "a date": ({"retry-after": IN_90_S, "date": format_datetime(NOW, usegmt=True)}, 90.0),
    "a date that has passed": ({"retry-after": format_datetime(NOW, usegmt=True), "date": IN_90_S}, 0.0),
    "a date without a zone": ({"retry-after": "Mon, 23 Nov 2026 12:01:30", "date": "Mon, 23 Nov 2026 12:00:00"}, 90.0),
    "a negative number": ({"retry-after": "-1"}, None),
    "infinity": ({"retry-after": "inf"}, None),
    "no number": ({"retry-after": "nan"}, None),
    "a word": ({"retry-after": "later"}, None),
    "nothing in it": ({"retry-after": ""}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("headers", "expected_s"), HEADERS.values(), ids=HEADERS)
def test_a_wait_is_read_from_the_headers(headers: dict[str, str], expected_s: float | None):
    assert retry_after_s(headers) == expected_s


def test_a_date_counts_from_this_clock_where_the_server_has_none():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait_s = retry_after_s({"retry-after": soon})
    assert wait_s is not None
    assert 50 < wait_s <= 60
