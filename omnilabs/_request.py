"""A checked chat request: what the caller set and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, TypeAlias, TypedDict, cast

from omnilabs._decision import Weights
from omnilabs._frozen import frozen
from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, parse_messages
from omnilabs.errors import InvalidRequestError

__all__ = ["DEFAULT_TEMPERATURE", "ChatOptions", "ChatRequest", "DocumentedDefault", "Routing", "ToolChoice"]

ToolChoice: TypeAlias = str | Mapping[str, Any]
"""auto, none, required, a tool's name, or OpenAI's `{"type": "function", "function": {"name": ...}}`."""


class DocumentedDefault(float):
    """A default the documentation promises: sent where the model takes it, left out where it takes none."""


DEFAULT_TEMPERATURE = DocumentedDefault(0.7)


class ChatOptions(TypedDict, total=False):
    """Settings of a call beyond the documented ones, keyword-only; what is not given is not sent.

    Keys:
        top_p: Nucleus sampling, 0 to 1.
        stop: Up to a few strings that end the answer.
        seed: For repeatable sampling, where the provider offers it.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        logprobs: Ask for log-probabilities.
        top_logprobs: How many alternatives per token, 0 to 20.
        tools: Tools in OpenAI's format.
        tool_choice: auto, none, required, or a tool's name.
        parallel_tool_calls: Whether one answer may call several tools.
        response_format: OpenAI's `{"type": "json_object"}` or `{"type": "json_schema", "json_schema": {...}}`, or a
            JSON schema, or a pydantic model class.
        reasoning_effort: none, minimal, low, medium, high or xhigh.
        reasoning_budget_tokens: Most tokens to think with.
        extra_body: Fields put into the request's JSON: objects join what is there, lists are appended, others replace.
        unsupported: What to do with a setting the model cannot take: "error" (default) or "drop" and report it.
        timeout_s: Seconds for the whole call, every attempt and fallback together.
        max_retries: How often one model is tried again after a passing failure.
        max_cost_usd: Refuse, before sending, what may cost more than this.
        max_latency_s: Choose only models expected to answer within this many seconds.
        min_quality: Choose only models expected to be at least this good, 0 to 1.
    """

    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logprobs: bool | None
    top_logprobs: int | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | type | None
    reasoning_effort: str | None
    reasoning_budget_tokens: int | None
    extra_body: Mapping[str, Any] | None
    unsupported: Literal["error", "drop"] | None
    timeout_s: float | None
    max_retries: int | None
    max_cost_usd: float | None
    max_latency_s: float | None
    min_quality: float | None


@frozen
class Routing:
    """How to choose the model, as `smart_select` takes it. Weights are as the caller gave them."""

    k: int = 5
    model_names: tuple[str, ...] | None = None
    rel_cost: float = 0.5
    rel_latency: float = 0.0
    rel_accuracy: float = 0.5
    verbose: bool = False

    @property
    def weights(self) -> Weights:
        """The weights, normalised to sum 1; all zero means the documented default."""
        total = self.rel_cost + self.rel_latency + self.rel_accuracy
        if total == 0:
            return Weights(0.5, 0.5, 0.0)
        return Weights(self.rel_accuracy / total, self.rel_cost / total, self.rel_latency / total)


@frozen
class ChatRequest:
    """A request to any model. A setting that is None was not given and is not sent."""

    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Mapping[str, Any], ...] | None = None
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: Mapping[str, Any] | None = None
    reasoning_effort: str | None = None
    reasoning_budget_tokens: int | None = None
    extra_body: Mapping[str, Any] | None = None
    routing: Routing | None = field(default=None, compare=False)
    unsupported: Literal["error", "drop"] = "error"

    def given_params(self) -> dict[str, Any]:
        """Return the settings the caller set, by our names: everything but messages, routing and `extra_body`."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}

    def needs(self) -> frozenset[str]:
        """Return the capabilities this request cannot do without: tools, images, pdf, audio, json_schema."""
        needed = {"tools"} if self.tools else set[str]()
        if self.response_format and self.response_format["type"] == "json_schema":
            needed.add("json_schema")
        for message in self.messages:
            for part in message.parts if not isinstance(message.content, str) else ():
                match part:
                    case ImagePart():
                        needed.add("images")
                    case FilePart():
                        needed.add("pdf")
                    case AudioPart():
                        needed.add("audio")
                    case _:
                        pass
        return frozenset(needed)


