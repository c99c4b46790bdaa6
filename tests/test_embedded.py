"""Embedded mode over real sockets: a provider's own API asked directly, beside the official openai SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from llmock.scenarios import Fail, Reply, StreamFault, ToolCall
from llmock.testing import LLMockServer
from loopback import Loopback, events
from loopback import Reply as Answer

from omnilabs import ChatMessage
from omnilabs.errors import ConfigurationError, StreamInterruptedError, UnsupportedParameterError
from omnilabs.types import ModelInfo, Price

if TYPE_CHECKING:
    from conftest import Omni
    from openai.types.chat import ChatCompletionMessageParam

KEY = "test-key-canary"
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HI = [ChatMessage("system", "You are brief."), {"role": "user", "content": "Tell me a joke about 東京."}]
PLAIN: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "Tell me a joke about 東京."},
]


@pytest.fixture(scope="module")
def mock() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture
def server(mock: LLMockServer) -> LLMockServer:
    mock.state.scenarios.clear()
    return mock


@pytest.fixture(scope="module")
def sdk(mock: LLMockServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=mock.base_url("openai"), max_retries=0) as client:
        yield client


def connect(omni: Omni, server: LLMockServer, **options: Any) -> Any:
    return omni.client(providers={"openai": {"api_key": KEY, "base_url": server.base_url("openai")}}, **options)


# ---- beside the official SDK


def test_a_chat_equals_the_official_sdks(omni: Omni, server: LLMockServer, sdk: openai.OpenAI):
    ours = connect(omni, server).chat(HI, "gpt-4o-mini")
    theirs = sdk.chat.completions.create(model="gpt-4o-mini", messages=PLAIN, temperature=0.7)
    assert theirs.usage is not None
    assert ours["content"] == ours.content == theirs.choices[0].message.content
    assert ours.finish_reason == theirs.choices[0].finish_reason
    assert ours["usage"]["all_tokens"] == theirs.usage.total_tokens
    assert (ours.provider, ours.model) == ("openai", theirs.model)
    # gpt-4o-mini: 0.15 and 0.60 USD per million tokens
    cost = (theirs.usage.prompt_tokens * Decimal("0.15") + theirs.usage.completion_tokens * Decimal("0.60")) / 1_000_000
    assert ours.usage.cost_usd == cost
    assert ours["usage"]["total_cost"] == float(cost)
    assert ours.usage.cost_source == "catalogue"


def test_a_stream_equals_the_official_sdks(omni: Omni, server: LLMockServer, sdk: openai.OpenAI):
    stream = connect(omni, server).chat(HI, "gpt-4o-mini", stream=True)
    chunks = list(stream)
    theirs = list(
        sdk.chat.completions.create(
            model="gpt-4o-mini",
            messages=PLAIN,
            temperature=0.7,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [chunk.choices[0].delta.content for chunk in theirs if chunk.choices and chunk.choices[0].delta.content]
    assert [chunk["content"] for chunk in chunks if chunk.content] == texts
    usage = theirs[-1].usage
    assert usage is not None
    assert chunks[-1].usage == stream.response.usage
    assert (stream.response.usage.prompt_tokens, stream.response.usage.completion_tokens) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    assert stream.response.content == "".join(texts)
    assert stream.response.usage.cost_usd == connect(omni, server).chat(HI, "gpt-4o-mini").usage.cost_usd


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_loop_runs_to_its_end(omni: Omni, server: LLMockServer, sdk: openai.OpenAI, stream: bool):
    server.state.scenarios.add(
        *(
            Reply(
                tool_calls=(ToolCall("get_weather", {"city": "Tromsø"}), ToolCall("get_weather", {"city": "Oslo"})),
                times=2,
            ),
        )
    )
    client = connect(omni, server)
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Tromsø and Oslo?"}]

    def ask() -> Any:
        answer = client.chat(messages, "gpt-4o-mini", tools=[WEATHER], stream=stream)
        if stream:
            list(answer)
        return answer.response if stream else answer

    first = ask()
    theirs = sdk.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    calls = theirs.choices[0].message.tool_calls or []
    assert [(c.name, c.arguments) for c in first.tool_calls] == [
        (c.function.name, json.loads(c.function.arguments)) for c in calls if c.type == "function"
    ]
    assert first.finish_reason == "tool_calls"
    messages.append(first.message)
    messages += [ChatMessage("tool", f"rain in {c.arguments['city']}", tool_call_id=c.id) for c in first.tool_calls]
    last = ask()
    assert last.tool_calls == ()
    assert last.content
    assert last.finish_reason == "stop"


def test_a_passing_failure_is_tried_again_as_the_server_asks(omni: Omni, server: LLMockServer):
    server.state.scenarios.add(Fail(429, retry_after=0.05, times=1))
    answer = connect(omni, server).chat(HI, "gpt-4o-mini")
    assert [attempt.status for attempt in answer.attempts] == [429]


def test_a_stream_that_breaks_off_is_an_error_with_what_had_come(omni: Omni, server: LLMockServer):
    server.state.scenarios.add(Reply("one two three four five six"), StreamFault("truncate", after_chunks=3))
    stream = connect(omni, server, max_retries=0).chat(HI, "gpt-4o-mini", stream=True)
    with pytest.raises(StreamInterruptedError) as broken:
        list(stream)
    partial = broken.value.partial
    assert partial is not None
    assert partial.content
    assert partial.usage.is_estimated
    assert partial.usage.cost_source == "estimated"


def test_a_stream_that_is_left_early_has_an_estimate_marked_so(omni: Omni, server: LLMockServer):
    server.state.scenarios.add(Reply("one two three four five six seven eight"))
    stream = connect(omni, server).chat(HI, "gpt-4o-mini", stream=True)
    for chunk in stream:
        if chunk.content:
            break
    stream.close()
    usage = stream.response.usage
    assert usage.is_estimated
    assert usage.cost_source == "estimated"
    assert usage.cost_usd is not None
    assert usage.cost_usd > 0
    assert usage.output_tokens is not None
    assert usage.output_tokens >= 1


ROWS = {
    "groq": "llama-3.1-8b-instant",
    "xai": "grok-4.3",
    "together": "MiniMaxAI/MiniMax-M3",
    "mistral": "mistral-large-2512",
}


# Mistral tells the usage of a stream unasked, which the mock does not know.
@pytest.mark.parametrize(
    ("row", "stream"), [(row, stream) for row in ROWS for stream in (False, True) if not (stream and row == "mistral")]
)
def test_other_rows_answer_with_usage_and_cost(omni: Omni, server: LLMockServer, row: str, stream: bool):
    client = omni.client(providers={row: {"api_key": KEY, "base_url": server.base_url(row)}})
    answer = client.chat(HI, f"{row}/{ROWS[row]}", stream=stream)
    if stream:
        list(answer)
        answer = answer.response
    assert answer.content
    assert answer.provider == row
    assert not answer.usage.is_estimated
    assert answer.usage.cost_usd is not None


# ---- keys, addresses, servers of one's own


def test_keys_and_addresses_come_from_the_usual_variables(
    omni: Omni, server: LLMockServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url("openai"))
    client = omni.client()
    assert client.mode == "embedded"
    assert client.chat(HI, "gpt-4o-mini").content


@pytest.mark.parametrize(
    ("model", "variable"),
    [("claude-sonnet-4-6", "ANTHROPIC_API_KEY"), ("gemini-2.5-flash", "GEMINI_API_KEY"), ("grok-4.3", "XAI_API_KEY")],
)
def test_a_missing_key_is_told_by_the_variable_that_would_hold_it(
    omni: Omni, server: LLMockServer, model: str, variable: str
):
    with pytest.raises(ConfigurationError, match=variable):
        connect(omni, server).chat(HI, model)


def test_a_server_of_ones_own_needs_no_key(omni: Omni):
    with Loopback() as own:
        own.script(
            Answer(
                body={"model": "llama3.2:latest", "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
            )
        )
        client = omni.client(providers={"local": {"base_url": f"{own.url}/v1"}})
        answer = client.chat(HI, "local/llama3.2")
        sent = own.requests[0]
    assert (answer.content, answer.provider, answer.model) == ("Hi.", "local", "llama3.2:latest")
    assert sent.path == "/v1/chat/completions"
    assert sent.json["model"] == "llama3.2"
    assert "authorization" not in sent.headers
    # Nobody knows its price: that is not zero.
    assert answer.usage.cost_usd is None
    assert answer.usage.total_cost is None
    assert answer.usage.cost_source == "unknown"


def test_a_server_of_ones_own_can_have_a_price(omni: Omni):
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "total_tokens": 1_500_000}
    with Loopback() as own:
        own.script(Answer(body={"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}], "usage": usage}))
        model = ModelInfo("local/llama3.2", "local", "llama3.2", price=Price(Decimal(1), Decimal(2)))
        client = omni.client(providers={"local": {"base_url": own.url}}, models=[model])
        assert client.chat(HI, "local/llama3.2").usage.cost_usd == Decimal(2)


@pytest.mark.parametrize(
    ("wire", "path", "header"),
    [
        ("anthropic", "/v1/messages", "x-api-key"),
        ("gemini", "/models/m:generateContent", "x-goog-api-key"),
        ("openai", "/chat/completions", "authorization"),
    ],
)
def test_a_server_of_ones_own_speaks_the_wire_it_is_said_to(omni: Omni, wire: str, path: str, header: str):
    bodies: dict[str, Any] = {
        "anthropic": {"type": "message", "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn"},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"}]},
        "openai": {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]},
    }
    with Loopback() as own:
        own.script(Answer(body=bodies[wire]))
        client = omni.client(
            providers={"mine": {"base_url": own.url, "wire": wire, "api_key": KEY, "headers": {"x-team": "a"}}}
        )
        answer = client.chat(HI, "mine/m")
        sent = own.requests[0]
    assert (answer.content, answer.finish_reason, answer.provider) == ("Hi.", "stop", "mine")
    assert sent.path == path
    assert KEY in sent.headers[header]
    assert sent.headers["x-team"] == "a"


# ---- what is sent


def test_usage_is_asked_for_in_streams_and_once_refused_not_again(omni: Omni):
    refusal = Answer(400, {"error": {"message": "Unknown field: stream_options", "type": "invalid_request_error"}})
    said = events({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}, "[DONE]")
    with Loopback() as own:
        own.script(refusal, said, said)
        client = omni.client(providers={"local": {"base_url": own.url}})
        for _ in range(2):
            stream = client.chat(HI, "local/m", stream=True)
            list(stream)
            assert stream.response.content == "Hi"
            assert stream.response.usage.is_estimated  # the server told none
        asked = [request.json.get("stream_options") for request in own.requests]
    assert asked == [{"include_usage": True}, None, None]


def test_an_unsupported_setting_is_refused_before_any_request_or_dropped_and_reported(omni: Omni):
    with Loopback() as own:
        client = omni.client(providers={"deepseek": {"api_key": KEY, "base_url": own.url}})
        with pytest.raises(UnsupportedParameterError, match="seed") as refused:
            client.chat(HI, "deepseek/deepseek-v4-flash", seed=1)
        assert refused.value.parameters == ("seed",)
        assert own.requests == []
        own.script(Answer(body={"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}))
        answer = client.chat(HI, "deepseek/deepseek-v4-flash", seed=1, unsupported="drop")
        assert answer.dropped_params == ("seed",)
        assert "seed" not in own.requests[0].json


def test_the_default_temperature_is_not_sent_to_a_model_that_takes_none(omni: Omni):
    body = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
    with Loopback() as own:
        own.script(Answer(body=body), Answer(body=body))
        client = omni.client(providers={"openai": {"api_key": KEY, "base_url": own.url}})
        assert client.chat(HI, "gpt-5-mini").dropped_params == ()
        client.chat(HI, "gpt-4.1")
        with pytest.raises(UnsupportedParameterError):
            client.chat(HI, "gpt-5-mini", 0.7)
        assert [request.json.get("temperature") for request in own.requests] == [None, 0.7]
