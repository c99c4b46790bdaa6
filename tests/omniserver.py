"""A loopback server of the hosted service, written from its published protocol: both generations of its routes.

    with OmniServer("later", api_key="k") as server:
        client = OmniClient(api_key="k", base_url=server.url)

It checks what it is sent as the service does (key, model, fields), answers in any of the service's shapes, and serves
scripted replies first: `server.script(fault(429, "slow down", retry_after=1))`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from loopback import Loopback, Recorded, Reply, events

Generation = Literal["published", "later"]

USAGES: Mapping[str, dict[str, Any]] = {
    "all_tokens": {"all_tokens": 23, "total_cost": 0.00001},
    "total_tokens": {"total_tokens": 23},
    "prompt_completion": {"prompt_tokens": 12, "completion_tokens": 11, "total_tokens": 23},
    "input_output": {"input_tokens": 12, "output_tokens": 11},
    "reasoning": {"input_tokens": 12, "output_tokens": 11, "reasoning_tokens": 5, "total_tokens": 23},
}
"""Every shape of usage, all of the same 12 prompt tokens and 11 of the answer."""

MODELS: tuple[dict[str, Any], ...] = (
    {"id": "gpt-4", "name": "gpt-4", "provider": "openai", "kind": "chat"},
    {"id": "gpt-4o-mini", "name": "gpt-4o-mini", "provider": "openai", "kind": "chat"},
    {"id": "claude-3-5-sonnet", "name": "claude-3-5-sonnet-20241022", "provider": "anthropic", "kind": "chat"},
    {"id": "deepseek-r1", "name": "deepseek-reasoner", "provider": "deepseek", "kind": "reasoning"},
    {"id": "dall-e-3", "name": "dall-e-3", "provider": "openai", "kind": "image"},
)
ANSWER = ("You ", "asked, ", "I answer: ñ 日本 🎲.")
REASONING = ("First this, ", "then that.")


def fault(status: int, detail: Any, *, retry_after: float | None = None) -> Reply:
    """Return an error as the service writes it."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Reply(status, {"detail": detail}, headers)


def page(status: int, html: str) -> Reply:
    """Return what a proxy before the service answers."""
    return Reply(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})


class OmniServer(Loopback):
    """The service on 127.0.0.1. What it answers is set by plain attributes, at any time.

    Attributes:
        generation: Which routes exist.
        api_key: The key it asks for, or None to ask for none.
        usage: The key in `USAGES` of the shape it reports.
        stream_usage: Whether a plain stream ends with a chunk that has the usage.
        stream_names: Whether a plain stream's chunks tell model and provider.
        names_in_data: Whether a reasoning stream names its events in the data's `type` instead of `event:`.
        no_route_status: What a missing route answers, 404 or 405.
    """

    def __init__(self, generation: Generation = "published", *, api_key: str | None = None) -> None:
        super().__init__()
        self.generation: Generation = generation
        self.api_key = api_key
        self.usage = "all_tokens"
        self.stream_usage = False
        self.stream_names = False
        self.names_in_data = False
        self.no_route_status = 404

    def answer(self, request: Recorded) -> Reply:
        """Return the reply to a request as the protocol has it."""
        refused = self._check_key(request)
        if refused is not None:
            return refused
        routes = _PUBLISHED if self.generation == "published" else _LATER
        handle = routes.get((request.method, request.path))
        return self.no_route() if handle is None else handle(self, request)

    def no_route(self) -> Reply:
        """Return what FastAPI answers where there is no such route."""
        return fault(self.no_route_status, "Not Found" if self.no_route_status == 404 else "Method Not Allowed")

    def _check_key(self, request: Recorded) -> Reply | None:
        if self.api_key is None:
            return None
        given = request.headers.get("authorization", "")
        if not given.startswith("Bearer "):
            return fault(403, "Not authenticated")
        return None if given == f"Bearer {self.api_key}" else fault(401, "Invalid API key")


def _chat(server: OmniServer, request: Recorded) -> Reply:
    if server.generation == "later" and request.json.get("stream"):
        return server.no_route()
    return _complete(server, request.json, stream=bool(request.json.get("stream")))


