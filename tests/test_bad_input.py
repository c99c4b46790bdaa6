"""Bad input is a typed error that says what to do, before any request: no server is there to receive one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Face, Omni

from omnilabs.errors import (
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
    NoEligibleModelError,
    UnknownModelError,
    UnsupportedParameterError,
)

HELLO = [{"role": "user", "content": "Hello"}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": "https://example.com/a.png"}]}]


@pytest.fixture
def client(omni: Omni) -> Face:
    # A closed port: a request would fail as TransportError, which none of these tests accepts.
    return omni.client(providers={"openai": {"api_key": "k", "base_url": "http://127.0.0.1:9/v1"}}, max_retries=0)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "messages is empty"),
        ([{"role": "user"}], r"messages\[0\] has no 'content'"),
        ([{"content": "x"}], r"messages\[0\] has no 'role'"),
        ([{"role": "robot", "content": "x"}], "unknown role 'robot': use one of system, user, assistant, tool"),
        ("Hello", "must be a list"),
    ],
)
def test_messages_must_be_messages(client: Face, messages: Any, says: str):
    asks: list[Callable[[], object]] = [
        lambda: client.chat(messages, "gpt-4o-mini"),
        lambda: client.smart_select(messages),
    ]
    for ask in asks:
        with pytest.raises(InvalidRequestError, match=says):
            ask()


def test_an_unknown_model_is_told_with_the_nearest_names(client: Face):
    with pytest.raises(UnknownModelError, match=r"nearest: .*gpt-4o") as caught:
        client.chat(HELLO, "gpt-4o-minni")
    assert "gpt-4o-mini" in caught.value.nearest
    assert isinstance(caught.value, ValueError)


def test_a_model_of_no_name_is_refused(client: Face):
    for name in ("", None, 7):
        with pytest.raises(InvalidRequestError, match="model is the id"):
            client.chat(HELLO, name)


def test_auto_is_not_a_model_here_and_the_error_says_what_is(client: Face):
    with pytest.raises(UnknownModelError, match="smart_select"):
        client.chat(HELLO, "auto")


@pytest.mark.parametrize("name", ["rel_cost", "rel_latency", "rel_accuracy"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.5", True, None])
def test_weights_are_numbers_from_0_to_1(client: Face, name: str, value: Any):
    with pytest.raises(InvalidRequestError, match=name) as caught:
        client.smart_select(HELLO, **{name: value})
    assert caught.value.parameter == name


@pytest.mark.parametrize("k", [0, 11, -1, 2.5, "5", True])
def test_k_is_1_to_10(client: Face, k: Any):
    with pytest.raises(InvalidRequestError, match="1 to 10"):
        client.smart_select(HELLO, k=k)


def test_names_that_leave_nothing_give_each_models_reason(client: Face):
    with pytest.raises(NoEligibleModelError, match="claude-sonnet-5") as caught:
        client.smart_select(HELLO, model_names=["claude-sonnet-5"])
    assert "ANTHROPIC_API_KEY" in caught.value.rejected["claude-sonnet-5"]
    with pytest.raises(UnknownModelError, match="gpt-nonsense"):
        client.smart_select(HELLO, model_names=["gpt-nonsense"])
    with pytest.raises(InvalidRequestError, match="model_names is empty"):
        client.smart_select(HELLO, model_names=[])
    with pytest.raises(InvalidRequestError, match="is a list of ids"):
        client.smart_select(HELLO, model_names="gpt-4o")


def test_a_picture_leaves_no_model_that_cannot_see(client: Face):
    with pytest.raises(NoEligibleModelError, match="takes no images"):
        client.smart_select(PICTURE, model_names=["gpt-3.5-turbo"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": math.nan},
        {"temperature": "hot"},
        {"max_tokens": 0},
        {"max_tokens": -5},
        {"max_tokens": 1.5},
        {"top_p": 1.1},
        {"presence_penalty": 3},
        {"reasoning_effort": "huge"},
        {"reasoning_budget_tokens": -1},
        {"unsupported": "ignore"},
        {"timeout_s": 0},
        {"max_cost_usd": -1},
        {"response_format": {"type": "yaml"}},
        {"response_format": int},
        {"tools": [{"name": "f"}]},
        {"tool_choice": "required"},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_named(client: Face, wrong: dict[str, Any]):
    with pytest.raises(InvalidRequestError) as caught:
        client.chat(HELLO, "gpt-4o-mini", **wrong)
    assert caught.value.parameter in wrong


def test_a_choice_of_a_tool_that_is_not_there_names_those_that_are(client: Face):
    tools = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
    with pytest.raises(InvalidRequestError, match="search"):
        client.chat(HELLO, "gpt-4o-mini", tools=tools, tool_choice="find")


def test_an_option_nobody_knows_is_a_type_error_that_lists_the_known_ones(client: Face):
    with pytest.raises(TypeError, match="top_p"):
        client.chat(HELLO, "gpt-4o-mini", topp=1)


def test_without_a_key_for_the_models_provider_the_variable_is_named(client: Face):
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY") as caught:
        client.chat(HELLO, "claude-sonnet-5")
    assert isinstance(caught.value, ValueError)


def test_a_setting_the_model_cannot_take_is_refused(client: Face):
    with pytest.raises(UnsupportedParameterError, match='unsupported="drop"') as caught:
        client.chat(HELLO, "gpt-5-mini", temperature=0.2)
    assert caught.value.parameters == ("temperature",)


def test_a_budget_no_model_keeps_is_refused_before_spending(client: Face):
    with pytest.raises(BudgetExceededError) as caught:
        client.chat(HELLO, "gpt-4", max_cost_usd=1e-9)
    assert "gpt-4" in caught.value.rejected
    with pytest.raises(BudgetExceededError):
        client.smart_select(HELLO, max_cost_usd=1e-12)


def test_limits_no_model_keeps_are_refused_with_each_reason(client: Face):
    with pytest.raises(NoEligibleModelError, match="min_quality") as caught:
        client.smart_select(HELLO, min_quality=0.9999)
    assert any("min_quality" in reason for reason in caught.value.rejected.values())
    with pytest.raises(NoEligibleModelError, match="max_latency_s"):
        client.chat(HELLO, "gpt-5-mini", max_latency_s=0.001)


def test_limits_the_hosted_service_cannot_keep_are_refused(omni: Omni):
    hosted = omni.client(api_key="k", base_url="http://127.0.0.1:9")
    for limit in ({"max_cost_usd": 1}, {"max_latency_s": 5}, {"min_quality": 0.5}):
        with pytest.raises(UnsupportedParameterError, match=next(iter(limit))):
            hosted.smart_select(HELLO, **limit)


@pytest.mark.parametrize(
    "wrong",
    [{"prompt": ""}, {"prompt": "x", "n": 0}, {"prompt": "x", "n": 11}, {"prompt": "x", "model": "gpt-4o"}],
    ids=str,
)
def test_bad_image_requests_are_refused(client: Face, wrong: dict[str, Any]):
    with pytest.raises(InvalidRequestError):
        client.generate_image(**wrong)


def test_an_unknown_kind_of_model_is_refused(client: Face):
    with pytest.raises(InvalidRequestError, match="'chat', 'image' or None"):
        client.get_available_models("video")
