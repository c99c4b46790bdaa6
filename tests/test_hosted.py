"""The hosted service over real sockets, against a loopback server of its published protocol; sync and async alike."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hosted_kit import JOKE, TEXT, answer, collect, connect
from omniserver import ANSWER, MODELS, REASONING, Generation, OmniServer, fault

from omnilabs.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
)

if TYPE_CHECKING:
    from conftest import Omni

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SENT = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Tell me a joke."}]
CHAT, CHAT_STREAM = "/v1/chat/completions", "/v1/chat/completions/stream"
SELECT, SMART = "/v1/router/select-model", "/v1/router/smart_select"
SELECT_STREAM, SMART_STREAM = "/v1/router/select-model-stream", "/v1/router/smart_select/stream"


@pytest.fixture(params=["published", "later"])
def server(request: pytest.FixtureRequest) -> Iterator[OmniServer]:
    generation: Generation = request.param
    with OmniServer(generation, api_key="k") as running:
        yield running


@pytest.fixture
def published() -> Iterator[OmniServer]:
    with OmniServer("published", api_key="k") as running:
        yield running


@pytest.fixture
def later() -> Iterator[OmniServer]:
    with OmniServer("later", api_key="k") as running:
        yield running


def paths(server: OmniServer) -> list[str]:
    return [request.path for request in server.requests]


def test_chat_sends_what_the_published_client_sent_and_answers_as_documented(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    response = client.chat(messages=JOKE, model="claude-3-5-sonnet", temperature=0.7, max_tokens=100)
    assert response["content"] == TEXT
    assert response["model"] == "claude-3-5-sonnet-20241022"
    assert response["provider"] == "anthropic"
    assert response["usage"]["all_tokens"] == 23
    assert response["usage"]["total_cost"] == 0.00001
    assert response.usage.cost_source == "provider"
    assert response.attempts == ()
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", CHAT)
    assert request.json == {
        "model": "claude-3-5-sonnet",
        "messages": SENT,
        "temperature": 0.7,
        "max_tokens": 100,
        "stream": False,
    }
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["content-type"] == "application/json"


def test_smart_select_sends_what_the_published_client_sent_and_explains(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    response = client.smart_select(JOKE, 3, ["gpt-4", "gpt-4o-mini"], rel_cost=0.2, rel_accuracy=0.8, verbose=True)
    assert (response.content, response.model, response.provider) == (TEXT, "gpt-4", "openai")
    assert response["explanation"] == "Selected gpt-4 because it is the best of 2"
    assert response.decision is None
    assert server.requests[-1].json == {
        "messages": SENT,
        "k": 3,
        "model_names": ["gpt-4", "gpt-4o-mini"],
        "rel_cost": 0.2,
        "rel_latency": 0.0,
        "rel_accuracy": 0.8,
        "verbose": True,
    }


def test_smart_select_without_verbose_has_no_explanation(omni: Omni, published: OmniServer):
    client = connect(omni, published)
    response = client.smart_select(JOKE)
    assert "explanation" not in dict(response)


def test_model_records_are_listed_by_type(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    everything = client.get_available_models()
    images = client.get_available_models("image")
    chats = client.get_available_models(model_type="chat")
    with pytest.raises(InvalidRequestError):
        client.get_available_models("video")
    assert [record["id"] for record in everything] == [model["id"] for model in MODELS]
    assert [record["id"] for record in images] == ["dall-e-3"]
    assert chats[2]["name"] == "claude-3-5-sonnet-20241022"
    assert paths(server) == ["/v1/models", "/v1/models/image", "/v1/models/chat"]


def test_images_are_generated_as_documented(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    pictures = client.generate_image("a cat", n=2)
    assert pictures["urls"] == ["data:image/png;base64,AAAA", "data:image/png;base64,AAAAAAAA"]
    assert (pictures["model"], pictures["provider"]) == ("dall-e-3", "openai")
    assert server.requests[0].json == {
        "model": "dall-e-3",
        "prompt": "a cat",
        "size": "1024x1024",
        "quality": "standard",
        "n": 2,
    }


def test_a_server_that_asks_for_no_key_is_sent_none(omni: Omni):
    with OmniServer() as open_server:
        client = connect(omni, open_server, api_key=None, base_url=f"{open_server.url}/")
        assert (client.chat(JOKE, "gpt-4")).content == TEXT
        assert "authorization" not in open_server.requests[0].headers
        assert paths(open_server) == [CHAT]


def test_the_decision_alone_is_not_to_be_had_from_the_service(omni: Omni, published: OmniServer):
    client = connect(omni, published)
    with pytest.raises(ConfigurationError, match="smart_select"):
        client.select(JOKE)
    assert published.requests == []


@pytest.mark.parametrize(
    ("generation", "method", "streamed", "first", "then"),
    [
        ("published", "chat", False, [CHAT], CHAT),
        ("published", "chat", True, [CHAT], CHAT),
        ("published", "smart_select", False, [SELECT], SELECT),
        ("published", "smart_select", True, [SELECT_STREAM], SELECT_STREAM),
        ("later", "chat", False, [CHAT], CHAT),
        ("later", "chat", True, [CHAT, CHAT_STREAM], CHAT_STREAM),
        ("later", "smart_select", False, [SELECT, SMART], SMART),
        ("later", "smart_select", True, [SELECT_STREAM, SMART_STREAM], SMART_STREAM),
    ],
)
@pytest.mark.parametrize("no_route_status", [404, 405])
def test_the_later_route_is_found_once_and_remembered(
    omni: Omni,
    generation: Generation,
    method: str,
    streamed: bool,
    first: list[str],
    then: str,
    no_route_status: int,
):
    arguments = (JOKE, "gpt-4") if method == "chat" else (JOKE,)
    with OmniServer(generation, api_key="k") as server:
        server.no_route_status = no_route_status
        client = connect(omni, server)
        for expected in (first, [then]):
            server.requests.clear()
            response = answer(getattr(client, method), *arguments, streamed=streamed)
            assert response.content == TEXT
            assert response.attempts == ()
            assert paths(server) == expected


def test_a_404_about_the_model_is_not_taken_for_a_missing_route(omni: Omni, published: OmniServer):
    published.script(fault(404, "Model gpt-9 was withdrawn"))
    client = connect(omni, published)
    with pytest.raises(NotFoundError, match="Model gpt-9 was withdrawn"):
        client.smart_select(JOKE)
    assert paths(published) == [SELECT]


def test_a_server_with_neither_route_is_not_found(omni: Omni, published: OmniServer):
    published.script(fault(404, "Not Found"), fault(404, "Not Found"))
    client = connect(omni, published)
    with pytest.raises(NotFoundError, match="Not Found"):
        client.smart_select(JOKE)
    assert paths(published) == [SELECT, SMART]


@pytest.mark.parametrize("method", ["chat", "smart_select"])
@pytest.mark.parametrize("names", [True, False])
def test_a_stream_gives_its_pieces_and_then_the_response(omni: Omni, server: OmniServer, method: str, names: bool):
    server.stream_names, server.stream_usage = names, True
    arguments = (JOKE, "claude-3-5-sonnet") if method == "chat" else (JOKE,)
    client = connect(omni, server)
    call = getattr(client, method)
    chunks, streamed = collect(call, *arguments)
    whole = call(*arguments)
    assert [chunk["content"] for chunk in chunks if chunk["content"]] == list(ANSWER)
    assert chunks[-1]["usage"] == streamed.usage == whole.usage
    assert streamed.content == whole.content == TEXT
    assert streamed.usage.total_cost == 0.00001
    if names:
        assert (chunks[0]["model"], chunks[0]["provider"]) == ("claude-3-5-sonnet-20241022", "anthropic")
        assert (streamed.model, streamed.provider) == (whole.model, whole.provider)


def test_a_streamed_selection_explains_itself(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    chunks, response = collect(client.smart_select, JOKE, verbose=True)
    assert response.explanation == chunks[-1].explanation
    assert response.explanation is not None
    assert response.explanation.startswith("Selected claude-3-5-sonnet-20241022 because")


def test_a_stream_that_reports_no_usage_has_an_estimate_that_says_so(omni: Omni, published: OmniServer):
    client = connect(omni, published)
    _, response = collect(client.chat, JOKE, "gpt-4")
    assert response.usage.is_estimated
    assert response.usage.all_tokens


def test_a_reasoning_effort_asks_the_reasoning_route(omni: Omni, later: OmniServer):
    client = connect(omni, later)
    whole = client.chat(JOKE, "deepseek-r1", reasoning_effort="high")
    _, streamed = collect(client.chat, JOKE, "deepseek-r1", reasoning_effort="low")
    assert paths(later) == ["/v1/reason/completions", "/v1/reason/completions/stream"]
    assert [request.json["reasoning_effort"] for request in later.requests] == ["high", "low"]
    assert (whole.content, whole.reasoning) == (TEXT, "".join(REASONING))
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.reasoning_tokens) == (12, 11, 5)
    assert (whole.model, whole.provider) == ("deepseek-reasoner", "deepseek")
    for name in ("content", "reasoning", "usage", "model", "provider", "parts"):
        assert getattr(streamed, name) == getattr(whole, name)


@pytest.mark.parametrize("names_in_data", [False, True])
def test_reasoning_and_answer_come_apart_in_both_forms_of_event_names(
    omni: Omni, later: OmniServer, names_in_data: bool
):
    later.names_in_data = names_in_data
    client = connect(omni, later)
    chunks, response = collect(client.chat, JOKE, "deepseek-r1", reasoning_effort="medium")
    assert [chunk.reasoning for chunk in chunks if chunk.reasoning] == list(REASONING)
    assert [chunk.content for chunk in chunks if chunk.content] == list(ANSWER)
    assert response.usage.reasoning_tokens == 5
    assert not response.usage.is_estimated


def test_a_server_without_reasoning_refuses_an_effort_instead_of_ignoring_it(omni: Omni, published: OmniServer):
    client = connect(omni, published)
    with pytest.raises(NotFoundError):
        client.chat(JOKE, "deepseek-r1", reasoning_effort="high")
    assert CHAT not in paths(published)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("shape", "parts", "cost_usd"),
    [
        ("all_tokens", (None, None, 0), Decimal("0.00001")),
        ("total_tokens", (None, None, 0), None),
        ("prompt_completion", (12, 11, 0), None),
        ("input_output", (12, 11, 0), None),
        ("reasoning", (12, 11, 5), None),
    ],
)
def test_every_usage_shape_is_presented_as_one(
    omni: Omni, published: OmniServer, shape: str, parts: Any, cost_usd: Decimal | None, streamed: bool
):
    published.usage, published.stream_usage = shape, True
    client = connect(omni, published)
    response = answer(client.chat, JOKE, "gpt-4", streamed=streamed)
    usage = response.usage
    assert response["usage"]["all_tokens"] == 23
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == parts
    assert usage.cost_usd == cost_usd
    assert usage.cost_source == ("unknown" if cost_usd is None else "provider")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_runs_through_the_service(omni: Omni, server: OmniServer, streamed: bool):
    client = connect(omni, server)
    first = answer(client.chat, JOKE, "gpt-4", tools=[WEATHER], streamed=streamed)
    (call,) = first.tool_calls
    assert (call.name, call.arguments, call.id) == ("weather", {"city": "Zürich", "days": 2}, "call_abc")
    assert call["arguments"] == {"city": "Zürich", "days": 2}
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 °C"}
    last = answer(client.chat, [*JOKE, first.message, result], "gpt-4", tools=[WEATHER], streamed=streamed)
    assert last.content == "The tool says 12 °C"
    assert last.tool_calls == ()
    sent = server.requests[-1].json
    assert sent["tools"] == [WEATHER]
    assert sent["messages"][-1] == result
    assert sent["messages"][-2]["tool_calls"][0]["id"] == "call_abc"


def test_smart_select_takes_tools_too(omni: Omni, server: OmniServer):
    client = connect(omni, server)
    response = client.smart_select(JOKE, tools=[WEATHER], tool_choice="weather")
    assert response.tool_calls[0].name == "weather"
    assert server.requests[-1].json["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_one_connection_serves_calls_and_streams(omni: Omni, published: OmniServer):
    client = connect(omni, published)
    for _ in range(2):
        client.chat(JOKE, "gpt-4")
        collect(client.chat, JOKE, "gpt-4")
    assert len(published.requests) == 4
    assert len({request.peer for request in published.requests}) == 1
