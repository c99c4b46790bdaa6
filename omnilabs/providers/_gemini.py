"""The Gemini wire: generateContent and streamGenerateContent of Google's Gemini API.

Here are the route, the settings and the tools; `_gemini_messages.py` writes the conversation, `_gemini_stream.py` reads
answers, `_gemini_errors.py` errors.

Source: the types of the `google-genai` package 3.4 and https://ai.google.dev/api/generate-content, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from omnilabs._accumulate import Accumulator
from omnilabs._frozen import evolve
from omnilabs._http import HttpRequest, HttpResponse
from omnilabs._record import plain
from omnilabs._request import SETTINGS, ChatRequest
from omnilabs._response import ChatResponse
from omnilabs._secret import Secret
from omnilabs._usage import Usage
from omnilabs.errors import OmniError, ResponseFormatError
from omnilabs.providers._base import Built, Target, encode_json, merge, refuse
from omnilabs.providers._gemini_errors import describe_error, typed_error
from omnilabs.providers._gemini_messages import encode_messages, takes_levels
from omnilabs.providers._gemini_schema import declare, portable
from omnilabs.providers._gemini_stream import GeminiDecoder
from omnilabs.providers._structured import answer_function, why_no_forced_answer

__all__ = ["WIRE", "GeminiWire"]

_CONFIG: Mapping[str, str] = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""Our setting -> its name in `generationConfig`."""


class GeminiWire:
    """Builds and reads requests of the Gemini API. The key goes into a header, never into the address."""

    params = frozenset(SETTINGS) - {"parallel_tool_calls"}
    forms_by_model = False

    def build(self, request: ChatRequest, target: Target, *, stream: bool, form: str = "") -> Built:
        """Return the request.

        Raises:
            InvalidRequestError: A medium at an address that Gemini does not fetch, or a result of a call that no
                message before it made.
        """
        dropped: set[str] = set()
        body = encode_messages(request.messages, target, dropped)
        structured_by, answer_tool = _put_settings(body, request, target, dropped)
        merge(body, request.extra_body or {})
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        headers: dict[str, str | Secret] = {"content-type": "application/json", **target.endpoint.headers}
        if target.endpoint.api_key is not None:
            headers["x-goog-api-key"] = target.endpoint.api_key
        http = HttpRequest(
            "POST",
            f"{target.endpoint.base_url.rstrip('/')}/{_model_path(target.model.name)}:{method}",
            headers,
            encode_json(body),
        )
        return Built(http, tuple(sorted(dropped)), structured_by, answer_tool)

    def parse(self, reply: HttpResponse, built: Built, target: Target) -> ChatResponse:
        """Return the response of a 2xx answer, unpriced. It is read as a stream of one event is.

        Raises:
            ResponseFormatError: Neither candidates nor the reason why the prompt was blocked.
            APIStatusError: An `error` object in spite of the status, mapped by its code.
        """
        body = reply.json()
        decoder = self.decoder(built, target)
        answer = Accumulator()
        for chunk in decoder.read(body, is_whole=True):
            answer.add(chunk)
        count = len(body.get("candidates") or ())
        if not count and not decoder.is_complete:
            raise ResponseFormatError(
                f"{target.provider} answered {reply.status} with neither candidates nor promptFeedback.blockReason",
                body_prefix=reply.text,
                provider=target.provider,
                model=target.model.id,
                status=reply.status,
                request_id=reply.request_id,
            )
        response = answer.response()
        return evolve(
            response,
            model=response.model or target.model.name,
            provider=target.provider,
            usage=decoder.usage or Usage(),
            structured_by=built.structured_by,
            warnings=(f"the answer has {count} candidates; all but the first are only in raw",) if count > 1 else (),
            raw=body,
        )

    def decoder(self, built: Built, target: Target) -> GeminiDecoder:
        """Return a fresh decoder for one stream."""
        return GeminiDecoder(target, built)

    def error(self, reply: HttpResponse, target: Target) -> OmniError:
        """Return the error of an answer with status 400 or more."""
        try:
            body = reply.json()
        except ResponseFormatError:
            body = reply.text
        error = describe_error(body) or {
            "message": f"{reply.headers.get('content-type', 'a body')} instead of a JSON error"
        }
        return typed_error(reply, error, target, body)

    def other_form(self, form: str, reply: HttpResponse) -> str | None:
        """Return None: there is one form."""
        return None


WIRE = GeminiWire()


def _model_path(name: str) -> str:
    """Return `models/...` with the name as one segment, so that no name can leave it for another route."""
    kind, slash, rest = name.partition("/")
    if slash and kind in ("models", "tunedModels"):
        return f"{kind}/{quote(rest, safe='')}"
    return f"models/{quote(name, safe='')}"


# ---- settings

