"""Tools beyond what the kit checks of every LLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from integrations.llamaindex.pool import MODELS
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.tools import FunctionTool

from llamaindex_omni import OmniLLM
from llamaindex_omni.testing import Calls, OpenAIServer, ToolCallReply
from llamaindex_omni.testing._tools import tools, with_tools
from omnilabs.errors import InvalidRequestError, NoEligibleModelError


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def made(server: OpenAIServer, **settings: Any) -> OmniLLM:
    providers = {"openai": {"base_url": server.base_url, "api_key": "sk-test-123456"}}
    return OmniLLM(providers=providers, **{"models": MODELS, "max_retries": 0, **settings})


def test_strict_holds_the_arguments_to_the_schema(server: OpenAIServer) -> None:
    made(server).chat_with_tools(tools(), user_msg="Hello?", strict=True)
    function = server.requests[0].body["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
    made(server).chat_with_tools(tools(), user_msg="Hello?")
    assert "strict" not in server.requests[1].body["tools"][0]["function"]


def test_with_tools_only_models_that_take_them_are_chosen(server: OpenAIServer) -> None:
    llm = made(server, model_names=["plain", "large"], rel_accuracy=0.0, rel_cost=1.0)
    llm.chat([ChatMessage("Hello?")])
    llm.chat_with_tools(tools(), user_msg="Hello?")
    assert [request.body["model"] for request in server.requests] == ["plain", "large"]
    with pytest.raises(NoEligibleModelError, match="plain: it takes no tools"):
        llm.chat_with_tools(tools(), user_msg="Hello?", model_names=["plain"])


def test_an_unknown_tool_choice_is_refused_before_anything_is_sent(server: OpenAIServer) -> None:
    with pytest.raises(InvalidRequestError, match="get_weather"):
        made(server).chat_with_tools(tools(), user_msg="Hello?", tool_choice="get_wether")
    assert not server.requests


@pytest.mark.parametrize("endpoint", ["stream_chat_with_tools", "astream_chat_with_tools"])
def test_a_stream_keeps_its_first_call_where_parallel_calls_are_off(server: OpenAIServer, endpoint: str) -> None:
    server.replies(Calls((ToolCallReply("ping", "{}", "call_1"), ToolCallReply("ping", "{}", "call_2"))))
    llm = made(server)
    for chunk in with_tools(llm, endpoint, allow_parallel_tool_calls=False):
        assert [one.tool_id for one in llm.get_tool_calls_from_response(chunk, False)] in ([], ["call_1"])


def test_a_demand_for_one_call_reaches_the_provider(server: OpenAIServer) -> None:
    made(server).chat_with_tools(tools(), user_msg="Hello?", parallel_tool_calls=False)
    assert server.requests[0].body["parallel_tool_calls"] is False


def test_a_long_description_is_the_providers_business(server: OpenAIServer) -> None:
    tool = FunctionTool.from_defaults(lambda: "pong", name="ping", description="Ping. " * 400)
    made(server).chat_with_tools([tool], user_msg="Hello?")
    assert server.requests[0].body["tools"][0]["function"]["description"] == "Ping. " * 400


def test_calls_in_the_kwargs_of_older_classes_can_be_read() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "ping", "arguments": '{"n": '}}
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
    [selection] = OmniLLM(mode="sandbox").get_tool_calls_from_response(ChatResponse(message=message))
    assert (selection.tool_id, selection.tool_name, selection.tool_kwargs) == ("call_1", "ping", {"n": None})


def test_keeping_one_call_does_not_change_the_answer_it_was_taken_from(server: OpenAIServer) -> None:
    llm = made(server)
    blocks = [ToolCallBlock(tool_call_id=str(number), tool_name="ping") for number in range(2)]
    answer = ChatResponse(message=ChatMessage(role="assistant", blocks=list(blocks)))
    assert len(llm._validate_chat_with_tools_response(answer, tools()).message.blocks) == 1
    assert len(answer.message.blocks) == 2
