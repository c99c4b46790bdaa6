"""Tools, tool choices and structured answers."""

from __future__ import annotations

import contextlib
from typing import Any, TypedDict

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.exceptions import ModelError, OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_function
from loopback import Reply, events
from pydantic import BaseModel, Field

from langchain_omni import ChatOmni, OmniRefusalError
from omnilabs.errors import InvalidRequestError


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class City(BaseModel):
    """A city."""

    name: str
    people: int


class CityDict(TypedDict):
    """A city."""

    name: str
    people: int


SCHEMA = {
    "title": "City",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


@pytest.fixture
def model(served: dict[str, Any]) -> ChatOmni:
    return ChatOmni(model="gpt-4o", **served)


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        ({"type": "function", "function": {"name": "add"}}, {"type": "function", "function": {"name": "add"}}),
        ({"type": "tool", "name": "add"}, {"type": "function", "function": {"name": "add"}}),
        ({"type": "any"}, "required"),
        (None, None),
        (False, None),
    ],
)
def test_a_tool_choice_reaches_the_wire_in_its_words(chat_server: ChatServer, model: ChatOmni, choice: Any, wire: Any):
    model.bind_tools([add], tool_choice=choice).invoke("hi")
    assert chat_server.requests[-1].json.get("tool_choice") == wire


def test_a_tool_choice_that_is_none_of_the_tools_is_refused_when_bound(model: ChatOmni):
    with pytest.raises(InvalidRequestError, match="one of the tools \\(add\\), not 'subtract'"):
        model.bind_tools([add], tool_choice="subtract")


@pytest.mark.parametrize("form", [add, {"type": "function", "function": {"name": "add", "parameters": {}}}])
def test_strict_and_parallel_calls_reach_the_wire(chat_server: ChatServer, model: ChatOmni, form: Any):
    model.bind_tools([form], strict=True, parallel_tool_calls=False).invoke("hi")
    body = chat_server.requests[-1].json
    assert body["tools"][0]["function"]["strict"] is True
    assert body["parallel_tool_calls"] is False


def test_tools_and_an_answer_schema_go_together(chat_server: ChatServer, model: ChatOmni):
    model.bind_tools(
        [add], strict=True, response_format={"type": "json_schema", "json_schema": {"name": "City", "schema": SCHEMA}}
    ).invoke("hi")
    body = chat_server.requests[-1].json
    assert body["response_format"]["json_schema"]["name"] == "City"
    assert len(body["tools"]) == 1


def test_no_tools_are_not_sent_as_an_empty_list(chat_server: ChatServer, model: ChatOmni):
    model.bind_tools([]).invoke("hi")
    assert "tools" not in chat_server.requests[-1].json


