"""What an answer carries: who answered, why, at what cost; the same from every way to ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integrations.langchain.chat_server import ChatServer
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration
from loopback import Reply, events

from langchain_omni import ChatOmni
from langchain_omni._answer import to_last_chunk
from langchain_omni._routing import Choice
from omnilabs import OmniClient

Ask = Callable[[ChatOmni, Any], Any]


def whole(chunks: Any) -> AIMessageChunk:
    merged: Any = None
    for chunk in chunks:
        merged = chunk if merged is None else merged + chunk
    assert isinstance(merged, AIMessageChunk)
    return merged


async def _awhole(model: ChatOmni, prompt: Any) -> Any:
    return whole([chunk async for chunk in model.astream(prompt)])


async def _ainvoke(model: ChatOmni, prompt: Any) -> Any:
    return await model.ainvoke(prompt)


async def _abatch(model: ChatOmni, prompt: Any) -> Any:
    return (await model.abatch([prompt]))[0]


async def _invoke(model: ChatOmni, prompt: Any) -> Any:
    return model.invoke(prompt)


async def _stream(model: ChatOmni, prompt: Any) -> Any:
    return whole(model.stream(prompt))


async def _batch(model: ChatOmni, prompt: Any) -> Any:
    return model.batch([prompt])[0]


async def _invoke_streaming(model: ChatOmni, prompt: Any) -> Any:
    return model.invoke(prompt, stream=True)


async def _events_v3(model: ChatOmni, prompt: Any) -> Any:
    return model.stream_events(prompt, version="v3").output


WAYS = [_invoke, _ainvoke, _stream, _awhole, _batch, _abatch, _invoke_streaming, _events_v3]


def facts(message: AIMessage) -> dict[str, Any]:
    """Return the metadata without what differs from call to call, and without the mark LangChain puts on v1 content."""
    found = {k: v for k, v in message.response_metadata.items() if k != "output_version"}
    found["omni_call"] = {k: v for k, v in found["omni_call"].items() if k != "latency_s"}
    decision = found["omni"]["decision"]
    if decision is not None:  # its numbers move with every answer the router learns from
        kept = {name: decision[name] for name in ("model", "provider", "rejected", "weights", "policy")}
        found["omni"] = {**found["omni"], "decision": kept, "facts": sorted(decision)}
    return found


@pytest.mark.parametrize("settings", [{"model": "gpt-4o"}, {"model": "auto", "verbose": True}], ids=["named", "auto"])
@pytest.mark.filterwarnings("ignore:The method .* is in beta")
async def test_every_way_to_ask_tells_the_same_facts(served: dict[str, Any], settings: dict[str, Any]):
    model = ChatOmni(**served, **settings)
    answers = [await way(model, "Tell me about the sea.") for way in WAYS]
    first = facts(answers[0])
    for way, answer in zip(WAYS, answers, strict=True):
        assert facts(answer) == first, way.__name__
        assert answer.text == answers[0].text
        assert answer.usage_metadata["input_tokens"] == answers[0].usage_metadata["input_tokens"]


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
@pytest.mark.parametrize("settings", [{"model": "sandbox/empty"}, {"model": "gpt-4o", "logprobs": True}])
async def test_an_empty_answer_and_one_with_logprobs_tell_the_same_in_every_way(settings: dict[str, Any]):
    model = ChatOmni(mode="sandbox", **settings)
    answers = [await way(model, "hi") for way in WAYS]
    first, usage = facts(answers[0]), answers[0].usage_metadata
    assert {"finish_reason", "cost"} <= first.keys()
    assert ("logprobs" in first) == ("logprobs" in settings)
    for way, answer in zip(WAYS, answers, strict=True):
        told = {name: value for name, value in facts(answer).items() if name != "id"}
        assert told == {name: value for name, value in first.items() if name != "id"}, way.__name__
        assert answer.usage_metadata == usage


CUTS = [
    '{"amount": 5, "to": "Al',
    '{"to": ["Al"',
    '{"amount": 5, "to',
    '{"a": {"b": 1',
    "{",
    '{"to": "a\\',
    '{"a": 1}}',
]


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
@pytest.mark.parametrize("way", [*WAYS, "agent"], ids=lambda way: getattr(way, "__name__", way))
@pytest.mark.parametrize("cut", CUTS)
async def test_half_a_call_is_no_call(chat_server: ChatServer, served: dict[str, Any], cut: str, way: Any):
    """LangChain completes what is cut off in a stream: an agent would pay five to nobody."""
    paid: list[Any] = []

    def pay(amount: int, to: str = "nobody") -> str:
        """Pay."""
        paid.append((amount, to))
        return "done"

    function = {"name": "pay", "arguments": cut}
    good = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 1}'}}
    calls = [*([] if way == "agent" else [good]), {"index": 1, "id": "c2", "type": "function", "function": function}]
    head = {"id": "1", "model": "m"}
    streamed = way in (_stream, _awhole, _invoke_streaming, _events_v3, "agent")
    key = "delta" if streamed else "message"
    choice = {"index": 0, key: {"role": "assistant", "content": None, "tool_calls": calls}, "finish_reason": "length"}
    body = {**head, "choices": [choice]}
    chat_server.script(events(body, "[DONE]") if streamed else Reply(body=body))
    model = ChatOmni(model="gpt-4o", **served)
    if way == "agent":
        create_agent(model.model_copy(update={"streaming": True}), [pay]).invoke({"messages": [HumanMessage("pay")]})
        assert paid == []
    else:
        answer = await way(model.bind_tools([pay]), "pay")
        assert [call["args"] for call in answer.tool_calls] == [{"amount": 1}]
        assert [call["name"] for call in answer.invalid_tool_calls] == ["pay"]


@pytest.mark.parametrize("arguments", ['{"amount": 5}', ""])
def test_the_last_call_of_an_answer_at_its_limit_is_not_trusted_even_if_it_can_be_read(
    chat_server: ChatServer, served: dict[str, Any], arguments: str
):
    """Providers whose calls are objects close them where they stop."""
    calls = [
        {"index": index, "id": f"c{index}", "type": "function", "function": {"name": "pay", "arguments": arguments}}
        for index in range(2)
    ]
    for key in ("message", "delta"):
        choice = {"index": 0, key: {"role": "assistant", "tool_calls": calls}, "finish_reason": "length"}
        body = {"id": "1", "model": "m", "choices": [choice]}
        chat_server.script(events(body, "[DONE]") if key == "delta" else Reply(body=body))
        model = ChatOmni(model="gpt-4o", **served)
        answer = whole(model.stream("pay")) if key == "delta" else model.invoke("pay")
        assert [call["id"] for call in answer.tool_calls] == ["c0"]
        assert [call["id"] for call in answer.invalid_tool_calls] == ["c1"]


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
async def test_the_served_model_is_named_once_and_apart_from_the_vendor(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    for way in WAYS:
        metadata = (await way(model, "hi")).response_metadata
        assert metadata["model_name"] == "gpt-4o-2026-01-01"
        assert metadata["model_provider"] == "omni" == model._get_ls_params()["ls_provider"]
        assert metadata["provider"] == "openai"


def test_the_first_chunk_tells_who_answers_and_why_before_the_text(served: dict[str, Any]):
    chunks = list(ChatOmni(model="auto", **served).stream("Tell me about the sea."))
    first = chunks[0].response_metadata
    assert first["provider"] == "openai"
    assert first["omni"]["decision"]["ranking"][0]["model"] == first["omni"]["decision"]["model"]
    assert "cost" not in first
    assert all("model_name" not in chunk.response_metadata for chunk in chunks[1:])


def test_cost_comes_once_and_merging_three_streams_does_not_crash(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    chunks = list(model.stream("Tell me about the sea."))
    priced = [chunk for chunk in chunks if chunk.response_metadata.get("cost") is not None]
    assert len(priced) == 1
    assert len(chunks) > 5
    merged = whole(chunks)
    assert merged.response_metadata["cost"] > 0
    assert merged.usage_metadata is not None
    assert all(isinstance(count, int) for count in merged.usage_metadata.values())


def test_an_unknown_price_is_no_cost_and_not_zero(chat_server: ChatServer):
    model = ChatOmni(model="local/tiny", providers={"local": {"base_url": chat_server.url}})
    assert model.invoke("hi").response_metadata["cost"] is None
    assert whole(model.stream("hi")).response_metadata["cost"] is None


def test_a_decision_is_plain_json_and_verbose_adds_each_rejection(served: dict[str, Any]):
    import json

    brief = ChatOmni(model="auto", **served).invoke("hi").response_metadata["omni"]["decision"]
    assert json.loads(json.dumps(brief)) == brief
    assert brief["rejected_count"] > 0
    assert "rejected" not in brief
    full = ChatOmni(model="auto", verbose=True, **served).invoke("hi").response_metadata["omni"]["decision"]
    assert len(full["rejected"]) == full["rejected_count"]


@pytest.mark.parametrize("ask", [ChatOmni.invoke, lambda *a: whole(ChatOmni.stream(*a))], ids=["invoke", "stream"])
@pytest.mark.parametrize("version", [None, "v1"])
def test_reasoning_and_citations_are_standard_blocks(served: dict[str, Any], ask: Ask, version: str | None):
    answer = ask(ChatOmni(model="gpt-4o", output_version=version, **served), "[reason] [cite] Why is the sea salty")
    blocks = answer.content_blocks
    assert [block["type"] for block in blocks] == ["reasoning", "text"]
    assert blocks[0]["reasoning"] == "First this, then that."
    (citation,) = blocks[1]["annotations"]
    assert citation == {
        "type": "citation",
        "url": "https://example.org/a",
        "title": "A",
        "start_index": 0,
        "end_index": 3,
    }
    assert blocks[1]["text"].startswith("You said")


@pytest.mark.parametrize("ask", [ChatOmni.invoke, lambda *a: whole(ChatOmni.stream(*a))], ids=["invoke", "stream"])
@pytest.mark.parametrize("version", [None, "v1"])
def test_a_provider_gets_its_own_reasoning_back_on_the_next_turn(
    chat_server: ChatServer, ask: Ask, version: str | None
):
    model = ChatOmni(
        model="deepseek/deepseek-reasoner",
        output_version=version,
        providers={"deepseek": {"api_key": "test", "base_url": chat_server.url}},
    )
    first = ask(model, "[reason] one")
    chat_server.requests.clear()
    _allow_reasoning(chat_server, model, [HumanMessage("[reason] one"), first, HumanMessage("two")])
    assert chat_server.requests[-1].json["messages"][1]["reasoning_content"] == "First this, then that."


def _allow_reasoning(server: ChatServer, model: ChatOmni, messages: list[Any]) -> None:
    from loopback import Reply

    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    server.script(Reply(body={"id": "1", "model": "m", "choices": [choice]}))
    model.invoke(messages)


def test_another_vendor_gets_the_text_and_the_answer_says_what_was_left_out(chat_server: ChatServer):
    own = {"api_key": "test", "base_url": chat_server.url}
    model = ChatOmni(model="deepseek/deepseek-reasoner", providers={"deepseek": own, "openai": own})
    first = model.invoke("[reason] one")
    second = model.invoke([HumanMessage("one"), first, HumanMessage("two")], model="gpt-4o")
    assert "reasoning_content" not in chat_server.requests[-1].json["messages"][1]
    assert second.response_metadata["omni_call"]["dropped_params"] == ["reasoning"]


def test_an_edited_answer_is_sent_as_edited(chat_server: ChatServer):
    model = ChatOmni(
        model="deepseek/deepseek-reasoner", providers={"deepseek": {"api_key": "test", "base_url": chat_server.url}}
    )
    first = model.invoke("[reason] one")
    first.content = "Something else."
    _allow_reasoning(chat_server, model, [HumanMessage("one"), first, HumanMessage("two")])
    sent = chat_server.requests[-1].json["messages"][1]
    assert sent["content"] == "Something else."
    assert sent["reasoning_content"] == "First this, then that."


def test_totals_of_a_generation_sum_cost_and_count_models(served: dict[str, Any]):
    model = ChatOmni(model="gpt-4o", **served)
    result = model.generate([[HumanMessage("one")], [HumanMessage("two")]])
    answers = [row[0] for row in result.generations if isinstance(row[0], ChatGeneration)]
    assert len(answers) == 2
    costs = [answer.message.response_metadata["cost"] for answer in answers]
    assert result.llm_output == {"models": {"gpt-4o-2026-01-01": 2}, "cost": pytest.approx(sum(costs))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.data())
def test_arguments_cut_anywhere_are_never_completed(value: Any, data: st.DataObject):
    text = json.dumps({"value": value, "more": 1}, ensure_ascii=data.draw(st.booleans()))
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    assert RESPONSE.finish_reason == "stop"
    end = to_last_chunk(RESPONSE, {}, Choice("named"), {0: cut}).tool_call_chunks
    piece = AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name="pay", args=cut, id="c1", index=0)])
    merged = piece + AIMessageChunk(content="", tool_call_chunks=end)
    assert merged.tool_calls == []
    assert [call["name"] for call in merged.invalid_tool_calls] == ["pay"]
    assert to_last_chunk(RESPONSE, {}, Choice("named"), {0: text}).tool_call_chunks == []


RESPONSE = OmniClient(mode="sandbox").chat([{"role": "user", "content": "hi"}], "gpt-4o")


@pytest.mark.parametrize("version", [None, "v1"])
def test_a_streamed_call_does_not_run_into_the_text_before_it(
    chat_server: ChatServer, served: dict[str, Any], version: Any
):
    head = {"id": "1", "model": "m"}
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 5}'}}
    deltas: list[Any] = [{"content": "hello "}, {"content": "there"}, {"tool_calls": [call]}]
    bodies = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chat_server.script(events(*bodies, {**head, "choices": [{"delta": {}, "finish_reason": "tool_calls"}]}, "[DONE]"))
    merged = whole(ChatOmni(model="gpt-4o", output_version=version, **served).stream("hi"))
    text, called = merged.content_blocks
    assert (text["type"], text.get("text")) == ("text", "hello there")
    assert (called["type"], called.get("name"), called.get("args")) == ("tool_call", "pay", {"amount": 5})
