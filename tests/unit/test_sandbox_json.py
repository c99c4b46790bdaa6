"""JSON answers of the sandbox; pydantic judges them by the models their schemas come from."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from unit.sandbox_kit import (
    LLAMAINDEX,
    REPORT,
    TEXT,
    WEATHER,
    asked,
    content,
    message,
    schema_format,
    tool_turn,
)

from omnilabs._sandbox import MARK


class Person(BaseModel):
    name: str
    age: int | None
    email: str | None = None


class People(BaseModel):
    people: list[Person]
    topic: Literal["ages", "towns"]


class Bounded(BaseModel):
    score: int = Field(ge=3, le=5)
    share: float = Field(gt=0, lt=1)
    code: str = Field(min_length=4, max_length=6, pattern=r"^[A-Z]+$")
    tags: list[str] = Field(min_length=2, max_length=3)
    unique: set[int] = Field(min_length=3)
    even: int = Field(multiple_of=2, ge=7)
    when: str = Field(json_schema_extra={"format": "date"})


class Node(BaseModel):
    label: str
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Pet(BaseModel):
    pet: Cat | Dog


def filled(model: type[BaseModel], text: str, **more: Any) -> Any:
    """Return the model of an answer to its own schema; pydantic judges the answer."""
    content = message(asked(text, response_format=schema_format(model.model_json_schema()), **more))["content"]
    return model.model_validate_json(content)


def test_a_schema_is_filled_from_the_text() -> None:
    text = "Extract the people and the topic: Alice Smith is 30 years old, Bob is 25. It is about ages."

    assert filled(People, text) == People(
        people=[Person(name="Alice Smith", age=30), Person(name="Bob", age=25)], topic="ages"
    )


@pytest.mark.parametrize("text", ["", "Hello", "Ann has 4 cats, 17 dogs and 0.25 of a horse, code WXYZ."])
@pytest.mark.parametrize("model", [People, Bounded, Node, Pet])
def test_a_filled_schema_is_valid_whatever_the_text(model: type[BaseModel], text: str) -> None:
    assert isinstance(filled(model, text), model)


def test_the_branch_that_the_text_names_is_filled() -> None:
    assert filled(Pet, "A dog that does 'roll over' and 'sit'.").pet == Dog(kind="dog", tricks=["roll over", "sit"])


def test_a_schema_after_a_tools_result_is_filled_from_the_result() -> None:
    body = asked("What is the weather in Paris?", tools=[WEATHER])
    body["messages"] += tool_turn("get_weather", "18.5 degrees, rainy, not windy")
    body["response_format"] = schema_format(REPORT["function"]["parameters"])

    assert json.loads(message(body)["content"]) == {
        "city": "Paris",
        "temperature": 18.5,
        "sky": "rainy",
        "is_windy": False,
    }


def test_an_answer_property_holds_the_answer_from_the_context() -> None:
    schema = {"type": "object", "properties": {"answer": TEXT}, "required": ["answer"]}
    body = asked(LLAMAINDEX.format(question="What does a router weigh?"), response_format=schema_format(schema))

    assert json.loads(message(body)["content"])["answer"].endswith("It weighs accuracy, cost and latency.")


def test_json_without_a_schema_is_an_object_with_an_answer() -> None:
    body = asked("Answer in JSON: who are you?", response_format={"type": "json_object"})

    assert list(json.loads(message(body)["content"])) == ["answer"]


def test_json_without_a_schema_has_the_keys_that_the_prompt_quotes() -> None:
    text = "Tell me a joke about cats. Return the result as a JSON with `setup` and `punchline` keys."
    answer = json.loads(message(asked(text, response_format={"type": "json_object"}))["content"])

    assert list(answer) == ["setup", "punchline"]
    assert answer["setup"] == "cats"


def test_quoted_names_of_properties_are_not_their_values() -> None:
    schema = {"type": "object", "properties": {"setup": TEXT, "topic": TEXT}, "required": ["setup", "topic"]}
    text = "Tell me a joke on 'cats', with a `topic` and a `setup`."

    assert json.loads(content(asked(text, response_format=schema_format(schema))))["setup"] == "cats"


def test_a_schema_in_the_prompt_is_filled_as_an_output_parser_expects_it() -> None:
    shown = json.dumps(Person.model_json_schema())
    text = f"Who is it?\nHere is the JSON schema of the output:\n```\n{shown}\n```\nAda Lovelace was 36."
    mark, fenced = content(asked(text)).split("\n", 1)

    assert mark == MARK
    person = Person.model_validate_json(fenced.removeprefix("```json\n").removesuffix("\n```"))
    assert (person.name, person.age) == ("Ada Lovelace", 36)
