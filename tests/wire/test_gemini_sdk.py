"""The official SDK as the judge: from equal input it sends what we send, and it reads in an answer what we read.

Both speak to one server on loopback, which keeps what it was sent and answers from a script.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai import errors, types
from wire.gemini_kit import CLOCK, KEY, NEW, WEATHER, built, chunks_of, request, sdk_json, target

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._messages import ChatMessage, ImagePart, ToolCall
from omnilabs._response import ChatResponse
from omnilabs._secret import Secret
from omnilabs.providers._base import Built
from omnilabs.providers._gemini import WIRE


class Server:
    """Answers every request with `reply` and keeps what it was sent."""

    def __init__(self) -> None:
        self.reply: tuple[int, str, bytes] = (200, "application/json", b"{}")
        self.seen: list[tuple[str, Mapping[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.seen.append((self.path, headers, json.loads(body)))
                status, kind, data = outer.reply
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="module")
def sdk(server: Server) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=server.url, api_version="v1beta")
    client = genai.Client(api_key=KEY, http_options=options)
    yield client
    client.close()


def send(http: HttpRequest) -> HttpResponse:
    """Send our request as a transport would."""
    address = urlsplit(http.url)
    connection = HTTPConnection(address.netloc, timeout=10)
    headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in http.headers.items()}
    path = f"{address.path}?{address.query}" if address.query else address.path
    connection.request(http.method, path, http.body, headers)
    answer = connection.getresponse()
    reply = HttpResponse(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    connection.close()
    return reply


_READERS: Mapping[str, Callable[[str], Any]] = {
    "contents": types.Content.model_validate_json,
    "systemInstruction": types.Content.model_validate_json,
    "tools": types.Tool.model_validate_json,
    "toolConfig": types.ToolConfig.model_validate_json,
    "generationConfig": types.GenerationConfig.model_validate_json,
}


def comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's fields as the SDK's own values: it writes some names in snake case and empty fields."""
    read: dict[str, Any] = {}
    for name, value in body.items():
        items = value if isinstance(value, list) else [value]
        values = [_READERS[name](json.dumps(item)).model_dump(exclude_none=True) for item in items]
        if any(values):
            read[name] = values
    for content in read.get("systemInstruction", ()):
        content.pop("role", None)  # the SDK calls it the user's; the field has none
    return read


FUNCTIONS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather of a city.",
            parameters_json_schema=WEATHER["function"]["parameters"],
        ),
        types.FunctionDeclaration(name="get_time", description="The time."),
    ]
)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PIXEL = b"\x89PNG\xff\xfe"
NO_LOOP = types.AutomaticFunctionCallingConfig(disable=True)


def user(*parts: types.Part) -> types.Content:
    return types.Content(role="user", parts=list(parts))


def model(*parts: types.Part) -> types.Content:
    return types.Content(role="model", parts=list(parts))


SEEN: list[Any] = ["See", ImagePart.from_bytes(PIXEL, "image/png"), ImagePart(url="https://h/a.png")]
REQUESTS: Sequence[tuple[str, Any, dict[str, Any], Any, dict[str, Any]]] = [
    ("text", "Hi", {}, "Hi", {}),
    ("unicode", "東京 😀", {"temperature": 0.5}, "東京 😀", {"temperature": 0.5}),
    (
        "settings",
        "Hi",
        {"max_tokens": 9, "top_p": 0.5, "stop": ["x"], "seed": 3, "presence_penalty": 1, "frequency_penalty": 0.5},
        "Hi",
        {
            "max_output_tokens": 9,
            "top_p": 0.5,
            "stop_sequences": ["x"],
            "seed": 3,
            "presence_penalty": 1,
            "frequency_penalty": 0.5,
        },
    ),
    (
        "system",
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        {},
        "Hi",
        {"system_instruction": "Be brief."},
    ),
    (
        "tools",
        "Weather?",
        {"tools": [WEATHER, CLOCK], "tool_choice": "get_time"},
        "Weather?",
        {
            "tools": [FUNCTIONS],
            "tool_config": types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(
                    mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["get_time"]
                )
            ),
        },
    ),
    (
        "tool loop",
        [
            ChatMessage("user", "Weather?"),
            ChatMessage("assistant", None, tool_calls=[ToolCall("c1", "get_weather", '{"city": "Oslo"}')]),
            ChatMessage("tool", "rain", tool_call_id="c1"),
        ],
        {},
        [
            user(types.Part(text="Weather?")),
            types.Content(
                role="model",
                parts=[
                    types.Part(
                        function_call=types.FunctionCall(id="c1", name="get_weather", args={"city": "Oslo"}),
                        thought_signature=base64.urlsafe_b64decode("skip_thought_signature_validator"),
                    )
                ],
            ),
            user(
                types.Part(
                    function_response=types.FunctionResponse(id="c1", name="get_weather", response={"result": "rain"})
                )
            ),
        ],
        {},
    ),
    (
        "image",
        [ChatMessage("user", SEEN)],
        {},
        [
            user(
                types.Part(text="See"),
                types.Part.from_bytes(data=PIXEL, mime_type="image/png"),
                types.Part.from_uri(file_uri="https://h/a.png", mime_type="image/png"),
            )
        ],
        {},
    ),
    (
        "schema",
        "One?",
        {"response_format": SCHEMA},
        "One?",
        {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    ),
    (
        "thinking",
        "Why?",
        {"reasoning_effort": "low"},
        "Why?",
        {"thinking_config": types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True)},
    ),
    (
        "log probabilities",
        "Hi",
        {"logprobs": True, "top_logprobs": 2},
        "Hi",
        {"response_logprobs": True, "logprobs": 2},
    ),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("messages", "options", "contents", "config"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS]
)
def test_the_sdk_sends_what_we_send(
    server: Server, sdk: genai.Client, stream: bool, messages: Any, options: Any, contents: Any, config: Any
):
    text = sdk_json([{"text": "ok"}])
    server.reply = (
        (200, "text/event-stream", f"data: {text}\n\n".encode()) if stream else (200, "application/json", text.encode())
    )
    server.seen.clear()
    how = types.GenerateContentConfig(automatic_function_calling=NO_LOOP, **config)
    if stream:
        list(sdk.models.generate_content_stream(model=NEW, contents=contents, config=how))
    else:
        sdk.models.generate_content(model=NEW, contents=contents, config=how)
    send(WIRE.build(request(messages, **options), target(base_url=f"{server.url}/v1beta"), stream=stream).http)
    (their_path, their_headers, theirs), (our_path, our_headers, ours) = server.seen
    assert our_path == their_path
    assert our_headers["x-goog-api-key"] == their_headers["x-goog-api-key"] == KEY
    assert comparable(ours) == comparable(theirs)


