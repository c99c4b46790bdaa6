"""Structured answers on the Anthropic wire: by its own means, or by a forced tool."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wire.anthropic_kit import (
    CLOCK,
    NEW,
    OLD,
    PLAIN,
    WEATHER,
    build,
    message,
    parse,
    sse,
    stream_events,
    streamed,
    target,
    text,
    tool_use,
)

from omnilabs._messages import TextPart
from omnilabs.errors import UnsupportedParameterError

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "count", "schema": SCHEMA}}
LIST = {"type": "json_schema", "json_schema": {"name": "all", "schema": {"type": "array", "items": {"type": "string"}}}}


def test_a_schema_is_asked_for_natively_where_the_model_can():
    for at in (OLD, NEW):
        body, built = build("Hi", at, response_format=BY_SCHEMA)
        assert body["output_config"] == {
            "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}
        }
        assert (built.structured_by, built.answer_tool) == ("native", None)
        assert parse(message(text('{"n": 3}')), at, built).structured_by == "native"


def test_effort_and_schema_go_together():
    body, _ = build("Hi", NEW, response_format=BY_SCHEMA, reasoning_effort="low")
    assert body["output_config"].keys() == {"effort", "format"}


@pytest.mark.parametrize(
    ("at", "wanted"), [(PLAIN, BY_SCHEMA), (OLD, {"type": "json_object"}), (NEW, {"type": "json_object"})]
)
def test_otherwise_a_tool_is_forced_and_its_input_is_the_answer(at, wanted):
    body, built = build("Hi", at, response_format=wanted)
    [tool] = body["tools"]
    assert body["tool_choice"] == {"type": "tool", "name": tool["name"], "disable_parallel_tool_use": True}
    assert tool["input_schema"] == (SCHEMA if wanted is BY_SCHEMA else {"type": "object"})
    assert (built.structured_by, built.answer_tool) == ("tool", tool["name"])
    whole = message(tool_use(tool["name"], n=3, s="é"), stop="tool_use")
    for response in (parse(whole, at, built), streamed(sse(stream_events(whole)), at, built)):
        assert response.content == '{"n": 3, "s": "é"}'
        assert response.parts == (TextPart('{"n": 3, "s": "é"}'),)
        assert (response.tool_calls, response.finish_reason) == ((), "stop")
    assert parse(whole, at, built).structured_by == "tool"


def test_a_model_that_cannot_be_forced_is_asked_for_a_schema_but_not_for_just_any_object():
    able = replace(NEW.model.capabilities, forced_tools=False)
    assert build("Hi", target(able), response_format=BY_SCHEMA)[1].structured_by == "native"
    with pytest.raises(UnsupportedParameterError, match="a JSON schema would be taken"):
        build("Hi", target(able), response_format={"type": "json_object"})
    body, built = build("Hi", target(able), response_format={"type": "json_object"}, unsupported="drop")
    assert built.dropped == ("response_format",)
    assert "tools" not in body


def test_an_empty_answer_is_an_empty_object():
    _, built = build("Hi", response_format={"type": "json_object"})
    assert built.answer_tool is not None
    whole = message(tool_use(built.answer_tool), stop="tool_use")
    assert parse(whole, OLD, built).content == "{}"
    assert streamed(sse(stream_events(whole)), OLD, built).content == "{}"


def test_an_answer_that_is_no_object_comes_out_of_the_tool_unwrapped():
    body, built = build("Hi", PLAIN, response_format=LIST)
    [tool] = body["tools"]
    assert tool["input_schema"]["type"] == "object"
    whole = message(tool_use(tool["name"], value=["a", "ü"]), stop="tool_use")
    for response in (parse(whole, PLAIN, built), streamed(sse(stream_events(whole)), PLAIN, built)):
        assert response.content == '["a", "ü"]'
        assert response.finish_reason == "stop"


def test_a_schema_with_tools_lets_the_model_call_or_answer():
    body, built = build("Hi", PLAIN, response_format=BY_SCHEMA, tools=[WEATHER], parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    called = message(tool_use("get_weather", city="Rome"), stop="tool_use")
    for response in (parse(called, PLAIN, built), streamed(sse(stream_events(called)), PLAIN, built)):
        assert [call.name for call in response.tool_calls] == ["get_weather"]
        assert (response.content, response.finish_reason) == ("", "tool_calls")


def test_an_answer_beside_a_call_leaves_the_call_to_be_made():
    _, built = build("Hi", PLAIN, response_format=BY_SCHEMA, tools=[WEATHER])
    assert built.answer_tool is not None
    both = message(tool_use(built.answer_tool, "t1", n=1), tool_use("get_weather", "t2", city="Rome"), stop="tool_use")
    for response in (parse(both, PLAIN, built), streamed(sse(stream_events(both)), PLAIN, built)):
        assert (response.content, response.finish_reason) == ('{"n": 1}', "tool_calls")
        assert [call.id for call in response.tool_calls] == ["t2"]


def test_a_schema_with_tools_that_must_not_be_called_is_answered():
    body, built = build("Hi", PLAIN, response_format=BY_SCHEMA, tools=[WEATHER], tool_choice="none")
    assert body["tool_choice"]["name"] == built.answer_tool


def test_the_answers_tool_never_takes_the_name_of_a_callers_tool():
    clash = {"type": "function", "function": {"name": "give_answer", "parameters": {"type": "object"}}}
    body, built = build("Hi", PLAIN, response_format=BY_SCHEMA, tools=[clash, CLOCK])
    assert built.answer_tool not in ("give_answer", "get_time")
    assert built.answer_tool in {tool["name"] for tool in body["tools"]}
    whole = message(tool_use("give_answer", n=1), stop="tool_use")
    assert parse(whole, PLAIN, built).tool_calls


def test_a_row_can_say_that_its_server_has_no_native_schemas():
    assert build("Hi", target(native_schema=False), response_format=BY_SCHEMA)[1].structured_by == "tool"
