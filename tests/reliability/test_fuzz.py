"""Whatever a provider sends and a caller writes, only our own errors come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnilabs import OmniClient
from omnilabs._call import Call, Open, Read, Send
from omnilabs._flow import chat_flow, stream_flow
from omnilabs._http import HttpResponse, StreamHead
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import build_request
from omnilabs._retry import RetryPolicy, retry_after_s
from omnilabs._sse import EventDecoder
from omnilabs.errors import OmniError, ResponseFormatError
from omnilabs.providers import PROVIDERS, Endpoint, Target
from omnilabs.providers._registry import HOSTED, WIRES
from omnilabs.types import ChatResponse, Decision, ToolCall

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
SPECS = {spec.wire: spec for spec in (HOSTED, *reversed([*PROVIDERS.values()]))}
wires = pytest.mark.parametrize("wire", WIRES)

# The words that mean something to one of the wires: a random object without them is refused at the first look.
WORDS = """
    choices message delta content role tool_calls function name arguments index id type text finish_reason usage error
    code status model prompt_tokens completion_tokens total_tokens prompt_tokens_details cached_tokens cost details
    refusal logprobs annotations reasoning reasoning_content reasoning_details x_groq input_tokens output_tokens
    content_block delta message_start content_block_start content_block_delta content_block_stop message_delta
    message_stop text_delta input_json_delta partial_json thinking signature stop_reason stop_sequence tool_use input
    cache_read_input_tokens cache_creation_input_tokens candidates parts finishReason usageMetadata promptTokenCount
    candidatesTokenCount thoughtsTokenCount functionCall args thought thoughtSignature promptFeedback blockReason
    groundingMetadata detail loc msg metadata function_calls all_tokens total_cost provider explanation stop length
    tool_calls assistant user retryDelay @type thinking_start block_start block_stop
