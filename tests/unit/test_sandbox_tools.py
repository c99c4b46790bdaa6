"""Which tools the sandbox calls, and with what."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from unit.sandbox_kit import (
    PASSAGES,
    REPORT,
    SEARCH,
    TEXT,
    TOOLS,
    WEATHER,
    asked,
    calls,
    completion,
    message,
    said,
    tool,
    tool_turn,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the weather in Paris?", [("get_weather", {"city": "Paris"})]),
        (
            "What is the weather like in San Francisco, CA in fahrenheit?",
            [("get_weather", {"city": "San Francisco, CA", "unit": "fahrenheit"})],
        ),
        ("weather in tokyo please", [("get_weather", {"city": "tokyo"})]),
        ("What is 3 times 4?", [("multiply", {"a": 3, "b": 4})]),
        ("Multiply a=12 with b=-7.", [("multiply", {"a": 12, "b": -7})]),
        ("Where is my order 1234?", [("lookup_order", {"order_id": 1234})]),
        (
            "How do I set a timeout in OmniRouter?",
            [("search_docs", {"query": "How do I set a timeout in OmniRouter?"})],
        ),
        (
            "What is the weather in Paris and the time in Tokyo?",
            [("get_weather", {"city": "Paris"}), ("get_time", {"place": "Tokyo"})],
        ),
        ("Get me a joke.", []),
        ("What is the meaning of life?", []),
    ],
)
def test_the_tools_the_text_names_are_called_with_arguments_from_the_text(
    text: str, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert calls(asked(text, tools=TOOLS)) == expected


def test_a_tool_call_has_no_content_and_its_own_finish_reason() -> None:
    answer = ChatCompletion.model_validate(completion(asked("What is the weather in Paris?", tools=TOOLS)))

    assert answer.choices[0].message.content is None
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None


def test_calls_of_one_answer_have_different_ids() -> None:
    made = message(asked("What is the weather in Paris and the time in Tokyo?", tools=TOOLS))["tool_calls"]

    assert len({call["id"] for call in made}) == 2


def test_without_parallel_calls_the_second_tool_waits_for_the_first_ones_result() -> None:
    body = asked("What is the weather in Paris and the time in Tokyo?", tools=TOOLS, parallel_tool_calls=False)
    first = calls(body)
    body["messages"] += tool_turn("get_weather", "22 degrees")

    assert [name for name, _ in first] == ["get_weather"]
    assert calls(body) == [("get_time", {"place": "Tokyo"})]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", []),
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
def test_tool_choice_is_obeyed_whatever_the_text_says(choice: Any, names: list[str]) -> None:
    assert [name for name, _ in calls(asked("Hello!", tools=TOOLS, tool_choice=choice))] == names


def test_tool_choice_none_forbids_a_tool_the_text_names() -> None:
    assert calls(asked("What is the weather in Paris?", tools=TOOLS, tool_choice="none")) == []


def test_a_tools_result_is_told_in_text() -> None:
    body = asked("What is the weather in Paris?", tools=TOOLS)
    body["messages"] += tool_turn("get_weather", "22 degrees and sunny")

    assert said(body) == "get_weather says: 22 degrees and sunny"


def test_of_a_long_result_only_what_answers_is_told() -> None:
    body = asked("How do I limit the seconds of a call?", tools=[SEARCH])
    body["messages"] += tool_turn("search_docs", PASSAGES)

    assert said(body).startswith("search_docs says: Pass `timeout_s=30` to limit a call in seconds.")
    assert "accuracy" not in said(body)


def test_a_new_question_after_a_result_is_a_new_turn() -> None:
    body = asked("What is the weather in Paris?", tools=TOOLS)
    body["messages"] += tool_turn("get_weather", "22 degrees")
    body["messages"].append({"role": "user", "content": "And the weather in Rome?"})

    assert calls(body) == [("get_weather", {"city": "Rome"})]


def test_an_agent_that_must_call_tools_ends_with_its_structured_answer() -> None:
    body = asked("What is the weather in Paris?", tools=[WEATHER, REPORT], tool_choice="required")
    first = calls(body)
    body["messages"] += tool_turn("get_weather", "22 degrees and sunny")

    assert first == [("get_weather", {"city": "Paris"})]
    assert calls(body) == [("WeatherReport", {"city": "Paris", "temperature": 22, "sky": "sunny", "is_windy": False})]


def test_a_named_tool_is_called_again_after_its_result() -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    body = asked("What is the weather in Paris?", tools=TOOLS, tool_choice=choice)
    body["messages"] += tool_turn("get_weather", "22 degrees")

    assert [name for name, _ in calls(body)] == ["get_weather"]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        (
            'Send an email to bob@example.org with subject "Hi" saying thanks',
            {"to": "bob@example.org", "subject": "Hi", "body": "thanks"},
        ),
        ("Send an email: to: ann@example.org, subject: Lunch, body: At noon", {"to": "ann@example.org"}),
    ],
)
def test_arguments_are_recognised_by_label_quotation_and_form(text: str, called: dict[str, str]) -> None:
    [(_, arguments)] = calls(asked(text, tools=[tool("send_email", "Send an email", to=TEXT, subject=TEXT, body=TEXT)]))

    assert arguments.items() >= called.items()


def test_quoted_text_of_any_script_is_an_argument() -> None:
    create = tool("create_customer", "Creates a customer", customer_name=TEXT)

    assert calls(asked("Create a customer with name '你好啊集团'", tools=[create])) == [
        ("create_customer", {"customer_name": "你好啊集团"})
    ]


def test_an_optional_argument_the_text_does_not_mention_is_left_out() -> None:
    search = tool("search", "Search", ["query"], query=TEXT, limit={"type": "integer"}, exact={"type": "boolean"})

    assert calls(asked("Search for cats", tools=[search])) == [("search", {"query": "cats"})]
    assert (
        calls(asked("Search for cats, limit: 5, exact", tools=[search]))[0][1].items()
        >= {"limit": 5, "exact": True}.items()
    )
