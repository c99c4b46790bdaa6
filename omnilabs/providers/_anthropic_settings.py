"""The settings of a request on the Anthropic Messages wire: length, thinking, sampling, tools, structured answers.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting (which model thinks how),
https://platform.claude.com/docs/build-with-claude/thinking-tool-workflows (forced tools and thinking),
https://platform.claude.com/docs/en/build-with-claude/effort and the types of the `anthropic` package 2.12, read
2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from omnilabs._frozen import frozen
from omnilabs._request import ChatRequest
from omnilabs.providers._anthropic_schema import native_schema
from omnilabs.providers._base import Target, is_documented_default, refuse
from omnilabs.providers._structured import answer_function, why_no_forced_answer

__all__ = ["ADAPTIVE", "BUDGETED", "DECLARED", "FOLDED", "UNFORCED", "UNSAMPLED", "Draft", "put_settings"]

MOST_UNSTREAMED_TOKENS = 21_333
"""Longest answer asked for by default: what the official SDK expects to be written within the ten minutes an
unstreamed request may take (`_calculate_nonstreaming_timeout`: 128,000 tokens an hour). Only what is written is
charged."""

ANSWER_TOKENS = 8_192
"""Longest answer asked for by default of a model whose limit is not known, and the room left beside a thinking
budget."""

LEAST_BUDGET_TOKENS = 1_024
"""Smallest thinking budget the API takes."""

BUDGET_TOKENS: Mapping[str, int] = {
    "minimal": LEAST_BUDGET_TOKENS,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
}
"""Our thinking budgets, in tokens, for models that take a budget and no effort."""

_EFFORTS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}

# Forms a request can take besides the first, for what a catalogue may not know of a model.
ADAPTIVE, BUDGETED, UNFORCED = "adaptive", "budgeted", "unforced"
FOLDED, UNSAMPLED, DECLARED = "folded", "unsampled", "declared"


class Draft:
    """A request body in the making."""

    def __init__(self, request: ChatRequest, target: Target, form: frozenset[str]) -> None:
        self.request = request
        self.target = target
        self.form = form
        self.dropped: set[str] = set()
        longest = target.model.max_output_tokens or ANSWER_TOKENS
        self.body: dict[str, Any] = {
            "model": target.model.name,
            "max_tokens": request.max_tokens or min(longest, MOST_UNSTREAMED_TOKENS),
        }

    def refuse(self, name: str, why: str) -> None:
        """Report a setting as left out.

        Raises:
            UnsupportedParameterError: The caller did not allow that.
        """
        refuse(self.request, self.target, name, why, self.dropped)


Structured: TypeAlias = Literal["native", "tool"]


def put_settings(draft: Draft) -> tuple[Structured | None, str | None]:
    """Put everything but the conversation into the body; return how a form is asked for, and by which forced tool.

    Raises:
        UnsupportedParameterError: A setting that has no place on this wire, or not beside the others.
    """
    thinking = _put_reasoning(draft)
    _put_sampling(draft, is_thinking=thinking is not None)
    unforced = None
    if thinking == "enabled":
        unforced = "no tool can be forced while this model thinks with a budget"
    elif UNFORCED in draft.form or not draft.target.model.capabilities.forced_tools:
        unforced = "no tool can be forced on this model"
    return _put_tools(draft, unforced)


def _put_reasoning(draft: Draft) -> Literal["adaptive", "enabled"] | None:
    """Put how to think; return the kind of thinking that is asked for."""
    request = draft.request
    effort, budget_tokens = request.reasoning_effort, request.reasoning_budget_tokens
    is_adaptive = not draft.target.model.capabilities.temperature or ADAPTIVE in draft.form
    if is_adaptive and BUDGETED not in draft.form:
        if budget_tokens:
            draft.refuse("reasoning_budget_tokens", "this model sets its own budget: use reasoning_effort")
        return _put_effort(draft, effort, is_off=effort == "none" or budget_tokens == 0)
    if effort is not None and budget_tokens is not None:
        draft.refuse("reasoning_effort", "reasoning_budget_tokens says how much to think already")
        effort = None
    if effort == "none" or budget_tokens == 0:
        draft.body["thinking"] = {"type": "disabled"}
        return None
    budget_tokens = _budget(draft, effort, budget_tokens)
    if budget_tokens is None:
        return None
    draft.body["thinking"] = {"type": "enabled", "budget_tokens": budget_tokens}
    return "enabled"


def _put_effort(draft: Draft, effort: str | None, *, is_off: bool) -> Literal["adaptive"] | None:
    if effort is not None and effort in _EFFORTS:
        draft.body["output_config"] = {"effort": _EFFORTS[effort]}
    if is_off:
        draft.body["thinking"] = {"type": "disabled"}
        return None
    if effort is None:
        return None
    # Newer models hide their thinking unless asked to sum it up.
    draft.body["thinking"] = {"type": "adaptive", "display": "summarized"}
    return "adaptive"


def _budget(draft: Draft, effort: str | None, budget_tokens: int | None) -> int | None:
    """Return the thinking budget, and make room for an answer beside it where the caller set no limit."""
    asked, name = budget_tokens, "reasoning_budget_tokens"
    if effort is not None:
        asked, name = BUDGET_TOKENS[effort], "reasoning_effort"
    if asked is None:
        return None
    limit = draft.request.max_tokens
    if limit is None:
        longest = draft.target.model.max_output_tokens
        wanted = asked + ANSWER_TOKENS
        limit = max(draft.body["max_tokens"], wanted if longest is None else min(wanted, longest))
    if effort is not None:
        asked = min(asked, max(limit - ANSWER_TOKENS, limit // 2))
    if not LEAST_BUDGET_TOKENS <= asked < limit:
        draft.refuse(name, f"thinking takes {LEAST_BUDGET_TOKENS} tokens or more and less than max_tokens ({limit})")
        return None
    draft.body["max_tokens"] = limit
    return asked


def _put_sampling(draft: Draft, *, is_thinking: bool) -> None:
    request = draft.request
    _put_temperature(draft, is_thinking=is_thinking)
    if request.top_p is not None:
        if is_thinking and request.top_p < 0.95:
            draft.refuse("top_p", "it goes from 0.95 to 1 while the model thinks")
        else:
            draft.body["top_p"] = float(request.top_p)
    # The API refuses a sequence of nothing but white space.
    stop = [sequence for sequence in request.stop or () if sequence.strip()]
    if len(stop) < len(request.stop or ()):
        draft.refuse("stop", "a stop sequence must hold more than white space")
    if stop:
        draft.body["stop_sequences"] = stop


def _put_temperature(draft: Draft, *, is_thinking: bool) -> None:
    temperature = draft.request.temperature
    if temperature is None:
        return
    if is_documented_default(draft.request, "temperature"):
        # Newer models take one of the two; what the caller set goes before what was only promised.
        if is_thinking or draft.request.top_p is not None or UNSAMPLED in draft.form:
            return
    elif UNSAMPLED in draft.form:
        return draft.refuse("temperature", "the model said so")
    elif temperature > 1:
        return draft.refuse("temperature", f"it goes from 0 to 1 here, not to {temperature!r}")
    elif is_thinking and temperature != 1:
        return draft.refuse("temperature", "it cannot be set while the model thinks")
    draft.body["temperature"] = float(temperature)


# ---- tools and structured answers


@frozen
class _Structure:
    """How a structured answer is asked for: by the wire's own means, or by a tool that must be called."""

    by: Structured | None = None
    tool: Mapping[str, Any] | None = None


