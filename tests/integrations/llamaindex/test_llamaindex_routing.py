"""What is told of the routing, and what steers it: decisions, events, fallbacks, pinning, tool loops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from integrations.llamaindex.pool import MODELS
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, TextBlock
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher

from llamaindex_omni import OmniAbandonedEvent, OmniFallbackEvent, OmniLLM, OmniRoutingEvent
from llamaindex_omni.testing import Calls, Endless, Fail, OpenAIServer, Say, ToolCallReply
from llamaindex_omni.testing._calling import CHATS, ENDPOINTS, call, listening
from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import (
    AllCandidatesFailedError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NoEligibleModelError,
    UnknownModelError,
)
from omnilabs.types import Capabilities

ASK = [ChatMessage("Hello?")]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def made(server: OpenAIServer, **settings: Any) -> OmniLLM:
    providers = {"openai": {"base_url": server.base_url, "api_key": "sk-test-123456"}}
    return OmniLLM(**{"providers": providers, "models": MODELS, "max_retries": 0, **settings})


def asked(server: OpenAIServer) -> list[str]:
    return [request.body["model"] for request in server.requests]


def of(kind: type[BaseEvent], heard: list[BaseEvent]) -> list[Any]:
    return [event for event in heard if isinstance(event, kind)]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_answer_tells_which_model_was_chosen_and_why(server: OpenAIServer, endpoint: str) -> None:
    answers = call(made(server), endpoint)
    told = [answer.additional_kwargs["omni"] for answer in answers]
    assert {one["model"] for one in told} == set(asked(server))
    assert {one["id"] for one in told} == {"chatcmpl-1"}
    assert len({one["decision_id"] for one in told}) == 1
    decision = told[-1]["decision"]
    assert decision["ranked"][0]["model"] == asked(server)[0]
    assert decision["weights"] == {"rel_accuracy": 0.5, "rel_cost": 0.5, "rel_latency": 0.0}
    assert told[-1]["cost_usd"] > 0
    json.dumps(told)


@pytest.mark.parametrize("endpoint", CHATS)
def test_nothing_of_it_gets_into_the_message(server: OpenAIServer, endpoint: str) -> None:
    for answer in call(made(server), endpoint):
        assert isinstance(answer, ChatResponse)
        assert answer.message.additional_kwargs == {}


def test_weights_choose_the_model(server: OpenAIServer) -> None:
    call(made(server, rel_accuracy=0.0, rel_cost=1.0), "chat")
    call(made(server, rel_accuracy=1.0, rel_cost=0.0), "chat")
    assert asked(server) == ["small", "large"]


def test_weights_of_one_call_have_the_last_word(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0)
    call(llm, "chat", rel_accuracy=1.0, rel_cost=0.0)
    call(llm, "achat", model_names=["middle"])
    call(llm, "chat", model="large")
    assert asked(server) == ["large", "middle", "large"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_choice_is_told_inside_the_span_of_the_call(server: OpenAIServer, endpoint: str) -> None:
    with listening() as heard:
        call(made(server), endpoint)
    [event] = of(OmniRoutingEvent, heard)
    starts = [one for one in heard if one.class_name().endswith("StartEvent")]
    ends = [one for one in heard if one.class_name().endswith("EndEvent")]
    assert {one.span_id for one in (*starts, event, *ends)} == {event.span_id}
    assert event.span_id is not None
    assert heard.index(starts[0]) < heard.index(event) < heard.index(ends[-1])
    assert (event.model, event.source) == (asked(server)[0], "router")
    assert "Hello?" not in event.model_dump_json()


def test_a_named_model_is_no_choice(server: OpenAIServer) -> None:
    with listening() as heard:
        [answer] = call(made(server, model="middle"), "chat")
    assert not of(OmniRoutingEvent, heard)
    assert answer.additional_kwargs["omni"]["source"] == "pinned"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_fallback_is_told(server: OpenAIServer, endpoint: str) -> None:
    server.replies(Fail(500), Say("Second."))
    with listening() as heard:
        answers = call(made(server), endpoint)
    first, second = asked(server)
    [event] = of(OmniFallbackEvent, heard)
    [chosen] = of(OmniRoutingEvent, heard)
    assert (event.failed_model, event.next_model, event.status, event.attempts) == (first, second, 500, 1)
    assert event.span_id == chosen.span_id
    told = answers[-1].additional_kwargs["omni"]
    assert (told["model"], told["fallbacks"], told["attempts"][0]["model"]) == (second, [first], first)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_when_all_fail_every_model_is_told(server: OpenAIServer, endpoint: str) -> None:
    server.replies(Fail(500))
    with listening() as heard, pytest.raises(AllCandidatesFailedError):
        call(made(server), endpoint)
    events = of(OmniFallbackEvent, heard)
    assert [event.failed_model for event in events] == asked(server)
    assert [event.next_model for event in events] == [*asked(server)[1:], None]


@pytest.mark.parametrize("endpoint", ["stream_chat", "stream_complete"])
def test_what_an_abandoned_stream_used_is_told(server: OpenAIServer, endpoint: str) -> None:
    server.replies(Endless())
    with listening() as heard:
        stream = getattr(made(server), endpoint)("Hello?" if "complete" in endpoint else ASK)
        for _ in range(5):
            next(stream)
        stream.close()
    [event] = of(OmniAbandonedEvent, heard)
    assert event.model == asked(server)[0]
    assert event.completion_tokens > 0
    assert event.cost_usd > 0


def test_an_abandoned_asyncio_stream_is_told(server: OpenAIServer) -> None:
    server.replies(Endless())

    async def leave() -> None:
        stream: Any = await made(server).astream_chat(ASK)
        await anext(stream)
        await stream.aclose()
        assert len(of(OmniAbandonedEvent, heard)) == 1  # now, not when the loop cleans up

    with listening() as heard:
        asyncio.run(leave())


def test_a_cancelled_asyncio_stream_is_told(server: OpenAIServer) -> None:
    server.replies(Endless())
    llm = made(server)

    async def cancel() -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in await llm.astream_chat(ASK):
                begun.set()

        reading = asyncio.ensure_future(read())
        await begun.wait()
        reading.cancel()
        await asyncio.wait([reading])
        assert len(of(OmniAbandonedEvent, heard)) == 1
        assert server.reader_left()

    with listening() as heard:
        asyncio.run(cancel())


def test_smart_select_decides_and_sends_nothing(server: OpenAIServer) -> None:
    llm = made(server)
    decision = llm.smart_select("Hello?", rel_accuracy=1.0, rel_cost=0.0)
    adecision = asyncio.run(llm.asmart_select(ASK, rel_accuracy=1.0, rel_cost=0.0))
    assert decision.model == adecision.model == "large"
    assert not server.requests


def test_smart_select_is_a_span_of_its_own(server: OpenAIServer) -> None:
    spans = SimpleSpanHandler()
    root = get_dispatcher()
    root.add_span_handler(spans)
    try:
        llm = made(server)
        llm.smart_select("Hello?")
        asyncio.run(llm.asmart_select("Hello?"))
    finally:
        root.span_handlers.remove(spans)
    names = [span.id_.split("-")[0] for span in spans.completed_spans]
    assert names == ["OmniLLM.smart_select", "OmniLLM.asmart_select"]


def test_smart_select_sees_tools_and_images(server: OpenAIServer) -> None:
    def ping() -> str:
        """Ping."""
        return "pong"

    llm = made(server, model_names=["plain"])
    with pytest.raises(NoEligibleModelError, match="tools"):
        llm.smart_select("Hello?", tools=[FunctionTool.from_defaults(ping)])
    with pytest.raises(NoEligibleModelError, match="images"):
        llm.smart_select([ChatMessage(blocks=[TextBlock(text="?"), ImageBlock(url="https://images.invalid/a.png")])])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_decision_can_be_acted_on(server: OpenAIServer, endpoint: str) -> None:
    llm = made(server)
    decision = llm.smart_select("Hello?", model_names=["middle", "large"], rel_accuracy=1.0, rel_cost=0.0)
    server.replies(Fail(500), Say())
    answers = call(llm, endpoint, route=decision)
    assert asked(server) == ["large", "middle"]
    assert answers[-1].additional_kwargs["omni"]["source"] == "route"


def test_a_route_is_a_decision(server: OpenAIServer) -> None:
    with pytest.raises(InvalidRequestError, match="smart_select"):
        call(made(server), "chat", route="large")


def test_pinned_shares_the_connections_and_knows_its_window(server: OpenAIServer) -> None:
    llm = made(server)
    pinned = llm.pinned("large")
    call(pinned, "chat")
    assert asked(server) == ["large"]
    assert (pinned.metadata.model_name, pinned.metadata.context_window) == ("large", 200_000)
    assert (llm.model, llm.metadata.context_window) == ("auto", 64_000)
    assert llm.pinned(llm.smart_select("Hello?", model_names=["middle"])).model == "middle"


def test_decisions_are_not_to_be_had_from_the_hosted_service() -> None:
    with pytest.raises(ConfigurationError, match="hosted"):
        OmniLLM(api_key="omni-key").smart_select("Hello?")


@pytest.mark.parametrize("endpoint", CHATS)
def test_unknown_models_and_settings_are_refused_before_anything_is_sent(server: OpenAIServer, endpoint: str) -> None:
    with pytest.raises(UnknownModelError, match="middle"):
        call(made(server), endpoint, model="midle")
    with pytest.raises(TypeError, match="temprature"):
        call(made(server), endpoint, temprature=1)
    with pytest.raises(InvalidRequestError, match="rel_cost"):
        call(made(server), endpoint, rel_cost=2)
    assert not server.requests


# ---- tool loops


def loop(server: OpenAIServer, llm: OmniLLM) -> list[ChatMessage]:
    """Return the messages after one tool call and its result."""
    server.replies(Calls((ToolCallReply("ping", "{}", "call_77"),)), Say("Done."))
    [answer] = call(llm, "chat", rel_accuracy=1.0, rel_cost=0.0)
    assert isinstance(answer, ChatResponse)
    result = ChatMessage(role="tool", content="pong", additional_kwargs={"tool_call_id": "call_77"})
    return [*ASK, answer.message, result]


@pytest.mark.parametrize("endpoint", CHATS)
def test_a_tool_loop_stays_with_its_model(server: OpenAIServer, endpoint: str) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0)
    answers = call(llm, endpoint, loop(server, llm))
    assert asked(server) == ["large", "large"]
    assert answers[-1].additional_kwargs["omni"]["source"] == "sticky"


def test_a_tool_loop_is_recognised_after_its_messages_were_stored(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0)
    stored = [message.model_dump_json() for message in loop(server, llm)]
    call(llm, "chat", [ChatMessage.model_validate_json(message) for message in stored])
    assert asked(server) == ["large", "large"]


def test_a_tool_loop_still_falls_back(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0)
    messages = loop(server, llm)
    server.replies(Fail(500), Say())
    call(llm, "chat", messages)
    first, again, other = asked(server)
    assert first == again == "large"
    assert other != "large"


def test_the_next_question_is_chosen_for_anew(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0)
    call(llm, "chat", [*loop(server, llm), ChatMessage(role="assistant", content="Done."), *ASK])
    assert asked(server) == ["large", "small"]


def test_stickiness_can_be_switched_off(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0, sticky="off")
    call(llm, "chat", loop(server, llm))
    assert asked(server) == ["large", "small"]


BLIND = replace(MODELS[2], id="blind", name="blind", capabilities=Capabilities(json_schema=True))
SEEING = replace(MODELS[1], id="seeing", name="seeing")


@pytest.mark.parametrize("endpoint", CHATS)
def test_a_tool_loop_goes_on_with_another_model_where_its_own_cannot_see_the_result(
    server: OpenAIServer, endpoint: str
) -> None:
    llm = made(server, models=[BLIND, SEEING])
    *messages, result = loop(server, llm)
    result.blocks.append(ImageBlock(url="https://images.invalid/a.png"))
    answers = call(llm, endpoint, [*messages, result])
    assert asked(server) == ["blind", "seeing"]
    told = answers[-1].additional_kwargs["omni"]
    assert (told["source"], told["decision"]["rejected"]) == ("router", {"blind": "it takes no images"})


@pytest.mark.parametrize("endpoint", CHATS)
def test_a_tool_loop_does_not_fall_back_on_a_model_that_cannot_see_the_result(
    server: OpenAIServer, endpoint: str
) -> None:
    seeing = replace(MODELS[2], id="seeing", name="seeing")
    llm = made(server, models=[seeing, replace(BLIND, ability=MODELS[1].ability), MODELS[0]])
    *messages, result = loop(server, llm)
    result.blocks.append(ImageBlock(url="https://images.invalid/a.png"))
    server.replies(Fail(500), Say())
    call(llm, endpoint, [*messages, result])
    assert asked(server) == ["seeing", "seeing", "small"]


@pytest.mark.parametrize("endpoint", CHATS)
def test_a_tool_loop_goes_on_with_another_model_while_its_own_is_resting(server: OpenAIServer, endpoint: str) -> None:
    llm = made(server, k=1, models=[BLIND, replace(SEEING, provider="local")], providers=two(server))
    messages = loop(server, llm)
    server.replies(Fail(401), Say())
    with pytest.raises(AuthenticationError):
        llm.chat(ASK, model="blind")
    answers = call(llm, endpoint, messages)
    assert asked(server) == ["blind", "blind", "seeing"]
    assert "AuthenticationError" in answers[-1].additional_kwargs["omni"]["decision"]["rejected"]["blind"]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_tool_loop_goes_on_with_another_model_where_its_own_cannot_be_asked(
    server: OpenAIServer, is_known: bool
) -> None:
    models = [BLIND, replace(SEEING, provider="local")]
    keyless = {"local": two(server)["local"]}
    async_client = AsyncOmniClient(providers=keyless, models=models if is_known else models[1:])
    with OmniClient(providers=two(server), models=models) as client:
        llm = OmniLLM(client=client, async_client=async_client)
        [answer] = call(llm, "achat", loop(server, llm))
    assert asked(server) == ["blind", "seeing"]
    told = answer.additional_kwargs["omni"]
    assert (told["source"], "blind" in told["decision"]["rejected"]) == ("router", is_known)


def two(server: OpenAIServer) -> dict[str, Any]:
    return {
        "openai": {"base_url": server.base_url, "api_key": "sk-test-123456"},
        "local": {"base_url": server.base_url, "wire": "openai"},
    }


def test_a_loop_that_goes_on_says_so_and_keeps_to_k(server: OpenAIServer) -> None:
    llm = made(server, rel_accuracy=0.0, rel_cost=1.0, k=1)
    [answer] = call(llm, "chat", loop(server, llm))
    decision = answer.additional_kwargs["omni"]["decision"]
    assert [one["model"] for one in decision["ranked"]] == asked(server)[:1] == ["large"]
    assert "large began this tool loop" in decision["explanation"]
