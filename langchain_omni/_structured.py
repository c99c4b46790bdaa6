"""Structured answers: what to bind for each method, and how the answer is parsed."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core import exceptions as core
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
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
        return JsonOutputKeyToolsParser(key_name=schema_name(schema), first_tool_only=True)
    return PydanticToolsParser(tools=[cls], first_tool_only=True)


class _JsonParser(JsonOutputParser):
    """JSON, unless the model refused."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _raise_refusal(result)
        return super().parse_result(result, partial=partial)


class _PydanticParser(PydanticOutputParser[Any]):
    """An object of a class, unless the model refused."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        _raise_refusal(result)
        return super().parse_result(result, partial=partial)


def _raise_refusal(result: list[Generation]) -> None:
    answer = result[0]
    if isinstance(answer, ChatGeneration) and (refusal := answer.message.additional_kwargs.get("refusal")):
        metadata = answer.message.response_metadata
        raise OmniRefusalError(
            f"the model refused to answer: {refusal}",
            provider=metadata.get("provider"),
            model=metadata.get("model_name"),
        )