def _chat_stream(server: OmniServer, request: Recorded) -> Reply:
    return _complete(server, request.json, stream=True)


def _complete(server: OmniServer, body: Any, *, stream: bool) -> Reply:
    invalid = [*_check_messages(body), *_check_ranges(body, _CHAT_RANGES)]
    if not isinstance(body.get("model"), str):
        invalid.append(_missing("model"))
    if invalid:
        return fault(422, invalid)
    model = _model(body["model"])
    if model is None:
        return fault(400, f"Unknown model: {body['model']}")
    return _answer(server, body, model, stream=stream)


def _select(server: OmniServer, request: Recorded) -> Reply:
    return _choose(server, request.json, stream=False)


def _select_stream(server: OmniServer, request: Recorded) -> Reply:
    return _choose(server, request.json, stream=True)


def _choose(server: OmniServer, body: Any, *, stream: bool) -> Reply:
    invalid = [*_check_messages(body), *_check_ranges(body, _SELECT_RANGES)]
    if invalid:
        return fault(422, invalid)
    names = body.get("model_names") or ["claude-3-5-sonnet"]
    model = _model(names[0])
    if model is None:
        return fault(400, f"Unknown model: {names[0]}")
    explanation = f"Selected {model['name']} because it is the best of {len(names)}" if body.get("verbose") else None
    return _answer(server, body, model, stream=stream, explanation=explanation)


def _answer(
    server: OmniServer, body: Any, model: Mapping[str, Any], *, stream: bool, explanation: str | None = None
) -> Reply:
    content, calls = _content_and_calls(body)
    facts: dict[str, Any] = {"model": model["name"], "provider": model["provider"]}
    once: dict[str, Any] = {} if explanation is None else {"explanation": explanation}
    if calls:
        once["function_calls"] = calls
    if not stream:
        return Reply(body={**facts, "content": "".join(content), "usage": USAGES[server.usage], **once})
    named = facts if server.stream_names else {}
    chunks = [{"content": piece, **named} for piece in content]
    if server.stream_usage:
        once["usage"] = USAGES[server.usage]
    if once:
        chunks.append({"content": "", **named, **once})
    return events(*chunks, "[DONE]")


