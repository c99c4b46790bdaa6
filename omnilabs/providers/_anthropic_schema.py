"""JSON schemas as Anthropic's structured outputs take them.

Every object must be closed, recursion is not taken, and of the constraints only a few: the others are told to the model
in the description, as the official SDK does. Unlike the SDK, a schema that would lose its meaning by that (an open
object, any value at all, a tuple) is not bent to fit: the caller then asks in another way.

Sources: https://platform.claude.com/docs/en/build-with-claude/structured-outputs and `transform_schema` of the
`anthropic` package 2.12, read 2026-11-23.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

__all__ = ["native_schema"]

Schema = Mapping[str, Any]

_DEFINITIONS = ("$defs", "definitions")
_VARIANTS: Mapping[str, str] = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
_KEPT = ("title", "description")
# Says nothing about the value.
_SILENT = frozenset({"$schema", "$id", "$comment", "discriminator"})
_INEXPRESSIBLE = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "propertyNames",
        "prefixItems",
        "contains",
        "dependentSchemas",
        "dependentRequired",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
    }
)


class _InexpressibleError(Exception):
    """The schema says what structured outputs cannot."""


def native_schema(schema: Schema) -> dict[str, Any] | None:
    """Return the schema as structured outputs take it, or None where they cannot express it."""
    try:
        _check_references(schema)
        return _convert(schema)
    except _InexpressibleError:
        return None


def _check_references(schema: Schema) -> None:
    known = {f"#/{place}/{name}": node for place in _DEFINITIONS for name, node in schema.get(place, {}).items()}
    if not known.keys() >= set(_references(schema)):
        raise _InexpressibleError("a reference out of the schema, or to all of it")
    try:
        TopologicalSorter({name: set(_references(node)) for name, node in known.items()}).prepare()
    except CycleError:
        raise _InexpressibleError("a recursive schema") from None


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("$ref"), str):
            yield target
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _references(child)


def _convert(node: object) -> dict[str, Any]:
    if not isinstance(node, Mapping) or node.keys() & _INEXPRESSIBLE:
        raise _InexpressibleError("not a schema of one kind of value")
    left: dict[str, Any] = {key: value for key, value in node.items() if key not in _SILENT}
    made: dict[str, Any] = {}
    for place in _DEFINITIONS:
        if place in left:
            made[place] = {name: _convert(child) for name, child in left.pop(place).items()}
    if "$ref" in left:
        return made | {"$ref": left["$ref"]}  # a reference takes no neighbours
    for key in _KEPT:
        if key in left:
            made[key] = left.pop(key)
    _convert_value(left, made)
    if left:
        also = f"It also holds: {json.dumps(left, ensure_ascii=False, default=str)}"
        made["description"] = f"{made['description']}\n\n{also}" if made.get("description") else also
    return made


def _convert_value(left: dict[str, Any], made: dict[str, Any]) -> None:
    """Move what says which values are meant from `left` to `made`."""
    kind = left.pop("type", None)
    if choices := [key for key in ("enum", "const") if key in left]:
        for key in choices:
            made[key] = left.pop(key)
        if isinstance(made.get("const"), Mapping | list) or any(
            isinstance(v, Mapping | list) for v in made.get("enum", ())
        ):
            raise _InexpressibleError("a choice of objects")
    elif variants := [key for key in _VARIANTS if key in left]:
        if len(variants) > 1 or left.keys() & {"properties", "items"}:
            raise _InexpressibleError("variants that share a shape")
        made[_VARIANTS[variants[0]]] = [_convert(child) for child in left.pop(variants[0])]
    else:
        _convert_type(kind, left, made)


def _convert_type(kind: object, left: dict[str, Any], made: dict[str, Any]) -> None:
    if isinstance(kind, list | tuple):
        rest = dict(left)
        left.clear()
        made["anyOf"] = [_convert({**(rest if one != "null" else {}), "type": one}) for one in kind]
        return
    made["type"] = kind
    if kind == "object":
        _convert_object(left, made)
    elif kind == "array":
        made["items"] = _convert(left.pop("items", None))
        if left.get("minItems") in (0, 1):
            made["minItems"] = left.pop("minItems")
    elif kind not in _SCALARS:
        raise _InexpressibleError("any value at all")
    elif left.get("format") in _FORMATS:
        made["format"] = left.pop("format")


def _convert_object(left: dict[str, Any], made: dict[str, Any]) -> None:
    properties = left.pop("properties", None)
    is_open = left.pop("additionalProperties", None)
    if is_open not in (None, False) or (properties is None and is_open is None):
        raise _InexpressibleError("an open object")
    made["properties"] = {name: _convert(child) for name, child in (properties or {}).items()}
    made["additionalProperties"] = False
    if "required" in left:
        made["required"] = list(left.pop("required"))
