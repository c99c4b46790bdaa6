"""How an `OmniLLM` is made: the client's settings by the client's names, ready clients, copies, dumps, metadata."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
from collections.abc import Iterator
from typing import Any, Unpack, get_type_hints

import pytest
from integrations.llamaindex.pool import MODELS
from pydantic import ValidationError

from llamaindex_omni import OmniLLM
from llamaindex_omni.testing import OpenAIServer
from llamaindex_omni.testing._calling import ENDPOINTS, call
from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def at(server: OpenAIServer) -> dict[str, Any]:
    return {"openai": {"base_url": server.base_url, "api_key": "sk-test-123456"}}


def test_every_setting_of_the_client_has_its_own_name_here() -> None:
    hints = get_type_hints(OmniClient.__init__)
    options = hints.pop("options").__args__[0]
    assert getattr(Unpack[options], "__origin__", None) is Unpack
    settings = (hints.keys() | get_type_hints(options).keys()) - {"return", "transport"}
    assert settings <= OmniLLM.model_fields.keys()


def test_without_a_word_whom_to_ask_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="mode='sandbox'"):
        OmniLLM()


def test_a_misspelt_setting_is_refused_without_showing_the_others() -> None:
    misspelt: dict[str, Any] = {"api_key": "sk-secret-123456", "temprature": 1}
    with pytest.raises(ValidationError, match="temprature") as raised:
        OmniLLM(mode="sandbox", **misspelt)
    assert "sk-secret" not in str(raised.value)


def test_construction_opens_nothing(server: OpenAIServer) -> None:
    OmniLLM(providers=at(server)).metadata.model_dump()
    assert not server.requests


def test_ready_clients_are_used_and_left_open(server: OpenAIServer) -> None:
    with OmniClient(providers=at(server)) as client:
        async_client = AsyncOmniClient(providers=at(server))
        llm = OmniLLM(model="gpt-4o", client=client, async_client=async_client)

        async def ask() -> None:
            async with llm:
                await llm.acomplete("Hello?")
            await async_client.aclose()

        with llm:
            llm.complete("Hello?")
        llm.complete("Still there?")
        asyncio.run(ask())
    assert len(server.requests) == 3


def test_one_ready_client_serves_calls_of_both_kinds(server: OpenAIServer) -> None:
    with OmniClient(providers=at(server)) as client:
        llm = OmniLLM(model="gpt-4o", client=client)
        llm.complete("Hello?")
        asyncio.run(llm.acomplete("Hello?"))
        assert client.spend.calls == 2
    theirs = AsyncOmniClient(providers=at(server))
    llm = OmniLLM(model="gpt-4o", async_client=theirs)
    llm.complete("Hello?")
    llm.close()
    assert theirs.spend.calls == 1


def test_a_ready_client_and_settings_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError, match="mode"):
        OmniLLM(client=OmniClient(mode="sandbox"), mode="sandbox")


def test_both_clients_learn_with_one_router(server: OpenAIServer) -> None:
    llm = OmniLLM(providers=at(server), models=MODELS)
    assert llm._clients.blocking.router is llm._clients.asyncio.router


def test_settings_of_every_call_are_sent(server: OpenAIServer) -> None:
    llm = OmniLLM(model="gpt-4o", providers=at(server), additional_kwargs={"seed": 7, "stop": ["END"]})
    llm.complete("Hello?")
    llm.complete("Hello?", seed=8)
    assert [(one.body["seed"], one.body["stop"]) for one in server.requests] == [(7, ["END"]), (8, ["END"])]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_none_in_a_call_undoes_what_the_llm_was_made_with(server: OpenAIServer, endpoint: str) -> None:
    llm = OmniLLM(
        model="gpt-4o", providers=at(server), temperature=0.25, max_tokens=50, additional_kwargs={"seed": 7, "top_p": 1}
    )
    call(llm, endpoint, temperature=None, max_tokens=None, seed=None)
    call(llm, endpoint)
    undone, kept = (one.body for one in server.requests)
    assert not {"temperature", "max_tokens", "max_completion_tokens", "seed"} & undone.keys()
    assert undone["top_p"] == 1
    assert (kept["temperature"], kept["max_completion_tokens"], kept["seed"]) == (0.25, 50, 7)


def test_none_in_a_call_opens_the_choice_to_every_model(server: OpenAIServer) -> None:
    llm = OmniLLM(providers=at(server), models=MODELS, model_names=["large"], rel_accuracy=0.0, rel_cost=1.0)
    assert llm.smart_select("Hello?", model_names=None, rel_cost=None, k=None, model=None).model == "small"
    assert llm.smart_select("Hello?").model == "large"


def test_a_setting_that_no_call_would_take_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"'sed'.* seed,"):
        OmniLLM(mode="sandbox", additional_kwargs={"sed": 7})


# ---- dumps and copies


def test_a_dump_keeps_addresses_and_models_and_drops_keys(server: OpenAIServer) -> None:
    providers = at(server)
    providers["openai"]["headers"] = {"x-key": "sk-other-123456"}
    llm = OmniLLM(providers=providers, models=MODELS, max_retries=1)
    dumped = json.loads(llm.to_json())
    assert dumped["providers"] == {"openai": {"base_url": server.base_url}}
    again = OmniLLM.from_dict(dumped)
    assert again.models == MODELS
    again.complete("Hello?")
    assert "authorization" not in server.requests[0].headers
    assert providers["openai"]["api_key"] == "sk-test-123456"


def test_the_other_side_reads_the_key_from_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = OmniLLM(providers={"openai": {"api_key": "sk-test-123456"}})
    dumped, pickled = llm.to_dict(), pickle.dumps(llm)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OmniLLM.from_dict(dumped)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        pickle.loads(pickled)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-654321")
    assert OmniLLM.from_dict(dumped).to_dict() == pickle.loads(pickled).to_dict() == dumped


@pytest.mark.parametrize("given", ["client", "router"])
def test_what_lives_in_one_process_is_not_lost_in_silence(given: str) -> None:
    llm = OmniLLM(client=OmniClient(mode="sandbox")) if given == "client" else OmniLLM(mode="sandbox", router=Router())
    with pytest.raises(TypeError, match=given):
        pickle.dumps(llm)
    assert copy.deepcopy(llm).complete("Hello?").text


def test_copies_share_connections_and_what_was_learned() -> None:
    llm = OmniLLM(mode="sandbox")
    again = copy.deepcopy(llm)
    assert again._clients is llm._clients
    assert again.callback_manager is not llm.callback_manager


# ---- metadata


def test_the_window_is_the_smallest_among_the_candidates(server: OpenAIServer) -> None:
    llm = OmniLLM(providers=at(server), models=MODELS)
    assert llm.metadata.context_window == 64_000
    llm.model_names = ["small", "large"]
    assert llm.metadata.context_window == 128_000
    llm.context_window = 32_000
    assert llm.metadata.context_window == 32_000
    assert llm.metadata_for("large").context_window == 200_000


def test_only_models_that_can_be_asked_count(server: OpenAIServer) -> None:
    llm = OmniLLM(providers=at(server))
    known = {record["id"]: record for record in OmniClient(providers=at(server)).get_available_models("chat")}
    windows = [record["context_tokens"] for record in known.values() if not record["retired"]]
    assert llm.metadata.context_window == min(windows)


def test_tools_are_promised_if_any_candidate_takes_them(server: OpenAIServer) -> None:
    llm = OmniLLM(providers=at(server), models=MODELS)
    assert llm.metadata.is_function_calling_model
    assert not llm.pinned("plain").metadata.is_function_calling_model


def test_num_output_is_max_tokens() -> None:
    llm = OmniLLM(mode="sandbox")
    assert llm.metadata.num_output == -1
    llm.max_tokens = 77
    assert llm.metadata.num_output == 77


def test_an_unknown_window_is_not_assumed_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    llm = OmniLLM(model="local/llama", providers={"local": {"base_url": "http://127.0.0.1:1/v1", "wire": "openai"}})
    with caplog.at_level(logging.WARNING):
        window, again = llm.metadata.context_window, llm.metadata.context_window
    assert window == again == 3900
    assert caplog.text.count("context_window=") == 1
    assert llm.metadata.is_function_calling_model


def test_the_hosted_service_is_not_asked_for_metadata() -> None:
    assert OmniLLM(api_key="omni-key", base_url="http://127.0.0.1:1").metadata.context_window > 3900
