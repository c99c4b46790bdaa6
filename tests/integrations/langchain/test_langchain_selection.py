"""Selection as a step: the selector, the agents' middleware, the decision model, `init_chat_model`."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import base, init_chat_model
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_omni import ChatOmni, OmniRouterMiddleware, OmniSelector, get_omni_cost_callback, register_provider
from omnilabs.errors import ConfigurationError, InvalidRequestError, NoEligibleModelError
from omnilabs.router import Router
from omnilabs.types import Capabilities, Decision, ModelInfo, Price

CHEAP = ModelInfo("cheap", "openai", price=Price(Decimal(1), Decimal(1)), scores={"MMLU": 0.5})
DEAR = ModelInfo("dear", "gemini", "models/dear-1", price=Price(Decimal(100), Decimal(100)), scores={"MMLU": 0.9})
OWN = ModelInfo("local/tiny", "local", price=Price(Decimal(0), Decimal(0)), scores={"MMLU": 0.4})
ACCURATE: dict[str, Any] = {"rel_accuracy": 1.0, "rel_cost": 0.0}
THRIFTY: dict[str, Any] = {"rel_accuracy": 0.0, "rel_cost": 1.0}
HI: Any = {"messages": "hi"}  # LangGraph takes plain text; its types do not say so


@tool
def look(what: str) -> str:
    """Look something up."""
    return f"{what}: found"


# ---- the selector


async def test_a_selector_returns_what_init_chat_model_takes():
    selector = OmniSelector(models=[CHEAP, DEAR], **THRIFTY)
    assert selector.invoke("hi") == "openai:cheap"
    assert await selector.ainvoke([HumanMessage("hi")]) == "openai:cheap"
    assert selector.invoke("hi", **ACCURATE) == "google_genai:models/dear-1"
    assert selector.bind(**ACCURATE).invoke("hi") == "google_genai:models/dear-1"
    assert OmniSelector(models=[OWN]).invoke("hi") == "omni:local/tiny"


def test_a_selector_returns_an_id_or_the_whole_decision():
    assert OmniSelector(models=[CHEAP, DEAR], output="model", **ACCURATE).invoke("hi") == "dear"
    decision = OmniSelector(router=Router([CHEAP, DEAR]), output="decision", **THRIFTY).invoke("hi")
    assert isinstance(decision, Decision)
    assert [candidate.model for candidate in decision.ranked] == ["cheap", "dear"]


def test_a_selector_is_a_step_of_a_chain():
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | OmniSelector(models=[CHEAP, DEAR], **THRIFTY)
    assert chain.batch([{"question": "a"}, {"question": "b"}]) == ["openai:cheap"] * 2


def test_a_selector_knows_what_tools_need_and_whom_a_key_reaches():
    selector = OmniSelector(providers={"openai": {"api_key": "test"}}, output="decision")
    decision = selector.invoke("hi", tools=[look])
    assert {candidate.provider for candidate in decision.ranked} == {"openai"}
    with pytest.raises(NoEligibleModelError):
        selector.invoke("hi", model_names=["claude-3-5-sonnet"])


def test_a_selector_without_anything_to_choose_from_says_so():
    with pytest.raises(ConfigurationError, match="Three ways out"):
        OmniSelector().invoke("hi")


# ---- the middleware


def test_a_run_stays_with_its_model_and_the_next_run_chooses_again(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(models=[CHEAP, _openai(DEAR)], **THRIFTY, **served)
    agent: Any = create_agent(model, [look], middleware=[OmniRouterMiddleware()], checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    state = agent.invoke({"messages": "Look what up?"}, thread)
    assert [request.json["model"] for request in chat_server.requests] == ["cheap", "cheap"]
    assert state["omni_route"]["model"] == "cheap"
    assert state["omni_route"]["decision"]["ranking"][0]["model"] == "cheap"
    first = state["omni_route"]["message_id"]
    state = agent.invoke({"messages": "And now?"}, thread)
    assert state["omni_route"]["message_id"] != first


async def test_scope_call_chooses_for_every_call(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(models=[CHEAP, _openai(DEAR)], **ACCURATE, **served)
    agent: Any = create_agent(model, [look], middleware=[OmniRouterMiddleware(scope="call")])
    state = await agent.ainvoke({"messages": "Look what up?"})
    assert [request.json["model"] for request in chat_server.requests] == ["models/dear-1"] * 2
    assert state["omni_route"]["model"] == "dear"


def test_the_answer_tells_the_choice_and_its_time_counts(served: dict[str, Any]):
    model = ChatOmni(models=[CHEAP, _openai(DEAR)], **THRIFTY, **served)
    with get_omni_cost_callback() as cost:
        answer = create_agent(model, [look], middleware=[OmniRouterMiddleware()]).invoke(HI)["messages"][-1]
    told = answer.response_metadata["omni"]
    assert (told["reason"], told["decision"]["model"]) == ("auto", "cheap")
    assert cost.total.select_ms > 0


@pytest.mark.parametrize("scope", ["run", "call"])
def test_the_next_model_answers_when_the_chosen_one_fails(scope: Any):
    models = [ModelInfo("down", "openai", name="overloaded", price=CHEAP.price), _openai(DEAR)]
    model = ChatOmni(models=models, mode="sandbox", max_retries=0, **THRIFTY)
    answer = create_agent(model, middleware=[OmniRouterMiddleware(scope=scope)]).invoke(HI)["messages"][-1]
    told = answer.response_metadata["omni_call"]
    assert told["model_id"] == "dear"
    assert [attempt["model"] for attempt in told["attempts"]] == ["down"]


class Settings(AgentMiddleware[Any, Any, Any]):
    """Gives each call settings, as an application's own middleware may."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._settings = settings

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings=self._settings))


