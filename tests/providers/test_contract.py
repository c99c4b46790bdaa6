"""What every row of `PROVIDERS` promises. A new row is found here; it needs no test of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges.answers import ANSWERS, WHOLE, stream_bytes
from judges.dialects import KEY
from judges.scenarios import BY_SCHEMA, CLOCK, LIST_SCHEMA, PNG, WEATHER

from omnilabs._accumulate import Accumulator
from omnilabs._http import HttpResponse
from omnilabs._request import SETTINGS, build_request
from omnilabs._secret import Secret
from omnilabs._sse import EventDecoder
from omnilabs.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnsupportedParameterError,
)
from omnilabs.providers import PROVIDERS, Endpoint, Target, wire_named
from omnilabs.providers._base import Built, fit
from omnilabs.types import Capabilities, ChatMessage, FilePart, ImagePart, ModelInfo, Opaque, ReasoningPart, TextPart

ABLE = Capabilities(images=True, pdf=True, audio=True, json_schema=True, reasoning=True)


def whom(row: str, able: Capabilities = ABLE) -> Target:
    spec = PROVIDERS[row]
    return Target(Endpoint(spec, spec.base_url, Secret(KEY)), ModelInfo(f"{row}/m", row, "m", capabilities=able))


def build(to: Target, messages: Sequence[Any], given: Mapping[str, Any], *, unsupported: str, stream: bool) -> Built:
    """Return what is built, as the flow builds it."""
    options = {name: value for name, value in given.items() if name not in ("temperature", "max_tokens")}
    request = build_request(
        messages,
        temperature=given.get("temperature"),
        max_tokens=given.get("max_tokens"),
        routing=None,
        options={**options, "unsupported": unsupported},
    )
    wire = wire_named(to.endpoint.spec.wire)
    fitted, dropped = fit(request, to, wire.params)
    built = wire.build(fitted, to, stream=stream)
    return replace(built, dropped=tuple(sorted({*dropped, *built.dropped})))


HI: Sequence[Any] = ({"role": "user", "content": "Hi"},)
EVERY_ROW = pytest.mark.parametrize("row", PROVIDERS)


# ---- the row


@EVERY_ROW
def test_a_row_says_where_it_was_read_and_when(row: str):
    spec = PROVIDERS[row]
    assert spec.name == row
    assert spec.docs_url.startswith("https://")
    assert date.fromisoformat(spec.checked) <= date.today()
    assert spec.base_url == spec.base_url.rstrip("/")
    assert spec.key_env[0].isupper()
    assert spec.base_url_env[0].isupper()
    assert not (spec.renamed.keys() & spec.unsupported)
    assert spec.renamed.keys() | spec.unsupported <= {*SETTINGS, "name", "size", "quality"}


@EVERY_ROW
def test_the_page_of_providers_has_the_row(row: str):
    spec = PROVIDERS[row]
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
    keys = ", ".join(f"`{name}`" for name in spec.key_env)
    names = (f"`{name}`" + " (but `auto`)" * (name == "tool_choice") for name in sorted(spec.unsupported))
    refused = ", ".join(names) or "nothing"
    assert f"| `{row}` | {spec.wire} | {keys} | `{spec.base_url_env[0]}` | {refused} |" in page


@EVERY_ROW
def test_the_key_goes_into_a_header_and_nowhere_else(row: str):
    to = whom(row)
    http = build(to, HI, {}, unsupported="error", stream=True).http
    assert http.url.startswith(PROVIDERS[row].base_url)
    assert KEY not in http.url
    assert KEY.encode() not in http.body
    assert KEY not in repr(http)
    secrets = [value.reveal() for value in http.headers.values() if isinstance(value, Secret)]
    assert [KEY in secret for secret in secrets] == [True]
    assert build(whom(row), HI, {}, unsupported="error", stream=True) == build(
        to, HI, {}, unsupported="error", stream=True
    )


@EVERY_ROW
def test_a_server_without_a_key_gets_none(row: str):
    to = whom(row)
    bare = replace(to, endpoint=replace(to.endpoint, api_key=None))
    http = build(bare, HI, {}, unsupported="error", stream=False).http
    assert not any(isinstance(value, Secret) for value in http.headers.values())


# ---- answers

SAID = [name for name, answer in ANSWERS.items() if len(answer.wires) == 3 and name != "long"]


@EVERY_ROW
@pytest.mark.parametrize("name", SAID)
def test_an_answer_is_read_alike_streamed_and_whole(row: str, name: str):
    to, expected = whom(row), ANSWERS[name]
    wire, dialect = wire_named(to.endpoint.spec.wire), to.endpoint.spec.wire
    built = build(to, HI, {}, unsupported="error", stream=False)
    whole = wire.parse(HttpResponse(200, {}, json.dumps(WHOLE[dialect](expected)).encode()), built, to)
    events, decoder, seen = EventDecoder(), wire.decoder(built, to), Accumulator()
    for event in events.feed(stream_bytes(dialect, expected)):
        for chunk in decoder.feed(event):
            seen.add(chunk)
    streamed = seen.response()
    assert decoder.is_complete
    assert (streamed.message, streamed.usage) == (whole.message, whole.usage)
    assert whole.provider == streamed.provider == row
    assert (whole.content, whole.reasoning or "") == (expected.text, expected.thinking)
    assert [(call.name, call.arguments) for call in whole.tool_calls] == [
        (call.name, call.arguments) for call in expected.calls
    ]
    assert all(call.id for call in whole.tool_calls)
    assert whole.finish_reason == expected.finish
    assert whole.usage.output_tokens == expected.output
    assert whole.usage.reasoning_tokens == expected.thought
    assert whole.usage.cache_read_tokens == expected.read


ERROR_BODIES: Mapping[str, Any] = {
    "openai": {"error": {"message": f"no: {KEY}", "type": "x", "code": None}},
    "anthropic": {"type": "error", "error": {"type": "x", "message": f"no: {KEY}"}},
    "gemini": {"error": {"code": 0, "message": f"no: {KEY}", "status": "X"}},
}


@EVERY_ROW
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
@pytest.mark.parametrize("body", ["json", "html", "empty"])
def test_an_error_has_the_class_of_its_status(row: str, status: int, kind: type[Exception], body: str):
    to = whom(row)
    told = json.dumps(ERROR_BODIES[to.endpoint.spec.wire]).encode()
    reply = HttpResponse(status, {}, {"json": told, "html": b"<html>down</html>", "empty": b""}[body])
    error = wire_named(to.endpoint.spec.wire).error(reply, to)
    assert isinstance(error, kind)
    assert (error.status, error.provider, error.model) == (status, row, f"{row}/m")


# ---- nothing is dropped in silence

TOOLS = [WEATHER, {**CLOCK, "function": {**CLOCK["function"], "parameters": {"type": "object", "properties": {}}}}]
CHOICES: Mapping[str, Sequence[Any]] = {
    "temperature": (0.25, 1.0, 1.75),
    "max_tokens": (77, 20_000),
    "top_p": (0.5, 0.96),
    "stop": ("END", ["a", "b"], " "),
    "seed": (3, 0),
    "presence_penalty": (0.5, -1.0),
    "frequency_penalty": (0.5, 0.0),
    "logprobs": (True, False),
    "top_logprobs": (2, 5),
    "tools": (TOOLS, [CLOCK]),
    "tool_choice": ("auto", "none", "required", "get_time"),
    "parallel_tool_calls": (True, False),
    "response_format": (BY_SCHEMA, LIST_SCHEMA, {"type": "json_object"}),
    "reasoning_effort": ("none", "minimal", "low", "high", "xhigh"),
    "reasoning_budget_tokens": (0, 2_048, 9_000),
}
GIVEN = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in CHOICES.items()})
CAPABILITIES = st.builds(
    Capabilities,
    tools=st.booleans(),
    json_schema=st.booleans(),
    reasoning=st.booleans(),
    temperature=st.booleans(),
    forced_tools=st.booleans(),
)


def test_the_property_knows_every_setting():
    assert CHOICES.keys() == set(SETTINGS)


def others(given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the same settings without one, and with each other value of it."""
    rest = {key: value for key, value in given.items() if key != name}
    if name == "tools":
        rest.pop("tool_choice", None)
        rest.pop("parallel_tool_calls", None)
    return [rest, *({**given, name: value} for value in CHOICES[name] if value != given[name])]


