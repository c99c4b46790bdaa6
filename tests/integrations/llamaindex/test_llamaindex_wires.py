"""Every wire through LlamaIndex, against a server neither project wrote: text, usage and tool loops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.tools import FunctionTool
from llmock.scenarios import Reply, ToolCall
from llmock.simulation import MockResponseSettings
from llmock.testing import LLMockServer

from llamaindex_omni import OmniLLM
from llamaindex_omni.testing._calling import ENDPOINTS, call, text_of

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
PATHS = {"openai": "", "anthropic": "", "gemini": "/v1beta"}
WIRES = pytest.mark.parametrize("wire", list(MODELS))


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    with LLMockServer(responses=MockResponseSettings(response_style="echo")) as server:
        yield server


def made(server: LLMockServer, wire: str, **settings: Any) -> OmniLLM:
    providers = {wire: {"api_key": "mock-key", "base_url": server.base_url(wire) + PATHS[wire]}}
    return OmniLLM(model=MODELS[wire], providers=providers, **settings)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@WIRES
def test_usage_is_exact_on_every_wire(server: LLMockServer, wire: str, endpoint: str) -> None:
    counter = TokenCountingHandler(tokenizer=lambda text: [0] * 1000)
    with made(server, wire, callback_manager=CallbackManager([counter])) as llm:
        answers = call(llm, endpoint, "Say hello to the sea.")
    told = answers[-1].additional_kwargs
    assert text_of(answers[-1])
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (
        told["prompt_tokens"],
        told["completion_tokens"],
    )
    assert 0 < counter.total_llm_token_count < 1000
    assert told["omni"]["cost_usd"] > 0
    json.dumps([answer.raw for answer in answers])


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("streaming", [True, False])
@WIRES
async def test_an_agent_runs_on_every_wire(server: LLMockServer, wire: str, streaming: bool) -> None:
    server.state.scenarios.clear()
    server.state.scenarios.add(Reply(tool_calls=(ToolCall("get_weather", {"city": "Tromsø"}),), times=1))
    server.state.scenarios.add(Reply("Sunny in Tromsø.", times=1))
    async with made(server, wire) as llm:
        agent = FunctionAgent(tools=[get_weather], llm=llm, streaming=streaming)
        output: Any = await agent.run(user_msg="Weather in Tromsø?")
    assert str(output) == "Sunny in Tromsø."
    assert [(one.tool_name, one.tool_kwargs) for one in output.tool_calls] == [("get_weather", {"city": "Tromsø"})]


@pytest.mark.parametrize("after", list(MODELS))
@WIRES
def test_a_history_of_one_wire_goes_on_in_another(server: LLMockServer, wire: str, after: str) -> None:
    server.state.scenarios.clear()
    server.state.scenarios.add(Reply("Let me see.", (ToolCall("get_weather", {"city": "Oslo"}),), times=1))
    server.state.scenarios.add(Reply("Sunny.", times=1))
    first, second = made(server, wire), made(server, after)
    question = ChatMessage("Weather in Oslo?")
    tools = [FunctionTool.from_defaults(get_weather)]
    asked = first.chat_with_tools(tools, chat_history=[question])
    [made_call] = first.get_tool_calls_from_response(asked)
    result = ChatMessage(role="tool", content="Sunny.", additional_kwargs={"tool_call_id": made_call.tool_id})
    answer = second.chat_with_tools(tools, chat_history=[question, asked.message, result])
    assert answer.message.content == "Sunny."
