"""Asking for a structured answer by a tool the model must call, where a wire or model has no schema of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from omnilabs._request import ChatRequest
from omnilabs.providers._base import Target

__all__ = ["VALUE_KEY", "answer_function", "holds_value", "unwrapped", "why_no_forced_answer"]

VALUE_KEY = "value"
"""Where the tool's arguments hold an answer that is not an object."""


def answer_function(request: ChatRequest) -> dict[str, Any]:
    """Return, in OpenAI's shape, the function whose arguments are the answer `request.response_format` asks for.

    Arguments are an object; any other answer goes inside one, and the function's name then says so. No tool of the
    caller's has its name.
    """
    described: Mapping[str, Any] = (request.response_format or {}).get("json_schema") or {}
    schema: Mapping[str, Any] = described.get("schema") or {"type": "object"}
    name = "give_answer"
    if schema.get("type") != "object":
        name = f"give_answer_{VALUE_KEY}"
        inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        schema = {"type": "object", "properties": {VALUE_KEY: inner}, "required": [VALUE_KEY], **shared}
    taken = {tool["function"]["name"] for tool in request.tools or ()}
    while name in taken:
        name += "_"
    about = described.get("description") or re.sub(r"\W+", " ", str(described.get("name") or "answer"))
    return {"name": name, "description": f"Give the final answer in this form: {about}", "parameters": schema}


def why_no_forced_answer(request: ChatRequest, target: Target) -> str | None:
    """Return why an answer cannot be asked for by a forced tool, or None where it can.

    A tool that the caller forces is not replaced: the caller's word on what must be called comes first, and both cannot
    be had in one answer.
    """
    able = target.model.capabilities
    if not able.tools:
        return "this model takes no tools"
    if not able.forced_tools or "tool_choice" in target.endpoint.spec.unsupported:
        return "no tool can be forced on this model"
    if request.tool_choice not in (None, "auto", "none"):
        return "tool_choice forces another"
    return None


def holds_value(answer_tool: str) -> bool:
    """Whether the function of this name holds its answer under `VALUE_KEY`."""
    return answer_tool.rstrip("_").endswith(VALUE_KEY)


def unwrapped(text: str) -> str:
    """Return the answer out of the arguments; what was cut off or misshapen is shown as it came."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and value.keys() == {VALUE_KEY}:
        return json.dumps(value[VALUE_KEY], ensure_ascii=False)
    return text
