"""The hosted OmniRouter service's own wire: its routes of both generations, its answers and its errors.

Source: the service's documentation, its first client and its public source, spring 2025; read 2026-11-23.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from omnilabs._frozen import evolve
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._request import SETTINGS, ChatRequest, Routing
from omnilabs._response import ChatResponse, parts_of
from omnilabs._retry import retry_after_s
from omnilabs.errors import InvalidRequestError, OmniError, ResponseFormatError
from omnilabs.providers._base import Built, Endpoint, Target, encode_json, is_documented_default, merge, status_error
from omnilabs.providers._omnirouter_stream import (
    OmniRouterDecoder,
    fault_of,
    is_quota,
    read_calls,
    said_in,
    text_at,
)
from omnilabs.providers._openai_compat import WIRE as OPENAI
from omnilabs.providers._openai_compat import headers
from omnilabs.providers._openai_messages import encode_messages
from omnilabs.providers._usage_shapes import read_usage

__all__ = ["WIRE", "OmniRouterWire", "image_request", "models_request", "parse_images", "parse_models"]

_LATER = "later"

# (what is asked, streamed) -> the published client's route, and the one of later versions of the service.
_ROUTES: Mapping[tuple[str, bool], tuple[str, str]] = {
    ("chat", False): ("/v1/chat/completions", "/v1/chat/completions"),
    ("chat", True): ("/v1/chat/completions", "/v1/chat/completions/stream"),
    ("select", False): ("/v1/router/select-model", "/v1/router/smart_select"),
    ("select", True): ("/v1/router/select-model-stream", "/v1/router/smart_select/stream"),
    ("reason", False): ("/v1/reason/completions", "/v1/reason/completions"),
    ("reason", True): ("/v1/reason/completions/stream", "/v1/reason/completions/stream"),
}
_MODELS_ROUTES: Mapping[str | None, str] = {
    None: "/v1/models",
    "chat": "/v1/models/chat",
    "image": "/v1/models/image",
    "reasoning": "/v1/models/reasoning",
}
# What a 404 says when it is the route that is missing: FastAPI, and the platform the service ran on.
_NO_ROUTE = ("not found", "the page could not be found", "not_found")
# Some versions wrap their own refusals in a 500: "400: Unknown model: x".
_WRAPPED = re.compile(r"(4\d\d): (?=\S)")
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
# Of a page, this much is read for its words, and kept as the error's body.
_PAGE_CHARS = 8000


class OmniRouterWire:
    """Builds and reads requests of the hosted service. Every setting is passed on: the service decides."""

    params = frozenset(SETTINGS)
    forms_by_model = False

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the request: a chat, a smart selection when `request.routing` is set, or reasoning by its effort.

        A plain call has exactly the published client's fields; `max_tokens` of None is sent as null, as it did. The
        model goes by its id, which is what the service lists.

        Raises:
            UnsupportedParameterError: A message part that this wire has no place for, such as a sound by address.
        """
        dropped: set[str] = set()
        call = _call(request)
        messages = [_plain(message) for message in encode_messages(request.messages, target, dropped)]
        given = _settings(request)
        if request.routing is None:
            temperature = {"temperature": given.pop("temperature")} if "temperature" in given else {}
            body: dict[str, Any] = {"model": target.model.id, "messages": messages, **temperature}
            body |= {"max_tokens": request.max_tokens, "stream": stream, **given}
        else:
            body = {"messages": messages, **_routing(request.routing), **given}
        merge(body, request.extra_body or {})
        http = HttpRequest(
            "POST",
            _url(target.endpoint, _ROUTES[call, stream][form == _LATER]),
            headers(target.endpoint.api_key, target.endpoint.headers),
            encode_json(body),
        )
        return Built(http, tuple(sorted(dropped)), None if request.response_format is None else "native")

    def parse(self, reply: HttpResponse, built: Built, target: Target) -> ChatResponse:
        """Return the response of a 2xx answer.

        The service tells which model it chose, not how it ranked the others: there is no `decision` to read, only the
        `explanation` it gives with `verbose`.

        Raises:
            ResponseFormatError: Neither `content` nor a call.
            APIStatusError: An `error` or a lone `detail` in spite of the status.
        """
        body = _object(reply, target)
        if (fault := fault_of(body, target)) is not None:
            raise fault
        usage = read_usage(body.get("usage"))
        provider = text_at(body, "provider") or target.provider
        if body.get("choices") and "content" not in body:
            return evolve(OPENAI.parse(reply, built, target), usage=usage, provider=provider)
        calls = read_calls(body, target)
        content = body.get("content")
        content = "" if content is None and calls else content
        if not isinstance(content, str):
            raise _bad_shape(reply, "'content' is not text", target)
        reasoning = text_at(body, "reasoning")
        return ChatResponse(
            model=text_at(body, "model") or target.model.id,
            content=content,
            provider=provider,
            usage=usage,
            explanation=text_at(body, "explanation"),
            finish_reason=text_at(body, "finish_reason"),
            tool_calls=calls,
            id=text_at(body, "id"),
            reasoning=reasoning,
            parts=parts_of(content, reasoning),
            structured_by=built.structured_by,
            raw=body,
        )

    def decoder(self, built: Built, target: Target) -> OmniRouterDecoder:
        """Return a fresh decoder for one stream."""
        return OmniRouterDecoder(target, built)

    def error(self, reply: HttpResponse, target: Target) -> OmniError:
        """Return the error of an answer with status 400 or more.

        The service's 429 means a used-up allowance of tokens; it is a passing limit only where the answer says how long
        to wait or speaks of something else.
        """
        message, code = _told(reply)
        status, wait_s = reply.status, retry_after_s(reply.headers)
        wrapped = _WRAPPED.match(message) if status == 500 else None
        if wrapped is not None:
            status, message = int(wrapped[1]), message[wrapped.end() :]
        if status == 429 and wait_s is None and is_quota(message):
            code = "quota_exceeded"
        body: object = reply.text[:_PAGE_CHARS]
        try:
            body = reply.json()
        except ResponseFormatError:
            pass  # the text is all there is
        return status_error(reply, target, message=message, code=code, status=status, retry_after_s=wait_s, body=body)

    def other_form(self, form: str, reply: HttpResponse) -> str | None:
        """Return the later routes' form when the published route is not there; a 404 about a model is not that."""
        if form == _LATER:
            return None
        if reply.status == 405:
            return _LATER
        if reply.status != 404:
            return None
        try:
            reply.json()
        except ResponseFormatError:
            return _LATER  # a page: no version of the service answers so
        said = _told(reply)[0].strip().rstrip(".").lower()
        return _LATER if not said or said in _NO_ROUTE else None


