"""Requests of the Gemini wire: settings, structured answers, and signatures that go back where they came from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.gemini_kit import NEW, OLD, WEATHER, body_of, built, parsed, sdk_json, streamed, target

from omnilabs._messages import ChatMessage, Opaque, ReasoningPart, TextPart, ToolCall
from omnilabs._models import Capabilities
from omnilabs.errors import UnsupportedParameterError

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
NO_SCHEMA = Capabilities(json_schema=False)
SIGNED: dict[str, Any] = {"thoughtSignature": "c2lnLTE="}


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({"temperature": 0.2}, {"temperature": 0.2}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"max_tokens": 10}, {"maxOutputTokens": 10}),
        ({"top_p": 0.9}, {"topP": 0.9}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stopSequences": ["a", "b"]}),
        ({"seed": 7}, {"seed": 7}),
        ({"presence_penalty": 1.5, "frequency_penalty": -1}, {"presencePenalty": 1.5, "frequencyPenalty": -1}),
        ({"logprobs": True}, {"responseLogprobs": True}),
        ({"logprobs": True, "top_logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"top_logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
    ],
)
def test_settings_are_in_the_generation_config(options: dict[str, Any], config: dict[str, Any]):
    assert body_of(**options)["generationConfig"] == config


def test_nothing_asked_for_is_nothing_sent():
    assert body_of() == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


@pytest.mark.parametrize(
    ("model", "options", "thinking"),
    [
        (NEW, {"reasoning_effort": "low"}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        (NEW, {"reasoning_effort": "xhigh"}, {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (NEW, {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-latest", {"reasoning_effort": "high"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (NEW, {"reasoning_budget_tokens": 500}, {"thinkingBudget": 500, "includeThoughts": True}),
        (OLD, {"reasoning_effort": "minimal"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        (OLD, {"reasoning_effort": "medium"}, {"thinkingBudget": 8192, "includeThoughts": True}),
        (OLD, {"reasoning_effort": "xhigh"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        (OLD, {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        (OLD, {"reasoning_budget_tokens": 0}, {"thinkingBudget": 0}),
    ],
)
def test_reasoning_is_a_level_or_a_budget_by_the_models_generation(
    model: str, options: dict[str, Any], thinking: dict[str, Any]
):
    assert body_of(to=target(model), **options)["generationConfig"]["thinkingConfig"] == thinking
    assert built(to=target(model), **options).dropped == ()


@pytest.mark.parametrize(
    ("model", "thinking", "dropped"),
    [
        (NEW, {"thinkingLevel": "LOW", "includeThoughts": True}, "reasoning_budget_tokens"),
        (OLD, {"thinkingBudget": 9, "includeThoughts": True}, "reasoning_effort"),
    ],
)
def test_of_an_effort_and_a_budget_the_one_the_generation_has_is_kept(
    model: str, thinking: dict[str, Any], dropped: str
):
    both: dict[str, Any] = {"reasoning_effort": "low", "reasoning_budget_tokens": 9}
    with pytest.raises(UnsupportedParameterError) as refused:
        built(to=target(model), **both)
    assert refused.value.parameters == (dropped,)
    how = built(to=target(model), unsupported="drop", **both)
    assert json.loads(how.http.body)["generationConfig"]["thinkingConfig"] == thinking
    assert how.dropped == (dropped,)


def test_extra_body_joins_ours_and_takes_nothing_away():
    body = body_of(
        temperature=0.1,
        tools=[WEATHER],
        extra_body={
            "generationConfig": {"topK": 40, "temperature": 0.3},
            "tools": [{"googleSearch": {}}],
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        },
    )
    assert body["generationConfig"] == {"temperature": 0.3, "topK": 40}
    assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert len(body["safetySettings"]) == 1


# ---- structured answers


def test_a_schema_is_asked_for_natively_where_the_model_can():
    how = built(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})
    config = json.loads(how.http.body)["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert (how.structured_by, how.answer_tool) == ("native", None)
    assert parsed(sdk_json([{"text": '{"n": 1}'}]), how).structured_by == "native"


def test_a_schema_is_asked_for_by_a_forced_function_where_it_cannot():
    to = target(able=NO_SCHEMA)
    how = built(to=to, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})
    body = body_of(to=to, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})
    assert "generationConfig" not in body
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert (how.structured_by, how.answer_tool) == ("tool", "give_answer")
    answer = parsed(sdk_json([{"functionCall": {"name": "give_answer", "args": {"n": 1}}}]), how, to)
    assert json.loads(answer.content) == {"n": 1}
    assert (answer.tool_calls, answer.finish_reason, answer.structured_by) == ((), "stop", "tool")


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (None, {"mode": "ANY"}),
        ("auto", {"mode": "ANY"}),
        ("none", {"mode": "ANY", "allowedFunctionNames": ["give_answer"]}),
    ],
)
def test_a_forced_answer_leaves_the_choice_among_the_callers_tools(choice: str | None, calling: dict[str, Any]):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    body = body_of(to=target(able=NO_SCHEMA), tools=[WEATHER], tool_choice=choice, response_format=wanted)
    assert body["toolConfig"]["functionCallingConfig"] == calling


@pytest.mark.parametrize("choice", ["required", "get_weather"])
def test_a_forced_answer_does_not_take_the_place_of_a_tool_the_caller_forces(choice: str):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    both: dict[str, Any] = {"tools": [WEATHER], "tool_choice": choice, "response_format": wanted}
    with pytest.raises(UnsupportedParameterError, match="tool_choice forces another"):
        built(to=target(able=NO_SCHEMA), **both)
    how = built(to=target(able=NO_SCHEMA), unsupported="drop", **both)
    assert (how.dropped, how.structured_by, how.answer_tool) == (("response_format",), None, None)


def test_json_of_any_shape_is_refused_beside_tools_before_gemini_3():
    both: dict[str, Any] = {"tools": [WEATHER], "response_format": {"type": "json_object"}}
    assert built(to=target(NEW), **both).structured_by == "native"
    with pytest.raises(UnsupportedParameterError, match="JSON schema only"):
        built(to=target(OLD), **both)


def test_a_schema_beside_tools_is_native_from_gemini_3_on_only():
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert built(to=target(NEW), tools=[WEATHER], response_format=wanted).structured_by == "native"
    old = built(to=target(OLD), tools=[WEATHER], response_format=wanted)
    assert (old.structured_by, old.answer_tool) == ("tool", "give_answer")


def test_the_forced_functions_arguments_are_the_text_streamed_or_not():
    to = target(OLD, able=NO_SCHEMA)
    wanted = {"type": "json_schema", "json_schema": {"name": "out", "schema": SCHEMA}}
    how = built(to=to, tools=[WEATHER], response_format=wanted)
    answer = {"functionCall": {"name": how.answer_tool, "args": {"n": 3}}, "thoughtSignature": "c2ln"}
    text = sdk_json([answer, answer])
    for got in (parsed(text, how, to), streamed([text], how, to)):
        assert (json.loads(got.content), got.tool_calls, got.finish_reason) == ({"n": 3}, (), "stop")
    other = parsed(sdk_json([{"functionCall": {"name": "get_weather"}}]), how, to)
    assert (other.content, other.finish_reason, other.tool_calls[0].name) == ("", "tool_calls", "get_weather")


# ---- signatures


@pytest.mark.parametrize(
    "parts",
    [
        [{"text": "Let me see.", "thought": True}, {"text": "Hello", **SIGNED}],
        [{"text": "", **SIGNED}],
        [{"text": "Hello"}, {"text": "", "thoughtSignature": "AAEC"}],
        [{"text": "Hel"}, {"text": "lo", **SIGNED}],
        [{"text": "Hel", **SIGNED}, {"text": "lo"}],
        [{"text": "a", "thoughtSignature": "AAEC"}, {"text": "b", **SIGNED}],
        [{"text": "think", "thought": True, **SIGNED}, {"text": "more", "thought": True, "thoughtSignature": "AAEC"}],
        [{"text": "think", "thought": True}, {"text": "more", "thought": True, **SIGNED}, {"text": "Hi"}],
        [{"functionCall": {"id": "1", "name": "f", "args": {"x": 1.0, "y": "é"}}, **SIGNED}],
        [
            {"text": "first", **SIGNED},
            {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "AAEC"},
            {"functionCall": {"id": "2", "name": "f", "args": {}}},
        ],
        [
            {"text": "Running."},
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}, **SIGNED},
            {"text": "It is 1."},
        ],
        [{"text": "a"}, {"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "b", **SIGNED}],
    ],
)
def test_an_answer_goes_back_part_for_part_with_its_signatures(parts: list[dict[str, Any]]):
    answer = parsed(sdk_json(parts))
    body = body_of([ChatMessage("user", "?"), answer.message])
    assert body["contents"][1] == {"role": "model", "parts": parts}
    # and after a trip through a database
    stored = json.loads(json.dumps(answer.message.to_dict()))
    assert body_of([{"role": "user", "content": "?"}, stored]) == body
    assert built([ChatMessage("user", "?"), answer.message]).dropped == ()


_TEXT = st.builds(lambda text: {"text": text}, st.text(max_size=3))
_THOUGHT = st.builds(lambda text: {"text": text, "thought": True}, st.text(max_size=3))
_CODE = st.just({"executableCode": {"language": "PYTHON", "code": "1"}})
_CALL = st.builds(lambda n: {"functionCall": {"id": f"c{n}", "name": "f", "args": {"n": n}}}, st.integers())
_ANY = st.one_of(_TEXT, _THOUGHT, _CODE, _CALL)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(_ANY, st.builds(lambda part, n: {**part, "thoughtSignature": n}, _ANY, st.just("AAEC")))))
def test_whatever_parts_come_the_signed_ones_go_back_untouched(parts: list[dict[str, Any]]):
    """Only unsigned neighbours of one kind are joined, unsigned empty ones left out, and calls put last."""
    answer = parsed(json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}))
    # Before Gemini 3, so that no first call is given a signature.
    sent = body_of([ChatMessage("user", "?"), answer.message], target(OLD))["contents"][1]["parts"]
    calls = [part for part in parts if "functionCall" in part]
    others = [part for part in parts if "functionCall" not in part]
    assert [part for part in sent if "functionCall" in part] == calls
    assert [part for part in sent if "thoughtSignature" in part and "functionCall" not in part] == [
        part for part in others if "thoughtSignature" in part
    ]
    assert _runs(part for part in sent if "functionCall" not in part) == _runs(others)


def _runs(parts: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the kinds of the parts with their text, neighbours of one kind joined and empty unsigned ones left out."""
    runs: list[tuple[str, str]] = []
    for part in parts:
        if "executableCode" in part or "thoughtSignature" in part:
            runs.append(("alone", json.dumps(part)))
        elif part["text"]:
            kind = "thought" if part.get("thought") else "text"
            before = runs.pop()[1] if runs and runs[-1][0] == kind else ""
            runs.append((kind, before + part["text"]))
    return runs