def shows(to: Target, given: Mapping[str, Any], name: str, body: bytes) -> bool:
    """Whether a setting can be seen in the request: without it, or with another value, the request is another."""
    return any(
        build(to, HI, other, unsupported="drop", stream=False).http.body != body for other in others(given, name)
    )


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(PROVIDERS)), GIVEN, CAPABILITIES, st.sampled_from(["error", "drop"]))
def test_every_setting_is_on_the_wire_or_refused_or_reported(
    row: str, given: dict[str, Any], able: Capabilities, unsupported: str
):
    if "tools" not in given and given.get("tool_choice") != "none":
        given.pop("tool_choice", None)  # refused before any wire is asked
    if given.get("reasoning_effort") == "none" and given.get("reasoning_budget_tokens") == 0:
        del given["reasoning_budget_tokens"]  # both say the same, and either alone cannot be seen
    to = whom(row, able)
    refused: UnsupportedParameterError | None = None
    try:
        built = build(to, HI, given, unsupported=unsupported, stream=False)
    except UnsupportedParameterError as error:
        refused = error
    if refused is not None:
        assert unsupported == "error"
        assert refused.parameters
        assert set(refused.parameters) <= given.keys()
        assert all(name in refused.message for name in refused.parameters)
        return
    asked = {name for name in given if not (name == "tool_choice" and "tools" not in given)}
    silent = {name for name in asked - set(built.dropped) if not shows(to, given, name, built.http.body)}
    assert silent == set()
    assert set(built.dropped) <= asked
    if "response_format" in given:
        assert (built.structured_by is None) == ("response_format" in built.dropped)
    if built.structured_by == "tool":
        assert able.forced_tools
        assert able.tools
        assert given.get("tool_choice") not in ("required", "get_time") or "tool_choice" in built.dropped


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(PROVIDERS)),
    st.dictionaries(st.sampled_from(["top_k", "metadata", "tools"]), st.just([{"own": 1}]), min_size=1),
)
def test_extra_body_is_on_the_wire_beside_what_is_there(row: str, extra: dict[str, Any]):
    given = {"tools": TOOLS, "extra_body": extra}
    body = json.loads(build(whom(row), HI, given, unsupported="error", stream=False).http.body)
    for name, value in extra.items():
        assert body[name][-1:] == value
    assert len(body["tools"]) >= 1 + ("tools" in extra)