WIRE = OmniRouterWire()


def models_request(endpoint: Endpoint, model_type: str | None) -> HttpRequest:
    """Return the request for the model records of a type: chat, image, reasoning (later versions), or None for all.

    Raises:
        InvalidRequestError: Another type.
    """
    if model_type not in _MODELS_ROUTES:
        known = ", ".join(repr(name) for name in _MODELS_ROUTES)
        raise InvalidRequestError(f"model_type is one of {known}, not {model_type!r}", parameter="model_type")
    return HttpRequest("GET", _url(endpoint, _MODELS_ROUTES[model_type]), headers(endpoint.api_key, endpoint.headers))


def parse_models(reply: HttpResponse) -> list[dict[str, Any]]:
    """Return the model records as the service gives them.

    Raises:
        ResponseFormatError: Not `{"models": [{...}, ...]}`.
    """
    records = _object(reply).get("models")
    if not isinstance(records, list):
        raise _bad_shape(reply, "'models' is not a list")
    for index, record in enumerate(cast("list[object]", records)):
        if not isinstance(record, dict):
            raise _bad_shape(reply, f"'models[{index}]' is not an object")
    return cast("list[dict[str, Any]]", records)


def image_request(endpoint: Endpoint, *, prompt: str, model: str, size: str, quality: str, n: int) -> HttpRequest:
    """Return the request for `n` images of a size such as 1024x1024 in standard or hd quality."""
    body = {"model": model, "prompt": prompt, "size": size, "quality": quality, "n": n}
    return HttpRequest(
        "POST",
        _url(endpoint, "/v1/images/generate"),
        headers(endpoint.api_key, endpoint.headers),
        json.dumps(body).encode(),
    )


def parse_images(reply: HttpResponse) -> dict[str, Any]:
    """Return `{"urls": [...], "model", "provider"}`; a url may be a `data:image/png;base64,...`.

    Raises:
        ResponseFormatError: `urls` is not a list of texts.
    """
    body = _object(reply)
    urls = body.get("urls")
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in cast("list[object]", urls)):
        raise _bad_shape(reply, "'urls' is not a list of texts")
    return dict(body)


def _url(endpoint: Endpoint, route: str) -> str:
    return endpoint.base_url.rstrip("/") + route


def _call(request: ChatRequest) -> str:
    """Return what is asked for. Any effort but "none" goes to the reasoning route, which refuses what it cannot do."""
    if request.routing is not None:
        return "select"
    return "chat" if request.reasoning_effort in (None, "none") else "reason"


def _routing(routing: Routing) -> dict[str, Any]:
    return {
        "k": routing.k,
        "model_names": None if routing.model_names is None else list(routing.model_names),
        "rel_cost": routing.rel_cost,
        "rel_latency": routing.rel_latency,
        "rel_accuracy": routing.rel_accuracy,
        "verbose": routing.verbose,
    }


def _settings(request: ChatRequest) -> dict[str, Any]:
    """Return the given settings by their OpenAI names. A selection documents no temperature, so its default stays."""
    given = request.given_params()
    if request.routing is not None and is_documented_default(request, "temperature"):
        del given["temperature"]
    if request.tool_choice not in (None, "auto", "none", "required"):
        given["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
    return given


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with text as a string: published versions of the service take nothing else as content."""
    content = message["content"]
    if content is None:
        return message | {"content": ""}
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        if all(part.keys() == {"type", "text"} for part in parts):
            return message | {"content": "".join(part["text"] for part in parts)}
    return message


def _object(reply: HttpResponse, target: Target | None = None) -> dict[str, Any]:
    body = reply.json()
    if not isinstance(body, dict):
        raise _bad_shape(reply, "the body is not an object", target)
    return cast("dict[str, Any]", body)


def _bad_shape(reply: HttpResponse, what: str, target: Target | None = None) -> ResponseFormatError:
    return ResponseFormatError(
        f"the service answered {reply.status}, but {what}",
        body_prefix=reply.text,
        provider=target.provider if target else None,
        model=target.model.id if target else None,
        status=reply.status,
        request_id=reply.request_id,
    )


def _told(reply: HttpResponse) -> tuple[str, str | None]:
    """Return an error answer's message and code; of a page, its visible text."""
    try:
        return said_in(reply.json())
    except ResponseFormatError:
        return " ".join(_UNSEEN.sub(" ", reply.text[:_PAGE_CHARS]).split()), None
