"""The sandbox as one sees it on the wire; OpenAI's own types and SDK judge the format."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from unit.sandbox_kit import (
    LLAMAINDEX,
    REPORT,
    TOOLS,
    URL,
    Sandbox,
    asked,
    chunks,
    completion,
    content,
    http,
    joined,
    schema_format,
    streamed,
)

from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._sandbox import MARK, SandboxTransport
from omnilabs.errors import OmniError


@pytest.fixture(params=["sync", "async"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox(request.param)


def test_an_answer_is_a_chat_completion_and_says_that_it_is_made_up(sandbox: Sandbox) -> None:
    reply = sandbox.send(asked("Tell me a joke.", system="You are a helpful assistant."))

    assert isinstance(reply, HttpResponse)
    answer = ChatCompletion.model_validate(reply.json())
    assert reply.status == 200
    assert reply.request_id is not None
    assert answer.choices[0].message.content == f"{MARK}\nYou asked: Tell me a joke."
    assert (answer.model, answer.system_fingerprint, answer.created) == ("gpt-4o", "sandbox", 0)
    assert answer.id.startswith("sandbox-")


def test_the_same_request_gets_the_same_bytes_in_every_process() -> None:
    body = asked("What is the weather in Paris and the time in Tokyo?", tools=TOOLS)
    context = asked(LLAMAINDEX.format(question="How do I limit the seconds of a call?"))
    script = (
        "import json, sys\n"
        "from omnilabs._sandbox import answer\n"
        "for body in json.load(sys.stdin): sys.stdout.buffer.write(b''.join(answer(body).pieces) + b'\\n')\n"
    )

    def run(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        given = json.dumps([body, context, {**body, "stream": True}]).encode()
        return subprocess.run(
            [sys.executable, "-c", script], input=given, env=environment, capture_output=True, check=True
        ).stdout

    assert run("1") == run("2") != b""


def test_another_request_gets_another_id_and_a_stream_the_same() -> None:
    one, other = completion(asked("one")), completion(asked("two"))

    assert one["id"] != other["id"]
    assert {chunk["id"] for chunk in streamed(asked("one"))} == {one["id"]}


def test_a_stop_sequence_cuts_the_text() -> None:
    whole = content(asked("Tell me a joke."))
    answer = completion(asked("Tell me a joke.", stop=["joke", "You asked"]))["choices"][0]

    assert answer["message"]["content"] == whole[: whole.index("You asked")]
    assert answer["finish_reason"] == "stop"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("text", ["Tell me a joke.", "Проверь это, пожалуйста 😀😀😀😀"])
def test_the_token_limit_cuts_the_text_and_says_so(limit: str, text: str) -> None:
    whole = content(asked(text))
    for tokens in (1, 8, 24):
        answer = completion({**asked(text), limit: tokens})

        assert answer["choices"][0]["finish_reason"] == "length"
        assert whole.startswith(answer["choices"][0]["message"]["content"])
        assert 0 < answer["usage"]["completion_tokens"] <= tokens


def test_the_token_limit_cuts_the_arguments_of_a_call_too() -> None:
    answer = completion(asked("What is the weather in Paris?", tools=TOOLS, max_tokens=9))

    [call] = answer["choices"][0]["message"]["tool_calls"]
    assert answer["choices"][0]["finish_reason"] == "length"
    assert '{"city": "Paris"}'.startswith(call["function"]["arguments"])
    assert len(call["function"]["arguments"]) < 17


def test_an_answer_within_the_limit_is_whole() -> None:
    whole = completion(asked("Tell me a joke."))
    limited = completion(asked("Tell me a joke.", max_tokens=whole["usage"]["completion_tokens"]))

    assert limited["choices"] == whole["choices"]


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("Привет", 3), ("北京是首都吗", 5), ("😀😀", 2)]
)
def test_prompt_tokens_are_a_token_for_four_bytes(text: str, tokens: int) -> None:
    usage = completion(asked(text))["usage"]

    assert usage["prompt_tokens"] == 3 + 4 + tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_images_tools_and_schemas_cost_prompt_tokens() -> None:
    def prompt_tokens(body: dict[str, Any]) -> int:
        return int(completion(body)["usage"]["prompt_tokens"])

    plain = prompt_tokens(asked("What is in it?"))
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"0" * 9000).decode()},
    }
    content = [{"type": "text", "text": "What is in it?"}, image]

    assert prompt_tokens({"model": "m", "messages": [{"role": "user", "content": content}]}) == plain + 765
    assert prompt_tokens(asked("What is in it?", tools=TOOLS)) > plain + 100
    assert (
        prompt_tokens(asked("What is in it?", response_format=schema_format(REPORT["function"]["parameters"])))
        > plain + 50
    )


def test_log_probabilities_are_zero_for_what_is_certain() -> None:
    answer = ChatCompletion.model_validate(completion(asked("Hi", logprobs=True, top_logprobs=2)))

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == answer.choices[0].message.content
    assert {token.logprob for token in logprobs.content} == {0.0}
    assert all(token.top_logprobs[0].token == token.token for token in logprobs.content)


STREAMED = {
    "text": asked("Tell me a joke."),
    "chinese": asked("请给我讲一个关于北京和上海的很长很长的笑话好吗谢谢"),
    "tools": asked("What is the weather in Paris and the time in Tokyo?", tools=TOOLS),
    "schema": asked("22 degrees and sunny in Rome.", response_format=schema_format(REPORT["function"]["parameters"])),
    "limited": asked("Tell me a joke.", max_tokens=5),
    "empty": asked(model="empty"),
    "refusal": asked(model="refusal"),
    "length": asked(model="length"),
}


@pytest.mark.parametrize("body", STREAMED.values(), ids=list(STREAMED))
def test_a_stream_adds_up_to_the_whole_answer(body: dict[str, Any]) -> None:
    parts, whole = streamed(body), completion(body)
    finish = [choice["finish_reason"] for chunk in parts for choice in chunk["choices"] if choice["finish_reason"]]

    assert joined(parts) == whole["choices"][0]["message"]
    assert finish == [whole["choices"][0]["finish_reason"]]
    assert [chunk["usage"] for chunk in parts if chunk["usage"]] == [whole["usage"]]


@pytest.mark.parametrize("body", STREAMED.values(), ids=list(STREAMED))
def test_every_chunk_is_openais(body: dict[str, Any]) -> None:
    for chunk in streamed(body):
        ChatCompletionChunk.model_validate(chunk)


def test_a_stream_arrives_frame_by_frame_and_says_when_it_is_over(sandbox: Sandbox) -> None:
    result = sandbox.stream(asked("Tell me a joke."))

    assert not isinstance(result, OmniError)
    head, reads = result
    assert (head.status, head.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    assert reads[-1] == b"data: [DONE]\n\n"
    assert len(reads) > 10
    parts = chunks(reads)
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in part for part in parts)


def test_a_call_streams_its_id_and_name_before_its_arguments() -> None:
    deltas = [
        delta
        for chunk in streamed(STREAMED["tools"])
        for choice in chunk["choices"]
        for delta in choice["delta"].get("tool_calls", [])
    ]

    assert deltas[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert all("id" not in delta for delta in deltas if delta["function"]["arguments"])


@pytest.mark.parametrize("leave", ["close", "drain"])
def test_a_stream_that_was_left_gives_nothing_more(leave: str) -> None:
    head = SandboxTransport().open(http(asked("Tell me a joke.", stream=True)))
    assert isinstance(head, StreamHead)
    assert head.stream.read()
    getattr(head.stream, leave)()

    assert head.stream.read() is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": [{"role": "nobody", "content": "Hi"}]}, "messages"),
        (asked(n=2), "n"),
        (asked(max_tokens=0), "max_tokens"),
        (asked(tools=[{"type": "function"}]), "tools"),
        (asked(tool_choice="required"), "tool_choice"),
        (asked(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "nothing"}}), "tool_choice"),
        (asked(response_format={"type": "json_schema"}), "response_format"),
        (asked(response_format={"type": "yaml"}), "response_format"),
    ],
)
def test_a_request_openai_would_refuse_gets_400_and_the_field(body: dict[str, Any], param: str) -> None:
    reply = SandboxTransport().send(http(body))

    assert isinstance(reply, HttpResponse)
    assert reply.status == 400
    assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"\xff\xfe", b'{"a":' * 100_000])
def test_a_body_that_is_not_an_object_gets_400(body: bytes) -> None:
    reply = SandboxTransport().send(HttpRequest("POST", URL, {}, body))

    assert isinstance(reply, HttpResponse)
    assert reply.status == 400


@pytest.mark.parametrize(("method", "url"), [("GET", URL), ("POST", "http://sandbox.invalid/v1/images/generations")])
def test_another_route_gets_404(method: str, url: str) -> None:
    reply = SandboxTransport().send(HttpRequest(method, url, {}, b"{}"))

    assert isinstance(reply, HttpResponse)
    assert reply.status == 404
