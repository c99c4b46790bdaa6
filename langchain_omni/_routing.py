"""One call as a value: which of the client's methods, with which arguments, and why this model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

__all__ = ["AUTO", "Choice", "Plan", "Sticky", "plan_call", "settled_model"]

AUTO = "auto"
Sticky: TypeAlias = Literal["off", "tool_loop", "conversation"]
# Meaningless for a named model. `max_latency_s` and `min_quality` are not here: the core keeps them for named ones too.
_ROUTING = frozenset({"k", "model_names", "rel_cost", "rel_latency", "rel_accuracy", "verbose"})
# What LangChain passes along for itself and its traces.
_NOT_FOR_THE_WIRE = frozenset({"stream", "ls_structured_output_format", "structured_output_format", "run_manager"})
_RENAMED: Mapping[str, str] = {"timeout": "timeout_s", "stop_sequences": "stop"}


class Choice(NamedTuple):
    """How a call came to its model: "named", "auto", or "sticky"; `verbose` asks for the whole explanation."""

    reason: Literal["named", "auto", "sticky"]
    verbose: bool = False


class Plan(NamedTuple):
    """A call of the client: `getattr(client, method)(**arguments)`."""

    method: Literal["chat", "smart_select"]
    arguments: Mapping[str, Any]
    choice: Choice


def plan_call(
    plain: Sequence[Mapping[str, Any]],
    messages: Sequence[BaseMessage],
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    sticky: Sticky,
) -> Plan:
    """Return the call for these messages.

    Args:
        plain: The messages as `omnilabs` takes them.
        messages: The same as LangChain has them, for the models that answered before.
        defaults: The model's own settings, `model` among them.
        given: The settings of this call; they go before the defaults.
        sticky: How long a model chosen by the router is kept.
    """
    settings = {**defaults, **{_RENAMED.get(k, k): v for k, v in given.items() if k not in _NOT_FOR_THE_WIRE}}
    model = settings.pop("model")
    routing = {name: settings.pop(name) for name in _ROUTING & settings.keys()}
    settings.setdefault("temperature", None)
    settings["messages"] = plain
    if model != AUTO:
        return Plan("chat", {**settings, "model": model}, Choice("named"))
    names = routing.get("model_names")
    settled = settled_model(messages, sticky)
    if settled is not None and (names is None or settled in names):
        return Plan("chat", {**settings, "model": settled}, Choice("sticky"))
    chosen = {name: value for name, value in routing.items() if value is not None}
    return Plan("smart_select", {**settings, **chosen}, Choice("auto", bool(routing.get("verbose"))))


def settled_model(messages: Sequence[BaseMessage], sticky: Sticky) -> str | None:
    """Return the model to stay with, or None to choose anew.

    Another model in the middle of a tool loop would meet tool-call ids and signed thoughts that are not its own, and
    an empty prompt cache. "tool_loop" keeps the model from the call to the answer; "conversation" keeps it for good.
    """
    if sticky == "off" or not messages or (sticky == "tool_loop" and not isinstance(messages[-1], ToolMessage)):
        return None
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            call = message.response_metadata.get("omni_call")
            model = call.get("model_id") if isinstance(call, Mapping) else None
            return model if isinstance(model, str) else None
        if sticky == "tool_loop" and isinstance(message, HumanMessage):
            return None
    return None
