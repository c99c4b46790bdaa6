"""What the sandbox answers: tool calls, JSON, or text, whole or cut as the request demands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from omnilabs._frozen import evolve, frozen
from omnilabs._sandbox._facts import Facts
from omnilabs._sandbox._fill import fill
from omnilabs._sandbox._request import Conversation, Request
from omnilabs._sandbox._schema import Schema
from omnilabs._sandbox._text import best_sentences, clip, read_prompt, sentences, words
from omnilabs._sandbox._tokens import BYTES_PER_TOKEN, call_tokens, text_tokens
from omnilabs._sandbox._tools import choose_calls

__all__ = ["MARK", "Answer", "CallText", "compose", "limited"]

MARK = "[sandbox] This answer is made up by the OmniRouter sandbox; no model was asked."
"""The first line of every answer in text."""

_QUESTION_CHARS = 300
_RESULT_CHARS = 200
_JSON_KEY = re.compile(r"[`\"']([A-Za-z_][\w-]{0,63})[`\"']")
_ABOUT_KEYS = re.compile(r"\b(?:keys?|fields?|properties)\b", re.IGNORECASE)
_ABOUT_JSON = re.compile(r"\b(?:json|schema)\b", re.IGNORECASE)
_MAX_JSON_TRIES = 50


@frozen
class CallText:
    """A tool call as it goes on the wire: `arguments` is JSON text, possibly cut off."""

    name: str
    arguments: str


@frozen
class Answer:
    """An answer: text, or tool calls, or a refusal."""

    content: str | None
    calls: tuple[CallText, ...] = ()
    finish_reason: str = "stop"
    refusal: str | None = None

    @property
    def tokens(self) -> int:
        """Estimated completion tokens."""
        spoken = text_tokens(self.content or "") + text_tokens(self.refusal or "")
        return spoken + sum(call_tokens(call.name, call.arguments) for call in self.calls)


def compose(request: Request) -> Answer:
    """Return the answer to a request; the same request always gets the same one."""
    said = _said(request.conversation)
    calls = tuple(
        CallText(call.tool.name, json.dumps(call.arguments, ensure_ascii=False)) for call in choose_calls(request, said)
    )
    if calls:
        whole = Answer(None, calls, "tool_calls")
    else:
        text = _content(request, said)
        ends = [at for stop in request.stop if (at := text.find(stop)) >= 0]
        whole = Answer(text[: min(ends)] if ends else text)
    return whole if request.max_tokens is None else limited(whole, request.max_tokens)


def limited(answer: Answer, max_tokens: int) -> Answer:
    """Return the answer cut to at most `max_tokens`, with finish reason "length" if that cuts anything.

    As with a real model the cut does not care for JSON: arguments may end in the middle.
    """
    if answer.tokens <= max_tokens:
        return answer
    calls: list[CallText] = []
    left = max_tokens
    for call in answer.calls:
        room = max(0, left - call_tokens(call.name, ""))
        calls.append(evolve(call, arguments=_cut(call.arguments, room)))
        left -= call_tokens(call.name, call.arguments)
        if left <= 0:
            break
    content = None if answer.content is None else _cut(answer.content, max_tokens)
    return evolve(answer, content=content, calls=tuple(calls), finish_reason="length")


def _cut(text: str, tokens: int) -> str:
    kept = text.encode("utf-8", "surrogatepass")[: tokens * BYTES_PER_TOKEN]
    return kept.decode("utf-8", "ignore")


def _said(conversation: Conversation) -> str:
    """Return the answer in prose, unmarked."""
    if conversation.results:
        return "\n".join(_reported(conversation))
    prompt = read_prompt(conversation.system, conversation.earlier, conversation.user)
    answer = prompt.answer()
    media = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(conversation.media.items()))
    seen = [f"You sent {media}."] if media else []
    if not answer and prompt.is_given:
        answer = f"The context given does not answer: {clip(prompt.question, _QUESTION_CHARS)}"
    if not answer:
        answer = f"You asked: {clip(conversation.user, _QUESTION_CHARS) or 'nothing.'}"
    return " ".join([*seen, answer])


def _reported(conversation: Conversation) -> list[str]:
    """Return a line per tool result: all of it, or of a long one the sentences that answer the question."""
    lines: list[str] = []
    for result in conversation.results:
        text = result.text.strip() or "nothing"
        if len(text) > _RESULT_CHARS:
            text = " ".join(best_sentences(conversation.user, sentences(text))) or clip(text, _RESULT_CHARS)
        lines.append(f"{result.tool} says: {text}")
    return lines


def _content(request: Request, said: str) -> str:
    conversation = request.conversation
    if request.answer_format == "json_schema":
        return _json(request.schema, conversation, said)
    schema, rest = _described_schema(conversation)
    if schema is None and request.answer_format == "json_object":
        schema, rest = _keyed_schema(conversation)
    if schema is None:
        return f"{MARK}\n{said}"
    text = _json(schema, rest, _said(rest))
    return text if request.answer_format == "json_object" else f"{MARK}\n```json\n{text}\n```"


def _json(schema: Schema, conversation: Conversation, said: str) -> str:
    """Return a JSON text for the schema. The mark would break it and stays out."""
    prompt = read_prompt(conversation.system, (), conversation.user)
    given = [unit.text for unit in prompt.context] if prompt.is_given else []
    text = "\n".join([*(result.text for result in conversation.results), *given, conversation.user])
    facts = Facts(text, said=said, ignored=frozenset(words("json")))
    return json.dumps(fill(schema, facts, optional=True), ensure_ascii=False)


def _described_schema(conversation: Conversation) -> tuple[Schema | None, Conversation]:
    """Return the JSON schema that the prompt itself shows, as output parsers put it there, and the rest of the prompt.

    The last schema of an object counts: the parsers' examples stand before it.
    """
    asked = f"{conversation.system}\n{conversation.user}"
    if '"properties"' not in asked or not _ABOUT_JSON.search(asked):
        return None, conversation
    schemas = [value for value, _, _ in _objects(asked) if isinstance(value.get("properties"), dict)]
    rest = evolve(conversation, system=_without_json(conversation.system), user=_without_json(conversation.user))
    return (schemas[-1], rest) if schemas else (None, conversation)


def _objects(text: str) -> Iterator[tuple[Schema, int, int]]:
    """Yield the JSON objects in a text, each with where it begins and ends."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(_MAX_JSON_TRIES):
        start = text.find("{", at)
        if start < 0:
            return
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
        else:
            yield value, start, at


def _without_json(text: str) -> str:
    """Return the text without JSON objects and without the lines that talk about them, unless nothing is left."""
    kept, at = "", 0
    for _, start, end in _objects(text):
        kept += text[at:start]
        at = end
    kept += text[at:]
    lines = [line for line in kept.splitlines() if not (_ABOUT_JSON.search(line) or line.startswith("```"))]
    return "\n".join(lines) if "".join(lines).strip() else kept


def _keyed_schema(conversation: Conversation) -> tuple[Schema, Conversation]:
    """Return a schema of texts under the keys that the prompt quotes, or under `answer`, and the rest of the prompt."""
    asked = f"{conversation.system}\n{conversation.user}"
    keys = list(dict.fromkeys(_JSON_KEY.findall(asked))) if _ABOUT_KEYS.search(asked) else []
    rest = evolve(conversation, user=_JSON_KEY.sub(" ", conversation.user)) if keys else conversation
    names = keys or ["answer"]
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}, rest
