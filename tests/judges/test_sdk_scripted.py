"""The official SDKs and our client read the same answer, made of those SDKs' own types, from one loopback server.

Both send the same request too: what arrives at the server is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from judges import answers
from judges.answers import ANSWERS, CASES, WHOLE
from judges.dialects import JUDGES, KEY, Judge, body_of, build, target, told
from judges.scenarios import CLOCK, WEATHER, Scenario, user
from loopback import Loopback, Reply, events

from omnilabs import OmniClient

MODEL = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-2.5-flash"}
PATH = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
ASKED = Scenario("", [user("What is the weather?")], {"tools": [WEATHER, CLOCK]})


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


@pytest.fixture(scope="module")
def judges(server: Loopback) -> Iterator[Mapping[str, Judge]]:
    bases = {"openai": server.url + PATH["openai"], "anthropic": server.url, "gemini": server.url}
    made: dict[str, Judge] = {wire: JUDGES[wire](base) for wire, base in bases.items()}
    yield made
    for judge in made.values():
        judge.close()


@pytest.fixture(scope="module")
def client(server: Loopback) -> Iterator[OmniClient]:
    ours = {wire: {"api_key": KEY, "base_url": server.url + path} for wire, path in PATH.items()}
    with OmniClient(providers=ours, max_retries=0) as made:
        yield made


def reply_of(wire: str, name: str, *, stream: bool) -> Reply:
    answer = ANSWERS[name]
    return events(*answers.events(wire, answer)) if stream else Reply(body=WHOLE[wire](answer))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("wire", "name"), CASES)
def test_both_clients_send_the_same_and_read_the_same(
    server: Loopback, judges: Mapping[str, Judge], client: OmniClient, wire: str, name: str, stream: bool
):
    reply = reply_of(wire, name, stream=stream)
    server.script(reply, reply)
    server.requests.clear()
    body = body_of(build(target(wire, MODEL[wire]), ASKED, stream=stream))
    theirs = judges[wire].ask(body, MODEL[wire], stream=stream)
    answer: Any = client.chat(ASKED.messages, MODEL[wire], stream=stream, **ASKED.options)
    if stream:
        list(answer)
        answer = answer.response
    assert told(answer) == theirs
    sent, ours = server.requests
    assert ours.path == sent.path
    if wire != "gemini":  # the SDK writes fields by other names there; tests/wire/test_gemini_sdk.py compares them
        assert ours.json == sent.json
    if wire != "gemini":  # the Gemini API names no calls
        assert [call.id for call in answer.tool_calls] == [call.id for call in ANSWERS[name].calls]


@pytest.mark.parametrize(("wire", "name"), CASES)
def test_a_streamed_answer_equals_the_whole_one(server: Loopback, client: OmniClient, wire: str, name: str):
    server.script(reply_of(wire, name, stream=False), reply_of(wire, name, stream=True))
    whole = client.chat(ASKED.messages, MODEL[wire], **ASKED.options)
    stream = client.chat(ASKED.messages, MODEL[wire], stream=True, **ASKED.options)
    list(stream)
    streamed = stream.response
    assert streamed.message == whole.message
    assert streamed.usage == whole.usage
    assert streamed.logprobs == whole.logprobs
    assert (streamed.finish_reason, streamed.refusal) == (whole.finish_reason, whole.refusal)
    assert (streamed.model, streamed.id) == (whole.model, whole.id)
    if ANSWERS[name].logprobs:
        assert whole.logprobs[0]["token"] == "Yes."


@pytest.mark.parametrize(("wire", "name"), CASES)
def test_a_whole_answer_where_a_stream_was_asked_for_equals_the_whole_one(
    server: Loopback, client: OmniClient, wire: str, name: str
):
    reply = reply_of(wire, name, stream=False)
    server.script(reply, reply)
    whole = client.chat(ASKED.messages, MODEL[wire], **ASKED.options)
    stream = client.chat(ASKED.messages, MODEL[wire], stream=True, **ASKED.options)
    chunks = list(stream)
    assert "".join(chunk.content for chunk in chunks) == whole.content
    assert stream.response.message == whole.message
    assert stream.response.usage == whole.usage
    assert (stream.response.finish_reason, stream.response.refusal) == (whole.finish_reason, whole.refusal)
    assert stream.response.logprobs == whole.logprobs


@pytest.mark.parametrize("wire", MODEL)
def test_a_stream_left_early_has_an_estimate_marked_so(server: Loopback, client: OmniClient, wire: str):
    server.script(reply_of(wire, "long", stream=True))
    with client.chat(ASKED.messages, MODEL[wire], stream=True, **ASKED.options) as stream:
        for chunk in stream:
            if chunk.content:
                break
    usage = stream.response.usage
    assert usage.is_estimated
    assert usage.cost_source == "estimated"
    assert usage.cost_usd is not None
    assert 0 < usage.cost_usd < 1
    assert usage.output_tokens is not None
    assert 0 < usage.output_tokens < 400
    # Anthropic tells the prompt's tokens at the beginning; for the others they are estimated too.
    assert (usage.input_tokens == ANSWERS["long"].fresh) == (wire == "anthropic")
