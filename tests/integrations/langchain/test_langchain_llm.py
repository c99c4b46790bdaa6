"""`OmniLLM`: LangChain has no suite for text models, so this is one."""

from __future__ import annotations

from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from langchain_omni import OmniLLM, get_omni_cost_callback


@pytest.fixture
def llm(served: dict[str, Any]) -> OmniLLM:
    return OmniLLM(model="gpt-4o", **served)


async def test_every_way_to_ask_gives_the_same_text(llm: OmniLLM):
    text = llm.invoke("Tell me about the sea.")
    assert text.startswith("You said: Tell me about the sea.")
    assert await llm.ainvoke("Tell me about the sea.") == text
    assert "".join(llm.stream("Tell me about the sea.")) == text
    assert "".join([piece async for piece in llm.astream("Tell me about the sea.")]) == text
    assert llm.batch(["Tell me about the sea."] * 3) == [text] * 3
    assert await llm.abatch(["Tell me about the sea."] * 3) == [text] * 3
    assert llm.generate(["Tell me about the sea."] * 2).generations[1][0].text == text


async def test_it_answers_over_any_backend(backend: dict[str, Any]):
    llm = OmniLLM(**backend)
    assert llm.invoke("hello")
    assert len(list(llm.stream("hello there"))) > 1
    assert await llm.ainvoke("hello")


def test_a_generation_tells_who_answered_and_at_what_cost(served: dict[str, Any]):
    info = OmniLLM(model="auto", **served).generate(["hi"]).generations[0][0].generation_info
    assert info is not None
    assert info["provider"] == "openai"
    assert info["cost"] > 0
    assert info["omni"]["decision"]["model"] == info["omni_call"]["model_id"]
    assert info["usage_metadata"]["total_tokens"] > 0


def test_a_stream_tells_the_same_once(llm: OmniLLM):
    class Watch(BaseCallbackHandler):
        tokens = 0
        info: Any = None

        def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            Watch.tokens += 1

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            Watch.info = response.generations[0][0].generation_info

    list(llm.stream("Tell me about the sea.", config={"callbacks": [Watch()]}))
    whole = llm.generate(["Tell me about the sea."]).generations[0][0].generation_info
    assert Watch.tokens > 3
    assert whole is not None
    for facts in (Watch.info, whole):
        facts["omni_call"].pop("latency_s")
    assert Watch.info == whole


def test_stop_and_settings_reach_the_wire(chat_server: ChatServer, llm: OmniLLM):
    assert llm.invoke("Tell me about the sea.", stop=["That"]).endswith("sea.. ")
    llm.bind(max_tokens=3, temperature=0.5).invoke("hi")
    body = chat_server.requests[-1].json
    assert (body["max_completion_tokens"], body["temperature"]) == (3, 0.5)
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_a_cache_tells_routing_apart(chat_server: ChatServer, served: dict[str, Any]):
    cache = InMemoryCache()
    cheap = OmniLLM(rel_cost=1.0, rel_accuracy=0.0, cache=cache, **served)
    good = OmniLLM(rel_cost=0.0, rel_accuracy=1.0, cache=cache, **served)
    for _ in range(2):
        cheap.invoke("hi")
        good.invoke("hi")
    assert len(chat_server.requests) == 2


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_it_is_stored_and_loaded_without_its_key(llm: OmniLLM, monkeypatch: pytest.MonkeyPatch):
    stored = dumpd(llm)
    assert "'test'" not in str(stored)
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    again = load(stored, allowed_objects=[OmniLLM], valid_namespaces=["langchain_omni"], secrets_from_env=True)
    assert again.invoke("hi") == llm.invoke("hi")


def test_it_stands_in_a_chain_and_its_cost_is_counted(llm: OmniLLM):
    chain = PromptTemplate.from_template("Tell me about {what}.") | llm | StrOutputParser()
    with get_omni_cost_callback() as cost:
        assert "the sea" in chain.invoke({"what": "the sea"})
    assert cost.total.calls == 1
    assert cost.total.cost_usd > 0
    assert cost.total.input_tokens > 0


def test_counts_tokens_and_closes(llm: OmniLLM):
    assert llm.get_num_tokens("Hello, world!") in range(2, 6)
    llm.invoke("hi")
    llm.close()
    assert llm.invoke("hi")