""".split()
words = st.sampled_from(WORDS)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)


def _openai(message: str) -> dict[str, Any]:
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": "hi", "tool_calls": [call], "reasoning": "hm", "annotations": [{}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}, "cost": 0.1}
    choice = {"index": 0, message: said, "finish_reason": "stop", "logprobs": {"content": [{}]}}
    return {"id": "c", "model": "m", "choices": [choice], "usage": usage, "x_groq": {"usage": usage}}


_CANDIDATE = {
    "content": {
        "role": "model",
        "parts": [{"text": "a", "thought": True}, {"functionCall": {"name": "f", "args": {}}}],
    },
    "finishReason": "STOP",
    "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "t"}}]},
}
_ANTHROPIC_USAGE = {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 1}}
_ANTHROPIC_PARTS = [
    {"type": "text", "text": "a", "citations": [{}]},
    {"type": "thinking", "thinking": "t", "signature": "s"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
]
WHOLE: dict[str, Any] = {
    "openai": _openai("message"),
    "anthropic": {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": _ANTHROPIC_PARTS,
        "stop_reason": "end_turn", "usage": _ANTHROPIC_USAGE,
    },
    "gemini": {
        "candidates": [_CANDIDATE], "modelVersion": "m", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "thoughtsTokenCount": 1},
    },
    "omnirouter": {
        "model": "m", "content": "c", "provider": "p", "usage": {"all_tokens": 3, "total_cost": 0.1},
        "function_calls": [{"name": "f", "arguments": {}, "id": "i"}], "explanation": "e",
    },
}  # fmt: skip
PIECES: dict[str, list[Any]] = {
    "openai": [_openai("delta")],
    "anthropic": [
        {"type": "message_start", "message": {**WHOLE["anthropic"], "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": _ANTHROPIC_PARTS[2]},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
    ],
    "gemini": [WHOLE["gemini"], {"promptFeedback": {"blockReason": "SAFETY"}}],
    "omnirouter": [
        {"content": "a", "model": "m", "provider": "p"},
        {"type": "usage", "usage": {"input_tokens": 1}},
        {"type": "reasoning", "content": "r"},
        {"error": {"message": "m", "type": "t", "code": 500}},
    ],
}
FAILED: dict[str, Any] = {
    "openai": {"error": {"message": "m", "type": "t", "code": "c", "param": None}},
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}, "request_id": "r"},
    "gemini": {"error": {"code": 429, "message": "m", "status": "S", "details": [{"@type": "x", "retryDelay": "3s"}]}},
    "omnirouter": {"detail": [{"loc": ["body", "x"], "msg": "m", "type": "t"}]},
}


@st.composite
def bent(draw: st.DrawFn, shape: Any) -> Any:
    """Return a documented shape with something else at some places, or something missing."""
    if isinstance(shape, dict):
        kept = {name: draw(bent(value)) for name, value in shape.items() if draw(st.integers(0, 19))}
        return draw(anything) if not draw(st.integers(0, 11)) else kept
    if isinstance(shape, list):
        items = [draw(bent(value)) for value in shape]
        return draw(anything) if not draw(st.integers(0, 11)) else items
    return draw(anything) if not draw(st.integers(0, 5)) else shape


LOCAL = OmniClient(providers={"local": {"base_url": "http://127.0.0.1:9"}})
SANDBOX = OmniClient(mode="sandbox")


def encoded(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=True).encode()


def target_of(wire: str) -> Target:
    able = Capabilities(json_schema=False, reasoning=True)
    return Target(Endpoint(SPECS[wire], "http://one"), ModelInfo("m", SPECS[wire].name, capabilities=able))


REQUEST = build_request(
    [{"role": "user", "content": "hi"}], temperature=None, max_tokens=None, routing=None, options={}
)


def drive(wire: str, status: int, headers: Mapping[str, str], pieces: list[bytes], *, streamed: bool) -> Any:
    """Return what a call makes of these bytes: a response or one of our errors; any other exception goes through."""
    call = Call((target_of(wire),), RetryPolicy(0))
    flow: Any = stream_flow(call, REQUEST) if streamed else chat_flow(call, REQUEST)
    waiting: list[bytes | None] = [*pieces, None]
    try:
        done = _run(flow, status, headers, waiting)
        while streamed and not done.is_over:
            done.take(waiting.pop(0) if waiting else None)
            done.check()
    except OmniError as error:
        return error
    return done.response if streamed else done


def _run(flow: Any, status: int, headers: Mapping[str, str], waiting: list[bytes | None]) -> Any:
    """Answer each step of a flow; return what it returns."""
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as done:
            return done.value
        match step:
            case Send():
                reply = HttpResponse(status, headers, b"".join(piece for piece in waiting if piece))
            case Open():
                reply = StreamHead(status, headers, None)
            case Read():
                reply = waiting.pop(0) if waiting else None
            case _:
                reply = None


def well_formed(response: ChatResponse) -> bool:
    """Whether a response holds what its annotations promise, and can be shown and sent back."""
    texts = (response.content, response.model, response.provider)
    maybe = (response.id, response.reasoning, response.finish_reason, response.refusal, response.explanation)
    assert all(isinstance(text, str) for text in texts), texts
    assert all(text is None or isinstance(text, str) for text in maybe), maybe
    assert all(isinstance(call, ToolCall) and isinstance(call.id + call.name + call.arguments_json, str)
               for call in response.tool_calls)  # fmt: skip
    counts = (response.usage.input_tokens, response.usage.output_tokens, response.usage.all_tokens)
    assert all(count is None or (isinstance(count, int) and count >= 0) for count in counts), counts
    assert response.usage.cost_usd is None or response.usage.cost_usd >= 0
    assert repr(response)
    assert response.message.role == "assistant"
    try:
        return bool(json.dumps(response.to_dict()))
    except ResponseFormatError:
        return bool(response.tool_calls)  # a model may call a tool with arguments that are no object


def fine(outcome: Any) -> bool:
    """Whether an outcome is a proper response or one of our errors."""
    if isinstance(outcome, OmniError):
        whole = outcome.partial is None or well_formed(outcome.partial)
        return whole and 0 < len(str(outcome)) < 1000
    return isinstance(outcome, ChatResponse) and well_formed(outcome)


@wires
@quick
@given(data=st.data())
def test_any_success_is_a_response_or_our_error(wire: str, data: st.DataObject):
    body = data.draw(bent(WHOLE[wire]))
    assert fine(drive(wire, 200, {"content-type": "application/json"}, [encoded(body)], streamed=False))


@wires
@quick
@given(body=anything)
def test_any_json_is_a_response_or_our_error(wire: str, body: Any):
    assert fine(drive(wire, 200, {}, [encoded(body)], streamed=False))


@wires
@quick
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_response_or_our_error(wire: str, body: bytes):
    assert fine(drive(wire, 200, {}, [body], streamed=False))
    assert fine(drive(wire, 200, {"content-type": "text/event-stream"}, [body], streamed=True))


@wires
@quick
@given(data=st.data(), status=st.integers(400, 599), streamed=st.booleans())
def test_any_error_body_is_our_error(wire: str, data: st.DataObject, status: int, streamed: bool):
    body = data.draw(st.one_of(bent(FAILED[wire]).map(encoded), anything.map(encoded), st.binary(max_size=40)))
    headers = {"retry-after": data.draw(st.text(max_size=8)), "content-type": data.draw(words)}
    outcome = drive(wire, status, headers, [body], streamed=streamed)
    assert isinstance(outcome, OmniError)
    assert fine(outcome)
    assert outcome.retry_after_s is None or outcome.retry_after_s >= 0


@wires
@quick
@given(data=st.data())
def test_any_stream_is_a_response_or_our_error(wire: str, data: st.DataObject):
    shapes = data.draw(st.lists(st.sampled_from(PIECES[wire]), max_size=6))
    chunks: list[bytes] = []
    for shape in shapes:
        body = data.draw(bent(shape) | anything)
        name = body.get("type") if isinstance(body, dict) and isinstance(body.get("type"), str) else None
        head = f"event: {name}\n" if name and name.isascii() and name.isprintable() else ""
        chunks.append(head.encode() + b"data: " + encoded(body) + b"\n\n")
    chunks += data.draw(st.sampled_from([[], [b"data: [DONE]\n\n"], [b"data: {"], [b"\xff\xfe\n\n"]]))
    assert fine(drive(wire, 200, {"content-type": "text/event-stream"}, chunks, streamed=True))


@quick
@given(pieces=st.lists(st.binary(max_size=20) | st.sampled_from([b"data: x\n\n", b"\r", b"\n", b"event: e\n"])))
def test_events_are_the_same_however_the_bytes_are_cut(pieces: list[bytes]):
    whole, cut, bytewise = EventDecoder(), EventDecoder(), EventDecoder()
    data = b"".join(pieces)
    expected = [*whole.feed(data), *whole.flush()]
    assert [event for piece in pieces for event in cut.feed(piece)] + cut.flush() == expected
    assert [e for n in range(len(data)) for e in bytewise.feed(data[n : n + 1])] + bytewise.flush() == expected
    assert whole.has_replaced == cut.has_replaced == bytewise.has_replaced


_DATES = st.sampled_from(["Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT", "21 Oct 2026", "0", "-1"])


@quick
@given(values=st.tuples(*[st.none() | st.text(max_size=30) | _DATES | st.floats().map(str)] * 3))
def test_any_retry_after_is_seconds_or_nothing(values: tuple[str | None, ...]):
    names = ("retry-after", "retry-after-ms", "date")
    found = retry_after_s({name: value for name, value in zip(names, values, strict=True) if value is not None})
    assert found is None or 0 <= found < float("inf")


_NAMES = (
    st.text(max_size=20)
    | st.from_regex(r"(openai|local|anthropic|x)?[/:]{0,2}[a-z0-9.:@/-]{0,12}", fullmatch=True)
    | st.none() | st.integers() | st.binary(max_size=4) | st.lists(words, max_size=2)
)  # fmt: skip


def ours(work: Callable[[], object]) -> object:
    """Return what work returns, or None where it is refused with one of our errors."""
    try:
        return work()
    except OmniError as error:
        return None if 0 < len(str(error)) < 2000 else error


@quick
@given(name=_NAMES)
def test_any_model_name_is_a_model_or_our_error(name: Any):
    found = ours(lambda: LOCAL._core.resolve(name))
    assert found is None or isinstance(found, ModelInfo)


_MESSAGES = st.lists(
    st.fixed_dictionaries({}, optional={name: anything for name in ("role", "content", "tool_calls", "tool_call_id")})
    | anything,
    max_size=3,
)


@quick
@given(messages=_MESSAGES | anything, model=st.sampled_from(["gpt-4o", "sandbox/none", "local/m", ""]))
def test_any_messages_are_answered_or_refused_with_our_error(messages: Any, model: str):
    answer = ours(lambda: SANDBOX.chat(messages, model))
    assert answer is None or isinstance(answer, ChatResponse)


_SETTINGS = """
    max_tokens stop seed tools tool_choice response_format extra_body reasoning_effort timeout_s max_retries
    max_cost_usd top_p logprobs unsupported temperature parallel_tool_calls top_logprobs presence_penalty
    reasoning_budget_tokens
""".split()


@quick
@given(name=st.sampled_from(_SETTINGS), value=anything)
def test_any_setting_is_taken_or_refused_with_our_error(name: str, value: Any):
    answer = ours(lambda: SANDBOX.chat([{"role": "user", "content": "hi"}], "gpt-4o", **{name: value}))
    assert answer is None or isinstance(answer, ChatResponse)


_ROUTING = st.sampled_from(["k", "model_names", "rel_cost", "rel_latency", "rel_accuracy"])


@quick
@given(routing=st.dictionaries(_ROUTING, anything, max_size=3))
def test_any_routing_is_a_decision_or_our_error(routing: dict[str, Any]):
    decision = ours(lambda: SANDBOX.select([{"role": "user", "content": "hi"}], **routing))
    assert decision is None or isinstance(decision, Decision)
