"""`ChatOmni` over the hosted service's protocol, both generations of its routes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from omniserver import OmniServer, fault

from langchain_omni import ChatOmni, OmniLLM


@pytest.fixture(params=["published", "later"])
def service(request: pytest.FixtureRequest) -> Iterator[OmniServer]:
    with OmniServer(request.param, api_key="k") as server:
        yield server


@pytest.mark.parametrize("model", ["auto", "gpt-4o-mini"])
async def test_the_service_answers_in_every_way(service: OmniServer, model: str):
    chat = ChatOmni(model=model, api_key="k", base_url=service.url)
    text = chat.invoke("hi").text
    assert text
    assert (await chat.ainvoke("hi")).text == text
    assert "".join(chunk.text for chunk in chat.stream("hi")) == text
    assert "".join([chunk.text async for chunk in chat.astream("hi")]) == text
    assert OmniLLM(model=model, api_key="k", base_url=service.url).invoke("hi") == text


def test_the_service_reads_key_and_address_from_the_environment(service: OmniServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMNI_API_KEY", "k")
    monkeypatch.setenv("OMNI_BASE_URL", service.url)
    assert ChatOmni(model="gpt-4o-mini").invoke("hi").response_metadata["model_provider"] == "omni"
    assert service.requests[-1].headers["authorization"] == "Bearer k"


def test_routing_reaches_the_service(service: OmniServer):
    chat = ChatOmni(api_key="k", base_url=service.url, rel_cost=0.9, model_names=["gpt-4o-mini"], k=2)
    chat.invoke("hi")
    body = service.requests[-1].json
    assert (body["rel_cost"], body["model_names"], body["k"]) == (0.9, ["gpt-4o-mini"], 2)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_stays_with_the_model_the_service_chose_if_it_says_which(service: OmniServer, streamed: bool):
    chat = ChatOmni(api_key="k", base_url=service.url)
    told: Any = reduce(add, chat.stream("hi")) if streamed else chat.invoke("hi")
    calls: Any = [{"name": "look", "args": {}, "id": "x"}]
    first = AIMessage("", tool_calls=calls, response_metadata=told.response_metadata)
    answer = chat.invoke([HumanMessage("hi"), first, ToolMessage("found", tool_call_id="x")])
    chosen = told.response_metadata["model_name"]
    reason = answer.response_metadata["omni"]["reason"]
    assert reason == ("auto" if chosen == "auto" else "sticky")
    if reason == "sticky":
        assert service.requests[-1].json["model"] == chosen


def test_the_services_refusals_are_langchains(service: OmniServer):
    service.script(fault(429, "slow down"))
    with pytest.raises(core.ModelRateLimitError):
        ChatOmni(model="gpt-4o-mini", api_key="k", base_url=service.url, max_retries=0).invoke("hi")
    with pytest.raises(core.ModelAuthenticationError):
        ChatOmni(model="gpt-4o-mini", api_key="wrong", base_url=service.url, max_retries=0).invoke("hi")
