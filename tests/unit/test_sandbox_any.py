"""Any request at all gets a valid answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from unit.sandbox_kit import (
    PASSAGES,
    TEXT,
    asked,
    calls,
    completion,
    http,
    joined,
    message,
    schema_format,
    streamed,
)

from omnilabs._http import HttpResponse
from omnilabs._sandbox import SandboxTransport

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def problems(value: Any, schema: Mapping[str, Any], at: str = "$") -> list[str]:
    """Return where `value` breaks `schema`: the keywords these tests use, judged apart from the product's code."""
    if "anyOf" in schema:
        found = [problems(value, branch, at) for branch in schema["anyOf"]]
        return [] if any(not one for one in found) else [f"{at}: no branch fits {value!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at}: {value!r} is none of {schema['enum']}"]
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fitting = tuple(kind for name in kinds for kind in _TYPES[name])
    if not isinstance(value, fitting) or (isinstance(value, bool) and "boolean" not in kinds):
        return [f"{at}: {value!r} is not {kinds}"]
    return [f"{at}: {value!r} breaks {key}" for key in _broken_bounds(value, schema)] + _inner(value, schema, at)


def _broken_bounds(value: Any, schema: Mapping[str, Any]) -> list[str]:
    size = len(value) if isinstance(value, str | list) else value
    low = {"minimum": int | float, "minLength": str, "minItems": list}
    high = {"maximum": int | float, "maxLength": str, "maxItems": list}
    broken = [key for key, kind in low.items() if key in schema and isinstance(value, kind) and size < schema[key]]
    return broken + [
        key for key, kind in high.items() if key in schema and isinstance(value, kind) and size > schema[key]
    ]


def _inner(value: Any, schema: Mapping[str, Any], at: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += problems(item, schema["items"], f"{at}[{index}]")
    if isinstance(value, dict):
        found += [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
        properties = schema.get("properties", {})
        for name, item in value.items():
            found += (
                problems(item, properties[name], f"{at}.{name}") if name in properties else [f"{at}: {name} is alien"]
            )
    return found


texts = st.text(max_size=120) | st.sampled_from(
    ["What is 3 plus 4?", "Call it 'x' in Paris, not 7.5 times.", "name: Ann, age: 5", "a\ud800b", PASSAGES]
)
names = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["city", "a", "user_name", "isOpen", "query", "answer", "$ref"]
)
leaves = st.one_of(
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-99, 99),
        st.integers(0, 9),
    ),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.floats(-1e6, 1e6)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, TEXT, {}]),
    st.lists(st.text(max_size=5) | st.integers(), min_size=1, max_size=4).map(lambda some: {"enum": some}),
)


def _objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(names, inner, max_size=4)
    return properties.flatmap(
        lambda some: (
            st.lists(st.sampled_from(sorted(some)), unique=True).map(
                lambda needed: {"type": "object", "properties": some, "required": needed}
            )
            if some
            else st.just({"type": "object", "properties": {}})
        )
    )


def _containers(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.builds(
        lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )
    return _objects(inner) | arrays | st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some})


schemas = _objects(st.recursive(leaves, _containers, max_leaves=6))


@settings(max_examples=150, deadline=None)
@given(text=texts, schema=schemas)
def test_any_schema_is_filled_validly_from_any_text(text: str, schema: dict[str, Any]) -> None:
    answer = json.loads(message(asked(text, response_format=schema_format(schema)))["content"])

    assert problems(answer, schema) == []


@settings(max_examples=150, deadline=None)
@given(
    text=texts,
    tools=st.lists(st.tuples(names, texts, schemas), min_size=1, max_size=3),
    choice=st.sampled_from(["auto", "required", "none", None]),
)
def test_any_tools_are_called_validly_from_any_text(
    text: str, tools: list[tuple[str, str, dict[str, Any]]], choice: str | None
) -> None:
    functions = [{"name": name, "description": about, "parameters": schema} for name, about, schema in tools]
    body = asked(text, tools=[{"type": "function", "function": one} for one in functions], tool_choice=choice)

    made = calls(body)

    ChatCompletion.model_validate(completion(body))
    assert joined(streamed(body)) == message(body)
    assert bool(made) or choice != "required"
    assert all(any(one[0] == name and not problems(given, one[2]) for one in tools) for name, given in made)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    """model messages tools tool_choice response_format stop max_tokens stream n logprobs top_logprobs stream_options
    parallel_tool_calls""".split()
)
keywords = st.sampled_from(
    """type properties required items enum const anyOf allOf $ref minimum exclusiveMinimum maximum multipleOf minLength
    pattern format default examples minItems uniqueItems prefixItems""".split()
)
keyword_values = st.recursive(
    json_values
    | st.sampled_from(["object", "array", "integer", "#", "#/properties/a", "(", "date", 0, 1e308, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(body=st.dictionaries(fields, json_values, max_size=6))
def test_any_body_gets_an_http_answer(body: dict[str, Any]) -> None:
    for request in (body, {**asked(), **body}):
        reply = SandboxTransport().send(http(request))

        assert isinstance(reply, HttpResponse)
        assert reply.status in (200, 400)


@settings(max_examples=200, deadline=None)
@given(text=texts, schema=st.dictionaries(keywords, keyword_values, max_size=6))
def test_any_nonsense_for_a_schema_gets_json(text: str, schema: dict[str, Any]) -> None:
    body = asked(text, response_format=schema_format(schema))

    json.loads(message(body)["content"])
