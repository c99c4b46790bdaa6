"""The official SDKs and our client ask one server that neither project wrote, and read the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from judges.dialects import JUDGES, KEY, MODELS, Judge, as_answer, body_of, build, same_json, target, told
from judges.scenarios import CLOCK, SCENARIOS, WEATHER, Scenario, user
from llmock.scenarios import Reply, ToolCall
from llmock.simulation import MockResponseSettings
from llmock.testing import LLMockServer

from omnilabs import ChatResponse, ChatStream, OmniClient

BASE = {"openai": ("openai", ""), "anthropic": ("anthropic", ""), "gemini": ("gemini", "/v1beta")}
CITY = ToolCall("get_weather", {"city": "Tromsø", "days": [1, 2.5, None, {"a": "b"}]})
REPLIES: Mapping[str, tuple[Scenario, Reply]] = {
    "unicode": (Scenario("", [user("Hi")]), Reply("東京 😀 é\u0301 \u2028 ‮abc")),
    "lines and quotes": (Scenario("", [user("Hi")]), Reply('a "b"\r\n\n\\n data: [DONE]\n\n: ping\tc')),
    "a long answer": (Scenario("", [user("Hi")]), Reply("word " * 3000)),
    "cut off": (Scenario("", [user("Hi")], {"max_tokens": 5}), Reply("cut o", finish_reason="length")),
    "filtered": (Scenario("", [user("Hi")]), Reply("no", finish_reason="content_filter")),
    "a call": (Scenario("", [user("Hi")], {"tools": [WEATHER]}), Reply(tool_calls=(CITY,))),
    "text and a call": (Scenario("", [user("Hi")], {"tools": [WEATHER]}), Reply("Let me see.", (CITY,))),
    "a call without arguments": (
        Scenario("", [user("Hi")], {"tools": [CLOCK]}),
        Reply(tool_calls=(ToolCall("get_time", {}),)),
    ),
    "parallel calls": (
        Scenario("", [user("Hi")], {"tools": [WEATHER, CLOCK]}),
        Reply("Both.", (CITY, ToolCall("get_time", {}), ToolCall("get_weather", {"city": "Oslo"}))),
    ),
}


@dataclass(frozen=True)
class Bench:
    """One server, and both clients of each wire."""

    server: LLMockServer
    judges: Mapping[str, Judge]
    client: OmniClient


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with LLMockServer(responses=MockResponseSettings(response_style="echo")) as server:
        urls = {wire: server.base_url(name) for wire, (name, _) in BASE.items()}
        judges: dict[str, Judge] = {wire: JUDGES[wire](urls[wire]) for wire in BASE}
        ours = {wire: {"api_key": KEY, "base_url": urls[wire] + path} for wire, (_, path) in BASE.items()}
        with OmniClient(providers=ours, max_retries=0) as client:
            yield Bench(server, judges, client)
        for judge in judges.values():
            judge.close()


def assert_same(bench: Bench, wire: str, scenario: Scenario, *, stream: bool) -> None:
    """Ask by both clients; what they read must be equal."""
    model = MODELS[wire][scenario.model]
    to = target(wire, model)
    built = build(to, scenario, stream=stream)
    theirs = as_answer(bench.judges[wire].ask(body_of(built), to.model.name, stream=stream), built.answer_tool)
    options: dict[str, Any] = {**scenario.options, "unsupported": "drop"}
    answer = bench.client.chat(scenario.messages, model, stream=stream, **options)
    if stream:
        assert isinstance(answer, ChatStream)
        chunks = list(answer)
        assert "".join(chunk.content for chunk in chunks) == answer.response.content
        answer = answer.response
    assert isinstance(answer, ChatResponse)
    ours = told(answer)
    assert same_json(ours.content, theirs.content)
    assert replace(ours, content=theirs.content) == theirs
    assert answer.dropped_params == built.dropped
    assert ours.input_tokens is not None
    assert answer.usage.cost_usd is not None
    assert answer.usage.cost_source == "catalogue"


# The SDK warns of models that are withdrawn; the one asked here because it has no schemas is one of them.
@pytest.mark.filterwarnings("ignore:The model 'claude-3-5-haiku:DeprecationWarning")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
@pytest.mark.parametrize("wire", BASE)
def test_both_clients_read_the_same_answer_to_the_same_request(
    bench: Bench, wire: str, scenario: Scenario, stream: bool
):
    assert_same(bench, wire, scenario, stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("wire", BASE)
def test_both_clients_read_the_same_scripted_answer(bench: Bench, wire: str, name: str, stream: bool):
    scenario, reply = REPLIES[name]
    bench.server.state.scenarios.clear()
    bench.server.state.scenarios.add(replace(reply, times=2))
    assert_same(bench, wire, scenario, stream=stream)
