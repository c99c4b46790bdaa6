"""Settings: the client's own names, keys that never show, models that are stored, copied and thrown away."""

from __future__ import annotations

import gc
import io
import json
import pickle
import time
import traceback
from collections import deque
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from faultserver import FaultServer
from integrations.langchain.chat_server import ChatServer
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from omniserver import OmniServer
from pydantic import ValidationError

from langchain_omni import ChatOmni, OmniLLM, OmniSelector
from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import BudgetExceededError, ConfigurationError, OmniError
from omnilabs.router import Router
from omnilabs.types import Capabilities, ModelInfo, Price

KEY = "sk-canary-0123456789abcdef"


def test_standard_names_are_read_as_the_clients(served: dict[str, Any]):
    standard: dict[str, Any] = {"model_name": "gpt-4o", "timeout": 7, "stop_sequences": ["."], "max_retries": 0}
    model = ChatOmni(**standard, **served)
    assert (model.model, model.model_name, model.timeout_s, model.stop) == ("gpt-4o", "gpt-4o", 7, ["."])


def test_an_unknown_setting_is_refused_and_not_dropped():
    with pytest.raises(ValidationError, match="rel_costs"):
        ChatOmni(rel_costs=0.9)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="rel_costs"):
        ChatOmni(mode="sandbox").invoke("hi", rel_costs=0.9)


def test_what_is_not_set_is_not_sent(chat_server: ChatServer, served: dict[str, Any]):
    ChatOmni(model="gpt-4o", **served).invoke("hi")
    assert set(chat_server.requests[-1].json) == {"model", "messages"}
    ChatOmni(model="gpt-4o", temperature=0, stop=[], **served).invoke("hi", stop=[])
    assert set(chat_server.requests[-1].json) == {"model", "messages", "temperature"}


