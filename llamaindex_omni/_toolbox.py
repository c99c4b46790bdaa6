"""Tools in and tool calls out. Pure. Half a call is shown while it grows, and never given out to be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json

from llamaindex_omni._outbound import arguments_of
from llamaindex_omni._refusals import raise_refusal
from omnilabs.errors import ResponseFormatError

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
    """Return the tool calls of a response, or of a chunk of a stream: there, with what has arrived of their arguments.

    Raises:
        ValueError: There are none, and `required` asks for one; an `OmniRefusalError` where the model refused.
        ResponseFormatError: A whole response holds a call that is cut off or broken. None of its calls is given out:
            whoever asks for them makes them.
    """
    calls = _calls(response.message)
    if required and not calls:
        raise_refusal(response)
        raise ValueError(f"Expected at least one tool call, but got {len(calls)} tool calls.")
    omni: Mapping[str, Any] = response.additional_kwargs.get("omni") or {}
    if omni.get("is_partial"):
        found = [_so_far(call.tool_kwargs) for call in calls]
    else:
        if calls and response.additional_kwargs.get("finish_reason") == "length":
            # Even if its arguments can be read: where the wire holds an object, somebody closed it in the middle.
            raise _not_made(
                calls[-1],
                omni,
                "the answer was cut off there (finish_reason 'length'), so it may be half a call; raise max_tokens, or "
                "shorten the conversation where it fills the model's context",
                retryable=False,
            )
        found = [_whole(call, omni) for call in calls]
    return [
        ToolSelection(tool_id=call.tool_call_id or f"call_{index}", tool_name=call.tool_name, tool_kwargs=arguments)
        for index, (call, arguments) in enumerate(zip(calls, found, strict=True))
    ]


def _calls(message: ChatMessage) -> list[ToolCallBlock]:
    return [block for block in message.blocks if isinstance(block, ToolCallBlock)] or list(_legacy(message))


def _legacy(message: ChatMessage) -> Iterator[ToolCallBlock]:
    """Read the calls where older classes leave them: dicts, or objects of the openai package."""
    for call in message.additional_kwargs.get("tool_calls") or ():
        fields: Any = call if isinstance(call, Mapping) else call.model_dump()
        function = fields.get("function") or fields
        arguments = function.get("arguments") or {}
        call_id = fields.get("id")
        yield ToolCallBlock(
            tool_call_id=str(call_id) if call_id else None,
            tool_name=str(function["name"]),
            tool_kwargs=arguments if isinstance(arguments, str) else dict(arguments),
        )


def _so_far(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return what can be told of arguments that have not all arrived."""
    if not isinstance(arguments, str):
        return dict(arguments)
    try:
        value: object = parse_partial_json(arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _whole(call: ToolCallBlock, omni: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call that is to be made.

    Raises:
        ResponseFormatError: They are not a JSON object.
    """
    arguments = call.tool_kwargs if not isinstance(call.tool_kwargs, str) else arguments_of(call.tool_kwargs)
    if isinstance(arguments, str):
        raise _not_made(call, omni, "its arguments are not a JSON object; ask again")
    return dict(arguments)


def _not_made(
    call: ToolCallBlock, omni: Mapping[str, Any], why: str, *, retryable: bool | None = None
) -> ResponseFormatError:
    return ResponseFormatError(
        f"the model's call of {call.tool_name!r} is not made: {why}",
        body_prefix=call.tool_kwargs if isinstance(call.tool_kwargs, str) else "",
        provider=omni.get("provider"),
        model=omni.get("model"),
        retryable=retryable,
    )


def only_first_call(response: ChatResponse) -> ChatResponse:
    """Return the response with one tool call at most; the one passed in is not changed."""
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if len(calls) < 2:
        return response
    kept = [block for block in message.blocks if not isinstance(block, ToolCallBlock) or block is calls[0]]
    return response.model_copy(update={"message": message.model_copy(update={"blocks": kept})})
