"""`OmniLLM`: the same models as a LangChain text model: a prompt in, a string out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Any, Self, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_omni._answer import facts_of, usage_metadata
from langchain_omni._model import OmniModel
from langchain_omni._raising import langchain_errors
from langchain_omni._routing import Choice, Plan, plan_call
from langchain_omni._settings import CONFIG
from omnilabs import ChatChunk, ChatResponse
from omnilabs.errors import ConfigurationError

__all__ = ["OmniLLM"]

_THREADS = 32
"""At most so many prompts of one blocking call are asked at a time."""
_OF_THE_RUN = frozenset({"tags", "metadata", "run_name", "run_id"})
"""What `generate` takes for traces; every other keyword is a setting of the call."""

_Manager = TypeVar("_Manager")


class OmniLLM(OmniModel, BaseLLM):
    """Text in, text out, over the models of `ChatOmni` and with its settings.

    Who answered, at what cost and why is in each generation's `generation_info`. Several prompts are asked at the same
    time, up to 32 in threads, and the first failure ends the call without waiting for the others; `max_concurrency` in
    a batch's config sets a lower limit, and one for asyncio.
    """

    model_config = CONFIG

    @property
    def _llm_type(self) -> str:
        return "omni-llm"

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer the prompts, as LangChain's `generate` does; its cache tells calls of different settings apart."""
        return super(OmniLLM, self._for_call(kwargs)).generate(prompts, stop, callbacks, **kwargs)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer the prompts, as `generate` does."""
        return await super(OmniLLM, self._for_call(kwargs)).agenerate(prompts, stop, callbacks, **kwargs)

    def _for_call(self, kwargs: Mapping[str, Any]) -> Self:
        """Return the model for a call: a copy where it has settings of its own, which LangChain leaves out of the key.

        It works out the key from `_identifying_params` and `stop` alone.
        """
        settings = {name: value for name, value in kwargs.items() if name not in _OF_THE_RUN}
        if not settings:
            return self
        with suppress(ConfigurationError):  # the call will raise it, and tell its callbacks
            self._pair()  # made before copying, so that the copy shares it
        copied = copy(self)
        vars(copied)["_identity"] = {**self._identity, **settings}
        return copied

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        params = dict(self._identity)
        if "stop" in params:  # where LangChain writes the call's own, or None
            params.setdefault("stop_sequences", params.pop("stop"))
        return params

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        def answer(prompt: str, told: CallbackManagerForLLMRun | None) -> Generation:
            if self._streams(kwargs):
                return _whole(list(self._stream(prompt, stop, told, **kwargs)))
            plan = self._plan(prompt, stop, kwargs)
            with langchain_errors():
                return _generation(self._ask(plan), plan.choice)

        managers = _managers(run_manager, prompts)
        if len(prompts) < 2:
            return _result(list(map(answer, prompts, managers)))
        pool = ContextThreadPoolExecutor(min(len(prompts), _THREADS))
        try:
            return _result(list(pool.map(answer, prompts, managers)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a failure or Ctrl-C does not wait for the others

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        async def answer(prompt: str, told: AsyncCallbackManagerForLLMRun | None) -> Generation:
            if self._streams(kwargs):
                return _whole([chunk async for chunk in self._astream(prompt, stop, told, **kwargs)])
            plan = self._plan(prompt, stop, kwargs)
            with langchain_errors():
                return _generation(await self._aask(plan), plan.choice)

        managers = _managers(run_manager, prompts)
        asked = [asyncio.ensure_future(answer(*one)) for one in zip(prompts, managers, strict=True)]
        try:
            return _result(await asyncio.gather(*asked))
        finally:
            for task in asked:
                task.cancel()  # what would cost money for nothing, after a failure
            await asyncio.gather(*asked, return_exceptions=True)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        plan = self._plan(prompt, stop, kwargs)
        with langchain_errors(), self._open(plan) as stream:
            for chunk in stream:
                generation = _chunk(chunk, stream.response if chunk.usage is not None else None, plan.choice)
                if run_manager is not None:
                    run_manager.on_llm_new_token(generation.text, chunk=generation)
                yield generation

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        plan = self._plan(prompt, stop, kwargs)
        with langchain_errors():
            async with await self._aopen(plan) as stream:
                async for chunk in stream:
                    generation = _chunk(chunk, stream.response if chunk.usage is not None else None, plan.choice)
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(generation.text, chunk=generation)
                    yield generation

    def _streams(self, kwargs: Mapping[str, Any]) -> bool:
        return bool(kwargs.get("stream", self.streaming))

    def _plan(self, prompt: str, stop: list[str] | None, kwargs: dict[str, Any]) -> Plan:
        if stop is not None:
            kwargs = {**kwargs, "stop": stop}
        messages = [{"role": "user", "content": prompt}]
        return plan_call(messages, [HumanMessage(prompt)], self._call_defaults, kwargs, self.sticky)


def _chunk(chunk: ChatChunk, response: ChatResponse | None, choice: Choice) -> GenerationChunk:
    info = None if response is None else _info(response, choice)
    return GenerationChunk(text=chunk.content, generation_info=info)


def _info(response: ChatResponse, choice: Choice) -> dict[str, Any]:
    return facts_of(response, choice) | {"usage_metadata": usage_metadata(response.usage)}


def _generation(response: ChatResponse, choice: Choice) -> Generation:
    return Generation(text=response.content, generation_info=_info(response, choice))


def _whole(chunks: Sequence[GenerationChunk]) -> Generation:
    """Return a streamed answer as one generation; the last chunk has all there is to know of it."""
    return Generation(text="".join(chunk.text for chunk in chunks), generation_info=chunks[-1].generation_info)


def _managers(first: _Manager | None, prompts: Sequence[str]) -> list[_Manager | None]:
    """Return whom to tell of each prompt's tokens: LangChain gives the first prompt's run manager and no other."""
    return [first if index == 0 else None for index in range(len(prompts))]


def _result(generations: Sequence[Generation]) -> LLMResult:
    return LLMResult(generations=[[generation] for generation in generations])