def _put_tools(draft: Draft, unforced: str | None) -> tuple[Structured | None, str | None]:
    """Put tools, their choice and the form of the answer; return how the form is asked for, and by which tool.

    `unforced` says why no tool can be forced, where none can.
    """
    request = draft.request
    tools = [_tool(draft, tool) for tool in request.tools or ()]
    choice = _choice(request.tool_choice)
    if unforced is not None and _is_forced(choice):
        draft.refuse("tool_choice", unforced)
        choice = {"type": "auto"}
    structure = _structure(draft, unforced)
    choice = _parallel(draft, choice)
    if structure.tool is not None:
        alone = not tools or (choice is not None and choice["type"] == "none")
        name = structure.tool["name"]
        tools.append(dict(structure.tool))
        only = {"type": "tool", "name": name, "disable_parallel_tool_use": True}
        choice = only if alone else {**(choice or {}), "type": "any"}
    if not tools and DECLARED in draft.form:
        tools, choice = _declared(draft), {"type": "none"}
    if tools:
        draft.body["tools"] = tools
        if choice is not None:
            draft.body["tool_choice"] = choice
    return structure.by, None if structure.tool is None else structure.tool["name"]


def _tool(draft: Draft, tool: Mapping[str, Any]) -> dict[str, Any]:
    function: Mapping[str, Any] = tool["function"]
    schema: Mapping[str, Any] = {"type": "object", **(function.get("parameters") or {"properties": {}})}
    made: dict[str, Any] = {"name": function["name"]}
    if function.get("description"):
        made["description"] = function["description"]
    if function.get("strict"):
        closed = native_schema(schema) if draft.target.model.capabilities.json_schema else None
        if closed is None:
            draft.dropped.add("strict")
        else:
            schema = closed
            made["strict"] = True
    made["input_schema"] = schema
    if "cache_control" in tool:
        made["cache_control"] = tool["cache_control"]
    return made


def _choice(choice: str | None) -> dict[str, Any] | None:
    match choice:
        case None:
            return None
        case "auto" | "none":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case _:
            return {"type": "tool", "name": choice}


def _is_forced(choice: Mapping[str, Any] | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _parallel(draft: Draft, choice: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the choice with whether one answer may call several tools."""
    parallel = draft.request.parallel_tool_calls
    if parallel is None:
        return choice
    if not draft.request.tools:
        draft.refuse("parallel_tool_calls", "it needs tools")
        return choice
    choice = choice or {"type": "auto"}
    if choice["type"] == "none":
        draft.dropped.add("parallel_tool_calls")  # no tool is called at all
        return choice
    return choice | {"disable_parallel_tool_use": not parallel}


def _declared(draft: Draft) -> list[dict[str, Any]]:
    """Return the tools that were called earlier, for servers that want them declared; they cannot be called again."""
    names = sorted({call.name for message in draft.request.messages for call in message.calls})
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names]


def _structure(draft: Draft, unforced: str | None) -> _Structure:
    wanted = draft.request.response_format
    if wanted is None:
        return _Structure()
    described: Mapping[str, Any] = wanted.get("json_schema") or {}
    schema: Mapping[str, Any] | None = described.get("schema")
    target = draft.target
    if schema is not None and target.endpoint.spec.native_schema and target.model.capabilities.json_schema:
        native = native_schema(schema)
        if native is not None:
            draft.body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": native}
            return _Structure("native")
    unforced = unforced or why_no_forced_answer(draft.request, target)
    if unforced is not None:
        can_schema = schema is None and target.model.capabilities.json_schema
        way_out = " (a JSON schema would be taken)" if can_schema else ""
        draft.refuse("response_format", f"the answer would have to be a forced tool's input, and {unforced}{way_out}")
        return _Structure()
    function = answer_function(draft.request)
    tool = {"name": function["name"], "description": function["description"], "input_schema": function["parameters"]}
    return _Structure("tool", tool)
