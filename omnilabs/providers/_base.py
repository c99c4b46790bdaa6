"""What a provider is (a row) and what a wire format does (a file). Nothing here or below branches on a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from omnilabs._frozen import evolve, frozen
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._models import ModelInfo
from omnilabs._record import plain
from omnilabs._request import ChatRequest, DocumentedDefault
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._secret import Secret
from omnilabs._sse import ServerSentEvent
from omnilabs.errors import (
    APIStatusError,
    ContextLengthError,
    OmniError,
    QuotaExceededError,
    UnsupportedParameterError,
    from_status,
    redact,
)

if TYPE_CHECKING:
    from omnilabs.providers._structured import AnswerReader

__all__ = ["Built", "Endpoint", "ProviderSpec", "StreamDecoder", "Target", "Wire"]


@frozen
class ProviderSpec:
    """A provider as a row of `PROVIDERS`.

    Attributes:
        name: Its name in model ids: `name/model`.
        wire: The wire format it speaks: openai, anthropic, gemini or omnirouter.
        base_url: Where its API lives.
        key_env: Environment variables that may hold its key, first found first.
        base_url_env: Environment variables that may move it elsewhere.
        docs_url: The page the row was read from.
        checked: The date it was read.
        needs_key: Whether it refuses to work without a key.
        renamed: Our setting's name -> its name on this provider's wire, where it differs from the wire's own.
        unsupported: Settings this provider does not take although its wire has them; "name" is a message's name, "size"
            and "quality" a picture's.
        ends_without_mark: It may end a stream with neither a finish reason nor `[DONE]`.
        stream_usage: It takes `stream_options.include_usage`; False where it always or never sends usage.
        caches_on_mark: It honours `cache_control` marks on content parts.
        native_schema: It takes `response_format` of type json_schema; False asks by a forced tool.
        replays_reasoning: The message field in which it wants its own reasoning back, or None where it wants none.
        images_path: Its OpenAI-shaped images route, or None.
        call_id_length: How many letters and digits its tool calls' ids must have; None takes any id.
    """

    name: str
    wire: str
    base_url: str
    key_env: tuple[str, ...] = ()
    base_url_env: tuple[str, ...] = ()
    docs_url: str = ""
    checked: str = ""
    needs_key: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    unsupported: frozenset[str] = frozenset()
    ends_without_mark: bool = False
    stream_usage: bool = True
    caches_on_mark: bool = False
    native_schema: bool = True
    replays_reasoning: str | None = None
    images_path: str | None = None
    call_id_length: int | None = None


@frozen
class Endpoint:
    """A provider with the address and key to use; the key goes to this address only."""

    spec: ProviderSpec
    base_url: str
    api_key: Secret | None = None
    headers: Mapping[str, str | Secret] = field(default_factory=dict[str, "str | Secret"])


@frozen
class Target:
    """A model at an endpoint: everything a wire needs to know of whom it asks."""

    endpoint: Endpoint
    model: ModelInfo

    @property
    def provider(self) -> str:
        """Name of the provider's row."""
        return self.endpoint.spec.name


@frozen
class Built:
    """A request ready to send, and what could not go into it.

    `dropped` names what was left out because this model cannot take it; `structured_by` how a JSON schema is asked for;
    `answer_tool` the forced tool whose arguments are the answer, when it is asked for that way.
    """

    http: HttpRequest
    dropped: tuple[str, ...] = ()
    structured_by: Literal["native", "tool"] | None = None
    answer_tool: str | None = None


class StreamDecoder(Protocol):
    """Turns one stream's events into chunks. No I/O."""

    answer: AnswerReader | None
    """What may hold chunks back, where a forced tool gives the answer."""

    @property
    def is_complete(self) -> bool:
        """Whether the dialect's terminal mark has been seen."""
        ...

    def feed(self, event: ServerSentEvent) -> Iterable[ChatChunk]:
        """Return the chunks of one event.

        Raises:
            APIStatusError: The event is an error, mapped as if its code were the HTTP status.
            ResponseFormatError: The event is not of the dialect.
        """
        ...


