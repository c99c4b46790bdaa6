"""Tools, tool choices and answer schemas as LangChain gives them, as `omnilabs` takes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool

from omnilabs.errors import InvalidRequestError

if TYPE_CHECKING:  # loading LangChain's tools takes longer than the rest of this package
    from langchain_core.tools import BaseTool

    ToolLike: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
else:  # LangChain reads the annotations of public methods at run time
    ToolLike = Mapping[str, Any] | type | Callable[..., Any]

__all__ = ["Method", "Schema", "ToolLike", "bound_tools", "chosen_tool", "json_schema_format", "schema_name"]

Schema: TypeAlias = dict[str, Any] | type
Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
_WORDS: Mapping[str, str] = {"any": "required", "auto": "auto", "none": "none", "required": "required"}


def bound_tools(tools: Sequence[ToolLike], strict: bool | None) -> list[dict[str, Any]]:
    """Return tools in OpenAI's format. `strict` asks for arguments that keep to the schema exactly."""
    return [_tool(tool, strict) for tool in tools]


def _tool(tool: ToolLike, strict: bool | None) -> dict[str, Any]:
    ready = convert_to_openai_tool(tool, strict=strict)
    # A tool already in OpenAI's format comes back as it is, `strict` left out.
    if strict is not None and "strict" not in ready.get("function", {"strict": strict}):
        ready = {**ready, "function": {**ready["function"], "strict": strict}}
    return ready


def chosen_tool(choice: object, names: Sequence[str]) -> str | None:
    """Return auto, none, required or a tool's name, from any of LangChain's ways to say it; None leaves it open.

    Raises:
        InvalidRequestError: A name that is none of the tools'.
    """
    if choice is None or choice is False:
        return None
    if choice is True:
        return "required"
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        choice = (function.get("name") if isinstance(function, Mapping) else None) or choice.get("type")
    if isinstance(choice, str) and choice in names:
        return choice
    if isinstance(choice, str) and choice in _WORDS:
        return _WORDS[choice]
    raise InvalidRequestError(
        f"tool_choice is 'auto', 'none', 'required', 'any', a bool or one of the tools "
        f"({', '.join(names) or 'none given'}), not {choice!r}",
        parameter="tool_choice",
    )


def json_schema_format(schema: Schema, strict: bool | None) -> dict[str, Any]:
    """Return `response_format` for a pydantic class, a TypedDict or a JSON schema."""
    function = convert_to_openai_function(schema, strict=strict)
    form: dict[str, Any] = {
        "name": function["name"],
        "schema": function.get("parameters", {"type": "object", "properties": {}}),
    }
    if "description" in function:
        form["description"] = function["description"]
    if strict is not None:
        form["strict"] = strict
    return {"type": "json_schema", "json_schema": form}


def schema_name(schema: Schema) -> str:
    """Return the name a schema has as a tool."""
    return str(convert_to_openai_function(schema)["name"])
