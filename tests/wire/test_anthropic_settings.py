"""Settings on the Anthropic wire: where they go, what is refused or reported; the official SDK's types judge."""

from __future__ import annotations

from typing import Any

import pytest
from wire.anthropic_kit import CLOCK, NEW, OLD, PLAIN, WEATHER, build, reply, request, target

from omnilabs._messages import ChatMessage, ToolCall
from omnilabs._request import DEFAULT_TEMPERATURE
from omnilabs.errors import UnsupportedParameterError
from omnilabs.providers._anthropic import WIRE
from omnilabs.providers._base import fit

USER = {"role": "user", "content": "Hi"}


# ---- tools


def test_tools_and_their_choice():
    body, _ = build("Hi", tools=[WEATHER, CLOCK])
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather of a city.",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        ("auto", None, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("any", None, {"type": "any"}),
        ("get_time", None, {"type": "tool", "name": "get_time"}),
        ({"type": "function", "function": {"name": "get_time"}}, None, {"type": "tool", "name": "get_time"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("get_time", False, {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(choice, parallel, wire):
    body, built = build("Hi", tools=[WEATHER, CLOCK], tool_choice=choice, parallel_tool_calls=parallel)
    assert body["tool_choice"] == wire
    assert built.dropped == ()


def test_parallel_calls_without_a_call_are_reported():
    _, built = build("Hi", tools=[WEATHER], tool_choice="none", parallel_tool_calls=True)
    assert built.dropped == ("parallel_tool_calls",)
    with pytest.raises(UnsupportedParameterError, match="needs tools"):
        build("Hi", parallel_tool_calls=True)


def test_strict_tools_are_strict_where_the_model_can():
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    [tool] = build("Hi", tools=[strict])[0]["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    body, built = build("Hi", PLAIN, tools=[strict])
    assert "strict" not in body["tools"][0]
    assert built.dropped == ("strict",)


# ---- settings


def test_settings_go_to_their_places():
    body, _ = build("Hi", temperature=0.3, max_tokens=7, top_p=0.9, stop=["END", "STOP"], extra_body={"top_k": 5})
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == {
        "temperature": 0.3,
        "max_tokens": 7,
        "top_p": 0.9,
        "stop_sequences": ["END", "STOP"],
        "top_k": 5,
    }


@pytest.mark.parametrize(
    ("longest", "asked"), [(64_000, 21_333), (8_192, 8_192), (4_096, 4_096), (None, 8_192)], ids=str
)
def test_a_length_is_always_asked_for_as_the_wire_requires_one(longest, asked):
    assert build("Hi", target(max_output_tokens=longest))[0]["max_tokens"] == asked


@pytest.mark.parametrize(
    ("name", "settings", "left"),
    [
        ("temperature", {"temperature": 1.2}, {}),
        ("temperature", {"temperature": 0.2, "reasoning_effort": "low"}, {"thinking"}),
        ("top_p", {"top_p": 0.5, "reasoning_effort": "low"}, {"thinking"}),
        ("stop", {"stop": ["\n\n", "END"]}, {"stop_sequences"}),
        ("parallel_tool_calls", {"parallel_tool_calls": False}, {}),
        ("reasoning_effort", {"reasoning_effort": "low", "reasoning_budget_tokens": 2048}, {"thinking"}),
        ("reasoning_effort", {"reasoning_effort": "low", "max_tokens": 100}, {}),
        ("reasoning_budget_tokens", {"reasoning_budget_tokens": 1000}, {}),
        ("reasoning_budget_tokens", {"reasoning_budget_tokens": 2048, "max_tokens": 2048}, {}),
        (
            "tool_choice",
            {"tools": [WEATHER], "tool_choice": "required", "reasoning_effort": "low"},
            {"thinking", "tools", "tool_choice"},
        ),
        ("response_format", {"response_format": {"type": "json_object"}, "reasoning_effort": "low"}, {"thinking"}),
        (
            "response_format",
            {"response_format": {"type": "json_object"}, "tools": [WEATHER], "tool_choice": "required"},
            {"tools", "tool_choice"},
        ),
    ],
)
def test_what_has_no_place_is_refused_or_dropped_and_reported(name, settings, left):
    with pytest.raises(UnsupportedParameterError, match=name) as caught:
        build("Hi", **settings)
    assert caught.value.parameters == (name,)
    body, built = build("Hi", **settings, unsupported="drop")
    assert built.dropped == (name,)
    assert body.keys() - {"model", "max_tokens", "messages"} == set(left)


def test_settings_of_other_wires_are_not_taken():
    refused: dict[str, Any] = {
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logprobs": True,
        "top_logprobs": 2,
    }
    asked = request("Hi", **refused)
    with pytest.raises(UnsupportedParameterError) as caught:
        fit(asked, OLD, WIRE.params)
    assert set(caught.value.parameters) == refused.keys()


def test_the_promised_temperature_gives_way_to_what_was_asked_for():
    assert build("Hi", temperature=DEFAULT_TEMPERATURE)[0]["temperature"] == 0.7
    for settings in ({"reasoning_effort": "high"}, {"top_p": 0.5}):
        body, built = build("Hi", temperature=DEFAULT_TEMPERATURE, **settings)
        assert "temperature" not in body
        assert built.dropped == ()


# ---- reasoning


@pytest.mark.parametrize(
    ("settings", "thinking", "limit"),
    [
        ({}, None, 21_333),
        ({"reasoning_effort": "minimal"}, 1_024, 21_333),
        ({"reasoning_effort": "low"}, 2_048, 21_333),
        ({"reasoning_effort": "medium"}, 8_192, 21_333),
        ({"reasoning_effort": "high"}, 16_384, 24_576),
        ({"reasoning_effort": "xhigh"}, 32_768, 40_960),
        ({"reasoning_effort": "xhigh", "max_tokens": 4_000}, 2_000, 4_000),
        ({"reasoning_budget_tokens": 5_000}, 5_000, 21_333),
        ({"reasoning_budget_tokens": 60_000}, 60_000, 64_000),
        ({"reasoning_budget_tokens": 1_999, "max_tokens": 2_000}, 1_999, 2_000),
    ],
)
def test_older_models_think_with_a_budget_that_leaves_room_for_the_answer(settings, thinking, limit):
    body, built = build("Hi", **settings)
    wanted = None if thinking is None else {"type": "enabled", "budget_tokens": thinking}
    assert (body.get("thinking"), body["max_tokens"]) == (wanted, limit)
    assert built.dropped == ()


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
def test_newer_models_think_as_hard_as_they_are_told(effort):
    body, built = build("Hi", NEW, reasoning_effort=effort)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "low" if effort == "minimal" else effort}
    assert built.dropped == ()


def test_newer_models_take_no_budget():
    with pytest.raises(UnsupportedParameterError, match="reasoning_effort"):
        build("Hi", NEW, reasoning_budget_tokens=2_048)
    body, built = build("Hi", NEW, reasoning_budget_tokens=2_048, unsupported="drop")
    assert "thinking" not in body
    assert built.dropped == ("reasoning_budget_tokens",)


@pytest.mark.parametrize("at", [OLD, NEW], ids=["old", "new"])
@pytest.mark.parametrize("settings", [{"reasoning_effort": "none"}, {"reasoning_budget_tokens": 0}], ids=str)
def test_thinking_can_be_turned_off(at, settings):
    body, built = build("Hi", at, **settings)
    assert body["thinking"] == {"type": "disabled"}
    assert built.dropped == ()


def test_newer_models_can_be_forced_while_they_think():
    body, _ = build("Hi", NEW, tools=[WEATHER], tool_choice="required", reasoning_effort="low")
    assert body["tool_choice"] == {"type": "any"}


def test_a_model_without_thinking_is_asked_for_none():
    asked = request("Hi", reasoning_effort="low")
    with pytest.raises(UnsupportedParameterError, match="reasoning_effort"):
        fit(asked, PLAIN, WIRE.params)


# ---- other forms of a request


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ('"thinking.type.enabled" is not supported for this model.', "adaptive"),
        ("adaptive thinking is not supported on this model", "budgeted"),
        ('tool_choice: type "tool" and "any" are not supported for this model.', "unforced"),
        ("`temperature` is deprecated for this model.", "unsampled"),
        ("role 'system' is not supported on this model", "folded"),
        ("Requests which include `tool_use` or `tool_result` blocks must define tools.", "declared"),
    ],
)
def test_a_refusal_of_the_form_asks_for_another_form_once(said, form):
    refusal = _refusal(said)
    assert WIRE.other_form("", refusal) == form
    assert WIRE.other_form("x", refusal) == f"x,{form}"
    assert WIRE.other_form(form, refusal) is None


@pytest.mark.parametrize("status", [401, 429, 500])
def test_only_a_refused_request_has_another_form(status):
    assert WIRE.other_form("", _refusal("`temperature` is deprecated for this model.", status)) is None
    assert WIRE.other_form("", _refusal("max_tokens: 5 > 4")) is None


def _refusal(said: str, status: int = 400) -> Any:
    return reply({"type": "error", "error": {"type": "invalid_request_error", "message": said}}, status)


def test_each_form_avoids_what_was_refused():
    assert build("Hi", form="adaptive", reasoning_effort="low")[0]["thinking"]["type"] == "adaptive"
    assert build("Hi", NEW, form="budgeted", reasoning_effort="low")[0]["thinking"]["type"] == "enabled"
    assert "temperature" not in build("Hi", form="unsampled", temperature=DEFAULT_TEMPERATURE)[0]
    with pytest.raises(UnsupportedParameterError, match="temperature"):
        build("Hi", form="unsampled", temperature=0.1)
    folded, _ = build([USER, ChatMessage("system", "S")], NEW, form="folded")
    assert [turn["role"] for turn in folded["messages"]] == ["user"]
    with pytest.raises(UnsupportedParameterError, match="forced"):
        build("Hi", NEW, form="unforced", tools=[WEATHER], tool_choice="required")
    body, _ = build([USER, ChatMessage("assistant", tool_calls=[ToolCall("c", "f")])], form="declared")
    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": "none"}