class Wire(Protocol):
    """One wire format: pure functions between our values and a provider's JSON."""

    params: frozenset[str]
    """The settings this format has a place for, by our names."""

    forms_by_model: bool
    """Whether the form one model wants says nothing of its neighbours at the same address."""

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the HTTP request. `request` holds only settings the target takes."""
        ...

    def parse(self, reply: HttpResponse, built: Built, target: Target) -> ChatResponse:
        """Return the response of a 2xx answer, unpriced.

        Raises:
            ResponseFormatError: The body is not of the documented shape.
            APIStatusError: The body is an error in spite of its status.
        """
        ...

    def decoder(self, built: Built, target: Target) -> StreamDecoder:
        """Return a fresh decoder for one stream."""
        ...

    def error(self, reply: HttpResponse, target: Target) -> OmniError:
        """Return the error of an answer with status 400 or more."""
        ...

    def other_form(self, form: str, reply: HttpResponse) -> str | None:
        """Return another form of the same request this answer asks for (a later route, fewer fields), or None."""
        ...


def fit(request: ChatRequest, target: Target, wire_params: frozenset[str]) -> tuple[ChatRequest, tuple[str, ...]]:
    """Return the request with only the settings `target` takes, and the names of those left out.

    A documented default is left out in silence where the model takes no temperature: nobody asked for it.

    Raises:
        UnsupportedParameterError: The caller set what the target cannot take and did not allow dropping it.
    """
    refused = unsupported_params(request, target.model, target.endpoint.spec, wire_params)
    if not refused:
        return request, ()
    asked = tuple(name for name in refused if not is_documented_default(request, name))
    if asked and request.unsupported == "error":
        raise UnsupportedParameterError(
            f"{target.model.id!r} at {target.provider} does not take {', '.join(asked)}: leave it out, choose another "
            'model, or pass unsupported="drop"',
            parameters=asked,
            provider=target.provider,
            model=target.model.id,
        )
    nothing: dict[str, Any] = dict.fromkeys(refused)
    return evolve(request, **nothing), asked


def unsupported_params(
    request: ChatRequest, model: ModelInfo, spec: ProviderSpec, wire_params: frozenset[str]
) -> tuple[str, ...]:
    """Return the given settings that this model at this provider cannot take, sorted."""
    given = request.given_params()
    refused = {name for name in given if name not in wire_params or name in spec.unsupported}
    if request.tool_choice == "auto":  # what a provider that knows no choice does anyway
        refused.discard("tool_choice")
    able = model.capabilities
    if not able.temperature:
        refused |= given.keys() & SAMPLING
    if not able.reasoning:
        refused |= given.keys() & {"reasoning_effort", "reasoning_budget_tokens"}
    if not able.forced_tools and request.tool_choice not in (None, "auto", "none"):
        refused.add("tool_choice")
    if not able.tools:
        refused |= given.keys() & {"tools", "tool_choice", "parallel_tool_calls"}
    return tuple(sorted(refused))


SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"})
"""Settings that a model without a temperature refuses together."""


def is_documented_default(request: ChatRequest, name: str) -> bool:
    """Whether a setting is there only because the documentation promises a default."""
    return isinstance(getattr(request, name), DocumentedDefault)


# ---- what the wires share


def refuse(request: ChatRequest, target: Target, name: str, why: str, dropped: set[str]) -> None:
    """Report a setting that this model takes, but not so, as left out.

    Raises:
        UnsupportedParameterError: The caller did not allow that.
    """
    if request.unsupported == "error":
        raise UnsupportedParameterError(
            f"{target.model.id!r} at {target.provider} does not take this {name}: {why}; "
            'change it, leave it out, or pass unsupported="drop"',
            parameters=(name,),
            provider=target.provider,
            model=target.model.id,
        )
    dropped.add(name)


def merge(body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put the caller's `extra_body` in: objects join ours, lists are appended to ours, anything else replaces it."""
    for name, value in extra.items():
        ours = body.get(name)
        if isinstance(ours, Mapping) and isinstance(value, Mapping):
            body[name] = joined = dict(ours)
            merge(joined, value)
        else:
            body[name] = [*ours, *value] if isinstance(ours, list) and isinstance(value, list | tuple) else value


def encode_json(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON.

    Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD: servers refuse even the escape that JSON has for it.

    Raises:
        TypeError: The caller's own fields hold something that has no JSON form.
    """
    text = _ENCODER.encode(body)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _as_json(value: object) -> object:
    made = plain(value)
    if made is value:
        raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")
    return made


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_json)


def made_call_id(built: Built, index: int) -> str:
    """Return an id for a tool call that came without one.

    It is the same streamed or not and at every retry, and different in every turn of a conversation, as the request it
    answers is: other providers, who may be asked next, refuse an id that occurs twice.
    """
    return f"call_{hashlib.blake2s(built.http.body, digest_size=8).hexdigest()}_{index}"


# ---- errors

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "quota_exceeded", "insufficient_balance"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "prompt_too_long"})


def status_error(
    reply: HttpResponse,
    target: Target,
    *,
    message: str,
    code: str | None = None,
    status: int | None = None,
    retry_after_s: float | None = None,
    body: object = None,
) -> APIStatusError:
    """Return the typed error of an error answer. `code` is the provider's own word and refines the class."""
    number = status if status is not None else reply.status
    fields: dict[str, Any] = {
        "provider": target.provider,
        "model": target.model.id,
        "request_id": reply.request_id,
        "retry_after_s": retry_after_s,
        "body": redact_json(body),
    }
    said = redact(message.strip())[:200] or f"HTTP {number}"
    text = f"{target.provider} answered {number} for {target.model.id!r}: {said}"
    if code in _QUOTA_CODES:
        return QuotaExceededError(text, status=number, **fields)
    if code in _CONTEXT_CODES:
        return ContextLengthError(text, status=number, **fields)
    return from_status(number, text, **fields)


def redact_json(value: object) -> object:
    """Return JSON with key-like text in any of its strings redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact_json(item) for item in value]
    return value