SETTINGS: tuple[str, ...] = (
    "temperature",
    "max_tokens",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "reasoning_budget_tokens",
)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
LIMITS = frozenset({"max_cost_usd", "max_latency_s", "min_quality"})
"""What a choice of models must keep to."""
_CALL_OPTIONS = LIMITS | {"timeout_s", "max_retries"}
_CALL_ONLY = _CALL_OPTIONS | {"unsupported"}
_KNOWN_OPTIONS = frozenset(ChatOptions.__annotations__)


def build_request(
    messages: object,
    *,
    temperature: float | None,
    max_tokens: int | None,
    routing: Routing | None,
    options: Mapping[str, Any],
    unsupported: str = "error",
) -> ChatRequest:
    """Return a checked request from what the caller gave; `unsupported` holds where the options do not say.

    Raises:
        InvalidRequestError: Naming the parameter and what is wrong with it.
        TypeError: An option of an unknown name, as Python does.
    """
    unknown = options.keys() - _KNOWN_OPTIONS
    if unknown:
        known = ", ".join(sorted(_KNOWN_OPTIONS))
        raise TypeError(
            f"unexpected keyword argument {min(unknown)!r}; options are: {known}; use extra_body for others"
        )
    wish: Any = options.get("unsupported") or unsupported
    if wish not in ("error", "drop"):
        raise InvalidRequestError(f"unsupported is 'error' or 'drop', not {wish!r}", parameter="unsupported")
    _whole("max_tokens", max_tokens, at_least=1)
    settings = _settings(options) if any(options.get(name) is not None for name in options.keys() - _CALL_ONLY) else {}
    return ChatRequest(
        parse_messages(messages),
        temperature=_in_range("temperature", temperature, 0, 2),
        max_tokens=max_tokens,
        routing=routing,
        unsupported=wish,
        **settings,
    )


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked settings of the model, by the names of `ChatRequest`'s fields."""
    tools = _tools(options.get("tools"))
    stop = options.get("stop")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ()) if isinstance(stop, Iterable | None) else (stop,)
    if not all(isinstance(text, str) for text in stops):
        raise InvalidRequestError(f"stop is a string or a list of strings, not {stop!r}", parameter="stop")
    effort = options.get("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise InvalidRequestError(
            f"reasoning_effort is one of {', '.join(EFFORTS)}, not {effort!r}", parameter="reasoning_effort"
        )
    extra_body = options.get("extra_body")
    if extra_body is not None and not isinstance(extra_body, Mapping):
        raise InvalidRequestError(
            f"extra_body is a mapping of fields of the request, not {extra_body!r}", parameter="extra_body"
        )
    for name, least in (("seed", None), ("top_logprobs", 0), ("reasoning_budget_tokens", 0)):
        _whole(name, options.get(name), at_least=least)
    return {
        "top_p": _in_range("top_p", options.get("top_p"), 0, 1),
        # An empty list, which LangChain's own tests pass, asks for nothing.
        "stop": stops or None,
        "seed": options.get("seed"),
        "presence_penalty": _in_range("presence_penalty", options.get("presence_penalty"), -2, 2),
        "frequency_penalty": _in_range("frequency_penalty", options.get("frequency_penalty"), -2, 2),
        "logprobs": options.get("logprobs"),
        "top_logprobs": options.get("top_logprobs"),
        "tools": tools,
        "tool_choice": _tool_choice(options.get("tool_choice"), tools),
        "parallel_tool_calls": options.get("parallel_tool_calls"),
        "response_format": _response_format(options.get("response_format")),
        "reasoning_effort": effort,
        "reasoning_budget_tokens": options.get("reasoning_budget_tokens"),
        "extra_body": extra_body,
    }


