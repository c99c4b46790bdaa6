"""What people build: agents, query engines over BM25, routers, chat engines; in the sandbox and on sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from integrations.llamaindex.pool import MODELS
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent, ReActAgent, ToolCallResult
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine, SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.retrievers import RouterRetriever
from llama_index.core.schema import TextNode
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.retrievers.bm25 import BM25Retriever  # type: ignore[import-untyped]  # it ships no types

from llamaindex_omni import OmniLLM, OmniSelector
from llamaindex_omni.testing import Calls, OpenAIServer, Say, Structured, ToolCallReply

pytestmark = [
    # LlamaIndex's own code uses what pydantic and its workflows have deprecated.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

GUIDE = ["A stream is closed by leaving the loop.", "A retry waits for Retry-After.", "The router ranks by utility."]
PRICES = ["The small model costs 0.10 dollars.", "The large model costs 10 dollars.", "Cached input is cheaper."]


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def llm(server: OpenAIServer) -> OmniLLM:
    providers = {"openai": {"base_url": server.base_url, "api_key": "sk-test-123456"}}
    return OmniLLM(providers=providers, models=MODELS)


@pytest.fixture
def sandbox() -> OmniLLM:
    return OmniLLM(mode="sandbox")


def bm25(texts: list[str], top: int = 1) -> BM25Retriever:
    return BM25Retriever.from_defaults(nodes=[TextNode(text=text) for text in texts], similarity_top_k=top)


def engines(llm: OmniLLM) -> list[QueryEngineTool]:
    return [
        QueryEngineTool.from_defaults(
            RetrieverQueryEngine.from_args(bm25(texts), llm=llm), name=name, description=description
        )
        for name, description, texts in (
            ("guide", "How things are done.", GUIDE),
            ("prices", "What models cost.", PRICES),
        )
    ]


# ---- agents


@pytest.mark.parametrize("streaming", [True, False])
async def test_function_agent_calls_and_answers_in_the_sandbox(sandbox: OmniLLM, streaming: bool) -> None:
    agent = FunctionAgent(tools=[get_weather], llm=sandbox, streaming=streaming)
    handler: Any = agent.run(user_msg="What is the weather in Paris?")
    events = [event async for event in handler.stream_events()]
    assert "It is sunny in Paris." in str(await handler)
    [result] = [event for event in events if isinstance(event, ToolCallResult)]
    assert result.tool_kwargs == {"city": "Paris"}
    if streaming:
        chunks = [event for event in events if isinstance(event, AgentStream)]
        assert "".join(chunk.delta for chunk in chunks) == chunks[-1].response
        json.dumps([chunk.raw for chunk in chunks])


@pytest.mark.parametrize("streaming", [True, False])
async def test_react_agent_ends_with_an_answer_in_the_sandbox(sandbox: OmniLLM, streaming: bool) -> None:
    agent = ReActAgent(tools=[get_weather], llm=sandbox, streaming=streaming)
    assert str(await agent.run(user_msg="What is the weather in Paris?"))


@pytest.mark.parametrize("streaming", [True, False])
async def test_agents_hand_over_in_the_sandbox(sandbox: OmniLLM, streaming: bool) -> None:
    porter = FunctionAgent(
        name="porter", description="Greets.", llm=sandbox, can_handoff_to=["meteorologist"], streaming=streaming
    )
    expert = FunctionAgent(
        name="meteorologist", description="Knows the weather.", tools=[get_weather], llm=sandbox, streaming=streaming
    )
    workflow = AgentWorkflow(agents=[porter, expert], root_agent="porter")
    handler: Any = workflow.run(user_msg="Handoff to meteorologist: what is the weather in Paris?")
    called = [event.tool_name async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    await handler
    assert called[0] == "handoff"


async def test_an_agent_makes_parallel_calls(llm: OmniLLM, server: OpenAIServer) -> None:
    calls = tuple(ToolCallReply("get_weather", json.dumps({"city": city}), f"call_{city}") for city in ("Rome", "Oslo"))
    server.replies(Calls(calls), Say("Sunny in both."))
    assert str(await FunctionAgent(tools=[get_weather], llm=llm).run(user_msg="Weather in Rome and Oslo?"))
    told = {one["tool_call_id"]: one["content"] for one in server.requests[1].body["messages"] if one["role"] == "tool"}
    assert told == {"call_Rome": "It is sunny in Rome.", "call_Oslo": "It is sunny in Oslo."}


async def test_an_agent_that_may_not_call_in_parallel_makes_one_call(llm: OmniLLM, server: OpenAIServer) -> None:
    calls = tuple(ToolCallReply("get_weather", json.dumps({"city": city}), f"call_{city}") for city in ("Rome", "Oslo"))
    server.replies(Calls(calls), Say("Sunny in Rome."))
    agent = FunctionAgent(tools=[get_weather], llm=llm, allow_parallel_tool_calls=False, streaming=True)
    assert str(await agent.run(user_msg="Weather in Rome and Oslo?")) == "Sunny in Rome."
    assert sum(one["role"] == "tool" for one in server.requests[1].body["messages"]) == 1


async def test_an_agents_thoughts_are_streamed(llm: OmniLLM, server: OpenAIServer) -> None:
    server.replies(Say("Four.", reasoning="Two and two."))
    handler: Any = FunctionAgent(tools=[get_weather], llm=llm).run(user_msg="Two plus two?")
    thoughts = [event.thinking_delta async for event in handler.stream_events() if isinstance(event, AgentStream)]
    assert "".join(thought or "" for thought in thoughts) == "Two and two."


# ---- retrieval


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE])
def test_a_query_engine_answers_from_what_bm25_found(llm: OmniLLM, server: OpenAIServer, mode: ResponseMode) -> None:
    engine = RetrieverQueryEngine.from_args(bm25(GUIDE), llm=llm, response_mode=mode)
    server.replies(Say("By leaving the loop."))
    assert str(engine.query("How is a stream closed?")) == "By leaving the loop."
    assert GUIDE[0] in json.dumps(server.requests[0].body["messages"])


async def test_a_query_engine_streams(llm: OmniLLM, server: OpenAIServer) -> None:
    server.replies(Say("By leaving the loop."))
    engine = RetrieverQueryEngine.from_args(bm25(GUIDE), llm=llm, streaming=True)
    response: Any = engine.query("How is a stream closed?")
    assert "".join(response.response_gen) == "By leaving the loop."
    aresponse: Any = await engine.aquery("How is a stream closed?")
    assert "".join([token async for token in aresponse.async_response_gen()]) == "By leaving the loop."


def test_the_sandbox_answers_a_query_from_its_context(sandbox: OmniLLM) -> None:
    engine = RetrieverQueryEngine.from_args(bm25(GUIDE, 2), llm=sandbox)
    assert "closed by leaving the loop" in str(engine.query("How is a stream closed?"))


@pytest.mark.parametrize(
    ("question", "place"), [("What do the prices say of cached input?", "prices"), ("guide?", "guide")]
)
def test_the_router_query_engine_asks_the_right_engine_in_the_sandbox(
    sandbox: OmniLLM, question: str, place: str
) -> None:
    engine = RouterQueryEngine.from_defaults(engines(sandbox), llm=sandbox, selector=OmniSelector(sandbox))
    response = engine.query(question)
    assert response.metadata is not None
    chosen = response.metadata["selector_result"]
    assert ["guide", "prices"][chosen.ind] == place
    assert chosen.omni["decision"]["ranked"]


async def test_the_router_query_engine_asks_the_right_engine(llm: OmniLLM, server: OpenAIServer) -> None:
    engine = RouterQueryEngine.from_defaults(engines(llm), llm=llm, selector=OmniSelector(llm))
    chosen = Structured('{"selections": [{"reason": "Money.", "choice": "prices"}]}')
    for ask in ("query", "aquery"):
        server.replies(chosen, Say("Ten dollars."))
        answer = getattr(engine, ask)("What does the large model cost?")
        response = await answer if ask == "aquery" else answer
        assert str(response) == "Ten dollars."
        assert response.metadata["selector_result"].ind == 1
        assert PRICES[1] in json.dumps(server.requests[-1].body["messages"])


def test_the_selector_serves_retrievers_too(llm: OmniLLM, server: OpenAIServer) -> None:
    server.replies(Structured('{"selections": [{"reason": "Money.", "choice": "prices"}]}'))
    tools = [
        RetrieverTool.from_defaults(bm25(GUIDE), name="guide", description="How."),
        RetrieverTool.from_defaults(bm25(PRICES), name="prices", description="How much."),
    ]
    [found] = RouterRetriever.from_defaults(tools, llm=llm, selector=OmniSelector(llm)).retrieve("The large model?")
    assert found.text == PRICES[1]


# ---- chat engines


def test_a_chat_engine_remembers(llm: OmniLLM, server: OpenAIServer) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    assert memory.token_limit == 48_000  # three quarters of the smallest window, not of a placeholder
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    server.replies(Say("Hello, Ann."), Say("Ann."))
    engine.chat("I am Ann.")
    assert str(engine.chat("Who am I?")) == "Ann."
    said = [one["content"] for one in server.requests[1].body["messages"]]
    assert said == ["I am Ann.", "Hello, Ann.", "Who am I?"]


async def test_a_chat_engine_streams_and_remembers(llm: OmniLLM, server: OpenAIServer) -> None:
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults(llm=llm))
    server.replies(Say("Hello, Ann."), Say("Ann."))
    stream = engine.stream_chat("I am Ann.")
    assert "".join(stream.response_gen) == "Hello, Ann."
    astream = await engine.astream_chat("Who am I?")
    assert "".join([token async for token in astream.async_response_gen()]) == "Ann."
    assert len(server.requests[1].body["messages"]) == 3


@pytest.mark.parametrize("kind", [ContextChatEngine, CondensePlusContextChatEngine])
def test_a_chat_engine_over_a_retriever(llm: OmniLLM, server: OpenAIServer, kind: Any) -> None:
    server.replies(Say("By leaving the loop."))
    engine = kind.from_defaults(retriever=bm25(GUIDE), llm=llm, memory=ChatMemoryBuffer.from_defaults(llm=llm))
    assert str(engine.chat("How is a stream closed?")) == "By leaving the loop."
    assert GUIDE[0] in json.dumps(server.requests[-1].body["messages"])


def test_the_sandbox_serves_a_chat_engine(sandbox: OmniLLM) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=sandbox)
    engine = ContextChatEngine.from_defaults(retriever=bm25(GUIDE), llm=sandbox, memory=memory)
    assert "leaving the loop" in str(engine.chat("How is a stream closed?"))
