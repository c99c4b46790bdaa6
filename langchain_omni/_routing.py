"""One call as a value: which of the client's methods, with which arguments, and why this model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from omnilabs.errors import InvalidRequestError, NoEligibleModelError
from omnilabs.types import Decision

__all__ = ["AUTO", "Choice", "Plan", "Sticky", "choose", "plan_call"]

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
    """A call of the client: `getattr(client, method)(**arguments)`, and the model to stay with if that can answer."""

    method: Literal["chat", "smart_select"]
    arguments: Mapping[str, Any]
    choice: Choice
    settled: str | None = None

    def answered_by(self, model: str | Decision, reason: Literal["auto", "sticky"]) -> Plan:
        """Return the same call to a model, or to a decision's models in their order."""
        kept = {name: value for name, value in self.arguments.items() if name not in _ROUTING}
        return Plan("chat", {**kept, "model": model}, self.choice._replace(reason=reason))


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
        sticky: How long a model chosen by the router is kept, unless the call says it.

    Raises:
        InvalidRequestError: The call says it wrong.
    """
    settings = {**defaults, **{_RENAMED.get(k, k): v for k, v in given.items() if k not in _NOT_FOR_THE_WIRE}}
    model = settings.pop("model")
    sticky = settings.pop("sticky", None) or sticky
    if sticky not in get_args(Sticky):
        raise InvalidRequestError(f"sticky is one of {', '.join(get_args(Sticky))}, not {sticky!r}", parameter="sticky")
    routing = {name: settings.pop(name) for name in _ROUTING & settings.keys()}
    settings.setdefault("temperature", None)
    settings["messages"] = plain
    if model != AUTO:
        return Plan("chat", {**settings, "model": model}, Choice("named"))
    chosen = {name: value for name, value in routing.items() if value is not None}
    choice = Choice("auto", bool(routing.get("verbose")))
    return Plan("smart_select", {**settings, **chosen}, choice, _settled_model(messages, sticky))


def choose(select: Callable[..., Decision], arguments: Mapping[str, Any], kept: str | None) -> Decision:
    """Return the router's decision; a model to stay with is put in front if it can answer this request.

    Args:
        select: A client's `select`.
        arguments: Its arguments.
        kept: The catalogue's id of the model to stay with, or None.

    Raises:
        NoEligibleModelError: No model can answer.
    """
    decision = select(**arguments)
    if kept is None or kept == decision.model:
        return decision
    found = [one for one in decision.ranked if one.model == kept]
    try:
        first = found[0] if found else select(**{**arguments, "model_names": [kept], "k": 1}).pick
    except NoEligibleModelError:  # it takes no images, has no key any more, does less than is wanted now, ...
        return decision
    return decision.led_by(first, f"{kept} is kept, it answered before. A new choice: {decision.explanation}")


def _settled_model(messages: Sequence[BaseMessage], sticky: Sticky) -> str | None:
    """Return the model to stay with, or None to choose anew.

    Another model in the middle of a tool loop would meet tool-call ids and signed thoughts that are not its own, and
    an empty prompt cache. "tool_loop" keeps the model from the call to the answer; "conversation" keeps it for good.
    """
    if sticky == "off" or not messages or (sticky == "tool_loop" and not isinstance(messages[-1], ToolMessage)):
        return None
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            call = message.response_metadata.get("omni_call")
            if not isinstance(call, Mapping):
                return None
            # A server that chooses names the model that answered, and in a stream not always.
            names = (call.get("model_id"), message.response_metadata.get("model_name"))
            return next((name for name in names if isinstance(name, str) and name != AUTO), None)
        if sticky == "tool_loop" and isinstance(message, HumanMessage):
            return None
    return None
