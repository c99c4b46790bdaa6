"""Checks of tools: what is sent, what is read back, and the agents that live on both."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import FunctionTool

from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import Calls, OpenAIServer, Say, ToolCallReply

__all__ = ["ToolChecks"]

_PARIS = ToolCallReply("get_weather", '{"city": "Paris"}')
_WITH_TOOLS = ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools")
_ALL_FOUR = pytest.mark.parametrize("endpoint", _WITH_TOOLS)


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


def ping() -> str:
    """Ping."""
    return "pong"


def tools() -> list[FunctionTool]:
    """Return the tools of the checks."""
    return [FunctionTool.from_defaults(get_weather), FunctionTool.from_defaults(ping)]


def with_tools(llm: LLM, endpoint: str, **kwargs: Any) -> list[ChatResponse]:
    """Return everything one of the four `chat_with_tools` gave."""
    kwargs = {"tools": tools(), "user_msg": "How is the weather in Paris?", **kwargs}
    method = getattr(llm, endpoint)
    if endpoint.startswith("a"):
        return asyncio.run(_awith_tools(method, kwargs, is_stream="stream" in endpoint))
    answer = method(**kwargs)
    return list(answer) if "stream" in endpoint else [answer]


async def _awith_tools(method: Any, kwargs: dict[str, Any], *, is_stream: bool) -> list[ChatResponse]:
    answer = await method(**kwargs)
    return [chunk async for chunk in answer] if is_stream else [answer]


async def _said(agent: Any) -> str:
    return str(await agent.run(user_msg="Weather in Paris?"))


class ToolChecks(Kit):
    """What a `FunctionCallingLLM` owes an agent."""

    @pytest.fixture
    def caller(self, llm: LLM, server: OpenAIServer) -> FunctionCallingLLM:
        """The LLM under test, as one that calls tools; the server asks for the weather in Paris."""
        self.needs("has_tools")
        server.replies(Calls((_PARIS,)))
        return cast("FunctionCallingLLM", llm)

    def test_metadata_says_that_it_calls_tools(self, caller: FunctionCallingLLM) -> None:
        """Agents and programs are chosen by it, once."""
        assert isinstance(caller, FunctionCallingLLM)
        assert caller.metadata.is_function_calling_model

    @_ALL_FOUR
    def test_tools_are_sent_and_their_calls_read(
        self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str
    ) -> None:
        """Name, description and schema go out; id, name and arguments come back."""
        last = with_tools(caller, endpoint)[-1]
        sent = server.requests[0].body["tools"][0]
        assert (sent["type"], sent["function"]["name"]) == ("function", "get_weather")
        assert sent["function"]["parameters"]["required"] == ["city"]
        [selection] = caller.get_tool_calls_from_response(last)
        assert (selection.tool_id, selection.tool_name) == ("call_1", "get_weather")
        assert selection.tool_kwargs == {"city": "Paris"}

    @_ALL_FOUR
    def test_calls_come_as_blocks(self, caller: FunctionCallingLLM, endpoint: str) -> None:
        """Blocks go on to any other model; one class's own kwargs do not."""
        message = with_tools(caller, endpoint)[-1].message
        assert [block.tool_name for block in message.blocks if isinstance(block, ToolCallBlock)] == ["get_weather"]

    @_ALL_FOUR
    def test_history_is_not_changed(self, caller: FunctionCallingLLM, endpoint: str) -> None:
        """The new message is added to a copy."""
        history = [ChatMessage("Hello."), ChatMessage(role="assistant", content="Hi.")]
        with_tools(caller, endpoint, chat_history=history)
        assert [message.content for message in history] == ["Hello.", "Hi."]

    def test_no_tools_means_no_word_of_tools(self, caller: FunctionCallingLLM, server: OpenAIServer) -> None:
        """Providers refuse an empty list, and a choice among nothing."""
        server.replies(Say())
        caller.chat_with_tools([], user_msg="Hello?")
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & server.requests[0].body.keys()

    @pytest.mark.parametrize(
        ("settings", "sent"),
        [
            ({}, (None, "auto")),
            ({"tool_required": True}, ("required",)),
            ({"tool_choice": "auto"}, ("auto",)),
            ({"tool_choice": "none"}, ("none",)),
            ({"tool_choice": "required"}, ("required",)),
            ({"tool_choice": "ping"}, ({"type": "function", "function": {"name": "ping"}},)),
            (
                {"tool_choice": {"type": "function", "function": {"name": "ping"}}},
                ({"type": "function", "function": {"name": "ping"}},),
            ),
        ],
    )
    def test_tool_choice_is_passed_on(
        self, caller: FunctionCallingLLM, server: OpenAIServer, settings: dict[str, Any], sent: tuple[Any, ...]
    ) -> None:
        """In every form LlamaIndex's callers use."""
        caller.chat_with_tools(tools(), user_msg="Hello?", **settings)
        assert server.requests[0].body.get("tool_choice") in sent

    @pytest.mark.parametrize("arguments", ["", "{}", "null"])
    @_ALL_FOUR
    def test_no_arguments_are_an_empty_object(
        self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str, arguments: str
    ) -> None:
        """However the provider writes nothing."""
        server.replies(Calls((ToolCallReply("ping", arguments),)))
        [selection] = caller.get_tool_calls_from_response(with_tools(caller, endpoint)[-1])
        assert selection.tool_kwargs == {}

    @pytest.mark.parametrize(
        ("arguments", "finish_reason"), [('{"city": ]', "tool_calls"), ('{"city": "Par', "length")]
    )
    @_ALL_FOUR
    def test_broken_arguments_are_not_made_up(
        self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str, arguments: str, finish_reason: str
    ) -> None:
        """Whoever reads the calls makes them: an error, or no arguments, which the tool refuses, but never half."""
        server.replies(Calls((ToolCallReply("get_weather", arguments),), finish_reason=finish_reason))
        last = with_tools(caller, endpoint)[-1]
        try:
            selections = caller.get_tool_calls_from_response(last)
        except Exception:  # which one is the LLM's own affair
            return
        assert [selection.tool_kwargs for selection in selections] in ([], [{}])

    @pytest.mark.parametrize("endpoint", ["stream_chat_with_tools", "astream_chat_with_tools"])
    def test_half_arrived_calls_can_be_read(self, caller: FunctionCallingLLM, endpoint: str) -> None:
        """Agents read every chunk; the id of a call stays the same."""
        chunks = with_tools(caller, endpoint)
        seen = [caller.get_tool_calls_from_response(chunk, error_on_no_tool_call=False) for chunk in chunks]
        assert {call.tool_id for calls in seen for call in calls} == {"call_1"}
        assert [len(calls) for calls in seen] == sorted(len(calls) for calls in seen)
        assert seen[-1][0].tool_kwargs == {"city": "Paris"}

    @_ALL_FOUR
    def test_a_missing_id_is_made_up_once(
        self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str
    ) -> None:
        """The result must name it, so it may not change between chunks."""
        server.replies(Calls((ToolCallReply("get_weather", '{"city": "Paris"}', id=None),)))
        answers = with_tools(caller, endpoint)
        seen = [caller.get_tool_calls_from_response(one, error_on_no_tool_call=False) for one in answers]
        ids = {call.tool_id for calls in seen for call in calls}
        assert len(ids) == 1
        assert ids != {""}

    @_ALL_FOUR
    def test_two_identical_calls_are_two(self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str) -> None:
        """The model may well mean it."""
        again = ToolCallReply(_PARIS.name, _PARIS.arguments, "call_2")
        server.replies(Calls((_PARIS, again)))
        last = with_tools(caller, endpoint, allow_parallel_tool_calls=True)[-1]
        assert [call.tool_id for call in caller.get_tool_calls_from_response(last)] == ["call_1", "call_2"]

    @pytest.mark.parametrize("endpoint", ["chat_with_tools", "achat_with_tools"])
    def test_only_one_call_where_parallel_calls_are_off(
        self, caller: FunctionCallingLLM, server: OpenAIServer, endpoint: str
    ) -> None:
        """Even from a model that makes two."""
        server.replies(Calls((_PARIS, ToolCallReply("ping", "{}", "call_2"))))
        last = with_tools(caller, endpoint, allow_parallel_tool_calls=False)[-1]
        assert [call.tool_name for call in caller.get_tool_calls_from_response(last)] == ["get_weather"]

    def test_no_call_is_an_error_where_one_is_expected(self, caller: FunctionCallingLLM) -> None:
        """Unless the caller says that none is fine."""
        answer = ChatResponse(message=ChatMessage(role="assistant", blocks=[TextBlock(text="No.")]))
        assert caller.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError, match="tool call"):
            caller.get_tool_calls_from_response(answer, error_on_no_tool_call=True)

    def test_predict_and_call_calls(self, caller: FunctionCallingLLM) -> None:
        """And returns what the tool said."""
        said = caller.predict_and_call(tools(), user_msg="Weather in Paris?")
        asaid = asyncio.run(caller.apredict_and_call(tools(), user_msg="Weather in Paris?"))
        assert said.response == asaid.response == "It is sunny in Paris."

    @pytest.mark.parametrize("streaming", [True, False])
    def test_function_agent_runs(self, caller: FunctionCallingLLM, server: OpenAIServer, streaming: bool) -> None:
        """Ask, call, read, answer: the result goes back under the call's id."""
        from llama_index.core.agent.workflow import FunctionAgent

        server.replies(Calls((_PARIS,)), Say("Sunny in Paris."))

        async def run() -> str:
            agent = FunctionAgent(tools=list(tools()), llm=caller, streaming=streaming)
            return await _said(agent)

        assert asyncio.run(run()) == "Sunny in Paris."
        *_, asked, told = server.requests[1].body["messages"]
        assert asked["tool_calls"][0]["id"] == told["tool_call_id"] == "call_1"
        assert "It is sunny in Paris." in json.dumps(told["content"])

    @pytest.mark.parametrize("streaming", [True, False])
    def test_react_agent_runs(self, llm: LLM, server: OpenAIServer, streaming: bool) -> None:
        """With text alone."""
        from llama_index.core.agent.workflow import ReActAgent

        server.replies(
            Say('Thought: I need a tool.\nAction: get_weather\nAction Input: {"city": "Paris"}'),
            Say("Thought: I can answer without using any more tools.\nAnswer: Sunny in Paris."),
        )

        async def run() -> str:
            agent = ReActAgent(tools=list(tools()), llm=llm, streaming=streaming)
            return await _said(agent)

        assert asyncio.run(run()) == "Sunny in Paris."
        assert "It is sunny in Paris." in json.dumps(server.requests[1].body["messages"])

    @pytest.mark.parametrize("streaming", [True, False])
    def test_agents_hand_over(self, caller: FunctionCallingLLM, server: OpenAIServer, streaming: bool) -> None:
        """One agent of a workflow passes the question to another, which answers."""
        from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent

        handover = ToolCallReply("handoff", '{"to_agent": "meteorologist", "reason": "weather"}', "call_h")
        server.replies(Calls((handover,)), Calls((_PARIS,)), Say("Sunny in Paris."))

        async def run() -> str:
            porter = FunctionAgent(
                name="porter", description="Greets.", llm=caller, streaming=streaming, can_handoff_to=["meteorologist"]
            )
            expert = FunctionAgent(
                name="meteorologist", description="Knows.", tools=list(tools()), llm=caller, streaming=streaming
            )
            workflow = AgentWorkflow(agents=[porter, expert], root_agent="porter")
            return await _said(workflow)

        assert asyncio.run(run()) == "Sunny in Paris."
        assert len(server.requests) == 3
