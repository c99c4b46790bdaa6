"""`OmniLLM` over the hosted service, which chooses by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.tools import FunctionTool
from omniserver import ANSWER, OmniServer

from llamaindex_omni import OmniLLM, OmniRoutingEvent
from llamaindex_omni.testing._calling import ENDPOINTS, call, listening, text_of


@pytest.fixture(params=["published", "later"])
def server(request: pytest.FixtureRequest) -> Iterator[OmniServer]:
    with OmniServer(request.param, api_key="omni-test-key") as server:
        server.usage = "prompt_completion"
        yield server


def made(server: OmniServer, **settings: Any) -> OmniLLM:
    return OmniLLM(api_key="omni-test-key", base_url=server.url, **settings)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_service_chooses_and_is_told_as_the_source(server: OmniServer, endpoint: str) -> None:
    with listening() as heard:
        answers = call(made(server, rel_accuracy=0.9, rel_cost=0.1), endpoint)
    assert text_of(answers[-1]) == "".join(ANSWER)
    [event] = [one for one in heard if isinstance(one, OmniRoutingEvent)]
    told = answers[-1].additional_kwargs["omni"]
    assert (event.source, told["source"], event.decision) == ("server", "server", None)
    assert event.model == told["model"] != ""


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_named_model_is_asked_by_name(server: OmniServer, endpoint: str) -> None:
    answers = call(made(server, model="gpt-4o-mini"), endpoint)
    assert text_of(answers[-1]) == "".join(ANSWER)
    assert answers[-1].additional_kwargs["omni"]["source"] == "pinned"


def test_the_services_counts_are_counted(server: OmniServer) -> None:
    [answer] = call(made(server), "chat")
    assert (answer.additional_kwargs["prompt_tokens"], answer.additional_kwargs["completion_tokens"]) == (12, 11)
    [answer] = call(made(server), "achat")
    assert isinstance(answer.raw, dict)
    assert answer.raw["usage"]["total_tokens"] == 23


def test_tools_go_through_the_service(server: OmniServer) -> None:
    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return f"It is sunny in {city}."

    llm = made(server, model="gpt-4o-mini")
    response = asyncio.run(llm.achat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg="Weather in Rome?"))
    assert [one.tool_name for one in llm.get_tool_calls_from_response(response)] == ["get_weather"]