def build_routing(
    *,
    k: int,
    model_names: Sequence[str] | None,
    rel_cost: float,
    rel_latency: float,
    rel_accuracy: float,
    verbose: bool,
) -> Routing:
    """Return checked routing settings.

    Raises:
        InvalidRequestError: A weight outside 0-1 or not a number, or k outside 1-10.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 10:
        raise InvalidRequestError(f"k is the number of models considered, 1 to 10, not {k!r}", parameter="k")
    weights = {"rel_cost": rel_cost, "rel_latency": rel_latency, "rel_accuracy": rel_accuracy}
    for name, weight in weights.items():
        _in_range(name, weight, 0, 1, required=True)
    names = None if model_names is None else _names(model_names)
    return Routing(k, names, float(rel_cost), float(rel_latency), float(rel_accuracy), verbose)


def _names(model_names: object) -> tuple[str, ...]:
    given = tuple(model_names) if isinstance(model_names, Iterable) and not isinstance(model_names, str) else None
    if given is None or not all(isinstance(name, str) for name in given):
        raise InvalidRequestError(f"model_names is a list of ids, not {model_names!r}", parameter="model_names")
    if not given:
        raise InvalidRequestError("model_names is empty: name a model, or pass None for all", parameter="model_names")
    return given


def _in_range(name: str, value: object, low: float, high: float, *, required: bool = False) -> float | None:
    if value is None and not required:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequestError(f"{name} is a number from {low} to {high}, not {value!r}", parameter=name)
    if not low <= value <= high:
        raise InvalidRequestError(f"{name} is from {low} to {high}, not {value!r}", parameter=name)
    return value


def _whole(name: str, value: object, *, at_least: int | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or (at_least is not None and value < at_least):
        bound = "" if at_least is None else f" of at least {at_least}"
        raise InvalidRequestError(f"{name} is a whole number{bound}, not {value!r}", parameter=name)


def _tools(tools: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...] | None:
    if not tools:
        return None
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InvalidRequestError(
                f"tools[{index}] must be {{'type': 'function', 'function': {{'name': ..., 'parameters': ...}}}}",
                parameter="tools",
            )
    return tuple(tools)


def _tool_choice(choice: ToolChoice | None, tools: tuple[Mapping[str, Any], ...] | None) -> str | None:
    """Return auto, none, required, or a tool's name. OpenAI's dict form and LangChain's "any" are read too."""
    if choice is None:
        return None
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        choice = function.get("name") if isinstance(function, Mapping) else None
    if choice == "any":
        choice = "required"
    names = [str(tool["function"]["name"]) for tool in tools or ()]
    if not isinstance(choice, str) or (choice not in ("auto", "none", "required") and choice not in names):
        raise InvalidRequestError(
            f"tool_choice is auto, none, required or one of the tools ({', '.join(names) or 'none given'}), "
            f"not {choice!r}",
            parameter="tool_choice",
        )
    if not tools and choice != "none":
        raise InvalidRequestError(f"tool_choice={choice!r} needs tools", parameter="tool_choice")
    return choice if tools else None


def _response_format(value: Mapping[str, Any] | type | None) -> Mapping[str, Any] | None:
    """Return OpenAI's response_format from itself, from a bare JSON schema, or from a pydantic model class."""
    if value is None:
        return None
    if isinstance(value, type):
        schema_of = getattr(value, "model_json_schema", None)
        if schema_of is None:
            raise InvalidRequestError(
                f"response_format takes a pydantic model class, not {value.__name__}", parameter="response_format"
            )
        return _json_schema(value.__name__, cast("Mapping[str, Any]", schema_of()))
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind in ("text", "json_object"):
        return None if kind == "text" else value
    if kind == "json_schema":
        inner = value.get("json_schema")
        if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
            raise InvalidRequestError(
                "response_format of type json_schema needs json_schema.schema", parameter="response_format"
            )
        schema = _with_root(inner["schema"])
        return value if schema is inner["schema"] else {**value, "json_schema": {**inner, "schema": schema}}
    if isinstance(value, Mapping) and (kind == "object" or "properties" in value):
        return _json_schema(str(value.get("title", "answer")), value)
    raise InvalidRequestError(
        "response_format is {'type': 'json_object'}, {'type': 'json_schema', ...}, a JSON schema or a pydantic class",
        parameter="response_format",
    )


def _json_schema(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    safe = "".join(char if char.isalnum() or char in "_-" else "_" for char in name)[:64] or "answer"
    return {"type": "json_schema", "json_schema": {"name": safe, "schema": _with_root(schema)}}


def _with_root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema that says at its root what it is.

    Of a class that holds itself pydantic writes a bare reference there, where providers want an object.
    """
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
        return schema
    root = (schema.get("$defs") or {}).get(reference.removeprefix("#/$defs/"))
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**root, **rest} if isinstance(root, Mapping) else schema


def call_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that steer the call rather than the model: time, retries, budget.

    Raises:
        InvalidRequestError: A limit that is not a positive number.
    """
    chosen = {name: options[name] for name in options.keys() & _CALL_OPTIONS if options[name] is not None}
    for name, value in chosen.items():
        low = 0.001 if name == "timeout_s" else 0
        _in_range(name, value, low, 1 if name == "min_quality" else math.inf, required=True)
    return chosen
