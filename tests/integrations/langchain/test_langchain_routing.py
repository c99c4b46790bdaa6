"""Routing settings: on the model, per call, bound, kept through tools and schemas; stickiness; the decision alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_omni import ChatOmni
from omnilabs.errors import ConfigurationError, InvalidRequestError, NoEligibleModelError
from omnilabs.types import Capabilities, Decision, ModelInfo, Price

LOW, HIGH = Price(Decimal(1), Decimal(1)), Price(Decimal(100), Decimal(100))
CHEAP = ModelInfo("cheap", "openai", price=LOW, scores={"MMLU": 0.5})
DEAR = ModelInfo("dear", "openai", price=HIGH, scores={"MMLU": 0.9}, capabilities=Capabilities(images=True))
MODELS = [CHEAP, DEAR]
ACCURATE: dict[str, Any] = {"rel_accuracy": 1.0, "rel_cost": 0.0}
THRIFTY: dict[str, Any] = {"rel_accuracy": 0.0, "rel_cost": 1.0}


@tool
def look(what: str) -> str:
    """Look something up."""
    return what


@pytest.fixture
def model(served: dict[str, Any]) -> ChatOmni:
    return ChatOmni(models=MODELS, **THRIFTY, **served)


def answered(message: AIMessage) -> str:
    name: str = message.response_metadata["model_name"]
    return name.removesuffix("-2026-01-01")


def test_weights_on_the_model_choose(served: dict[str, Any]):
    assert answered(ChatOmni(models=MODELS, **THRIFTY, **served).invoke("hi")) == "cheap"
    assert answered(ChatOmni(models=MODELS, **ACCURATE, **served).invoke("hi")) == "dear"


def test_a_call_overrides_the_model(model: ChatOmni):
    assert answered(model.invoke("hi", **ACCURATE)) == "dear"
    assert answered(model.bind(**ACCURATE).invoke("hi")) == "dear"
    assert answered(model.invoke("hi", model_names=["dear"])) == "dear"
    assert answered(model.invoke("hi", model="dear")) == "dear"
    assert model.invoke("hi", model="dear").response_metadata["omni"]["reason"] == "named"


def test_hard_limits_rule_models_out_on_the_model_and_per_call(served: dict[str, Any]):
    model = ChatOmni(models=MODELS, **THRIFTY, **served)
    limit = model.select("hi").pick.quality + 0.001
    assert answered(model.invoke("hi", min_quality=limit)) == "dear"
    assert answered(model.model_copy(update={"min_quality": limit}).invoke("hi")) == "dear"
    with pytest.raises(NoEligibleModelError):
        model.invoke("hi", model="cheap", min_quality=limit)


def test_a_named_model_routes_when_a_call_says_auto(served: dict[str, Any]):
    model = ChatOmni(model="dear", models=MODELS, **served)
    assert answered(model.invoke("hi", model="auto", **THRIFTY)) == "cheap"
    assert model.invoke("hi", model="auto").response_metadata["omni"]["reason"] == "auto"


def test_binding_is_kept_through_tools_and_schemas(model: ChatOmni):
    assert answered(model.bind_tools([look], **ACCURATE).invoke("hi")) == "dear"
    assert answered(model.bind(**ACCURATE).bind_tools([look]).invoke("hi")) == "dear"
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "string"}}}
    for method in ("json_schema", "function_calling", "json_mode"):
        chain = model.with_structured_output(schema, method=method, include_raw=True, **ACCURATE)
        assert answered(chain.invoke("'a'")["raw"]) == "dear"
        bound = model.bind(**ACCURATE).with_structured_output(schema, method=method, include_raw=True)
        assert answered(bound.invoke("'a'")["raw"]) == "dear"


async def test_a_binding_gives_the_decision_for_what_is_bound(model: ChatOmni):
    bound = model.bind_tools([look]).bind(**ACCURATE)
    assert model.select("hi").model == "cheap"
    assert bound.select("hi").model == "dear"
    assert (await bound.aselect("hi")).model == "dear"
    assert bound.select("hi", **THRIFTY).model == "cheap"


def test_a_configured_binding_keeps_its_configuration_through_a_schema(model: ChatOmni):
    seen: list[list[str]] = []

    class Tags(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, *, tags: Any = None, **kwargs: Any) -> None:
            seen.append(tags or [])

    chain = model.with_config(tags=["draft"], callbacks=[Tags()]).with_structured_output(method="json_mode")
    assert chain.invoke("JSON with 'a'")
    assert "draft" in seen[0]


def test_a_binding_is_stored_as_langchains_own(model: ChatOmni):
    stored = dumpd(ChatOmni(model="gpt-4o").bind(rel_cost=0.9))
    assert stored["id"][-1] == "RunnableBinding"
    assert stored["kwargs"]["kwargs"] == {"rel_cost": 0.9}


def test_a_runtime_configuration_is_kept_where_langchain_keeps_it(model: ChatOmni):
    from langchain_core.runnables import ConfigurableField

    chosen = model.configurable_fields(model=ConfigurableField(id="model"))
    assert answered(chosen.with_config(configurable={"model": "dear"}).invoke("hi")) == "dear"


def test_what_the_prompt_needs_decides_who_is_asked(model: ChatOmni):
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    answer = model.invoke([HumanMessage([picture])])
    assert answered(answer) == "dear"
    with pytest.raises(NoEligibleModelError) as caught:
        model.invoke([HumanMessage([picture])], model_names=["cheap"])
    assert caught.value.rejected["cheap"] == "it takes no images"


ROUTED: dict[str, Any] = {
    "model": "dear",
    "k": 2,
    "model_names": ["cheap"],
    "rel_cost": 0.3,
    "rel_latency": 0.2,
    "rel_accuracy": 0.9,
    "max_latency_s": 3.0,
    "min_quality": 0.2,
    "sticky": "off",
    "temperature": 0.1,
    "max_tokens": 7,
    "seed": 3,
    "top_p": 0.4,
    "extra_body": {"user": "ann"},
    "unsupported": "drop",
    "base_url": "http://127.0.0.1:1",
    "mode": "sandbox",
}


@pytest.mark.parametrize("name", ROUTED)
def test_cache_keys_differ_with_every_field_that_changes_an_answer(name: str):
    plain, changed = ChatOmni(), ChatOmni(**{name: ROUTED[name]})
    assert plain._get_llm_string() != changed._get_llm_string()
    assert plain._identifying_params != changed._identifying_params


def test_cache_keys_follow_a_change_after_use(model: ChatOmni):
    before = model._get_llm_string()
    model.invoke("hi")
    model.rel_cost = 0.1
    after = model._get_llm_string()
    assert after != before
    assert model.model_copy(update={"k": 3})._get_llm_string() != after


def test_a_cache_never_serves_one_weighting_for_another(chat_server: ChatServer, served: dict[str, Any]):
    cache = InMemoryCache()
    thrifty = ChatOmni(models=MODELS, cache=cache, **THRIFTY, **served)
    accurate = ChatOmni(models=MODELS, cache=cache, **ACCURATE, **served)
    assert [answered(thrifty.invoke("hi")), answered(accurate.invoke("hi"))] == ["cheap", "dear"]
    assert [answered(thrifty.invoke("hi")), answered(accurate.invoke("hi"))] == ["cheap", "dear"]
    assert answered(thrifty.invoke("hi", **ACCURATE)) == "dear"
    assert len(chat_server.requests) == 3


# ---- stickiness


def loop(first: AIMessage) -> list[Any]:
    """Return a conversation in the middle of the tool loop that `first` began."""
    (call,) = first.tool_calls
    return [HumanMessage("look it up?"), first, ToolMessage("found", tool_call_id=call["id"])]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_stays_with_the_model_that_began_it(model: ChatOmni, streamed: bool):
    agent = model.bind_tools([look])
    first: Any = None
    for chunk in agent.stream("look it up?", **ACCURATE) if streamed else [agent.invoke("look it up?", **ACCURATE)]:
        first = chunk if first is None else first + chunk
    assert answered(first) == "dear"
    second = agent.invoke(loop(first))
    assert answered(second) == "dear"
    assert second.response_metadata["omni"]["reason"] == "sticky"
    decision = second.response_metadata["omni"]["decision"]
    assert [one["model"] for one in decision["ranking"]] == ["dear", "cheap"]  # who is kept, and who would step in
    assert decision["explanation"].startswith("dear is kept")
    assert agent.select(loop(first)).model == "dear"


def test_after_the_loop_the_router_chooses_again_unless_the_conversation_is_sticky(model: ChatOmni):
    talk = [HumanMessage("one"), model.invoke("one", **ACCURATE), HumanMessage("two")]
    assert answered(model.invoke(talk)) == "cheap"
    assert answered(model.model_copy(update={"sticky": "conversation"}).invoke(talk)) == "dear"


def test_sticky_off_chooses_in_the_loop_too(model: ChatOmni):
    agent = model.model_copy(update={"sticky": "off"}).bind_tools([look])
    assert answered(agent.invoke(loop(agent.invoke("look it up?", **ACCURATE)))) == "cheap"


def test_a_model_that_is_no_longer_among_the_names_is_not_kept(model: ChatOmni):
    first = model.bind_tools([look]).invoke("look it up?", **ACCURATE)
    assert answered(model.invoke(loop(first), model_names=["cheap"])) == "cheap"


PICTURE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


def begun(model: str, **metadata: Any) -> list[Any]:
    """Return a conversation in the middle of a tool loop that a model began."""
    call = {"name": "look", "args": {}, "id": "x"}
    told = {"omni_call": {"model_id": model}, **metadata}
    return [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[call], response_metadata=told),
        ToolMessage("ok", tool_call_id="x"),
    ]


def test_a_model_is_kept_whichever_of_its_names_is_listed(served: dict[str, Any]):
    other = ModelInfo("dear", "openai", price=HIGH, scores={"MMLU": 0.9}, aliases=("dearest",))
    model = ChatOmni(models=[CHEAP, other], **THRIFTY, **served)
    for names in (["cheap", "dearest"], ["openai/cheap", "openai/dear"]):
        answer = model.invoke(begun("dear"), model_names=names)
        assert (answered(answer), answer.response_metadata["omni"]["reason"]) == ("dear", "sticky")


@pytest.mark.parametrize("sticky", ["tool_loop", "conversation"])
def test_a_model_that_cannot_answer_this_is_not_kept(served: dict[str, Any], sticky: Any):
    model = ChatOmni(models=MODELS, sticky=sticky, **THRIFTY, **served)
    seen = [*begun("cheap")[:2], ToolMessage([PICTURE], tool_call_id="x")]
    assert answered(model.invoke(begun("cheap"))) == "cheap"
    answer = model.invoke(seen)
    assert (answered(answer), answer.response_metadata["omni"]["reason"]) == ("dear", "auto")
    limit = model.select("hi").pick.quality + 0.001
    assert answered(model.invoke(begun("cheap"), min_quality=limit)) == "dear"


@pytest.mark.parametrize("gone", ["claude-sonnet-4-5", "a-model-of-yesterday", "nobody/knows-it"])
def test_a_stored_conversation_goes_on_when_its_model_is_out_of_reach(served: dict[str, Any], gone: str):
    catalogue = ModelInfo("claude-sonnet-4-5", "anthropic", price=LOW, scores={"MMLU": 0.9})
    model = ChatOmni(models=[*MODELS, catalogue], sticky="conversation", **THRIFTY, **served)
    answer = model.invoke(begun(gone))
    assert (answered(answer), answer.response_metadata["omni"]["reason"]) == ("cheap", "auto")


def test_a_model_of_ones_own_that_no_catalogue_lists_is_kept(chat_server: ChatServer):
    own: dict[str, Any] = {"providers": {"mine": {"base_url": chat_server.url}}, "models": MODELS}
    answer = ChatOmni(**own).invoke(begun("mine/m"))
    assert (answered(answer), answer.response_metadata["omni"]["reason"]) == ("m", "sticky")


@pytest.mark.parametrize("streamed", [False, True])
def test_another_model_steps_in_when_the_kept_one_fails(streamed: bool):
    models = [ModelInfo("down", "openai", name="overloaded", price=LOW), DEAR]
    model = ChatOmni(models=models, mode="sandbox", max_retries=0)
    pieces = list(model.stream(begun("down"))) if streamed else [model.invoke(begun("down"))]
    told = {name: value for piece in pieces for name, value in piece.response_metadata.items()}
    assert told["omni_call"]["model_id"] == "dear"
    assert told["omni"]["reason"] == "sticky"
    assert [attempt["model"] for attempt in told["omni_call"]["attempts"]] == ["down"]


def test_a_call_or_a_binding_says_how_long_a_model_is_kept(model: ChatOmni):
    assert answered(model.invoke(begun("dear"), sticky="off")) == "cheap"
    assert answered(model.bind(sticky="off").bind_tools([look]).invoke(begun("dear"))) == "cheap"
    talk = [*begun("dear"), AIMessage("ok", response_metadata={"omni_call": {"model_id": "dear"}}), HumanMessage("?")]
    assert answered(model.invoke(talk)) == "cheap"
    assert answered(model.invoke(talk, sticky="conversation")) == "dear"
    assert model.select(talk, sticky="conversation").model == "dear"
    with pytest.raises(InvalidRequestError, match="off, tool_loop, conversation"):
        model.invoke("hi", sticky="always")


def test_another_integrations_answer_binds_nobody(model: ChatOmni):
    foreign = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "x"}], response_metadata={"model_name": "m"})
    assert answered(model.invoke([HumanMessage("hi"), foreign, ToolMessage("ok", tool_call_id="x")])) == "cheap"


# ---- the decision alone


async def test_select_tells_who_would_answer_and_asks_nobody(chat_server: ChatServer, model: ChatOmni):
    for decision in (model.select("hi"), await model.aselect([HumanMessage("hi")]), model.select("hi", model="dear")):
        assert isinstance(decision, Decision)
        assert decision.model == "cheap"
    assert model.select("hi", **ACCURATE).model == "dear"
    assert chat_server.requests == []


def test_select_counts_tools_and_schemas_as_needs(served: dict[str, Any]):
    plain = ModelInfo("plain", "openai", price=LOW, capabilities=Capabilities(tools=False))
    model = ChatOmni(models=[plain, DEAR], **THRIFTY, **served)
    assert model.select("hi").model == "plain"
    assert model.select("hi", tools=[look]).model == "dear"
    assert "plain" in model.select("hi", response_format={"title": "A", "type": "object", "properties": {}}).rejected


def test_select_in_hosted_mode_says_why_not():
    with pytest.raises(ConfigurationError, match="no route for the decision alone"):
        ChatOmni(mode="hosted", api_key="k").select("hi")
