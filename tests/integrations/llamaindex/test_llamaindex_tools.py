"""Tools beyond what the kit checks of every LLM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from integrations.llamaindex.pool import MODELS
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llamaindex_omni import OmniLLM, OmniRefusalError
from llamaindex_omni.testing import Calls, OpenAIServer, Refuse, ToolCallReply
from llamaindex_omni.testing._tools import tools, with_tools
from omnilabs.errors import InvalidRequestError, NoEligibleModelError, ResponseFormatError


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
    call = {"id": "call_1", "type": "function", "function": {"name": "ping", "arguments": '{"n": 1}'}}
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
    [selection] = OmniLLM(mode="sandbox").get_tool_calls_from_response(ChatResponse(message=message))
    assert (selection.tool_id, selection.tool_name, selection.tool_kwargs) == ("call_1", "ping", {"n": 1})


def test_keeping_one_call_does_not_change_the_answer_it_was_taken_from(server: OpenAIServer) -> None:
    llm = made(server)
    blocks = [ToolCallBlock(tool_call_id=str(number), tool_name="ping") for number in range(2)]
    answer = ChatResponse(message=ChatMessage(role="assistant", blocks=list(blocks)))
    assert len(llm._validate_chat_with_tools_response(answer, tools()).message.blocks) == 1
    assert len(answer.message.blocks) == 2


# ---- calls that must not be made

CUT = '{"amount": 5, "to": "Al'


@pytest.fixture
def paid() -> list[tuple[int, str]]:
    return []


@pytest.fixture
def pay(paid: list[tuple[int, str]]) -> FunctionTool:
    def pay(amount: int = 0, to: str = "nobody") -> str:
        """Pay somebody."""
        paid.append((amount, to))
        return "Paid."

    return FunctionTool.from_defaults(pay)


def by_predicting(llm: OmniLLM, tool: FunctionTool) -> None:
    llm.predict_and_call([tool], user_msg="Pay Alice 500.", error_on_no_tool_call=False)


def by_predicting_with_asyncio(llm: OmniLLM, tool: FunctionTool) -> None:
    asyncio.run(llm.apredict_and_call([tool], user_msg="Pay Alice 500.", error_on_no_tool_call=False))


def by_agent(llm: OmniLLM, tool: FunctionTool, *, streaming: bool = False) -> None:
    async def run() -> None:
        await FunctionAgent(tools=[tool], llm=llm, streaming=streaming).run(user_msg="Pay Alice 500.")

    asyncio.run(run())


def by_streaming_agent(llm: OmniLLM, tool: FunctionTool) -> None:
    by_agent(llm, tool, streaming=True)


@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("way", [by_predicting, by_predicting_with_asyncio, by_agent, by_streaming_agent])
@pytest.mark.parametrize(
    ("arguments", "finish_reason", "said"),
    [
        (CUT, "length", r"'pay' is not made: the answer was cut off .*raise max_tokens"),
        # Anthropic's wire holds an object, closed by whoever wrote it; nothing at all is none as well.
        ('{"amount": 5}', "length", "cut off"),
        ("", "length", "cut off"),
        (CUT, "tool_calls", "'pay' is not made: its arguments are not a JSON object"),
        ("[5]", "tool_calls", "not a JSON object"),
    ],
)
def test_half_a_call_is_never_made(
    server: OpenAIServer,
    paid: list[tuple[int, str]],
    pay: FunctionTool,
    way: Callable[[OmniLLM, FunctionTool], None],
    arguments: str,
    finish_reason: str,
    said: str,
) -> None:
    server.replies(Calls((ToolCallReply("pay", arguments),), finish_reason=finish_reason))
    with pytest.raises(ResponseFormatError, match=said) as raised:
        way(made(server, model="middle"), pay)
    assert not paid
    assert (raised.value.provider, raised.value.model) == ("openai", "middle")
    assert raised.value.retryable is (finish_reason != "length")


def test_none_of_the_calls_of_a_cut_off_answer_is_made(
    server: OpenAIServer, paid: list[tuple[int, str]], pay: FunctionTool
) -> None:
    whole = ToolCallReply("pay", '{"amount": 1, "to": "Bob"}')
    server.replies(Calls((whole, ToolCallReply("pay", CUT, "call_2")), finish_reason="length"))
    with pytest.raises(ResponseFormatError, match="cut off"):
        made(server).predict_and_call([pay], user_msg="Pay.", allow_parallel_tool_calls=True)
    assert not paid


@pytest.mark.parametrize("endpoint", ["stream_chat_with_tools", "astream_chat_with_tools"])
def test_a_growing_call_is_shown_and_its_cut_end_is_an_error(server: OpenAIServer, endpoint: str) -> None:
    server.replies(Calls((ToolCallReply("pay", CUT),), finish_reason="length"))
    llm = made(server)
    *growing, last = with_tools(llm, endpoint)
    shown = [one.tool_kwargs for chunk in growing for one in llm.get_tool_calls_from_response(chunk, False)]
    assert shown[-1] == {"amount": 5, "to": None}
    for required in (True, False):
        with pytest.raises(ResponseFormatError, match="raise max_tokens"):
            llm.get_tool_calls_from_response(last, required)


@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
def test_an_agent_shows_the_call_while_it_grows(
    server: OpenAIServer, paid: list[tuple[int, str]], pay: FunctionTool
) -> None:
    server.replies(Calls((ToolCallReply("pay", CUT),), finish_reason="length"))

    async def run() -> list[dict[str, Any]]:
        handler = FunctionAgent(tools=[pay], llm=made(server), streaming=True).run(user_msg="Pay Alice 500.")
        seen = [
            call.tool_kwargs
            async for event in handler.stream_events()
            if isinstance(event, AgentStream)
            for call in event.tool_calls
        ]
        with pytest.raises(ResponseFormatError, match="cut off"):
            await handler
        return seen

    assert {"amount": 5} in asyncio.run(run())
    assert not paid


def test_broken_calls_in_the_kwargs_of_older_classes_are_not_made_either() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "ping", "arguments": '{"n": '}}
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]})
    with pytest.raises(ResponseFormatError, match="'ping' is not made"):
        OmniLLM(mode="sandbox").get_tool_calls_from_response(ChatResponse(message=message), False)


class City(BaseModel):
    """A city."""

    name: str


def test_a_refusal_where_a_call_is_expected_is_told_in_its_words(server: OpenAIServer) -> None:
    server.replies(Refuse("I cannot help with that."))
    program = FunctionCallingProgram.from_defaults(City, "Describe Paris.", llm=made(server))
    with pytest.raises(OmniRefusalError, match="refused to answer: I cannot help with that"):
        program()
    [answer] = with_tools(made(server), "chat_with_tools")
    assert made(server).get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
