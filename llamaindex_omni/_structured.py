"""Structured answers: a JSON schema where the model takes one (natively or by a forced tool), else text that is parsed.

LlamaIndex would force a tool on every model. The client asks each model in its own best way, so a fallback to a model
without native schemas changes nothing here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, ValidationError

from llamaindex_omni._endpoints import OmniEndpoints
from llamaindex_omni._metadata import candidates
from llamaindex_omni._refusals import raise_refusal
from omnilabs.errors import ResponseFormatError

if TYPE_CHECKING:
    from llama_index.core.program.utils import FlexibleModel
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate

__all__ = ["OmniStructured"]

_dispatcher = get_dispatcher(__name__)
Model = TypeVar("Model", bound=BaseModel)

# What a program would pass on to force its tool; a schema is not asked for by them.
_OF_TOOLS = frozenset({"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls"})


class OmniStructured(OmniEndpoints):
    """`structured_predict` and its three kin; `as_structured_llm` builds on them."""

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Return the answer to a prompt as an object of `output_cls`.

        Raises:
            ValidationError: The model's answer does not fit the class.
            OmniRefusalError: The model will not answer.
            OmniError: As `chat`.
        """
        llm = self._for_programs(llm_kwargs)
        if llm is not None:
            program: Callable[..., Model] = super(OmniStructured, llm).structured_predict
            return program(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)
        _dispatcher.event(_start(output_cls, prompt, prompt_args))
        response = self.chat(self._filled(prompt, prompt_args), **_asking_for(output_cls, llm_kwargs))
        output = _read(output_cls, response)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=output))
        return output

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Return the answer to a prompt as an object of `output_cls`; see `structured_predict`."""
        llm = self._for_programs(llm_kwargs)
        if llm is not None:
            program: Callable[..., Awaitable[Model]] = super(OmniStructured, llm).astructured_predict
            return await program(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)
        _dispatcher.event(_start(output_cls, prompt, prompt_args))
        response = await self.achat(self._filled(prompt, prompt_args), **_asking_for(output_cls, llm_kwargs))
        output = _read(output_cls, response)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=output))
        return output

    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | FlexibleModel, None, None]:
        """Yield the object as it grows; the last one is whole and valid.

        Raises:
            ValidationError: The whole answer does not fit the class.
            OmniRefusalError: The model will not answer.
            OmniError: As `stream_chat`.
        """
        llm = self._for_programs(llm_kwargs)
        if llm is not None:
            program = super(OmniStructured, llm).stream_structured_predict
            yield from program(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)
            return
        _dispatcher.event(_start(output_cls, prompt, prompt_args))
        growing = _Growing(output_cls)
        for chunk in self.stream_chat(self._filled(prompt, prompt_args), **_asking_for(output_cls, llm_kwargs)):
            yield from growing.read(chunk)
        yield from growing.rest()

    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        """Return the object as it grows; see `stream_structured_predict`."""
        llm = self._for_programs(llm_kwargs)
        if llm is not None:
            program = super(OmniStructured, llm).astream_structured_predict
            return await program(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)
        return self._agrow(output_cls, prompt, llm_kwargs, prompt_args)

    async def _agrow(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> AsyncGenerator[Model | FlexibleModel, None]:
        _dispatcher.event(_start(output_cls, prompt, prompt_args))
        growing = _Growing(output_cls)
        chunks = await self.astream_chat(self._filled(prompt, prompt_args), **_asking_for(output_cls, llm_kwargs))
        async for chunk in chunks:
            for output in growing.read(chunk):
                yield output
        for output in growing.rest():
            yield output

    def _for_programs(self, llm_kwargs: Mapping[str, Any] | None) -> Self | None:
        """Return the LLM to run one of LlamaIndex's programs with, or None where the client asks for the schema itself.

        A program runs where the user chose one that is not about tools, and, by text, where no candidate takes a schema
        or a tool to stand in for one.
        """
        if self.pydantic_program_mode not in (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION):
            return self
        given = llm_kwargs or {}
        model = given.get("model") or self.model
        names = given.get("model_names", self.model_names) if model == "auto" else [model]
        models = candidates(self._clients, names)
        if not models or any(one.capabilities.json_schema or one.capabilities.tools for one in models):
            return None
        return self.model_copy(update={"pydantic_program_mode": PydanticProgramMode.LLM})

    def _filled(self, prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))


class _Growing(Generic[Model]):
    """An object that arrives in pieces."""

    def __init__(self, output_cls: type[Model]) -> None:
        from llama_index.core.program.utils import create_flexible_model

        self._output_cls = output_cls
        self._flexible = create_flexible_model(output_cls)
        self._last = ChatResponse(message=ChatMessage())
        self._seen: object = None

    def read(self, chunk: ChatResponse) -> Iterator[Model | FlexibleModel]:
        """Yield the object so far if the chunk added to it: of the class once it fits, before that a looser one."""
        self._last = chunk
        try:
            fields: object = parse_partial_json(chunk.message.content or "")
        except ValueError:
            return
        output = self._fitted(fields) if isinstance(fields, dict) else None
        if output is None or output == self._seen:
            return
        self._seen = output
        _dispatcher.event(LLMStructuredPredictInProgressEvent(output=output))
        yield output

    def rest(self) -> Iterator[Model]:
        """Yield the whole object, unless it was the last one.

        Raises:
            ValidationError: It does not fit the class.
            OmniRefusalError: The model will not answer.
        """
        output = _read(self._output_cls, self._last)
        _dispatcher.event(LLMStructuredPredictEndEvent(output=output))
        if output != self._seen:
            yield output

    def _fitted(self, fields: Mapping[str, Any]) -> Model | FlexibleModel:
        try:
            return self._output_cls.model_validate(fields)
        except ValidationError:
            return self._flexible.model_validate(fields)


def _read(output_cls: type[Model], response: ChatResponse) -> Model:
    """Return a whole answer as an object of the class.

    Raises:
        ValidationError: It does not fit the class.
        OmniRefusalError: The model will not answer.
        ResponseFormatError: It was cut off; what can be read of it may be half all the same.
    """
    raise_refusal(response)
    if response.additional_kwargs.get("finish_reason") == "length":
        raise ResponseFormatError(
            "the answer was cut off (finish_reason 'length'); raise max_tokens",
            body_prefix=response.message.content or "",
            retryable=False,
        )
    return output_cls.model_validate_json(response.message.content or "")


def _asking_for(output_cls: type[BaseModel], llm_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings of a call that asks for the class's schema; what would force a tool is left out."""
    name = "".join(char if char.isalnum() or char in "_-" else "_" for char in output_cls.__name__)[:64]
    schema = {"name": name, "schema": output_cls.model_json_schema()}
    settings = {key: value for key, value in (llm_kwargs or {}).items() if key not in _OF_TOOLS}
    return {**settings, "response_format": {"type": "json_schema", "json_schema": schema}}


def _start(
    output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]
) -> LLMStructuredPredictStartEvent:
    return LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