def _content_and_calls(body: Any) -> tuple[Sequence[str], list[dict[str, Any]]]:
    """Return the answer: a call of the first tool (or the chosen one), or text, with a tool's result in it."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return ("The tool says ", str(last["content"])), []
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools or choice == "none":
        return ANSWER, []
    name = choice["function"]["name"] if isinstance(choice, Mapping) else tools[0]["function"]["name"]
    return ("",), [{"name": name, "arguments": {"city": "Zürich", "days": 2}, "id": "call_abc"}]


def _reason(server: OmniServer, request: Recorded) -> Reply:
    refused, model = _check_reasoning(request.json)
    if model is None:
        return refused
    usage = USAGES["reasoning"]
    body = {"model": model["name"], "content": "".join(ANSWER), "provider": model["provider"], "usage": usage}
    return Reply(body={**body, "reasoning": "".join(REASONING)})


def _reason_stream(server: OmniServer, request: Recorded) -> Reply:
    refused, model = _check_reasoning(request.json)
    if model is None:
        return refused
    named: list[tuple[str, dict[str, Any]]] = [
        ("metadata", {"model": model["name"], "provider": model["provider"]}),
        ("thinking_start", {"content": ""}),
        ("block_start", {"type": "thinking"} if not server.names_in_data else {}),
        *(("reasoning", {"content": piece}) for piece in REASONING),
        ("block_stop", {}),
        *(("content", {"content": piece}) for piece in ANSWER),
        ("usage", USAGES["reasoning"]),
    ]
    if server.names_in_data:
        return events(*({"type": name, **data} for name, data in named), "[DONE]")
    return events(*named)  # this form ends with its usage


def _check_reasoning(body: Any) -> tuple[Reply, Mapping[str, Any] | None]:
    invalid = [*_check_messages(body), *_check_ranges(body, _CHAT_RANGES)]
    if body.get("reasoning_effort") not in ("low", "medium", "high"):
        said = "Input should be 'low', 'medium' or 'high'"
        invalid.append({"loc": ["body", "reasoning_effort"], "msg": said, "type": "enum"})
    if invalid:
        return fault(422, invalid), None
    model = _model(body.get("model"))
    if model is None or model["kind"] != "reasoning":
        return fault(400, f"Unknown model: {body.get('model')}"), None
    return Reply(), model


def _models(kind: str | None) -> Callable[[OmniServer, Recorded], Reply]:
    def handle(server: OmniServer, request: Recorded) -> Reply:
        return Reply(body={"models": [_record(model) for model in MODELS if kind in (None, model["kind"])]})

    return handle


def _record(model: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: model[name] for name in ("id", "name", "provider")}
    about = {"description": "A model.", "max_tokens": 4096, "benchmarks": {"MMLU": 0.8}}
    return {**shown, **about, "tokenCost": 1.5, "latency": 0.7}


def _images(server: OmniServer, request: Recorded) -> Reply:
    body = request.json
    model = _model(body.get("model"))
    if model is None or model["kind"] != "image":
        return fault(400, f"Unknown model: {body.get('model')}")
    urls = [f"data:image/png;base64,{'AAAA' * (index + 1)}" for index in range(body["n"])]
    return Reply(body={"urls": urls, "model": model["name"], "provider": model["provider"]})


def _model(name: object) -> Mapping[str, Any] | None:
    return next((model for model in MODELS if name in (model["id"], model["name"])), None)


_CHAT_RANGES: Mapping[str, tuple[float, float]] = {"temperature": (0, 2), "max_tokens": (1, 10**9)}
_SELECT_RANGES: Mapping[str, tuple[float, float]] = {
    "k": (1, 10),
    "rel_cost": (0, 1),
    "rel_latency": (0, 1),
    "rel_accuracy": (0, 1),
}


def _check_messages(body: Any) -> Iterable[dict[str, Any]]:
    messages = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(messages, list):
        yield _missing("messages")
        return
    for index, message in enumerate(messages):
        for name in ("role", "content"):
            if name not in message:
                yield _missing("messages", index, name)
            elif not isinstance(message[name], str) and (name == "role" or not isinstance(message[name], list)):
                said = "Input should be a valid string"
                yield {"loc": ["body", "messages", index, name], "msg": said, "type": "string_type"}


def _check_ranges(body: Any, ranges: Mapping[str, tuple[float, float]]) -> Iterable[dict[str, Any]]:
    for name, (low, high) in ranges.items():
        value = body.get(name, low)
        if value is None and name == "max_tokens":
            continue
        if not isinstance(value, int | float) or not low <= value <= high:
            yield {"loc": ["body", name], "msg": f"Input should be from {low} to {high}", "type": "range"}


def _missing(*path: str | int) -> dict[str, Any]:
    return {"loc": ["body", *path], "msg": "Field required", "type": "missing"}


_Routes = Mapping[tuple[str, str], Callable[[OmniServer, Recorded], Reply]]
_BOTH: _Routes = {
    ("POST", "/v1/chat/completions"): _chat,
    ("GET", "/v1/models"): _models(None),
    ("GET", "/v1/models/chat"): _models("chat"),
    ("GET", "/v1/models/image"): _models("image"),
    ("POST", "/v1/images/generate"): _images,
}
_PUBLISHED: _Routes = {
    **_BOTH,
    ("POST", "/v1/router/select-model"): _select,
    ("POST", "/v1/router/select-model-stream"): _select_stream,
}
_LATER: _Routes = {
    **_BOTH,
    ("POST", "/v1/chat/completions/stream"): _chat_stream,
    ("POST", "/v1/router/smart_select"): _select,
    ("POST", "/v1/router/smart_select/stream"): _select_stream,
    ("GET", "/v1/models/reasoning"): _models("reasoning"),
    ("POST", "/v1/reason/completions"): _reason,
    ("POST", "/v1/reason/completions/stream"): _reason_stream,
}
