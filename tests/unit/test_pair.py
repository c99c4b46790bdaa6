"""`ClientPair`: two kinds of client, one account."""

from __future__ import annotations

import copy
import gc
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from fault_kit import MODEL, QUESTION, providers
from faultserver import ANSWER, FaultServer, whole
from router.pools import model as model_of

from omnilabs import AsyncOmniClient, ClientPair, OmniClient
from omnilabs.errors import ConfigurationError, InvalidRequestError, NotFoundError
from omnilabs.testing import AsyncScriptedTransport, ScriptedTransport, completion


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


async def test_both_clients_spend_from_one_account(server: FaultServer):
    pair = ClientPair(providers=providers(server))
    assert pair.blocking.chat(QUESTION, MODEL).content == ANSWER
    assert (await pair.asyncio.chat(QUESTION, MODEL)).content == ANSWER
    assert pair.spend.calls == pair.blocking.spend.calls == pair.asyncio.spend.calls == 2
    assert pair.blocking.router is pair.asyncio.router is pair.router
    await pair.aclose()


async def test_a_model_that_failed_for_one_client_rests_for_the_other(server: FaultServer):
    models = [model_of(name, provider="local", usd=usd) for name, usd in (("cheap", 1.0), ("dear", 100.0))]
    pair = ClientPair(providers=providers(server), models=models, max_retries=0)
    thrifty: dict[str, Any] = {"rel_cost": 1.0, "rel_accuracy": 0.0}
    assert (await pair.asyncio.smart_select(QUESTION, **thrifty)).model_id == "cheap"
    server.script(whole(404, {"error": {"message": "no such model"}}))
    with pytest.raises(NotFoundError):
        pair.blocking.chat(QUESTION, "cheap")
    answer = await pair.asyncio.smart_select(QUESTION, **thrifty)
    assert answer.model_id == "dear"
    assert answer.decision is not None
    assert "to be tried again in" in answer.decision.rejected["cheap"]
    await pair.aclose()


@pytest.mark.parametrize("kind", [OmniClient, AsyncOmniClient])
async def test_the_other_client_is_made_beside_a_given_one(server: FaultServer, kind: type[Any]):
    given = kind(providers=providers(server))
    pair = ClientPair(client=given) if kind is OmniClient else ClientPair(async_client=given)
    pair.blocking.chat(QUESTION, MODEL)
    await pair.asyncio.chat(QUESTION, MODEL)
    assert given.spend.calls == 2
    assert given in (pair.blocking, pair.asyncio)
    await pair.aclose()
    # What was given stays open: its connection is used again.
    connections = server.connections
    if kind is OmniClient:
        given.chat(QUESTION, MODEL)
        given.close()
    else:
        await given.chat(QUESTION, MODEL)
        await given.aclose()
    assert server.connections == connections


async def test_a_client_with_a_transport_of_its_own_stays_alone():
    pair = ClientPair(client=OmniClient(mode="sandbox", transport=ScriptedTransport([completion("Hi.")])))
    assert pair.blocking.chat(QUESTION, "gpt-4o").content == "Hi."
    with pytest.raises(ConfigurationError, match="one of each kind"):
        _ = pair.asyncio
    pair = ClientPair(
        async_client=AsyncOmniClient(mode="sandbox", transport=AsyncScriptedTransport([completion("Hi.")]))
    )
    assert pair.mode == "sandbox"
    assert pair.available_models("chat")
    with pytest.raises(ConfigurationError, match="one of each kind"):
        _ = pair.blocking


def test_ready_clients_and_settings_contradict_each_other_without_a_key_in_sight():
    with pytest.raises(ConfigurationError, match="api_key, timeout_s") as caught:
        ClientPair("omni-secret-0123456789", client=OmniClient(mode="sandbox"), timeout_s=3)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    own = [line for line in frames if "omnilabs/_pair.py" in line]
    assert own
    assert all("omni-secret" not in line for line in own)


def test_wrong_settings_are_said_at_first_use():
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        _ = ClientPair().mode
    with pytest.raises(TypeError, match="bogus"):
        _ = ClientPair(bogus=1).blocking  # type: ignore[call-arg]


def test_the_models_that_can_be_asked_are_told_without_asking():
    listed = ClientPair(mode="sandbox").available_models("chat")
    assert listed is not None
    assert "gpt-4o-mini" in {record["id"] for record in listed}
    assert ClientPair(api_key="omni-key", base_url="http://127.0.0.1:1").available_models() is None
    with pytest.raises(InvalidRequestError, match="model_type"):
        ClientPair(mode="sandbox").available_models("movie")


def test_a_pair_thrown_away_closes_its_connection(server: FaultServer):
    pair = ClientPair(providers=providers(server))
    assert copy.deepcopy(pair) is pair
    pair.blocking.chat(QUESTION, MODEL)
    assert server.open_connections == 1
    del pair
    gc.collect()
    assert server.wait_for(lambda: server.open_connections == 0)


def test_settings_are_those_of_the_clients():
    taken = {"api_key", "base_url", "mode", "providers", "models", "router", "timeout_s", "max_cost_usd", "telemetry"}
    assert taken <= set(ClientPair.SETTINGS)
    assert len(ClientPair.SETTINGS) == len(set(ClientPair.SETTINGS))


def test_no_limit_is_a_setting_and_not_a_missing_one():
    assert ClientPair(mode="sandbox").blocking._core.config.timeout_s == 600
    assert ClientPair(mode="sandbox", timeout_s=None).blocking._core.config.timeout_s is None
