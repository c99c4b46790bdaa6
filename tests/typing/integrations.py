"""Never executed, only type-checked: the two frameworks' models, as a user's code constructs and calls them."""

from __future__ import annotations

from typing import Any, assert_type

from langchain_core.messages import AIMessage
from llama_index.core.llms import ChatMessage as LlamaMessage
from llama_index.core.llms import ChatResponse as LlamaResponse

from langchain_omni import (
    ChatOmni,
    OmniRouterMiddleware,
    OmniSelector,
    get_omni_cost_callback,
    register_provider,
)
from langchain_omni import OmniLLM as LangChainText
from llamaindex_omni import OmniLLM
from omnilabs import AsyncOmniClient, ClientPair, OmniClient
from omnilabs.types import Decision, Spend

# ---- LangChain

named = ChatOmni(model="gpt-4o", temperature=0, max_tokens=100, stop=["END"], max_retries=1, timeout_s=5.0)
auto = ChatOmni(rel_accuracy=0.6, rel_cost=0.4, model_names=["gpt-4o", "gpt-4o-mini"], sticky="conversation")
ready = ChatOmni(client=OmniClient(mode="sandbox"), streaming=True)
hosted = ChatOmni(api_key="omni-key", base_url="http://localhost:1")
assert_type(named.invoke("Hi"), AIMessage)
assert_type(auto.bind_tools([dict]).select("Hi"), Decision)
assert_type(auto.bind_tools([dict]).bind(rel_cost=0.9).bind_tools([]).invoke("Hi"), AIMessage)
assert_type(auto.select("Hi"), Decision)
assert_type(auto.bind(rel_cost=0.9).select("Hi"), Decision)
assert_type(LangChainText(model="gpt-4o", mode="sandbox").invoke("Hi"), str)
selector = OmniSelector(rel_cost=0.9, output="model")
middleware = OmniRouterMiddleware(ChatOmni(rel_cost=0.6))
register_provider()
with get_omni_cost_callback() as cost:
    assert_type(cost.total.calls, int)


async def langchain() -> None:
    assert_type(await named.ainvoke("Hi"), AIMessage)
    assert_type(await auto.aselect("Hi"), Decision)


# ---- LlamaIndex

llm = OmniLLM(model="gpt-4o-mini", temperature=0.2, max_tokens=100, timeout_s=5.0)
chosen = OmniLLM(rel_accuracy=0.7, rel_cost=0.3, providers={"openai": {"api_key": "k"}}, verbose=True)
served = OmniLLM(api_key="omni-key", base_url="http://localhost:1")
given = OmniLLM(async_client=AsyncOmniClient(mode="sandbox"))
assert_type(llm.chat([LlamaMessage("Hi")]), LlamaResponse)
assert_type(llm.complete("Hi").text, str)
assert_type(chosen.pinned("gpt-4o"), OmniLLM)

# ---- one account for both kinds of call

settings: dict[str, Any] = {"mode": "sandbox"}
pair = ClientPair(mode="sandbox", max_cost_usd=1.0)
assert_type(pair.blocking, OmniClient)
assert_type(pair.asyncio, AsyncOmniClient)
assert_type(pair.spend, Spend)
assert_type(AsyncOmniClient.sharing(pair.blocking), AsyncOmniClient)
