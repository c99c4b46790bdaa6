"""Tools, tool choices and answer schemas as LangChain gives them, as `omnilabs` takes them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from pydantic import BaseModel

from omnilabs.errors import InvalidRequestError

if TYPE_CHECKING:  # loading LangChain's tools takes longer than the rest of this package
    from langchain_core.tools import BaseTool

    ToolLike: TypeAlias = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
else:  # LangChain reads the annotations of public methods at run time
    ToolLike = Mapping[str, Any] | type | Callable[..., Any]

__all__ = [
    "Method",
    "Schema",
    "ToolLike",
    "answer_format",
    "bound_tools",
    "check_method",
    "chosen_tool",
    "json_schema_format",
    "schema_as_tool",
    "schema_name",
]

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


def check_method(schema: Schema | None, method: str, strict: bool | None, settings: Mapping[str, Any]) -> None:
    """Refuse what a method of asking for a form cannot do.

    Raises:
        InvalidRequestError: An unknown method, no schema where it needs one, `strict` or `tools` where it takes none.
    """
    wrong: tuple[str, str] | None = None
    if method not in get_args(Method):
        wrong = "method", f"method is one of {', '.join(get_args(Method))}, not {method!r}"
    elif schema is None and method != "json_mode":
        wrong = "schema", f"method={method!r} needs a schema"
    elif strict is not None and method == "json_mode":
        wrong = "strict", "method='json_mode' gives the provider no schema to keep to: leave strict out"
    elif settings.get("tools") and method == "function_calling":
        wrong = "tools", "method='function_calling' makes the model call the schema: for other tools take 'json_schema'"
    if wrong is not None:
        raise InvalidRequestError(wrong[1], parameter=wrong[0])


def answer_format(schema: Schema | None, strict: bool | None) -> Schema | None:
    """Return `response_format` for a class; a schema as a dict, or none, is what it is already."""
    return json_schema_format(schema, strict) if isinstance(schema, type) else schema


def json_schema_format(schema: Schema, strict: bool | None) -> dict[str, Any]:
    """Return `response_format` for a pydantic class, a TypedDict, a JSON schema, or a form of OpenAI's."""
    function = convert_to_openai_function(schema_as_tool(schema), strict=strict)
    form: dict[str, Any] = {
        "name": function["name"],
        "schema": _with_definitions(schema, strict) or function.get("parameters", {"type": "object", "properties": {}}),
    }
    form |= {name: function[name] for name in ("description", "strict") if name in function}
    return {"type": "json_schema", "json_schema": form}


def schema_as_tool(schema: Schema) -> Schema:
    """Return OpenAI's `response_format`, or the `json_schema` in it, as a function; any other schema as it is."""
    if not isinstance(schema, dict):
        return schema
    form = schema.get("json_schema") if schema.get("type") == "json_schema" else schema
    if not isinstance(form, Mapping) or "name" not in form or not isinstance(form.get("schema"), Mapping):
        return schema
    known = {name: form[name] for name in ("name", "description", "strict") if form.get(name) is not None}
    return {**known, "parameters": form["schema"]}


def schema_name(schema: Schema) -> str:
    """Return the name a schema has as a tool."""
    return str(convert_to_openai_function(schema_as_tool(schema))["name"])


def _with_definitions(schema: Schema, strict: bool | None) -> dict[str, Any] | None:
    """Return the schema of a pydantic class that holds itself: LangChain writes classes in place and loses it."""
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    whole = schema.model_json_schema()
    uses = {name: set(_DEFINED.findall(json.dumps(node))) for name, node in whole.get("$defs", {}).items()}
    for _ in uses:  # who is used by whom, by however many others
        uses = {name: used.union(*(uses[other] for other in used)) for name, used in uses.items()}
    if not any(name in used for name, used in uses.items()):
        return None
    return cast("dict[str, Any]", _strict(whole) if strict else whole)


_DEFINED = re.compile(r'"#/\$defs/([^"]+)"')


def _strict(node: Any) -> Any:
    """Return a schema as `strict` wants it: objects have all of their fields and no other, references no neighbours."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and "$defs" not in node:
        return {"$ref": node["$ref"]}
    made = {name: _strict(value) for name, value in node.items()}
    if isinstance(node.get("properties"), dict):
        made |= {"required": list(node["properties"]), "additionalProperties": False}
    return made
