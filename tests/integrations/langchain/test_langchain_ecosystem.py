"""What applications are made of, each over the sandbox and over a server that nobody here wrote."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_omni import ChatOmni, get_omni_cost_callback


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It is sunny in {city}."


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    sky: str


@pytest.fixture
def model(backend: dict[str, Any]) -> ChatOmni:
    return ChatOmni(**backend)


@pytest.fixture
def scripted(request: pytest.FixtureRequest, backend: dict[str, Any]) -> None:
    """Let the server call the tool first; the sandbox does so by itself."""
    if "mode" not in backend:
        llmock = request.getfixturevalue("llmock")
        llmock.tool_mode("off")
        llmock.call_tool("get_weather", {"city": "Paris"}).reply("It is sunny in Paris.")


@pytest.mark.usefixtures("scripted")
def test_an_agent_calls_its_tool_and_answers(model: ChatOmni):
    agent: Any = create_agent(model, [get_weather])
    messages = agent.invoke({"messages": "What is the weather in Paris?"})["messages"]
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert messages[1].tool_calls[0]["args"] == {"city": "Paris"}
    assert "sunny in Paris" in messages[-1].text
    served = {m.response_metadata["model_name"] for m in messages if isinstance(m, AIMessage)}
    assert len(served) == 1


@pytest.mark.usefixtures("scripted")
async def test_an_agent_streams_messages_and_updates(model: ChatOmni):
    agent: Any = create_agent(model, [get_weather])
    nodes: list[str] = []
    text = ""
    async for mode, item in agent.astream(
        {"messages": "What is the weather in Paris?"}, stream_mode=["updates", "messages"]
    ):
        if mode == "updates":
            nodes += item
        elif isinstance(item[0], AIMessageChunk):
            text += item[0].text
    assert nodes == ["model", "tools", "model"]
    assert "sunny in Paris" in text


@pytest.mark.usefixtures("scripted")
def test_an_agent_remembers_with_a_checkpointer(model: ChatOmni):
    agent: Any = create_agent(model, [get_weather], checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    agent.invoke({"messages": "What is the weather in Paris?"}, thread)
    state = agent.invoke({"messages": "Thank you."}, thread)
    assert len([message for message in state["messages"] if isinstance(message, HumanMessage)]) == 2


@pytest.mark.parametrize("strategy", [None, ProviderStrategy, ToolStrategy])
async def test_an_agent_ends_in_the_form_asked_for(model: ChatOmni, strategy: Any):
    form = Weather if strategy is None else strategy(Weather)
    agent: Any = create_agent(model, response_format=form)
    question = {"messages": "The weather in 'Paris' is fine"}
    assert isinstance(agent.invoke(question)["structured_response"], Weather)
    assert isinstance((await agent.ainvoke(question))["structured_response"], Weather)


DOCUMENTS = [
    Document("The harbour of Lisbon opens at six in the morning."),
    Document("Oranges from Seville are bitter."),
]


class ByWords(BaseRetriever):
    """Finds the document that shares most words with the question."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        words = set(query.lower().split())
        return sorted(DOCUMENTS, key=lambda one: -len(words & set(one.page_content.lower().split())))[:1]


async def test_a_rag_chain_answers_from_what_was_found(request: pytest.FixtureRequest, backend: dict[str, Any]):
    if "mode" not in backend:
        request.getfixturevalue("llmock").reply("It opens at six in the morning.", times=3)
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Answer from this context:\n{context}"), ("human", "{question}")]
    )
    context = ByWords() | (lambda found: "\n".join(one.page_content for one in found))
    inputs: Any = {"context": context, "question": RunnablePassthrough()}
    chain = inputs | prompt | ChatOmni(**backend) | StrOutputParser()
    question = "When does the harbour of Lisbon open?"
    assert "six in the morning" in chain.invoke(question)
    assert "six in the morning" in await chain.ainvoke(question)
    assert "six in the morning" in "".join(chain.stream(question))


async def test_a_batch_of_200_keeps_its_order(model: ChatOmni):
    prompts: list[Any] = [f"Repeat the number {number}" for number in range(200)]
    with get_omni_cost_callback() as cost:
        answers = model.batch(prompts, config={"max_concurrency": 16})
        again = await model.abatch(prompts, config={"max_concurrency": 16})
    assert [answer.text for answer in again] == [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) > 50
    for place in (0, 57, 199):
        assert answers[place].text == model.invoke(prompts[place]).text
    assert cost.total.calls == 400


async def test_events_tell_start_chunks_and_end(model: ChatOmni):
    events = [event async for event in model.astream_events("hello", version="v2")]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "on_chat_model_start"
    assert kinds[-1] == "on_chat_model_end"
    assert set(kinds[1:-1]) == {"on_chat_model_stream"}
    first: Any = events[1]["data"]["chunk"]
    assert first.response_metadata["model_name"]
    end: Any = events[-1]["data"]["output"]
    assert end.response_metadata["cost"] is not None


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
async def test_version_3_events_end_in_the_same_message(model: ChatOmni):
    whole = model.invoke("hello")
    stream = model.stream_events("hello", version="v3")
    assert "".join(stream.text) == whole.text
    assert stream.output.response_metadata["model_name"] == whole.response_metadata["model_name"]
    later = await model.astream_events("hello", version="v3")
    assert (await later.output).text == whole.text


async def test_a_cache_answers_the_second_time(backend: dict[str, Any]):
    model = ChatOmni(cache=InMemoryCache(), **backend)
    with get_omni_cost_callback() as cost:
        answers = [model.invoke("hello"), model.invoke("hello"), await model.ainvoke("hello")]
    assert len({answer.text for answer in answers}) == 1
    assert cost.total.cached_calls == 2


def test_a_fallback_answers_when_the_first_model_fails(request: pytest.FixtureRequest, backend: dict[str, Any]):
    if "mode" in backend:
        failing = ChatOmni(mode="sandbox", model="sandbox/overloaded", max_retries=0)
    else:
        request.getfixturevalue("llmock").fail(503, times=1)
        failing = ChatOmni(**backend, max_retries=0)
    chain = failing.with_fallbacks([ChatOmni(**backend)])
    assert chain.invoke("hello").text


def test_tools_and_a_form_bound_to_a_chain_with_fallbacks_reach_every_model(backend: dict[str, Any]):
    failing = ChatOmni(mode="sandbox", model="sandbox/overloaded", max_retries=0)
    chain: Any = failing.with_fallbacks([ChatOmni(**backend)])
    for first in (chain, failing.bind(temperature=0).with_fallbacks([ChatOmni(**backend)])):
        bound = first.bind_tools([get_weather])
        assert [one.kwargs["tools"][0]["function"]["name"] for one in (bound.runnable, *bound.fallbacks)] == [
            "get_weather"
        ] * 2
        assert bound.invoke("What is the weather in Paris?").response_metadata["model_name"] != "sandbox/overloaded"


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated", "ignore:The class `InMemoryChat")
def test_a_history_is_sent_along(model: ChatOmni):
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    store: dict[str, InMemoryChatMessageHistory] = {}
    chat = RunnableWithMessageHistory(
        prompt | model,
        lambda session: store.setdefault(session, InMemoryChatMessageHistory()),
        input_messages_key="question",
        history_messages_key="history",
    )
    config: Any = {"configurable": {"session_id": "1"}}
    first = chat.invoke({"question": "My name is Ann."}, config)
    second = chat.invoke({"question": "What is my name?"}, config)
    assert second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]
    assert [message.type for message in store["1"].messages] == ["human", "ai", "human", "ai"]