def test_another_providers_signed_data_are_left_out_and_reported():
    foreign = Opaque("anthropic", {"signature": "abc"})
    message = ChatMessage(
        "assistant",
        [ReasoningPart("hmm", foreign), TextPart("Hi", opaque=foreign)],
        tool_calls=[ToolCall("c", "f", "{}", Opaque("other", {"thoughtSignature": "eA=="}))],
    )
    for model, mark in ((NEW, {"thoughtSignature": "skip_thought_signature_validator"}), (OLD, {})):
        body = body_of([ChatMessage("user", "?"), message], target(model))
        assert body["contents"][1]["parts"] == [
            {"text": "Hi"},
            {"functionCall": {"id": "c", "name": "f", "args": {}}, **mark},
        ]
        assert built([ChatMessage("user", "?"), message], target(model)).dropped == ("reasoning",)


def test_reasoning_of_unknown_origin_is_left_out_and_reported():
    how = built([ChatMessage("user", "?"), ChatMessage("assistant", [ReasoningPart("hmm"), TextPart("Hi")])])
    assert json.loads(how.http.body)["contents"][1]["parts"] == [{"text": "Hi"}]
    assert how.dropped == ("reasoning",)


def test_only_the_first_call_of_a_turn_is_excused_for_having_no_signature():
    message = ChatMessage("assistant", None, tool_calls=[ToolCall("a", "f"), ToolCall("b", "f")])
    first, second = body_of([ChatMessage("user", "?"), message])["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
