"""JSON schemas as Gemini takes them: function declarations, and what its subset of JSON Schema needs rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnilabs._record import plain

__all__ = ["declare", "portable"]

_MAPS = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLES = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames"})
_SAYS_NOTHING = frozenset({"type", "properties", "required", "additionalProperties", "title", "description", "$schema"})


def declare(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return OpenAI's `function` as a declaration.

    The schema goes into `parametersJsonSchema`, not into `parameters`: the latter is OpenAPI 3.0's subset without
    `$ref`, `additionalProperties` or type lists, so most pydantic schemas would lose something on the way. A tool
    without arguments has neither ("can be left unset"): an object without properties is refused.

    Source: `types.FunctionDeclaration` of the `google-genai` package 3.4, read 2026-11-23.
    """
    declaration: dict[str, Any] = {"name": function["name"]}
    if function.get("description"):
        declaration["description"] = function["description"]
    schema = function.get("parameters")
    if isinstance(schema, Mapping) and not _takes_nothing(schema):
        declaration["parametersJsonSchema"] = portable(schema)
    return declaration


def _takes_nothing(schema: Mapping[str, Any]) -> bool:
    return not schema.get("properties") and not schema.get("additionalProperties") and schema.keys() <= _SAYS_NOTHING


def portable(schema: Any) -> Any:
    """Return the schema with the same meaning in the keywords Gemini reads.

    A `$ref` may stand beside no other keyword, so it moves into an `anyOf` of one; so does an `allOf` of one, which is
    not among the keywords read; a `const` text or number becomes an `enum` of one. Everything else stays: "the full
    JSON Schema may be sent".

    Source: `types.GenerateContentConfig.response_json_schema` of the `google-genai` package 3.4, read 2026-11-23.
    """
    if not isinstance(schema, Mapping):
        return plain(schema)
    result = {name: _keyword(name, value) for name, value in schema.items()}
    if "anyOf" not in result and len(alone := result.get("allOf") or ()) == 1:
        del result["allOf"]
        result["anyOf"] = alone
    if "$ref" in result and "anyOf" not in result and any(not name.startswith("$") for name in result):
        result["anyOf"] = [{"$ref": result.pop("$ref")}]
    const = result.get("const")
    if "enum" not in result and isinstance(const, str | int | float) and not isinstance(const, bool):
        result["enum"] = [result.pop("const")]
    return result


def _keyword(name: str, value: Any) -> Any:
    """Return a keyword's value with the schemas in it made portable; an `enum` or `default` holds data, not schemas."""
    if name in _MAPS and isinstance(value, Mapping):
        return {key: portable(inner) for key, inner in value.items()}
    if name in _LISTS and isinstance(value, list | tuple):
        return [portable(inner) for inner in value]
    return portable(value) if name in _SINGLES else plain(value)
