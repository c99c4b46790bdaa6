"""Structured answers: what to bind for each method, and how the answer is parsed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from langchain_core import exceptions as core
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_omni._tools import Method, Schema, schema_name
from omnilabs.errors import OmniError

__all__ = ["OmniRefusalError", "structured"]


# Which base there is depends on the installed core, so the checker cannot know it.
class OmniRefusalError(OmniError, getattr(core, "ModelRefusalError", core.ModelError)):  # type: ignore[misc]
    """The model will not answer, and said so instead of filling the schema. LangChain's own class from core 1.7.5."""


def structured(
    model: Runnable[LanguageModelInput, AIMessage], schema: Schema | None, method: Method, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return `model`, which is bound to answer in a form, followed by the parser of that form.

    With `include_raw` the answer is `{"raw", "parsed", "parsing_error"}` and a parser's failure is in it, not raised.
    """
    parser = _parser(schema, method)
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _parser(schema: Schema | None, method: Method) -> Runnable[Any, Any]:
    cls: Any = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    if schema is None or method != "function_calling":
        return _JsonParser() if cls is None else _PydanticParser(pydantic_object=cls)
    if cls is None:
        return _JsonCallParser(key_name=schema_name(schema), first_tool_only=True)
    return _PydanticCallParser(tools=[cls], first_tool_only=True)


# LangChain's parsers complete what is cut off, in whole answers too: half a text would pass for the answer.


class _JsonParser(JsonOutputParser):
    """JSON, once it is whole; None when the model called tools first."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        grows = _is_growing(result, partial)
        return super().parse_result(result, partial=grows) if grows or _is_answer(result) else None


class _PydanticParser(PydanticOutputParser[Any]):
    """An object of a class, once it is whole; None when the model called tools first."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        grows = _is_growing(result, partial)
        return super().parse_result(result, partial=grows) if grows or _is_answer(result) else None


class _JsonCallParser(JsonOutputKeyToolsParser):
    """The arguments of the call that is the answer, once they are whole."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        if not _is_growing(result, partial):
            _check_calls(result)
        return super().parse_result(_typed(result), partial=partial)


class _PydanticCallParser(PydanticToolsParser):
    """An object of a class from the call that is the answer, once its arguments are whole."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        grows = _is_growing(result, partial)
        if not grows:
            _check_calls(result)
        return super().parse_result(_typed(result), partial=grows)


def _is_growing(result: list[Generation], partial: bool) -> bool:
    """Return whether more of a streamed answer is to come.

    Raises:
        OmniRefusalError: The model refused to answer.
    """
    message = _message(result)
    if message is None:
        return partial
    if refusal := message.additional_kwargs.get("refusal"):
        metadata = message.response_metadata
        raise OmniRefusalError(
            f"the model refused to answer: {refusal}",
            provider=metadata.get("provider"),
            model=metadata.get("model_name"),
        )
    # Where streaming is off, a whole message comes as a chunk of no kind in particular.
    return partial and isinstance(message, AIMessageChunk) and message.chunk_position != "last"


def _is_answer(result: list[Generation]) -> bool:
    """Return whether a whole message is the answer, and not a call of tools before it.

    Raises:
        OutputParserException: It was cut off, or does not begin with whole JSON, in a fence or without.
    """
    message, text = _message(result), result[0].text
    calls: Sequence[Any] = getattr(message, "tool_calls", ())
    if calls:
        return False
    _check_end(message, text)
    try:
        parse_json_markdown(text, parser=_first_value)
    except ValueError as exc:
        raise _unreadable("the answer is not JSON", text) from exc
    return True


def _check_calls(result: list[Generation]) -> None:
    """Refuse a call whose arguments are not whole.

    Raises:
        OutputParserException: The answer was cut off, or a call has no JSON object for its arguments.
    """
    message = _message(result)
    if message is None:
        return
    invalid: Sequence[Any] = getattr(message, "invalid_tool_calls", ())
    pieces: Sequence[Any] = getattr(message, "tool_call_chunks", ())
    _check_end(message, "".join(call["args"] or "" for call in pieces or invalid))
    broken = [call["args"] or "" for call in invalid]
    broken += [piece["args"] for piece in pieces if piece["args"] and not _is_object(piece["args"])]
    if broken:
        raise _unreadable("the call's arguments are no JSON object", broken[0])


def _check_end(message: BaseMessage | None, text: str) -> None:
    # What can be read may have been cut off all the same: some providers close an object where they stop.
    if message is not None and message.response_metadata.get("finish_reason") == "length":
        raise _unreadable("the answer was cut off, raise max_tokens", text)


def _typed(result: list[Generation]) -> list[Generation]:
    """Return a message with calls as LangChain's parsers know one; where streaming is off it is another."""
    message = _message(result)
    calls: Any = getattr(message, "tool_calls", ())
    if message is None or isinstance(message, AIMessage) or not calls:
        return result
    return [ChatGeneration(message=AIMessage(message.content, tool_calls=calls))]


def _message(result: list[Generation]) -> BaseMessage | None:
    return result[0].message if isinstance(result[0], ChatGeneration) else None


def _first_value(text: str) -> Any:
    """Return the JSON a text begins with, with line ends in its texts and words after it, as LangChain takes it."""
    return json.JSONDecoder(strict=False).raw_decode(text)[0]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except ValueError:
        return False


def _unreadable(why: str, text: str) -> core.OutputParserException:
    return core.OutputParserException(f"Invalid json output: {why}: {text}", llm_output=text)
