"""A structured answer by a tool the model must call, where a wire or model has no schema of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omnilabs._frozen import evolve
from omnilabs._request import ChatRequest
from omnilabs._response import ChatChunk, ToolCallDelta
from omnilabs.providers._base import Target

__all__ = ["VALUE_KEY", "AnswerReader", "answer_function", "why_no_forced_answer"]

VALUE_KEY = "value"
"""Where the tool's arguments hold an answer that is not an object."""


def answer_function(request: ChatRequest) -> dict[str, Any]:
    """Return, in OpenAI's shape, the function whose arguments are the answer `request.response_format` asks for.

    Arguments are an object; any other answer goes inside one, and the function's name then says so. No tool of the
    caller's has its name.
    """
    described: Mapping[str, Any] = (request.response_format or {}).get("json_schema") or {}
    schema: Mapping[str, Any] = described.get("schema") or {"type": "object"}
    name = "give_answer"
    if schema.get("type") != "object":
        name = f"give_answer_{VALUE_KEY}"
        inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        schema = {"type": "object", "properties": {VALUE_KEY: inner}, "required": [VALUE_KEY], **shared}
    taken = {tool["function"]["name"] for tool in request.tools or ()}
    while name in taken:
        name += "_"
    about = described.get("description") or re.sub(r"\W+", " ", str(described.get("name") or "answer"))
    return {"name": name, "description": f"Give the final answer in this form: {about}", "parameters": schema}


def why_no_forced_answer(request: ChatRequest, target: Target) -> str | None:
    """Return why an answer cannot be asked for by a forced tool, or None where it can.

    A tool that the caller forces is not replaced: the caller's word on what must be called comes first, and both cannot
    be had in one answer.
    """
    able = target.model.capabilities
    if not able.tools:
        return "this model takes no tools"
    if not able.forced_tools or "tool_choice" in target.endpoint.spec.unsupported:
        return "no tool can be forced on this model"
    if request.tool_choice not in (None, "auto", "none"):
        return "tool_choice forces another"
    return None


class AnswerReader:
    """Shows the forced tool's arguments as the answer's text, in the chunks of one answer, streamed or whole.

    What the model says beside that call is no part of the answer, which would not be JSON with it: it is shown as
    reasoning. Text without the call is the answer. Which of them text is shows at the call or at the end, so until then
    it is held back, with all that follows but the calls of other tools. A model that answers twice is heard once.
    """

    def __init__(self, answer_tool: str) -> None:
        self._answer_tool = answer_tool
        self._is_wrapped = answer_tool.rstrip("_").endswith(VALUE_KEY)
        self._answers: list[int] = []  # the indices of the calls that are the answer; the first is shown
        self._wrapped: list[ChatChunk] = []  # its pieces, where only all of them can be taken out of the arguments
        self._held: list[ChatChunk] = []
        self._has_calls = False

    @property
    def is_holding(self) -> bool:
        """Whether something of the answer has arrived that is not shown yet."""
        return bool(self._held or self._wrapped)

    def read(self, chunks: Iterable[ChatChunk], *, is_over: bool) -> tuple[ChatChunk, ...]:
        """Return what can be shown. `is_over` says that these chunks are the last, and nothing is held after them."""
        shown = [part for chunk in chunks for part in self._read(chunk)]
        if is_over:
            shown += self._held
            self._held = []
            if self._wrapped:
                arguments = "".join(piece.content for piece in self._wrapped)
                shown.append(evolve(self._wrapped[-1], content=_unwrapped(arguments)))
                self._wrapped = []
        return tuple(shown)

    def _read(self, chunk: ChatChunk) -> Iterator[ChatChunk]:
        answer, calls = self._taken_out(chunk.tool_calls)
        if self._answers:
            for held in self._held:
                yield _beside(held)
            self._held = []
            if answer and self._is_wrapped:
                self._wrapped.append(ChatChunk(answer, chunk.model, chunk.provider, id=chunk.id))
                answer = ""
            finish = self._finish_word(chunk.finish_reason)
            yield evolve(_beside(chunk), content=answer, tool_calls=calls, finish_reason=finish)
        elif self._held or chunk.content:
            self._held.append(evolve(chunk, tool_calls=()))
            if calls:
                yield ChatChunk(model=chunk.model, provider=chunk.provider, id=chunk.id, tool_calls=calls)
        else:
            yield chunk

    def _taken_out(self, deltas: Iterable[ToolCallDelta]) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """Return the answer's piece, and the pieces of other tools' calls."""
        answer = ""
        others: list[ToolCallDelta] = []
        for delta in deltas:
            if delta.name == self._answer_tool:
                self._answers.append(delta.index)
            if delta.index not in self._answers:
                others.append(delta)
            elif delta.index == self._answers[0]:
                answer += delta.arguments_json
        self._has_calls = self._has_calls or bool(others)
        return answer, tuple(others)

    def _finish_word(self, word: str | None) -> str | None:
        """Return why the answer ended: an answer given by a forced tool is no call to make."""
        if word in ("stop", "tool_calls"):
            return "tool_calls" if self._has_calls else "stop"
        return word


def _beside(chunk: ChatChunk) -> ChatChunk:
    """Return a chunk with its text as reasoning; a refusal has its own field already."""
    text = "" if chunk.content == chunk.refusal else chunk.content
    return evolve(chunk, content="", reasoning=(chunk.reasoning or "") + text) if text else evolve(chunk, content="")


def _unwrapped(text: str) -> str:
    """Return the answer out of the arguments; what was cut off or misshapen is shown as it came."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and value.keys() == {VALUE_KEY}:
        return json.dumps(value[VALUE_KEY], ensure_ascii=False)
    return text