def test_per_call_settings_reach_the_wire(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", max_tokens=9, seed=1, **served)
    model.invoke("hi", max_tokens=5, stop=["x"], top_p=0.5, timeout=3)
    body = chat_server.requests[-1].json
    assert (body["max_completion_tokens"], body["seed"], body["stop"], body["top_p"]) == (5, 1, ["x"], 0.5)


def test_timeout_is_in_seconds(chat_server: ChatServer):
    settings: dict[str, Any] = {"model": "sandbox/timeout", "mode": "sandbox", "timeout": 0.2, "max_retries": 0}
    slow = ChatOmni(**settings)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        slow.invoke("hi")
    assert time.monotonic() - begun < 5


# ---- keys


def test_a_key_never_shows():
    model = ChatOmni(
        api_key=KEY, providers={"openai": {"api_key": KEY + "2", "headers": {"authorization": f"Bearer {KEY}3"}}}
    )
    shown = [
        repr(model),
        str(model),
        dumps(model),
        str(model.asdict()),
        str(model.model_dump()),
        model._get_llm_string(),
    ]
    shown += [str(model._get_invocation_params()), str(model._get_ls_params()), model.model_dump_json()]
    for text in shown:
        assert "canary" not in text


def test_a_key_is_in_no_traceback_even_with_locals(chat_server: ChatServer):
    model = ChatOmni(model="gpt-4o", providers={"openai": {"api_key": KEY, "base_url": chat_server.url + "/\n"}})
    try:
        model.invoke("hi", temperature=0.1)
    except (OmniError, ValueError) as exc:
        out = io.StringIO()
        for line in traceback.TracebackException.from_exception(exc, capture_locals=True).format():
            out.write(line)
        assert "canary" not in out.getvalue()
    else:
        raise AssertionError("an address with a line break was accepted")


def test_a_key_reaches_the_server_it_is_for(chat_server: ChatServer):
    providers = {"openai": {"api_key": KEY, "base_url": chat_server.url, "headers": {"x-team": "blue"}}}
    ChatOmni(model="gpt-4o", providers=providers).invoke("hi")
    headers = chat_server.requests[-1].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-team"] == "blue"


# ---- storing


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_stored_model_is_loaded_again_with_its_keys_from_the_environment(
    chat_server: ChatServer, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    model = ChatOmni(model="gpt-4o", rel_cost=0.3, model_names=["gpt-4o"], sticky="off", **served)
    stored = dumpd(model)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    again = load(stored, allowed_objects=[ChatOmni], valid_namespaces=["langchain_omni"], secrets_from_env=True)
    assert again.asdict() == model.asdict()
    assert again.invoke("hi").text
    assert chat_server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


def test_pickling_keeps_the_settings_and_not_the_connections(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    model.invoke("hi")
    again = pickle.loads(pickle.dumps(model))
    assert again.asdict() == model.asdict()
    assert again.invoke("hi").text


# ---- clients


def test_copies_and_bindings_share_the_connection(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    model.invoke("hi")
    model.bind(temperature=0.1).invoke("hi")
    model.with_config(tags=["a"]).invoke("hi")
    model.bind_tools([]).invoke("hi")
    model.model_copy(update={"model": "gpt-4o-mini"}).invoke("hi")
    model.model_copy(deep=True).invoke("hi")
    assert len({request.peer for request in chat_server.requests}) == 1


def test_a_copy_for_another_server_asks_that_one(chat_server: ChatServer, served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    model.invoke("hi")
    with ChatServer() as other:
        elsewhere = {"openai": {"api_key": "test", "base_url": other.url}}
        model.model_copy(update={"providers": elsewhere}).invoke("hi")
        assert len(other.requests) == 1
    assert len(chat_server.requests) == 1
    model.invoke("hi")
    assert len(chat_server.requests) == 2


def test_a_model_thrown_away_leaves_no_socket_behind(served: dict[str, Any]):
    for _ in range(3):
        ChatOmni(model="gpt-4o", **served).invoke("hi")
    gc.collect()  # an unclosed socket would be a ResourceWarning, which is an error here


async def test_close_and_aclose_let_a_later_call_connect_again(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    model.invoke("hi")
    await model.ainvoke("hi")
    model.close()
    await model.aclose()
    assert model.invoke("hi").text
    assert (await model.ainvoke("hi")).text
    await model.aclose()


async def test_ready_clients_are_used_and_not_closed(served: dict[str, Any]):
    async with AsyncOmniClient(**served) as theirs:
        with OmniClient(**served) as ours:
            model = ChatOmni(model="gpt-4o", client=ours, async_client=theirs)
            assert model.mode == "embedded"
            assert model.invoke("hi").text
            assert (await model.ainvoke("hi")).text
            await model.aclose()
            assert ours.chat([{"role": "user", "content": "hi"}], "gpt-4o").content


async def test_one_ready_client_serves_calls_of_both_kinds(served: dict[str, Any]):
    with OmniClient(**served) as client:
        model = ChatOmni(model="gpt-4o", client=client)
        assert model.invoke("hi").text
        assert (await model.ainvoke("hi")).text
        assert client.spend.calls == 2
        await model.aclose()
    async with AsyncOmniClient(**served) as theirs:
        model = ChatOmni(model="gpt-4o", async_client=theirs)
        assert model.invoke("hi").text
        assert theirs.spend.calls == 1
        model.close()


def test_a_ready_client_and_settings_contradict_each_other(served: dict[str, Any]):
    with OmniClient(**served) as client, pytest.raises(ConfigurationError, match="max_retries"):
        ChatOmni(model="gpt-4o", client=client, max_retries=0).invoke("hi")


async def test_one_budget_holds_for_calls_of_both_kinds(served: dict[str, Any]):
    once = ChatOmni(model="gpt-4o", **served).invoke("hi")
    budget = once.response_metadata["cost"] * 1.05
    model = ChatOmni(model="gpt-4o", max_tokens=1, max_cost_usd=budget, **served)
    await model.ainvoke("hi")
    with pytest.raises(BudgetExceededError):
        model.invoke("hi")
    await model.aclose()


def test_construction_asks_nobody_and_needs_no_key():
    assert ChatOmni().model == "auto"
    assert OmniLLM().model == "auto"


# ---- what LangChain asks


def test_the_profile_is_the_models_own():
    profile = ChatOmni(model="gpt-4o", providers={"openai": {"api_key": "test"}}).profile
    assert profile is not None
    assert profile["max_input_tokens"] == 128_000
    assert profile["image_inputs"] is True
    assert profile["tool_calling"] is True


def test_the_profile_of_auto_is_what_all_candidates_have():
    able = Capabilities(images=True, json_schema=True)
    models = [
        ModelInfo("wide", "openai", context_tokens=100_000, max_output_tokens=9_000, capabilities=able),
        ModelInfo("narrow", "openai", context_tokens=8_000, capabilities=Capabilities(json_schema=True)),
        ModelInfo("gone", "openai", context_tokens=10, retired=True, capabilities=Capabilities(tools=False)),
    ]
    profile = ChatOmni(models=models).profile
    assert profile is not None
    assert (profile["max_input_tokens"], profile["max_output_tokens"]) == (8_000, 9_000)
    assert (profile["image_inputs"], profile["structured_output"], profile["tool_calling"]) == (False, True, True)
    only_wide = ChatOmni(models=models, model_names=["wide"]).profile
    assert only_wide is not None
    assert only_wide["image_inputs"] is True


def test_the_profile_of_auto_counts_the_providers_that_can_be_asked():
    openai = ChatOmni(providers={"openai": {"api_key": "test"}}).profile
    every = ChatOmni(mode="sandbox").profile
    assert openai is not None
    assert every is not None
    assert openai["max_input_tokens"] >= every["max_input_tokens"]
    assert ChatOmni(mode="hosted", api_key="k").profile is None


def test_tokens_are_counted_without_a_vocabulary_or_a_network():
    model = ChatOmni(model="gpt-4o")
    assert 2 <= model.get_num_tokens("Hello, world!") <= 5
    assert model.get_num_tokens("你好，世界") >= 4
    many = model.get_num_tokens_from_messages(model._convert_input("Hello, world! " * 100).to_messages())
    assert 200 <= many <= 600
    with pytest.raises(NotImplementedError, match="custom_get_token_ids"):
        model.get_token_ids("hi")
    own = ChatOmni(custom_get_token_ids=lambda text: [1] * len(text))
    assert own.get_num_tokens("four") == 4
    assert own.get_num_tokens_from_messages([HumanMessage("four")] * 2) == 2 * len("Human: four")


@pytest.mark.parametrize("make", [ChatOmni, OmniLLM, OmniSelector])
@pytest.mark.parametrize(
    "wrong",
    [
        {"providers": {"openai": KEY}},
        {"providers": KEY},
        {"providers": {"openai": {"headers": [("x-key", KEY)]}}},
        {"openai_apikey": KEY},
        {"api_key": [KEY]},
    ],
)
def test_a_wrong_setting_is_refused_without_repeating_it(make: Any, wrong: dict[str, Any]):
    with pytest.raises(ValidationError) as caught:
        make(**wrong)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown.replace(repr(wrong), "")
    assert next(iter(wrong)) in shown


def test_a_model_with_runtime_fields_has_one_budget_and_one_connection():
    with FaultServer() as server:
        providers = {"openai": {"api_key": "test", "base_url": server.url}}
        model = ChatOmni(model="gpt-4o", max_cost_usd=0.001, providers=providers)
        fields = model.configurable_fields(temperature=ConfigurableField(id="t"))
        chosen = fields.with_config(configurable={"t": 0.5}).bind(max_tokens=10)
        calls = iter(lambda: chosen.invoke("hi").text, "")
        with pytest.raises(BudgetExceededError):
            deque(calls, maxlen=0)
        assert b'"temperature":0.5' in server.requests[-1].body
        assert server.connections == 1
        assert len(server.requests) > 1
        with pytest.raises(BudgetExceededError):
            model.invoke("hi")


def test_a_runtime_copy_of_a_hosted_model_shares_its_connections(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMNI_API_KEY", KEY)
    monkeypatch.setenv("OMNI_BASE_URL", "http://127.0.0.1:1")
    model = ChatOmni(model="gpt-4o")
    chosen: Any = model.configurable_fields(temperature=ConfigurableField(id="t"))
    copied, _ = chosen.prepare({"configurable": {"t": 0.5}})
    assert copied._pair() is model._pair()


def test_a_key_that_was_given_stays_whatever_becomes_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    with OmniServer("later", api_key=KEY) as service:
        monkeypatch.setenv("OMNI_API_KEY", KEY)
        model = ChatOmni(model="gpt-4o-mini", api_key=KEY, base_url=service.url, max_cost_usd=1.0)
        monkeypatch.setenv("OMNI_API_KEY", "another")
        assert model.invoke("hi").text
        assert model.model_copy(update={"temperature": 0.5})._pair() is model._pair()
        read = ChatOmni(model="gpt-4o-mini", base_url=service.url, max_retries=0)
        monkeypatch.setenv("OMNI_API_KEY", KEY)
        assert read.invoke("hi").text  # read from the environment: the client reads it at its first call


OWN = [ModelInfo("mine", "openai", price=Price(Decimal(1), Decimal(2)), aliases=("my own",), scores={"MMLU": 0.5})]


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_stored_model_chooses_among_the_same_models():
    stored = dumps(ChatOmni(mode="sandbox", models=OWN))
    again: Any = load(json.loads(stored), allowed_objects=[ChatOmni], valid_namespaces=["langchain_omni"])
    assert again.models == OWN
    assert again.select("hi").model == "mine"


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("name", ["client", "async_client", "router"])
def test_a_model_that_cannot_be_stored_whole_is_not_loaded(name: str):
    live: Any = {
        "client": OmniClient(mode="sandbox"),
        "async_client": AsyncOmniClient(mode="sandbox"),
        "router": Router(OWN),
    }[name]
    stored = dumpd(ChatOmni(mode="sandbox", **{name: live}) if name == "router" else ChatOmni(**{name: live}))
    assert KEY not in str(stored)
    with pytest.raises(NotImplementedError, match=type(live).__name__):
        load(stored, allowed_objects=[ChatOmni], valid_namespaces=["langchain_omni"])


def test_caches_tell_models_routers_and_clients_apart():
    dear = [replace(OWN[0], price=Price(Decimal(5), Decimal(9)))]
    one, other = OmniClient(mode="sandbox"), OmniClient(mode="sandbox")
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"models": OWN}, {"models": dear}),
        ({"router": Router(OWN)}, {"router": Router(OWN)}),
        ({"client": one}, {"client": other}),
    ]
    for first, second in pairs:
        for make in (ChatOmni, OmniLLM):
            keys = [str(make(**given)._identifying_params) for given in (first, first, second)]
            assert keys[0] == keys[1] != keys[2]
        strings = [ChatOmni(**given)._get_llm_string() for given in (first, first, second)]
        assert strings[0] == strings[1] != strings[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": f"https://me:{KEY}@host/v1"},
        {"base_url": f"me:{KEY}@host/v1"},
        {"base_url": f"https://me:{KEY}℀@host/v1"},
        {"providers": {"openai": {"base_url": f"https://me:{KEY}@host/v1"}}},
    ],
)
def test_a_password_in_an_address_is_refused_before_it_shows_anywhere(wrong: dict[str, Any]):
    with pytest.raises(ValidationError, match="user name or password") as caught:
        ChatOmni(**wrong)
    assert KEY not in str(caught.value)


def test_the_profile_follows_the_model_of_a_copy_and_a_ready_client_of_either_kind():
    model = ChatOmni(mode="sandbox", model="gpt-4o")
    copied = model.model_copy(update={"model": "gpt-4"})
    assert copied.profile == ChatOmni(mode="sandbox", model="gpt-4").profile != model.profile
    given = ChatOmni(mode="sandbox", model="gpt-4o", profile={"max_input_tokens": 5})
    assert given.model_copy(update={"model": "gpt-4"}).profile == {"max_input_tokens": 5}
    settings: dict[str, Any] = {"mode": "sandbox", "models": OWN}
    odd = ChatOmni(async_client=AsyncOmniClient(**settings), timeout_s=3)  # the first call says that they do not fit
    assert odd.model_copy(update={"model": "mine"}).model == "mine"
    profiles = [
        ChatOmni(client=OmniClient(**settings)).profile,
        ChatOmni(async_client=AsyncOmniClient(**settings)).profile,
    ]
    assert profiles[0] == profiles[1] is not None


def test_a_selector_follows_a_change_of_its_models():
    selector = OmniSelector(models=OWN, output="model")
    assert selector.invoke("hi") == "mine"
    other = [ModelInfo("other", "openai")]
    assert selector.model_copy(update={"models": other}).invoke("hi") == "other"
    selector.models = other
    assert selector.invoke("hi") == "other"
    assert selector.router is None