NAMES = {"name", "cache", "detail", "filename", "reasoning", "strict", "tool_cache", "result_cache", "is_error"}


def talk(having: set[str]) -> tuple[list[Any], list[Any]]:
    """Return a conversation and tools that use these things of messages, and nothing else of their kind."""
    mark: Any = "5m" if "cache" in having else None
    foreign = (ReasoningPart("", Opaque("another", {"k": "v"})),) if "reasoning" in having else ()
    calls = [{"id": "abcdefgh1", "function": {"name": "get_time", "arguments": ""}}]
    messages = [
        ChatMessage(
            "user",
            [
                TextPart("See", cache=mark),
                ImagePart.from_bytes(PNG, "image/png", "high" if "detail" in having else None),
                FilePart.from_bytes(b"%PDF", filename="a.pdf" if "filename" in having else None),
            ],
            name="ada" if "name" in having else None,
        ),
        ChatMessage("assistant", [*foreign, TextPart("Well.")], tool_calls=calls),
        ChatMessage(
            "tool",
            [TextPart("noon", cache="5m" if "result_cache" in having else None)],
            tool_call_id="abcdefgh1",
            is_error="is_error" in having or None,
        ),
    ]
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    function = {"name": "get_time", "parameters": schema} | ({"strict": True} if "strict" in having else {})
    tool: dict[str, Any] = {"type": "function", "function": function}
    if "tool_cache" in having:
        tool["cache_control"] = {"type": "ephemeral"}
    return messages, [tool]


REPORTED = {"tool_cache": "cache", "result_cache": "cache"}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PROVIDERS)), st.sets(st.sampled_from(sorted(NAMES))), st.booleans())
def test_everything_of_a_message_is_on_the_wire_or_reported(row: str, having: set[str], has_schema: bool):
    to = whom(row, replace(ABLE, json_schema=has_schema))

    def made(of: set[str]) -> Built:
        messages, tools = talk(of)
        return build(to, messages, {"tools": tools}, unsupported="error", stream=False)

    built = made(having)
    for one in having:
        reported = REPORTED.get(one, one)
        assert reported in built.dropped or made(having - {one}).http.body != built.http.body, one
    assert set(built.dropped) <= {REPORTED.get(one, one) for one in having}
    assert ("reasoning" in built.dropped) == ("reasoning" in having)