def test_broken_arguments_are_an_invalid_call_not_an_error(chat_server: ChatServer, model: ChatOmni):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    chat_server.script(Reply(body={"model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}]}))
    answer = model.bind_tools([add]).invoke("hi")
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls[0]["args"] == '{"a": 1'


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("schema", [City, CityDict, SCHEMA], ids=["pydantic", "typeddict", "json_schema"])
def test_an_answer_has_the_form_asked_for(model: ChatOmni, schema: Any, method: Any):
    answer = model.with_structured_output(schema, method=method).invoke("a city 'Bern' of 12")
    assert type(answer) is (City if schema is City else dict)
    assert dict(answer) == {"name": "Bern", "people": 12}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_strict_reaches_the_wire(chat_server: ChatServer, model: ChatOmni, method: Any):
    model.with_structured_output(City, method=method, strict=True).invoke("hi 'x' 3")
    body = chat_server.requests[-1].json
    asked = body["response_format"]["json_schema"] if method == "json_schema" else body["tools"][0]["function"]
    assert asked["strict"] is True
    assert asked.get("schema", asked.get("parameters"))["additionalProperties"] is False


def test_include_raw_keeps_the_message_and_a_parsers_failure(chat_server: ChatServer, model: ChatOmni):
    chain = model.with_structured_output(City, include_raw=True)
    good = chain.invoke("a city 'Bern' of 3")
    assert good["parsed"] == City(name="Bern", people=3)
    assert good["parsing_error"] is None
    assert good["raw"].response_metadata["cost"] > 0
    _say(chat_server, "not JSON")
    bad = chain.invoke("hi")
    assert bad["parsed"] is None
    assert isinstance(bad["parsing_error"], OutputParserException)


def test_a_parsers_failure_is_raised_without_include_raw(chat_server: ChatServer, model: ChatOmni):
    _say(chat_server, '{"name": "Bern"}')
    with pytest.raises(OutputParserException, match="people"):
        model.with_structured_output(City).invoke("hi")


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_an_error_of_its_own(chat_server: ChatServer, model: ChatOmni, stream: bool):
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    head = {"id": "1", "model": "m"}
    if stream:
        chat_server.script(
            events(
                {**head, "choices": [{"delta": message, "finish_reason": None}]},
                {**head, "choices": [{"delta": {}, "finish_reason": "stop"}]},
                "[DONE]",
            )
        )
    else:
        chat_server.script(Reply(body={**head, "choices": [{"message": message, "finish_reason": "stop"}]}))
    chain = model.with_structured_output(City)
    with pytest.raises(OmniRefusalError, match="I will not") as caught:
        list(chain.stream("hi")) if stream else chain.invoke("hi")
    assert isinstance(caught.value, ModelError)
    assert caught.value.is_retryable is False


def test_a_structured_answer_is_streamed_as_it_grows(model: ChatOmni):
    pieces = list(model.with_structured_output(SCHEMA).stream("a city 'Constantinople' of 3"))
    assert len(pieces) > 2
    assert pieces[-1] == {"name": "Constantinople", "people": 3}


@pytest.mark.parametrize(("schema", "method"), [(City, "yaml"), (None, "json_schema"), (None, "function_calling")])
def test_a_wrong_method_or_a_missing_schema_is_refused(model: ChatOmni, schema: Any, method: Any):
    with pytest.raises(InvalidRequestError):
        model.with_structured_output(schema, method=method)


def test_json_mode_takes_any_form(model: ChatOmni):
    assert model.with_structured_output(method="json_mode").invoke("JSON with 'a'") == {"a": "something"}


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_tools_bound_before_a_schema_stay(chat_server: ChatServer, model: ChatOmni, method: Any):
    chain = model.bind_tools([add]).with_structured_output(City, method=method, include_raw=True)
    chain.invoke("JSON of a city 'Bern' of 3")
    body = chat_server.requests[-1].json
    assert [each["function"]["name"] for each in body["tools"]] == ["add"]
    assert body["response_format"]["type"] == {"json_schema": "json_schema", "json_mode": "json_object"}[method]


def test_a_schema_by_function_calling_takes_the_place_of_bound_tools(chat_server: ChatServer, model: ChatOmni):
    chain = model.bind_tools([add], tool_choice="add").with_structured_output(City, method="function_calling")
    assert chain.invoke("a city 'Bern' of 3") == City(name="Bern", people=3)
    assert [each["function"]["name"] for each in chat_server.requests[-1].json["tools"]] == ["City"]


def test_a_schema_takes_the_place_of_another(chat_server: ChatServer, model: ChatOmni):
    chain = model.bind(response_format={"type": "json_object"}).with_structured_output(City)
    assert chain.invoke("a city 'Bern' of 3") == City(name="Bern", people=3)
    assert chat_server.requests[-1].json["response_format"]["json_schema"]["name"] == "City"


def test_a_structured_answer_may_call_tools_first(model: ChatOmni):
    chain = model.with_structured_output(City, include_raw=True, tools=[add])
    raw: AIMessage = chain.invoke("what is 1 + 2 ?")["raw"]
    assert raw.tool_calls[0]["name"] == "add"


CUT = '{"name": "Bern", "people": 12, "twin": "Al'
"""What LangChain's own parsers would complete to a city, with half a name in it."""


class Twin(City):
    """A city with a twin."""

    twin: str = ""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
@pytest.mark.parametrize("schema", [Twin, {**SCHEMA, "title": "Twin"}], ids=["pydantic", "json_schema"])
def test_an_answer_that_was_cut_off_is_an_error(
    chat_server: ChatServer, model: ChatOmni, schema: Any, method: Any, stream: bool
):
    _answer(chat_server, _called("Twin", CUT) if method == "function_calling" else {"content": CUT}, "length", stream)
    chain = model.with_structured_output(schema, method=method)
    with pytest.raises(OutputParserException, match="cut off, raise max_tokens"):
        list(chain.stream("hi")) if stream else chain.invoke("hi")
    _answer(chat_server, _called("Twin", CUT) if method == "function_calling" else {"content": CUT}, "length", False)
    whole = model.with_structured_output(schema, method=method, include_raw=True).invoke("hi")
    assert isinstance(whole["parsing_error"], OutputParserException)
    assert whole["parsed"] is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_answer_at_the_limit_is_not_trusted_even_if_it_can_be_read(
    chat_server: ChatServer, model: ChatOmni, method: Any, stream: bool
):
    """Providers whose calls are objects close them where they stop."""
    whole = '{"name": "Bern", "people": 12}'
    _answer(
        chat_server, _called("City", whole) if method == "function_calling" else {"content": whole}, "length", stream
    )
    chain = model.with_structured_output(City, method=method)
    with pytest.raises(OutputParserException, match="cut off, raise max_tokens"):
        list(chain.stream("hi")) if stream else chain.invoke("hi")


@pytest.mark.parametrize("schema", [Twin, SCHEMA], ids=["pydantic", "json_schema"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_stream_that_is_switched_off_checks_the_same(
    chat_server: ChatServer, served: dict[str, Any], schema: Any, method: Any
):
    chain = ChatOmni(model="gpt-4o", disable_streaming=True, **served).with_structured_output(schema, method=method)
    _answer(chat_server, {"content": None, "refusal": "I will not."}, "stop", stream=False)
    with pytest.raises(OmniRefusalError, match="I will not"):
        list(chain.stream("hi"))
    _answer(chat_server, _called("Twin", CUT) if method == "function_calling" else {"content": CUT}, "length", False)
    with pytest.raises(OutputParserException, match="cut off"):
        list(chain.stream("hi"))
    (answer,) = chain.stream("a city 'Bern' of 12")
    assert dict(answer)["name"] == "Bern"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("schema", [City, SCHEMA], ids=["pydantic", "json_schema"])
def test_arguments_that_are_no_object_are_an_error(chat_server: ChatServer, model: ChatOmni, schema: Any, stream: bool):
    _answer(chat_server, _called("City", '["Bern"]'), "tool_calls", stream)
    chain = model.with_structured_output(schema, method="function_calling")
    with pytest.raises(OutputParserException, match="no JSON object"):
        list(chain.stream("hi")) if stream else chain.invoke("hi")


@pytest.mark.parametrize(
    "said",
    [
        '```json\n{"name": "New\nYork", "people": 12}\n```',
        'Here you go:\n```json\n{"name": "New\nYork", "people": 12}\n```\nBye',
        '{"name": "New\nYork", "people": 12} Hope this helps!',
    ],
)
def test_json_in_a_fence_with_words_around_and_line_ends_in_texts_is_read(
    chat_server: ChatServer, model: ChatOmni, said: str
):
    for method in ("json_schema", "json_mode"):
        _say(chat_server, said)
        chain: Any = model.with_structured_output(City, method=method)
        assert chain.invoke("JSON please") == City(name="New\nYork", people=12)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("schema", [City, SCHEMA], ids=["pydantic", "json_schema"])
def test_an_answer_that_calls_tools_first_is_none(chat_server: ChatServer, model: ChatOmni, schema: Any, stream: bool):
    _answer(chat_server, _called("add", '{"a": 1, "b": 2}'), "tool_calls", stream)
    chain = model.bind_tools([add]).with_structured_output(schema)
    assert (list(chain.stream("hi"))[-1:] or [None] if stream else [chain.invoke("hi")]) == [None]
    _answer(chat_server, _called("add", '{"a": 1, "b": 2}'), "tool_calls", stream=False)
    whole = model.bind_tools([add]).with_structured_output(schema, include_raw=True).invoke("hi")
    assert (whole["parsed"], whole["parsing_error"]) == (None, None)
    assert whole["raw"].tool_calls[0]["name"] == "add"


@pytest.mark.parametrize("schema", [City, SCHEMA], ids=["pydantic", "json_schema"])
def test_a_refusal_instead_of_the_forced_call_is_an_error(chat_server: ChatServer, model: ChatOmni, schema: Any):
    _answer(chat_server, {"content": None, "refusal": "I will not."}, "stop", stream=False)
    with pytest.raises(OmniRefusalError, match="I will not"):
        model.with_structured_output(schema, method="function_calling").invoke("hi")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_openais_own_form_is_sent_whole(chat_server: ChatServer, model: ChatOmni, method: Any, wrapped: bool):
    form: dict[str, Any] = {"name": "town", "description": "A town.", "strict": True, "schema": {**SCHEMA}}
    given = {"type": "json_schema", "json_schema": form} if wrapped else form
    answer = model.with_structured_output(given, method=method).invoke("a city 'Bern' of 12")
    assert answer == {"name": "Bern", "people": 12}
    body = chat_server.requests[-1].json
    if method == "json_schema":
        assert body["response_format"]["json_schema"] == form
    else:
        sent = body["tools"][0]["function"]
        assert (sent["name"], sent["strict"], sent["parameters"]["properties"]) == ("town", True, SCHEMA["properties"])


class Branch(BaseModel):
    """A branch and what grows on it."""

    width: int
    twigs: list[Branch] = []


class Tree(BaseModel):
    """A tree."""

    branches: list[Branch]
    best: Branch = Field(description="the best of them")


@pytest.mark.parametrize("schema", [Branch, Tree])
def test_a_class_that_holds_itself_keeps_its_depth(chat_server: ChatServer, model: ChatOmni, schema: type[BaseModel]):
    _say(chat_server, "{}")
    with contextlib.suppress(OutputParserException):
        model.with_structured_output(schema, strict=True).invoke("hi")
    sent = chat_server.requests[-1].json["response_format"]["json_schema"]["schema"]
    twig = sent["$defs"]["Branch"]
    assert twig["properties"]["twigs"]["items"] == {"$ref": "#/$defs/Branch"}
    assert sent["type"] == "object"
    for node in (sent, twig):  # as OpenAI's strict mode wants them
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
    if schema is Tree:
        assert sent["properties"]["best"] == {"$ref": "#/$defs/Branch"}


class Pair(BaseModel):
    """Two cities."""

    one: City = Field(description="the first")
    two: City | None = None


def test_a_class_of_classes_is_sent_as_langchain_writes_it(chat_server: ChatServer, model: ChatOmni):
    _say(chat_server, "{}")
    with contextlib.suppress(OutputParserException):
        model.with_structured_output(Pair, strict=True).invoke("hi")
    sent = chat_server.requests[-1].json["response_format"]["json_schema"]["schema"]
    assert sent == convert_to_openai_function(Pair, strict=True)["parameters"]
    assert "$defs" not in sent


def test_a_class_bound_beside_tools_is_sent_as_its_schema(chat_server: ChatServer, model: ChatOmni):
    for form in (CityDict, City):
        model.bind_tools([add], response_format=form).invoke("hi")
        sent = chat_server.requests[-1].json["response_format"]["json_schema"]
        assert set(sent["schema"]["properties"]) == {"name", "people"}


def test_what_a_method_cannot_do_is_refused_when_bound(model: ChatOmni):
    for wrong in ({"method": "json_mode", "strict": True}, {"method": "function_calling", "tools": [add]}):
        settings: Any = wrong
        with pytest.raises(InvalidRequestError, match=r"leave strict out|take 'json_schema'") as caught:
            model.with_structured_output(City, **settings)
        assert isinstance(caught.value, ModelError)
    with pytest.raises(ModelError, match="one of the tools"):
        model.bind_tools([add], tool_choice="subtract")


def _say(server: ChatServer, text: str) -> None:
    _answer(server, {"content": text}, "stop", stream=False)


def _called(name: str, arguments: str) -> dict[str, Any]:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"content": None, "tool_calls": [call]}


def _answer(server: ChatServer, message: dict[str, Any], finish: str, stream: bool) -> None:
    head = {"id": "1", "model": "m"}
    delta = {"role": "assistant", **message}
    if stream:
        server.script(events({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, "[DONE]"))
    else:
        server.script(Reply(body={**head, "choices": [{"message": delta, "finish_reason": finish}]}))