CALL = {"functionCall": {"id": "f1", "name": "get_weather", "args": {"city": "Tromsø"}}, "thoughtSignature": "c2ln"}
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
ANSWERS: Mapping[str, Sequence[str]] = {
    "text": [sdk_json([{"text": "Hel"}], None), sdk_json([{"text": "lo"}], usageMetadata=USAGE)],
    "unicode": [sdk_json([{"text": "東"}], None), sdk_json([{"text": "京 😀"}])],
    "thoughts": [
        sdk_json([{"text": "Hm", "thought": True}], None),
        sdk_json([{"text": "Yes", "thoughtSignature": "AAEC"}], usageMetadata={**USAGE, "thoughtsTokenCount": 30}),
    ],
    "a call": [sdk_json([CALL], usageMetadata=USAGE)],
    "parallel calls": [sdk_json([{"text": "Both."}, CALL], None), sdk_json([{"functionCall": {"name": "get_time"}}])],
    "length": [sdk_json([{"text": "cut o"}], "MAX_TOKENS", usageMetadata=USAGE)],
    "filtered": [sdk_json([], "SAFETY", usageMetadata={"promptTokenCount": 9, "totalTokenCount": 9})],
    "cached": [sdk_json([{"text": "x"}], usageMetadata={**USAGE, "cachedContentTokenCount": 8})],
    "blocked": [json.dumps({"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 3}})],
}


@pytest.mark.parametrize("texts", ANSWERS.values(), ids=ANSWERS)
def test_the_sdk_reads_in_a_stream_what_we_read(server: Server, sdk: genai.Client, texts: Sequence[str]):
    server.reply = (200, "text/event-stream", "".join(f"data: {text}\r\n\r\n" for text in texts).encode())
    theirs = list(sdk.models.generate_content_stream(model=NEW, contents="Hi"))
    to = target(base_url=f"{server.url}/v1beta")
    how = WIRE.build(request(), to, stream=True)
    answer = Accumulator()
    for chunk in chunks_of([send(how.http).body], how, to):
        answer.add(chunk)
    assert_same(answer.response(), theirs)


@pytest.mark.parametrize("text", [texts[-1] for texts in ANSWERS.values()], ids=ANSWERS)
def test_the_sdk_reads_in_an_answer_what_we_read(server: Server, sdk: genai.Client, text: str):
    server.reply = (200, "application/json", text.encode())
    theirs = sdk.models.generate_content(model=NEW, contents="Hi")
    to = target(base_url=f"{server.url}/v1beta")
    how: Built = WIRE.build(request(), to, stream=False)
    assert_same(WIRE.parse(send(how.http), how, to), [theirs])


def assert_same(ours: ChatResponse, theirs: Sequence[types.GenerateContentResponse]) -> None:
    parts = [part for answer in theirs for part in answer.parts or ()]
    assert ours.content == "".join(part.text or "" for part in parts if not part.thought)
    assert (ours.reasoning or "") == "".join(part.text or "" for part in parts if part.thought)
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.arguments) for call in ours.tool_calls] == [(call.name, call.args or {}) for call in calls]
    signed = [call.opaque.data["thoughtSignature"] for call in ours.tool_calls if call.opaque]
    assert signed == [
        base64.urlsafe_b64encode(part.thought_signature).decode()
        for part in parts
        if part.function_call and part.thought_signature
    ]
    usage = theirs[-1].usage_metadata
    if usage is None:
        assert ours.usage.input_tokens is None
    else:
        assert ours.usage.input_tokens == usage.prompt_token_count
        assert ours.usage.cache_read_tokens == (usage.cached_content_token_count or 0)
        assert ours.usage.output_tokens == (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    reasons = [candidate.finish_reason for answer in theirs for candidate in answer.candidates or ()]
    assert (ours.finish_reason == "length") == (types.FinishReason.MAX_TOKENS in reasons)


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("code", "word"), [(400, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")]
)
def test_the_sdk_reads_in_an_error_what_we_read(server: Server, sdk: genai.Client, code: int, word: str, array: bool):
    body: Any = {"error": {"code": code, "message": "no such thing", "status": word}}
    server.reply = (code, "application/json", json.dumps([body] if array else body).encode())
    with pytest.raises(errors.APIError) as theirs:
        sdk.models.generate_content(model=NEW, contents="Hi")
    to = target(base_url=f"{server.url}/v1beta")
    ours = WIRE.error(send(built(to=to).http), to)
    assert ours.status == theirs.value.code == code
    assert theirs.value.message is not None
    assert theirs.value.message in str(ours)
