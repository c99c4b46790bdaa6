"""JSON schemas as Anthropic's structured outputs take them, with the official SDK's own transformation as the judge."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from anthropic import transform_schema
from pydantic import BaseModel, Field

from omnilabs.providers._anthropic_schema import native_schema


class Address(BaseModel):
    street: str
    zip: str | None = None


class Person(BaseModel):
    """Somebody."""

    name: str = Field(description="Full name")
    age: int = Field(ge=0, le=150)
    kind: Literal["a", "b"]
    home: Address
    others: list[Address] = Field(default_factory=list, min_length=1)
    mail: str = Field(json_schema_extra={"format": "email"})


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Open(BaseModel):
    counts: dict[str, int]


class Loose(BaseModel):
    anything: Any


class Pair(BaseModel):
    both: tuple[int, str]


def bare(schema: Any) -> Any:
    """Return a schema without its descriptions, in which both tell the model what cannot be enforced, in own words."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key != "description"}
    return [bare(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("model", [Address, Person])
def test_a_schema_becomes_what_the_sdk_makes_of_it(model):
    assert bare(native_schema(model.model_json_schema())) == bare(transform_schema(model))


def test_what_cannot_be_enforced_is_told_to_the_model():
    made = native_schema(Person.model_json_schema())
    assert made is not None
    assert "150" in made["properties"]["age"]["description"]
    assert "maximum" not in made["properties"]["age"]
    assert made["properties"]["name"]["description"] == "Full name"
    assert made["properties"]["mail"]["format"] == "email"
    assert made["properties"]["others"]["minItems"] == 1


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string", "format": "ssn"}, {"type": "string", "description": 'It also holds: {"format": "ssn"}'}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"enum": ["a", None], "type": ["string", "null"]}, {"enum": ["a", None]}),
        ({"const": 3}, {"const": 3}),
        (
            {"type": "array", "items": {"type": "number"}, "maxItems": 2, "description": "Two."},
            {
                "type": "array",
                "items": {"type": "number"},
                "description": 'Two.\n\nIt also holds: {"maxItems": 2}',
            },
        ),
        (
            {"oneOf": [{"type": "integer"}, {"type": "null"}], "discriminator": {"propertyName": "x"}},
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ),
        (
            {"type": "object", "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
    ],
)
def test_single_schemas(schema, made):
    assert native_schema(schema) == made


@pytest.mark.parametrize("model", [Node, Open, Loose, Pair])
def test_a_model_that_would_lose_its_meaning_is_not_bent_to_fit(model):
    assert native_schema(model.model_json_schema()) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "array"},
        {"type": "thing"},
        {},
        {"enum": [{"a": 1}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"$ref": "https://example.test/schema.json"},
        {"type": "string", "not": {"const": "a"}},
        {"anyOf": [{"type": "string"}], "oneOf": [{"type": "string"}]},
        {"anyOf": [{"required": ["a"]}], "type": "object", "properties": {"a": {"type": "string"}}},
    ],
)
def test_what_structured_outputs_cannot_express_is_said_so(schema):
    assert native_schema(schema) is None


def test_the_callers_schema_is_left_alone():
    schema = Person.model_json_schema()
    native_schema(schema)
    assert schema == Person.model_json_schema()
