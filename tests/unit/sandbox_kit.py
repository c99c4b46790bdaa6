"""What the sandbox's tests share: asking a transport over both of its faces, and a small judge of JSON schemas."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from omnilabs._http import HttpRequest, HttpResponse, StreamHead
from omnilabs._sandbox import MARK, AsyncSandboxTransport, SandboxTransport
from omnilabs.errors import OmniError

URL = "http://sandbox.invalid/v1/chat/completions"


def http(body: object) -> HttpRequest:
    return HttpRequest("POST", URL, {"content-type": "application/json"}, json.dumps(body).encode())


def asked(
    text: str = "Tell me a joke.", *, model: str = "gpt-4o", system: str | None = None, **more: Any
) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system is not None else []
    return {"model": model, "messages": [*messages, {"role": "user", "content": text}], **more}


class Sandbox:
    """A transport of either kind behind one blocking face."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._sync = SandboxTransport()
        self._async = AsyncSandboxTransport()

    def send(self, body: Mapping[str, Any]) -> HttpResponse | OmniError:
        if self._mode == "sync":
            return self._sync.send(http(body))
        return asyncio.run(self._async.send(http(body)))

    def stream(self, body: Mapping[str, Any]) -> tuple[StreamHead, list[bytes | OmniError]] | OmniError:
        """Return the head and every read to the end or to the failure."""
        return self._stream(body) if self._mode == "sync" else asyncio.run(self._astream(body))

    def _stream(self, body: Mapping[str, Any]) -> tuple[StreamHead, list[bytes | OmniError]] | OmniError:
        head = self._sync.open(http({**body, "stream": True}))
        if isinstance(head, OmniError):
            return head
        reads: list[bytes | OmniError] = []
        while (piece := head.stream.read()) is not None:
            reads.append(piece)
        return head, reads

    async def _astream(self, body: Mapping[str, Any]) -> tuple[StreamHead, list[bytes | OmniError]] | OmniError:
        head = await self._async.open(http({**body, "stream": True}))
        if isinstance(head, OmniError):
            return head
        reads: list[bytes | OmniError] = []
        while (piece := await head.stream.read()) is not None:
            reads.append(piece)
        return head, reads


def completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a whole answer with status 200."""
    reply = SandboxTransport().send(http(body))
    assert isinstance(reply, HttpResponse)
    assert reply.status == 200, reply.text
    return dict(json.loads(reply.body))


def message(body: Mapping[str, Any]) -> dict[str, Any]:
    return dict(completion(body)["choices"][0]["message"])


def said(body: Mapping[str, Any]) -> str:
    """Return an answer in text without its first line, which must be the mark."""
    first, _, rest = message(body)["content"].partition("\n")
    assert first == MARK
    return str(rest)


def content(body: Mapping[str, Any]) -> str:
    """Return an answer's whole text."""
    return str(message(body)["content"])


def calls(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the tool calls as name and parsed arguments."""
    made = message(body).get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made]


def chunks(reads: list[bytes | OmniError]) -> list[dict[str, Any]]:
    """Return the JSON of every frame but `[DONE]`."""
    frames = [read for read in reads if isinstance(read, bytes)]
    assert all(frame.startswith(b"data: ") and frame.endswith(b"\n\n") for frame in frames)
    return [json.loads(frame[6:]) for frame in frames if frame != b"data: [DONE]\n\n"]


def tool(name: str, description: str = "", /, required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """Return a function tool whose parameters are all required unless said otherwise."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def schema_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def streamed(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of a stream that was asked for its usage."""
    result = Sandbox("sync").stream({**body, "stream_options": {"include_usage": True}})
    assert not isinstance(result, OmniError)
    return chunks(result[1])


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the choice that chunks add up to, as a whole answer has it."""
    deltas = [choice["delta"] for chunk in parts for choice in chunk["choices"]]
    made: dict[int, dict[str, Any]] = {}
    for delta in (call for one in deltas for call in one.get("tool_calls", [])):
        call = made.setdefault(delta["index"], {"function": {"name": "", "arguments": ""}})
        call.update({key: value for key, value in delta.items() if key in ("id", "type")})
        call["function"]["name"] += delta["function"].get("name", "")
        call["function"]["arguments"] += delta["function"].get("arguments", "")
    whole: dict[str, Any] = {"role": deltas[0]["role"]}
    for key in ("content", "refusal"):
        texts = [delta[key] for delta in deltas if delta.get(key) is not None]
        whole[key] = "".join(texts) if texts else None
    return whole | ({"tool_calls": list(made.values())} if made else {})


def tool_turn(name: str, result: str) -> list[dict[str, Any]]:
    """Return the messages of a tool call and its result."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]


TEXT = {"type": "string"}
WEATHER = tool(
    "get_weather",
    "Get the current weather for a city",
    ["city"],
    city=TEXT,
    unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
)
TIME = tool("get_time", "Get the current time in a place", place=TEXT)
MULTIPLY = tool("multiply", "Multiply two numbers", a={"type": "integer"}, b={"type": "integer"})
ORDER = tool("lookup_order", "Look up the status of a customer's order", order_id={"type": "integer"})
SEARCH = tool("search_docs", "Search the OmniRouter documentation", query=TEXT)
TOOLS = [WEATHER, TIME, MULTIPLY, ORDER, SEARCH]
REPORT = tool(
    "WeatherReport",
    "",
    city=TEXT,
    temperature={"type": "number"},
    sky={"type": "string", "enum": ["sunny", "rainy"]},
    is_windy={"type": "boolean"},
)
PASSAGES = """page_label: 3
file_path: README.md

# Choosing
A router picks the model for each prompt. It weighs accuracy, cost and latency.

# Time limits
Pass `timeout_s=30` to limit a call in seconds.
The limit covers retries too.

# Streaming
With `stream=True` a call returns an iterator of chunks."""
LLAMAINDEX = (
    f"Context information is below.\n---------------------\n{PASSAGES}\n---------------------\n"
    "Given the context information and not prior knowledge, answer the query.\nQuery: {question}\nAnswer: "
)
LANGCHAIN = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
    "question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep the "
    f"answer concise.\nQuestion: {{question}} \nContext: {PASSAGES} \nAnswer:"
)
CONTEXT_FIRST = f"Answer the question based only on the following context:\n{PASSAGES}\n\nQuestion: {{question}}\n"
TAGGED = f"<documents>\n{PASSAGES}\n</documents>\n\n{{question}}"