_LEVELS: Mapping[str, str] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
}
"""No level turns thinking off; MINIMAL is the least there is."""
_BUDGETS: Mapping[str, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
}
"""Tokens per effort as Google maps them itself (https://ai.google.dev/gemini-api/docs/openai); 24,576 is the most that
every Gemini 2.5 takes."""


def _put_settings(
    body: dict[str, Any], request: ChatRequest, target: Target, dropped: set[str]
) -> tuple[Literal["native", "tool"] | None, str | None]:
    """Put what the caller set into the body; return how a schema is asked for, and the forced tool's name."""
    given = request.given_params()
    if request.temperature is not None:
        given["temperature"] = float(request.temperature)
    if request.top_logprobs is not None:
        given.setdefault("logprobs", True)  # a number alone is an error
    renamed = target.endpoint.spec.renamed
    config = {renamed.get(name, field): given[name] for name, field in _CONFIG.items() if name in given}
    thinking = _thinking(request, target, dropped)
    if thinking:
        config["thinkingConfig"] = thinking
    structured_by = _structured_by(request, target, dropped)
    answer = answer_function(request) if structured_by == "tool" else None
    if structured_by == "native":
        config["responseMimeType"] = "application/json"
        wanted: Mapping[str, Any] = (request.response_format or {}).get("json_schema") or {}
        if wanted:
            config["responseJsonSchema"] = portable(wanted["schema"])
    if config:
        body["generationConfig"] = plain(config)
    _put_tools(body, request, answer, dropped)
    return structured_by, None if answer is None else answer["name"]


def _structured_by(request: ChatRequest, target: Target, dropped: set[str]) -> Literal["native", "tool"] | None:
    """Return how the form of the answer is asked for.

    Before Gemini 3 JSON is an error beside tools ("Function calling with a response mime type: 'application/json' is
    unsupported", https://github.com/googleapis/python-genai/issues/867).

    Raises:
        UnsupportedParameterError: It would have to be a forced function's arguments, and none can be forced.
    """
    wanted = request.response_format
    if wanted is None:
        return None
    has_schema = wanted["type"] == "json_schema"
    is_free = not request.tools or takes_levels(target.model.name)
    able = not has_schema or (target.model.capabilities.json_schema and target.endpoint.spec.native_schema)
    if is_free and able:
        return "native"
    why = why_no_forced_answer(request, target) if has_schema else "beside tools it takes a JSON schema only"
    if why is None:
        return "tool"
    refuse(request, target, "response_format", why, dropped)
    return None


def _thinking(request: ChatRequest, target: Target, dropped: set[str]) -> dict[str, Any]:
    """Return `thinkingConfig`. Thoughts are asked for whenever reasoning is.

    Raises:
        UnsupportedParameterError: Both a level and a budget, of which Gemini takes one: where dropping is allowed, what
            the generation was made for is sent.
    """
    effort, budget = request.reasoning_effort, request.reasoning_budget_tokens
    if effort is None and budget is None:
        return {}
    levels = takes_levels(target.model.name)
    config: dict[str, Any]
    if effort is not None and (levels or budget is None):
        config = {"thinkingLevel": _LEVELS[effort]} if levels else {"thinkingBudget": _BUDGETS[effort]}
        asked = effort != "none"
        if budget is not None:
            refuse(request, target, "reasoning_budget_tokens", "reasoning_effort says it already", dropped)
    else:
        config, asked = {"thinkingBudget": budget}, budget != 0
        if effort is not None:
            refuse(request, target, "reasoning_effort", "reasoning_budget_tokens says it already", dropped)
    return config | ({"includeThoughts": True} if asked else {})


def _put_tools(body: dict[str, Any], request: ChatRequest, answer: Mapping[str, Any] | None, dropped: set[str]) -> None:
    functions = [tool["function"] for tool in request.tools or ()]
    if any(function.get("strict") for function in functions):
        dropped.add("strict")
    if any("cache_control" in tool for tool in request.tools or ()):
        dropped.add("cache")
    if answer is not None:
        functions.append(answer)
    if functions:
        body["tools"] = [{"functionDeclarations": [declare(function) for function in functions]}]
    calling = _calling(request.tool_choice, None if answer is None else answer["name"])
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}


def _calling(choice: str | None, answer: str | None) -> dict[str, Any]:
    """Return `functionCallingConfig`. With an answer asked for by a function, some function must always be called."""
    match choice:
        case None | "auto":
            if answer is not None:
                return {"mode": "ANY"}
            return {"mode": "AUTO"} if choice else {}
        case "none":
            return {"mode": "NONE"} if answer is None else {"mode": "ANY", "allowedFunctionNames": [answer]}
        case "required":
            return {"mode": "ANY"}
        case name:
            return {"mode": "ANY", "allowedFunctionNames": [name]}
