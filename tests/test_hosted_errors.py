"""What goes wrong at the hosted service, over real sockets: each failure its class, nothing lost of what had come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hosted_kit import JOKE, TEXT, answer, collect, connect
from loopback import Reply, events
from omniserver import Generation, OmniServer, fault, page

from omnilabs.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    ResponseFormatError,
    ServerError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from conftest import Omni


@pytest.fixture(params=["published", "later"])
def server(request: pytest.FixtureRequest) -> Iterator[OmniServer]:
    generation: Generation = request.param
    with OmniServer(generation, api_key="k") as running:
        yield running


@pytest.fixture
def published() -> Iterator[OmniServer]:
    with OmniServer("published", api_key="k") as running:
        yield running


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (fault(400, "Unknown model: gpt-9"), BadRequestError, "Unknown model: gpt-9"),
        (fault(401, "Invalid API key"), AuthenticationError, "Invalid API key"),
        (fault(403, "Not authenticated"), AuthenticationError, "Not authenticated"),
        (
            fault(422, [{"loc": ["body", "messages", 0, "role"], "msg": "field required", "type": "missing"}]),
            BadRequestError,
            "messages.0.role: field required",
        ),
        (fault(429, "Token quota reached"), QuotaExceededError, "Token quota reached"),
        (fault(429, "Too many requests"), RateLimitError, "Too many requests"),
        (fault(500, "Anthropic API error: boom"), ServerError, "Anthropic API error: boom"),
        (page(502, "<html><body><h1>Bad gateway</h1></body></html>"), ServerError, "Bad gateway"),
        (fault(503, "try later"), OverloadedError, "try later"),
    ],
)
def test_an_error_answer_raises_its_class_with_the_services_words(
    omni: Omni, published: OmniServer, reply: Reply, kind: type[APIStatusError], said: str, streamed: bool
):
    published.script(reply)
    client = connect(omni, published)
    with pytest.raises(kind, match=said) as caught:
        answer(client.chat, JOKE, "gpt-4", streamed=streamed)
    assert type(caught.value) is kind
    assert caught.value.status == reply.status
    assert (caught.value.provider, caught.value.model) == ("omnirouter", "gpt-4")
    assert len(caught.value.attempts) == 1
    assert len(published.requests) == 1


def test_what_the_service_itself_refuses_is_told(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    stranger = connect(omni, server, api_key="wrong-key-1")
    with pytest.raises(BadRequestError, match="Unknown model: gpt-9"):
        client.chat(JOKE, "gpt-9")
    with pytest.raises(BadRequestError, match=r"messages\.\d\.role: Field required"):
        client.chat(JOKE, "gpt-4", extra_body={"messages": [{"content": "x"}]})
    with pytest.raises(AuthenticationError, match="Invalid API key") as caught:
        stranger.get_available_models()
    assert "wrong-key-1" not in repr(caught.value) + str(caught.value.__dict__)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_passing_failure_is_tried_again_and_told(omni: Omni, published: OmniServer, streamed: bool):
    published.script(fault(429, "Too many requests", retry_after=0.05), fault(429, "again", retry_after=0.05))
    client = connect(omni, published, max_retries=2)
    response = answer(client.chat, JOKE, "gpt-4", streamed=streamed)
    assert response.content == TEXT
    assert [attempt.error_type for attempt in response.attempts] == ["RateLimitError", "RateLimitError"]
    assert len(published.requests) == 3


@pytest.mark.parametrize(
    "reply", [fault(401, "Invalid API key"), fault(429, "Token quota reached"), fault(500, "400: Unknown model: x")]
)
def test_what_waiting_cannot_mend_is_asked_once(omni: Omni, published: OmniServer, reply: Reply):
    published.script(reply)
    client = connect(omni, published, max_retries=2)
    with pytest.raises(APIStatusError):
        client.chat(JOKE, "gpt-4")
    assert len(published.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body={"model": "gpt-4"}), ResponseFormatError),
        (Reply(body=b'{"content": "cut'), ResponseFormatError),
        (page(200, "<html>hello</html>"), ResponseFormatError),
        (Reply(body={"error": {"message": "boom", "code": 503}}), OverloadedError),
    ],
)
def test_a_200_that_is_no_answer_is_an_error(omni: Omni, published: OmniServer, reply: Reply, kind: Any):
    published.script(reply)
    client = connect(omni, published)
    with pytest.raises(kind):
        client.chat(JOKE, "gpt-4")


def test_an_error_in_the_middle_of_a_stream_keeps_what_had_come(omni: Omni, published: OmniServer):
    broken = {"error": {"message": "the provider failed", "type": "provider_error", "code": 500}}
    published.script(events({"content": "Half an "}, {"content": "answer"}, broken))
    client = connect(omni, published, max_retries=2)
    with pytest.raises(ServerError, match="the provider failed") as caught:
        collect(client.chat, JOKE, "gpt-4")
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Half an answer"
    assert caught.value.partial.usage.is_estimated
    assert len(published.requests) == 1  # what was given out is not asked for again


def test_an_error_that_begins_a_stream_is_tried_again(omni: Omni, published: OmniServer):
    published.script(events({"error": {"message": "overloaded", "type": "overloaded_error", "code": 529}}))
    client = connect(omni, published, max_retries=1)
    _, response = collect(client.chat, JOKE, "gpt-4")
    assert response.content == TEXT
    assert [attempt.error_type for attempt in response.attempts] == ["OverloadedError"]


@pytest.mark.parametrize(
    "reply",
    [
        events({"content": "Half an "}, {"content": "answer"}),  # ends in order, without [DONE]
        events({"content": "Half an "}, {"content": "answer"}, breaks=True),
        events({"content": "Half an "}, {"content": "answer"}, "{not json"),
    ],
)
def test_a_stream_without_its_end_is_an_error_with_what_had_come(omni: Omni, published: OmniServer, reply: Reply):
    published.script(reply)
    client = connect(omni, published, max_retries=2)
    with pytest.raises(StreamInterruptedError) as caught:
        collect(client.chat, JOKE, "gpt-4")
    assert caught.value.partial is not None
    assert caught.value.partial.content == "Half an answer"
    assert len(published.requests) == 1
