"""Reading a JSON schema: its type, its choices, its bounds. Whatever is not of the expected shape counts as absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

__all__ = [
    "FORMATS",
    "MAX_CHARS",
    "Schema",
    "as_list",
    "as_schema",
    "branches_of",
    "choices_of",
    "count_of",
    "fits",
    "fits_number",
    "fits_string",
    "is_nullable",
    "kind_of",
    "properties_of",
    "resolve",
    "smallest_number",
]

Schema: TypeAlias = dict[str, Any]

MAX_CHARS = 20_000
_MAX_REFERENCES = 10
_MAX_MERGES = 4
_MAX_PATTERN_CHARS = 200
_MAX_NUMBER = 10**300  # above it a whole number and a fraction cannot be compared

FORMATS: Mapping[str, tuple[str, str]] = {
    "date": (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b", "2000-01-01"),
    "date-time": (
        r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})",
        "2000-01-01T00:00:00Z",
    ),
    "time": (r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})", "00:00:00Z"),
    "email": (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "user@example.com"),
    "uri": (r"\bhttps?://[^\s\"'<>)]*[\w/]", "https://example.com/"),
    "uuid": (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "00000000-0000-4000-8000-000000000000"),
    "ipv4": (r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "192.0.2.1"),
}
"""By format: what one looks like in a text, and one that is nobody's (RFC 2606, RFC 5737)."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
    "null": (type(None),),
}
_IMPLIED = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minimum": "number",
    "maximum": "number",
}


def as_schema(value: object) -> Schema:
    """Return a JSON object as a schema; anything else, true and false too, as the schema that allows everything."""
    return cast("Schema", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array, or [] for anything else."""
    return value if isinstance(value, list) else []


def resolve(schema: object, root: object, depth: int = 0) -> Schema:
    """Return a schema with its local `$ref` followed and its `allOf` merged into it.

    Where it has properties of its own, the first branch of its `anyOf` or `oneOf` only narrows them and is merged too.
    """
    found = as_schema(schema)
    for _ in range(_MAX_REFERENCES):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            break
        found = {**_at(root, reference), **{key: value for key, value in found.items() if key != "$ref"}}
    parts = as_list(found.get("allOf"))
    narrows = ("anyOf", "oneOf") if "properties" in found else ()
    parts = [*parts, *(part for key in narrows for part in as_list(found.get(key))[:1])]
    if not parts or depth > _MAX_MERGES:
        return found
    whole = {key: value for key, value in found.items() if key not in ("allOf", *narrows)}
    for part in parts:
        whole = _merge(whole, resolve(part, root, depth + 1))
    return whole


def _merge(one: Schema, other: Schema) -> Schema:
    properties = {**as_schema(other.get("properties")), **as_schema(one.get("properties"))}
    required = [*as_list(one.get("required")), *as_list(other.get("required"))]
    whole = {**other, **one}
    return whole | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})


def _at(root: object, reference: str) -> Schema:
    place = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference.strip("#/") else ():
        place = as_schema(place).get(step.replace("~1", "/").replace("~0", "~"))
    return as_schema(place)


def choices_of(schema: Schema) -> list[Any]:
    """Return the only values allowed, or [] where there is no such list."""
    return [schema["const"]] if "const" in schema else as_list(schema.get("enum"))


def branches_of(schema: Schema) -> list[Any]:
    """Return the alternatives of a union."""
    return [*as_list(schema.get("anyOf")), *as_list(schema.get("oneOf"))]


def kind_of(schema: Schema) -> str:
    """Return the type, the first that is not null of several, else what the keywords imply, else string."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in as_list(kind) if one != "null"), "null")
    if isinstance(kind, str) and kind in _TYPES:
        return kind
    return next((implied for key, implied in _IMPLIED.items() if key in schema), "string")


def is_nullable(schema: Schema) -> bool:
    """Whether null is allowed by the schema's own type."""
    return "null" in as_list(schema.get("type")) or schema.get("nullable") is True


def properties_of(schema: Schema) -> tuple[Schema, list[str]]:
    """Return the properties' schemas by name, and the names of the required ones."""
    required = [name for name in as_list(schema.get("required")) if isinstance(name, str)]
    return as_schema(schema.get("properties")), list(dict.fromkeys(required))


def count_of(schema: Schema, key: str, otherwise: int) -> int:
    """Return a length or size such as `minItems`."""
    value = schema.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _bound(schema: Schema, key: str) -> float | None:
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= _MAX_NUMBER else None


def fits_number(value: float, schema: Schema) -> bool:
    """Whether a number has the schema's type and lies within its bounds."""
    if not abs(value) <= _MAX_NUMBER:
        return False
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    # The first drafts wrote true here, meaning the bound beside it.
    above = low if schema.get("exclusiveMinimum") is True else _bound(schema, "exclusiveMinimum")
    below = high if schema.get("exclusiveMaximum") is True else _bound(schema, "exclusiveMaximum")
    step = _bound(schema, "multipleOf")
    return all(
        (
            kind_of(schema) != "integer" or value == int(value),
            low is None or value >= low,
            high is None or value <= high,
            above is None or value > above,
            below is None or value < below,
            not step or value % step == 0,
        )
    )


def smallest_number(schema: Schema) -> float:
    """Return 0, or a valid number near a bound; 0 where there is none."""
    keys = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    bounds = [bound for key in keys if (bound := _bound(schema, key)) is not None]
    step = _bound(schema, "multipleOf") or 1
    tries: list[float] = [0]
    for bound in bounds:
        # Floor division keeps whole numbers whole, however large.
        whole, stepped = bound // 1, bound // step * step
        tries += [bound, whole, whole + 1, whole - 1, stepped, stepped + step, stepped - step]
    if len(bounds) == 2:
        tries.append(bounds[0] / 2 + bounds[1] / 2)
    found = next((value for value in tries if fits_number(value, schema)), 0)
    return int(found) if kind_of(schema) == "integer" else found


def fits_string(value: str, schema: Schema) -> bool:
    """Whether a string has an allowed length and meets the `pattern`, as far as that can be judged here."""
    if not count_of(schema, "minLength", 0) <= len(value) <= count_of(schema, "maxLength", MAX_CHARS):
        return False
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return True
    if len(value) > _MAX_PATTERN_CHARS:
        return False  # a pattern on a long text may take for ever
    try:
        return re.search(pattern, value) is not None
    except (re.error, RecursionError, OverflowError):
        return True  # a pattern of another dialect


def fits(value: object, schema: Schema, *, unions: bool = True) -> bool:
    """Whether a default or example is of the schema's own type; what is inside it is not looked at."""
    if choices := choices_of(schema):
        return value in choices
    if branches := branches_of(schema) if unions else []:
        return any(fits(value, as_schema(branch), unions=False) for branch in branches)
    if value is None:
        return is_nullable(schema) or kind_of(schema) == "null"
    kind = kind_of(schema)
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if isinstance(value, int | float):
        return kind == "boolean" or fits_number(value, schema)
    return not isinstance(value, str) or fits_string(value, schema)
