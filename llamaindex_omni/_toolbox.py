"""Tools in and tool calls out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json

if TYPE_CHECKING:
    from llama_index.core.tools.types import BaseTool

__all__ = ["conversation", "only_first_call", "selections", "tool_settings"]


def conversation(user_msg: str | ChatMessage | None, chat_history: Sequence[ChatMessage] | None) -> list[ChatMessage]:
    """Return the history and the new message as a new list."""
    messages = list(chat_history or ())
    if isinstance(user_msg, str):
        user_msg = ChatMessage(role=MessageRole.USER, content=user_msg)
    return messages if user_msg is None else [*messages, user_msg]


def tool_settings(
    tools: Sequence[BaseTool],
    *,
    tool_required: bool,
    tool_choice: str | Mapping[str, Any] | None,
    strict: bool | None,
) -> dict[str, Any]:
    """Return `tools` and `tool_choice` for the client; nothing at all where there are no tools.

    Args:
        tools: What the model may call.
        tool_required: Demand a call, unless `tool_choice` says otherwise.
        tool_choice: auto, none, required, any, a tool's name, or OpenAI's object.
        strict: Ask the provider to hold the arguments to the schema.
    """
    if not tools:
        return {}
    specs = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
    if strict is not None:
        for spec in specs:
            spec["function"]["strict"] = strict
            if strict:
                spec["function"]["parameters"]["additionalProperties"] = False
    choice = tool_choice if tool_choice is not None else "required" if tool_required else None
    return {"tools": specs} if choice is None else {"tools": specs, "tool_choice": choice}


def selections(response: ChatResponse, *, required: bool) -> list[ToolSelection]:
    """Return the tool calls of a response, whole or still streaming: what has not arrived yet is left out.

    Raises:
        ValueError: There are none, and `required` asks for one.
    """
    message = response.message
    found = [
        ToolSelection(
            tool_id=block.tool_call_id or f"call_{index}",
            tool_name=block.tool_name,
            tool_kwargs=_arguments(block.tool_kwargs),
        )
        for index, block in enumerate(block for block in message.blocks if isinstance(block, ToolCallBlock))
    ] or _legacy(message)
    if required and not found:
        raise ValueError(f"Expected at least one tool call, but got {len(found)} tool calls.")
    return found


def _legacy(message: ChatMessage) -> list[ToolSelection]:
    """Read the calls where older classes leave them: dicts, or objects of the openai package."""
    found: list[ToolSelection] = []
    for index, call in enumerate(message.additional_kwargs.get("tool_calls") or ()):
        fields: Any = call if isinstance(call, Mapping) else call.model_dump()
        function = fields.get("function") or fields
        found.append(
            ToolSelection(
                tool_id=str(fields.get("id") or f"call_{index}"),
                tool_name=str(function["name"]),
                tool_kwargs=_arguments(function.get("arguments") or {}),
            )
        )
    return found


def _arguments(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    if not isinstance(arguments, str):
        return dict(arguments)
    try:
        value: object = parse_partial_json(arguments)
    except (ValueError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def only_first_call(response: ChatResponse) -> ChatResponse:
    """Return the response with one tool call at most; the one passed in is not changed."""
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if len(calls) < 2:
        return response
    kept = [block for block in message.blocks if not isinstance(block, ToolCallBlock) or block is calls[0]]
    return response.model_copy(update={"message": message.model_copy(update={"blocks": kept})})
