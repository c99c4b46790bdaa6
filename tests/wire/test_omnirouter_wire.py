"""What is sent to the hosted service, call by call and field by field; its model records and images."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from wire.omnirouter_kit import (
    ENDPOINT,
    JOKE,
    SELECT,
    TARGET,
    TOOL,
    body_of,
    chat,
    parse,
    reply,
    select,
)

from omnilabs._request import ChatRequest
from omnilabs._secret import Secret
from omnilabs.errors import (
    InvalidRequestError,
    ResponseFormatError,
)
from omnilabs.providers._omnirouter import WIRE, image_request, models_request, parse_images, parse_models
from omnilabs.types import ChatMessage, ImagePart, TextPart, ToolCall


def test_a_plain_chat_has_exactly_the_published_clients_fields():
    built = WIRE.build(chat(), TARGET, stream=False)
    assert (built.http.method, built.http.url) == ("POST", "https://service.example/v1/chat/completions")
    assert json.loads(built.http.body) == {
        "model": "claude-3-5-sonnet",
        "messages": JOKE,
        "temperature": 0.7,
        "max_tokens": None,
        "stream": False,
    }


def test_a_plain_selection_has_exactly_the_published_clients_fields():
    built = WIRE.build(select(), TARGET, stream=False)
    assert built.http.url == "https://service.example/v1/router/select-model"
    assert json.loads(built.http.body) == {"messages": JOKE, **SELECT}


def test_a_selection_sends_the_weights_as_they_were_given():
    routing = {"k": 3, "model_names": ["gpt-4", "gpt-4o"], "rel_cost": 0.9, "rel_accuracy": 0.9, "verbose": True}
    assert body_of(select(routing=routing)) == {"messages": JOKE, **SELECT, **routing}


@pytest.mark.parametrize(
    ("request_", "stream", "form", "route"),
    [
        (chat(), False, "", "/v1/chat/completions"),
        (chat(), True, "", "/v1/chat/completions"),
        (chat(), False, "later", "/v1/chat/completions"),
        (chat(), True, "later", "/v1/chat/completions/stream"),
        (select(), False, "", "/v1/router/select-model"),
        (select(), True, "", "/v1/router/select-model-stream"),
        (select(), False, "later", "/v1/router/smart_select"),
        (select(), True, "later", "/v1/router/smart_select/stream"),
        (chat(reasoning_effort="low"), False, "", "/v1/reason/completions"),
        (chat(reasoning_effort="high"), True, "", "/v1/reason/completions/stream"),
        (chat(reasoning_effort="medium"), True, "later", "/v1/reason/completions/stream"),
        (chat(reasoning_effort="none"), False, "", "/v1/chat/completions"),
        (select(reasoning_effort="high"), False, "", "/v1/router/select-model"),
    ],
)
def test_each_call_goes_to_its_route(request_: ChatRequest, stream: bool, form: str, route: str):
    assert WIRE.build(request_, TARGET, stream=stream, form=form).http.url == f"https://service.example{route}"


def test_a_streamed_chat_says_so_and_a_streamed_selection_says_so_by_its_route():
    assert body_of(chat(), stream=True)["stream"] is True
    assert body_of(select(), stream=True) == {"messages": JOKE, **SELECT}


OPTIONS: dict[str, Any] = {
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logprobs": True,
    "top_logprobs": 2,
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "reasoning_budget_tokens": 1000,
}


@pytest.mark.parametrize("make", [chat, select])
def test_every_setting_that_is_given_is_sent_under_its_openai_name(make: Any):
    sent = body_of(make(**OPTIONS, temperature=0.2))
    assert {name: sent[name] for name in OPTIONS} == OPTIONS
    assert sent["temperature"] == 0.2


def test_a_setting_that_was_not_given_is_not_sent():
    assert "temperature" not in body_of(chat(temperature=None))
    assert body_of(chat(max_tokens=5))["max_tokens"] == 5


def test_a_tool_chosen_by_name_is_sent_in_openais_form():
    chosen = body_of(chat(tools=[TOOL], tool_choice="weather"))["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "weather"}}


def test_a_wanted_schema_is_sent_and_told_to_be_native():
    built = WIRE.build(chat(response_format={"type": "object", "properties": {}}), TARGET, stream=False)
    assert json.loads(built.http.body)["response_format"]["type"] == "json_schema"
    assert built.structured_by == "native"


def test_extra_body_comes_last_and_wins():
    assert (
        body_of(chat(extra_body={"temperature": 1.5, "user": "u1"})).items()
        >= {"temperature": 1.5, "user": "u1"}.items()
    )


def test_a_tool_loop_is_sent_as_calls_and_results():
    call = ToolCall("call_1", "weather", '{"city":"Zürich"}')
    sent = body_of(
        chat(
            [
                ChatMessage("user", "Weather?", name="ada"),
                ChatMessage("assistant", None, tool_calls=[call]),
                ChatMessage("tool", "12 °C", tool_call_id="call_1"),
            ]
        )
    )["messages"]
    assert sent == [
        {"role": "user", "content": "Weather?", "name": "ada"},
        {
            "role": "assistant",
            "content": "",  # published versions refuse null
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Zürich"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
    ]


def test_text_parts_become_the_string_that_published_versions_take():
    assert body_of(chat([ChatMessage("user", [TextPart("One, "), TextPart("two.")])]))["messages"] == [
        {"role": "user", "content": "One, two."}
    ]


def test_an_image_is_sent_as_openais_parts():
    parts = [TextPart("What is this?"), ImagePart(url="https://images.example/cat.png")]
    assert body_of(chat([ChatMessage("user", parts)]))["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}},
    ]


def test_reasoning_of_an_earlier_answer_is_left_out_and_reported():
    earlier = parse({"content": "12", "reasoning": "six and six", "model": "m"})
    built = WIRE.build(chat([*JOKE, earlier.message, *JOKE]), TARGET, stream=False)
    assert json.loads(built.http.body)["messages"][1] == {"role": "assistant", "content": "12"}
    assert built.dropped == ("reasoning",)


def test_text_that_is_no_valid_unicode_can_still_be_sent():
    assert body_of(chat([{"role": "user", "content": "\ud83c"}]))["messages"][0]["content"] == "\ufffd"


def test_the_key_is_a_bearer_token_that_never_shows():
    built = WIRE.build(chat(), TARGET, stream=False)
    assert built.http.headers["authorization"] == Secret("Bearer k-123")
    assert "k-123" not in repr(built)


def test_without_a_key_no_authorization_is_sent():
    keyless = replace(TARGET, endpoint=replace(ENDPOINT, api_key=None))
    assert "authorization" not in WIRE.build(chat(), keyless, stream=False).http.headers


@pytest.mark.parametrize(
    ("model_type", "route"),
    [
        (None, "/v1/models"),
        ("chat", "/v1/models/chat"),
        ("image", "/v1/models/image"),
        ("reasoning", "/v1/models/reasoning"),
    ],
)
def test_model_records_are_asked_by_type(model_type: str | None, route: str):
    sent = models_request(ENDPOINT, model_type)
    assert (sent.method, sent.url, sent.body) == ("GET", f"https://service.example{route}", b"")
    assert sent.headers["authorization"] == Secret("Bearer k-123")


def test_an_unknown_model_type_is_refused_before_any_request():
    with pytest.raises(InvalidRequestError, match="'video'"):
        models_request(ENDPOINT, "video")


def test_model_records_are_given_as_they_came():
    records = [{"id": "gpt-4", "name": "gpt-4", "provider": "openai", "tokenCost": 30.0, "new_field": [1]}]
    assert parse_models(reply({"models": records})) == records


@pytest.mark.parametrize("body", [{"models": "x"}, {"models": ["gpt-4"]}, {}, [], {"models": None}])
def test_model_records_of_another_shape_are_a_format_error(body: Any):
    with pytest.raises(ResponseFormatError):
        parse_models(reply(body))


def test_images_are_asked_and_read_as_documented():
    sent = image_request(ENDPOINT, prompt="a cat", model="dall-e-3", size="1024x1024", quality="standard", n=2)
    assert (sent.method, sent.url) == ("POST", "https://service.example/v1/images/generate")
    assert json.loads(sent.body) == {
        "model": "dall-e-3",
        "prompt": "a cat",
        "size": "1024x1024",
        "quality": "standard",
        "n": 2,
    }
    answer = {"urls": ["https://images.example/1.png", "data:image/png;base64,AAAA"], "model": "m", "provider": "p"}
    assert parse_images(reply(answer)) == answer


@pytest.mark.parametrize("body", [{"urls": "x"}, {"urls": [1]}, {}])
def test_images_of_another_shape_are_a_format_error(body: Any):
    with pytest.raises(ResponseFormatError, match="urls"):
        parse_images(reply(body))
