"""The Anthropic wire over real sockets: our client and the official SDK ask the same server and must agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from llmock.scenarios import Fail, Reply, StreamFault, ToolCall
from llmock.testing import LLMockServer
from wire.anthropic_kit import CLOCK, KEY, WEATHER, message, reply, request, target, text

from omnilabs._call import Call, Send
from omnilabs._flow import chat_flow
from omnilabs._http import HttpResponse
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import DEFAULT_TEMPERATURE
from omnilabs._retry import RetryPolicy
from omnilabs.errors import AuthenticationError, ContextLengthError, StreamInterruptedError
from omnilabs.providers._base import Target

MODEL = "claude-haiku-4-5-20251001"
SDK_TOOLS: Any = [
    {"name": tool["function"]["name"], "input_schema": tool["function"].get("parameters", {"type": "object"})}
    for tool in (WEATHER, CLOCK)
]
SCENARIOS = {
    "text": Reply("Hello there."),
    "unicode": Reply("Grüße, 世界 😀\nüber  zwei Zeilen"),
    "long": Reply("word " * 400),
    "length": Reply("Once upon a", finish_reason="length"),
    "refusal": Reply("I cannot", finish_reason="content_filter"),
    "tool": Reply(tool_calls=(ToolCall("get_weather", {"city": "Zürich", "days": [1, 2.5], "deep": {"x": None}}),)),
    "no arguments": Reply(tool_calls=(ToolCall("get_time"),)),
    "parallel tools": Reply(tool_calls=(ToolCall("get_weather", {"city": "Rome"}), ToolCall("get_time"))),
    "text and tool": Reply("Let me look.", tool_calls=(ToolCall("get_time"),)),
}
FINISH = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter", "tool_use": "tool_calls"}


@pytest.fixture(scope="module")
def mock() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture
def server(mock: LLMockServer) -> LLMockServer:
    mock.state.scenarios.clear()
    return mock


@pytest.fixture
def client(omni: Any, server: LLMockServer) -> Any:
    return omni.client(
        providers={"anthropic": {"base_url": server.base_url("anthropic"), "api_key": KEY}}, max_retries=0
    )


def ask(client: Any, *, stream: bool = False, **settings: Any) -> Any:
    asked = client.chat([{"role": "user", "content": "Hi"}], f"anthropic/{MODEL}", stream=stream, **settings)
    if not stream:
        return asked
    for _ in asked:
        pass
    return asked.response


def ask_sdk(server: LLMockServer, **settings: Any) -> anthropic.types.Message:
    with anthropic.Anthropic(base_url=server.base_url("anthropic"), api_key=KEY, max_retries=0) as sdk:
        answer: anthropic.types.Message = sdk.messages.create(
            model=MODEL,
            max_tokens=8_000,
            messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            **settings,
        )
    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_our_answer_is_the_official_sdks(client, server, name, stream):
    reply = SCENARIOS[name]
    server.state.scenarios.add(Reply(reply.text, reply.tool_calls, reply.finish_reason, times=2))
    judge = ask_sdk(server, tools=SDK_TOOLS) if reply.tool_calls else ask_sdk(server)
    response = ask(client, stream=stream, max_tokens=8_000, tools=[WEATHER, CLOCK] if reply.tool_calls else None)
    assert response.content == "".join(block.text for block in judge.content if block.type == "text")
    assert [(call.name, call.arguments) for call in response.tool_calls] == [
        (block.name, block.input) for block in judge.content if block.type == "tool_use"
    ]
    assert response.finish_reason == FINISH[judge.stop_reason or ""]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (
        judge.usage.input_tokens,
        judge.usage.output_tokens,
    )
    assert (response.model, response.provider) == (judge.model, "anthropic")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_by_a_forced_tool_is_json(client, stream):
    response = ask(client, stream=stream, response_format={"type": "json_object"})
    assert response.structured_by == "tool"
    assert response.content.startswith("{")
    assert (response.tool_calls, response.finish_reason) == ((), "stop")


def test_a_tool_loop_goes_on(client, server):
    server.state.scenarios.add(Reply(tool_calls=(ToolCall("get_weather", {"city": "Rome"}),)))
    first = ask(client, tools=[WEATHER])
    [call] = first.tool_calls
    server.state.scenarios.add(Reply("Sunny."))
    messages = [
        {"role": "user", "content": "Hi"},
        first.message,
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert client.chat(messages, f"anthropic/{MODEL}", tools=[WEATHER]).content == "Sunny."


def test_a_stream_that_ends_early_is_not_taken_for_an_answer(client, server):
    server.state.scenarios.add(Reply("One two three four five six."))
    server.state.scenarios.add(StreamFault("truncate", after_chunks=5))
    with pytest.raises(StreamInterruptedError) as caught:
        ask(client, stream=True)
    assert caught.value.partial is not None
    assert "One two three four five six.".startswith(caught.value.partial.content)
    assert caught.value.partial.usage.is_estimated


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fail(401, message="invalid x-api-key"), AuthenticationError),
        (Fail(400, message="prompt is too long: 9 tokens > 8 maximum"), ContextLengthError),
    ],
)
def test_a_refusal_is_our_error(client, server, fault, error):
    server.state.scenarios.add(fault)
    with pytest.raises(error) as caught:
        ask(client)
    assert caught.value.provider == "anthropic"
    assert KEY not in str(caught.value)


def test_a_system_message_in_the_middle_reaches_a_server_that_knows_no_system_turn(omni, server):
    # A model of the newest generation gets a system turn; this server refuses the role, and the next form is taken.
    model = ModelInfo("new", "anthropic", name="claude-opus-4-6", capabilities=Capabilities(temperature=False))
    given = {"anthropic": {"base_url": server.base_url("anthropic"), "api_key": KEY}}
    client = omni.client(providers=given, models=[model], max_retries=0)
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]
    assert "<system> Be brief. </system>" in client.chat(messages, "new").content  # the server says what it was told


def test_what_one_model_refuses_is_still_sent_to_another_at_the_same_address():
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": "`temperature` is deprecated."}}
    forms: dict[tuple[str, ...], str] = {}
    asked = request("Hi", temperature=DEFAULT_TEMPERATURE)

    def sent(at: Target, *replies: HttpResponse) -> list[bool]:
        """Return, for each request of one call, whether it held a temperature."""
        flow, seen = chat_flow(Call([at], RetryPolicy(), forms=forms), asked), []
        step = next(flow)
        for answer in replies:
            assert isinstance(step, Send)
            seen.append("temperature" in json.loads(step.http.body))
            try:
                step = flow.send(answer)
            except StopIteration:
                break
        return seen

    fine = reply(message(text("Hi.")))
    assert sent(target(model="strict"), reply(refusal, 400), fine) == [True, False]
    assert sent(target(model="strict"), fine) == [False]
    assert sent(target(model="lenient"), fine) == [True]