def test_what_is_bound_and_what_the_call_sets_count_in_the_choice(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(models=[CHEAP, _openai(DEAR)], **THRIFTY, **served)
    bound: Any = model.bind(**ACCURATE, seed=7)
    create_agent(bound, [look], middleware=[OmniRouterMiddleware()]).invoke(HI)
    assert (chat_server.requests[-1].json["model"], chat_server.requests[-1].json["seed"]) == ("models/dear-1", 7)
    create_agent(ChatOmni(**served), [look], middleware=[OmniRouterMiddleware(bound)]).invoke(HI)
    assert (chat_server.requests[-1].json["model"], chat_server.requests[-1].json["seed"]) == ("models/dear-1", 7)
    create_agent(model, [look], middleware=[Settings(**ACCURATE), OmniRouterMiddleware()]).invoke(HI)
    assert chat_server.requests[-1].json["model"] == "models/dear-1"


def test_tools_and_a_model_that_are_bound_count_in_the_choice(chat_server: ChatServer, served: dict[str, Any]):
    unable = ModelInfo("unable", "openai", price=Price(Decimal(0), Decimal(0)), capabilities=Capabilities(tools=False))
    model = ChatOmni(models=[unable, CHEAP, _openai(DEAR)], **THRIFTY, **served)
    router = OmniRouterMiddleware()
    bound: Any = model.bind_tools([look])
    assert create_agent(model, middleware=[router]).invoke(HI)["omni_route"]["model"] == "unable"
    assert create_agent(bound, middleware=[router]).invoke(HI)["omni_route"]["model"] == "cheap"
    named: Any = model.bind(model="dear")
    assert create_agent(named, middleware=[router]).invoke(HI)["omni_route"]["model"] == "dear"
    assert chat_server.requests[-1].json["model"] == "models/dear-1"


@tool
def photograph(what: str) -> list[dict[str, Any]]:
    """Take a picture of something."""
    return [{"type": "image", "base64": "aGk=", "mime_type": "image/png"}]


def test_a_model_that_cannot_read_what_comes_later_gives_way(chat_server: ChatServer, served: dict[str, Any]):
    seeing = ModelInfo("seeing", "openai", price=DEAR.price, capabilities=Capabilities(images=True))
    model = ChatOmni(models=[CHEAP, seeing], **THRIFTY, **served)
    agent: Any = create_agent(model, [photograph], middleware=[OmniRouterMiddleware()])
    state = agent.invoke({"messages": "Photograph what?"})
    assert [request.json["model"] for request in chat_server.requests] == ["cheap", "seeing"]
    assert state["omni_route"]["model"] == "seeing"


@pytest.mark.parametrize(("sticky", "asked"), [("tool_loop", ["cheap", "cheap"]), ("off", ["cheap", "models/dear-1"])])
def test_scope_call_keeps_a_tool_loops_model_unless_told_otherwise(
    chat_server: ChatServer, served: dict[str, Any], sticky: Any, asked: list[str]
):
    class Changing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            weights = ACCURATE if isinstance(request.messages[-1], ToolMessage) else THRIFTY
            return handler(request.override(model_settings=weights))

    model = ChatOmni(models=[CHEAP, _openai(DEAR)], sticky=sticky, **served)
    agent: Any = create_agent(model, [look], middleware=[Changing(), OmniRouterMiddleware(scope="call")])
    agent.invoke({"messages": "Look what up?"})
    assert [request.json["model"] for request in chat_server.requests] == asked


def test_a_route_whose_model_left_is_chosen_anew(served: dict[str, Any]):
    models = [CHEAP, _openai(DEAR)]
    thread: Any = {"configurable": {"thread_id": "1"}}
    saver = InMemorySaver()
    first = OmniRouterMiddleware(ChatOmni(models=models, **THRIFTY, **served), models={"cheap": ChatOmni(**served)})
    halfway: Any = {"checkpointer": saver, "interrupt_after": ["model"]}
    agent: Any = create_agent(ChatOmni(**served), [look], middleware=[first], **halfway)
    agent.invoke({"messages": "Look what up?"}, thread)
    other = {"dear": ChatOmni(model="dear", models=models, **served)}
    second = OmniRouterMiddleware(ChatOmni(models=models, **THRIFTY, **served), models=other)
    again: Any = create_agent(ChatOmni(**served), [look], middleware=[second], checkpointer=saver)
    assert again.invoke(None, thread)["omni_route"]["model"] == "dear"


def test_the_chosen_model_may_be_any_integrations(served: dict[str, Any]):
    theirs = GenericFakeChatModel(messages=iter([AIMessage("from another integration")]))
    chooser = ChatOmni(models=[CHEAP, _openai(DEAR)], **ACCURATE, **served)
    router = OmniRouterMiddleware(chooser, models={"cheap": ChatOmni(**served), "openai/dear": theirs})
    agent = create_agent(theirs, middleware=[router])
    assert agent.invoke(HI)["messages"][-1].text == "from another integration"


def test_an_agent_of_another_integration_without_a_chooser_is_told_so():
    theirs = GenericFakeChatModel(messages=iter([AIMessage("x")]))
    with pytest.raises(ConfigurationError, match="pass OmniRouterMiddleware a ChatOmni"):
        create_agent(theirs, middleware=[OmniRouterMiddleware()]).invoke(HI)


def test_a_choice_that_fails_ends_the_run(served: dict[str, Any]):
    model = ChatOmni(models=[CHEAP], model_names=["cheap"], max_cost_usd=None, max_tokens=10**9, **served)
    small = ModelInfo("cheap", "openai", max_output_tokens=10)
    agent = create_agent(model.model_copy(update={"models": [small]}), middleware=[OmniRouterMiddleware()])
    with pytest.raises(NoEligibleModelError):
        agent.invoke(HI)


def _openai(model: ModelInfo) -> ModelInfo:
    return ModelInfo(model.id, "openai", model.name, price=model.price, scores=model.scores)


# ---- the decision model


def test_the_decision_model_answers_which_model_where_langchain_has_such_models(served: dict[str, Any]):
    if find_spec("langchain_core.decisions") is None:
        with pytest.raises(ImportError, match=r"langchain-core 1\.8"):
            import_module("langchain_omni.decisions")
        return
    from langchain_omni import OmniDecisionModel

    decisions = import_module("langchain_core.decisions")  # mypy sees a core without it
    chooser = ChatOmni(models=[CHEAP, _openai(DEAR)], **THRIFTY, **served)
    router = OmniDecisionModel(chooser=chooser, labels={"small": "cheap", "large": "dear"})
    which = decisions.Choice(instructions="Which?", criteria={"small": None, "large": None})
    answer = router.invoke({"state": HumanMessage("hi"), "questions": {"which": which}}).choices["which"]
    assert answer.choice == "small"
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.confidence == answer.probabilities["small"] > 0.5
    many = {f"m{number}": ModelInfo(f"m{number}", "openai") for number in range(8)}
    wide = OmniDecisionModel(chooser=ChatOmni(models=list(many.values()), **served))
    which = decisions.Choice(instructions="Which?", criteria=dict.fromkeys(many))
    chances = wide.invoke({"state": "hi", "questions": {"which": which}}).choices["which"].probabilities
    assert min(chances.values()) > 0
    with pytest.raises(InvalidRequestError, match="Choice among models"):
        router.invoke({"state": "hi", "questions": {"urgent": decisions.Noul(instructions="Is it urgent?")}})


# ---- init_chat_model


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS))
    register_provider()
    register_provider()


def test_nothing_is_registered_unasked():
    assert "omni" not in base._BUILTIN_PROVIDERS


def test_another_table_of_providers_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(base, "_BUILTIN_PROVIDERS")
    with pytest.raises(ConfigurationError, match="pass the model itself"):
        register_provider()


@pytest.mark.usefixtures("registered")
def test_an_agent_takes_our_name_once_asked_to(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMNI_MODE", "sandbox")
    agent: Any = create_agent("omni:auto")
    assert "hello" in agent.invoke({"messages": "hello"})["messages"][-1].text


@pytest.mark.usefixtures("registered")
def test_init_chat_model_finds_us_once_asked_to(served: dict[str, Any]):
    model = init_chat_model("omni:auto", rel_cost=0.9, **served)
    assert isinstance(model, ChatOmni)
    assert (model.model, model.rel_cost) == ("auto", 0.9)
    later = init_chat_model("omni:gpt-4o", configurable_fields=("model", "rel_cost"), **served)
    answer = later.bind_tools([look]).invoke("hi", config={"configurable": {"model": "omni:gpt-4o-mini"}})
    assert answer.response_metadata["model_name"].startswith("gpt-4o-mini")
