"""Conversations on the Anthropic wire: what goes where, what is refused; the official SDK's types are the judge."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from wire.anthropic_kit import KEY, NEW, OLD, WEATHER, build, request, target

from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, Opaque, ReasoningPart, TextPart, ToolCall
from omnilabs._secret import Secret
from omnilabs.errors import InvalidRequestError, UnsupportedParameterError
from omnilabs.providers._anthropic import WIRE
from omnilabs.providers._base import Target

USER = {"role": "user", "content": "Hi"}
PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQK"


def turns(*messages: Any, at: Target = OLD, **settings: Any) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = build(list(messages), at, **settings)[0]["messages"]
    return written


def blocks(*parts: Any, at: Target = OLD) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = turns(ChatMessage("user", list(parts)), at=at)[0]["content"]
    return content


# ---- the route and the key


def test_the_route_is_messages_with_the_pinned_version():
    body, built = build("Hi")
    assert (built.http.method, built.http.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert built.http.headers["anthropic-version"] == "2023-06-01"
    assert built.http.headers["content-type"] == "application/json"
    assert body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 21_333,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert build("Hi", stream=True)[0] == body | {"stream": True}


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9/anthropic", "http://127.0.0.1:9/anthropic/v1/"])
def test_an_address_may_be_given_with_or_without_the_version(base_url):
    assert build("Hi", target(base_url=base_url))[1].http.url == "http://127.0.0.1:9/anthropic/v1/messages"


def test_the_key_is_in_one_header_and_does_not_show():
    http = build("Hi")[1].http
    key = http.headers["x-api-key"]
    assert isinstance(key, Secret)
    assert key.reveal() == KEY
    assert KEY not in repr(http)
    assert KEY.encode() not in http.body
    assert KEY not in http.url
    assert "x-api-key" not in build("Hi", target(key=None))[1].http.headers


# ---- who speaks


@pytest.mark.parametrize(
    ("messages", "system", "said"),
    [
        (["s:Be brief.", "u:Hi"], ["Be brief."], ["user:Hi"]),
        (["s:Be brief.", "s:Be kind.", "u:Hi"], ["Be brief.", "Be kind."], ["user:Hi"]),
        (["u:Hi", "u:You there?"], [], ["user:Hi|You there?"]),
        (["u:a", "a:b", "a:c", "u:d"], [], ["user:a", "assistant:b|c", "user:d"]),
        (["u:a", "s:S", "u:b"], [], ["user:a|<system>\nS\n</system>|b"]),
        (["u:a", "a:b", "s:S", "u:c"], [], ["user:a", "assistant:b", "user:<system>\nS\n</system>|c"]),
        (["u:a", "s:S"], [], ["user:a|<system>\nS\n</system>"]),
        (["u:a", "a:b", "s:S"], [], ["user:a", "assistant:b", "user:<system>\nS\n</system>"]),
        (["u:a", "a:b", "s:S", "a:c"], [], ["user:a", "assistant:b", "user:<system>\nS\n</system>", "assistant:c"]),
        (["s:Only this."], [], ["user:Only this."]),
        (["u:a", "a:", "u:b"], [], ["user:a|b"]),
        (["u: \n", "u:b"], [], ["user:b"]),
    ],
)
def test_every_message_keeps_its_place(messages, system, said):
    assert _spoken(messages, OLD) == (system, said)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (["u:a", "s:S", "s:T"], ["user:a", "system:S|T"]),
        (["u:a", "s:S", "a:b", "u:c"], ["user:a", "system:S", "assistant:b", "user:c"]),
        (["u:a", "a:b", "s:S", "u:c"], ["user:a", "assistant:b", "user:<system>\nS\n</system>|c"]),
        (["u:a", "s:S", "u:b"], ["user:a|<system>\nS\n</system>|b"]),
        (["u:a", "s:S", "a:", "u:b"], ["user:a|<system>\nS\n</system>|b"]),
    ],
)
def test_newer_models_get_a_system_turn_where_the_wire_allows_one(messages, said):
    assert _spoken(messages, NEW) == ([], said)


def _spoken(messages: list[str], at: Target) -> tuple[list[str], list[str]]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    body, _ = build([ChatMessage(roles[m[0]], m[2:]) for m in messages], at)
    said = [f"{turn['role']}:{'|'.join(block['text'] for block in turn['content'])}" for turn in body["messages"]]
    return [block["text"] for block in body.get("system", [])], said


def test_nothing_to_say_is_refused():
    with pytest.raises(InvalidRequestError, match="blank"):
        build([{"role": "user", "content": " "}])


def test_a_speakers_name_has_no_place_and_is_reported():
    assert build([USER | {"name": "ann"}])[1].dropped == ("name",)


# ---- parts


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (TextPart("héé 😀"), {"type": "text", "text": "héé 😀"}),
        (
            ImagePart(url="https://x.test/a.png"),
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            ImagePart(data=PNG, media_type="image/png"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (
            ImagePart.from_bytes(base64.b64decode(PNG), "image/jpg"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
        ),
        (
            ImagePart(url=f"data:image/png;base64,{PNG}"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{PNG}"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": PNG}},
        ),
        (
            FilePart(data=PDF, media_type="application/pdf", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            FilePart(url="https://x.test/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (
            FilePart.from_bytes("a;ü".encode(), "text/csv"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a;ü"}},
        ),
    ],
)
def test_parts_become_blocks(part, block):
    assert blocks(part) == [block]


def test_blank_text_between_parts_is_left_out_as_the_api_refuses_it():
    assert [
        block["type"] for block in blocks(TextPart("a"), TextPart("\n"), ImagePart(data=PNG, media_type="image/png"))
    ] == [
        "text",
        "image",
    ]


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (ChatMessage("user", [AudioPart(data=PNG, media_type="audio/wav")]), "sound"),
        (ChatMessage("tool", [AudioPart(url="https://x.test/a.wav")], tool_call_id="c"), "sound"),
        (ChatMessage("user", [FilePart(data=PNG, media_type="application/zip")]), "application/zip"),
        (ChatMessage("user", [FilePart(url="https://x.test/a.txt", media_type="text/plain")]), "text/plain"),
        (ChatMessage("system", [ImagePart(data=PNG, media_type="image/png")]), "system message"),
    ],
)
@pytest.mark.parametrize("unsupported", ["error", "drop"])
def test_a_part_without_a_place_is_refused_because_leaving_it_out_would_change_the_question(
    message, named, unsupported
):
    with pytest.raises(UnsupportedParameterError, match=named) as caught:
        build([message], unsupported=unsupported)
    assert caught.value.parameters == ("messages",)
    assert caught.value.model == "claude-sonnet-4-5"


def test_an_images_detail_has_no_place_and_is_reported():
    message = ChatMessage("user", [ImagePart(data=PNG, media_type="image/png", detail="high")])
    assert build([message])[1].dropped == ("detail",)


# ---- cache marks


def test_cache_marks_are_set_with_their_lifetime():
    messages = [
        ChatMessage("system", [TextPart("Long.", cache="1h")]),
        ChatMessage("user", [FilePart(data=PDF, media_type="application/pdf", cache="5m"), TextPart("Sum it up.")]),
    ]
    body, built = build(messages)
    assert body["system"] == [
        {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert "cache_control" not in body["messages"][0]["content"][1]
    assert built.dropped == ()


def test_a_mark_inside_a_tools_result_is_set_on_the_result():
    result = ChatMessage("tool", [TextPart("long", cache="5m")], tool_call_id="c1")
    [block] = turns(USER, ChatMessage("assistant", tool_calls=[ToolCall("c1", "f")]), result)[2]["content"]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert block["content"] == [{"type": "text", "text": "long"}]


def test_a_tools_own_mark_is_kept():
    mark = {"type": "ephemeral"}
    assert build("Hi", tools=[{**WEATHER, "cache_control": mark}])[0]["tools"][0]["cache_control"] == mark


def test_marks_a_server_does_not_honour_are_reported():
    body, built = build([ChatMessage("user", [TextPart("Hi", cache="5m")])], target(caches_on_mark=False))
    assert "cache_control" not in json.dumps(body)
    assert built.dropped == ("cache",)


# ---- calls and their results


def test_calls_and_results_of_one_turn_stay_together():
    said = turns(
        USER,
        {"role": "assistant", "content": "Let me look.", "tool_calls": [_call("c1", city="Rome"), _call("c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "", "is_error": True},
        {"role": "user", "content": "And?"},
    )
    assert said[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "c2", "name": "get_weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": "error", "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_results_come_first_in_their_turn_whatever_was_said_between():
    said = turns(
        USER,
        {"role": "assistant", "tool_calls": [_call("c1")]},
        {"role": "system", "content": "Be brief."},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    )
    assert [block["type"] for block in said[2]["content"]] == ["tool_result", "text"]


def test_a_result_may_hold_images_and_documents():
    result = ChatMessage(
        "tool",
        [TextPart("See:"), ImagePart(data=PNG, media_type="image/png"), FilePart(url="https://x.test/a.pdf")],
        tool_call_id="c1",
    )
    [block] = turns(USER, ChatMessage("assistant", tool_calls=[ToolCall("c1", "f")]), result)[2]["content"]
    assert [inner["type"] for inner in block["content"]] == ["text", "image", "document"]


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ("", {}),
        ("{}", {}),
        ('{"a": 1.5}', {"a": 1.5}),
        ('{"a": ', {"INVALID_JSON": '{"a": '}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_go_back_as_an_object_whatever_the_model_wrote(arguments, wire):
    said = turns(USER, ChatMessage("assistant", tool_calls=[ToolCall("c1", "f", arguments)]))
    assert said[1]["content"][0]["input"] == wire


def test_ids_of_other_providers_are_rewritten_alike_in_call_and_result():
    said = turns(
        USER,
        ChatMessage("assistant", tool_calls=[ToolCall("functions.f:0", "f"), ToolCall("functions.f.0", "f")]),
        ChatMessage("tool", "a", tool_call_id="functions.f:0"),
        ChatMessage("tool", "b", tool_call_id="functions.f.0"),
    )
    called = [block["id"] for block in said[1]["content"]]
    assert called == [block["tool_use_id"] for block in said[2]["content"]]
    assert len(set(called)) == 2
    assert all(set(call) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for call in called)


def _call(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(arguments)}}


# ---- reasoning in the conversation


def test_own_thinking_is_replayed_verbatim_and_in_place():
    first = {"type": "thinking", "thinking": "Hmm…", "signature": "sig=="}
    second = {"type": "redacted_thinking", "data": "zzz"}
    message = ChatMessage(
        "assistant",
        [
            ReasoningPart("Hmm…", Opaque("anthropic", first)),
            ReasoningPart("", Opaque("anthropic", second)),
            TextPart("Yes."),
        ],
    )
    body, built = build([USER, message, USER])
    assert body["messages"][1]["content"] == [first, second, {"type": "text", "text": "Yes."}]
    assert built.dropped == ()


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(
            "assistant", [ReasoningPart("Hmm.", Opaque("gemini", {"thoughtSignature": "x"})), TextPart("Yes.")]
        ),
        ChatMessage("assistant", [ReasoningPart("Hmm."), TextPart("Yes.")]),
        ChatMessage("assistant", [TextPart("Yes.", opaque=Opaque("gemini", {"thoughtSignature": "x"}))]),
        ChatMessage(
            "assistant", "Yes.", tool_calls=[ToolCall("c", "f", "{}", Opaque("gemini", {"thoughtSignature": "x"}))]
        ),
    ],
)
def test_what_another_provider_signed_is_left_out_and_reported_once(message):
    body, built = build([USER, message, ChatMessage("tool", "ok", tool_call_id="c")])
    assert "Hmm" not in json.dumps(body)
    assert "thoughtSignature" not in json.dumps(body)
    assert body["messages"][1]["content"][0] == {"type": "text", "text": "Yes."}
    assert built.dropped == ("reasoning",)


# ---- the bytes


def test_half_a_surrogate_pair_goes_as_the_replacement_character():
    http = WIRE.build(request("a\ud83d \ud83d\ude00"), OLD, stream=False).http
    assert json.loads(http.body.decode())["messages"][0]["content"][0]["text"] == "a\ufffd 😀"
