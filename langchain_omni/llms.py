"""`OmniLLM`: the same models as a LangChain text model: a prompt in, a string out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from langchain_omni._answer import facts_of, usage_metadata
from langchain_omni._model import OmniModel
from langchain_omni._raising import langchain_errors
from langchain_omni._routing import Choice, Plan, plan_call
from langchain_omni._settings import CONFIG
from omnilabs import ChatChunk, ChatResponse

__all__ = ["OmniLLM"]


class OmniLLM(OmniModel, BaseLLM):
    """Text in, text out, over the models of `ChatOmni` and with its settings.

    Who answered, at what cost and why is in each generation's `generation_info`.
    """

    model_config = CONFIG

    @property
    def _llm_type(self) -> str:
        return "omni-llm"

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        plans = [self._plan(prompt, stop, kwargs) for prompt in prompts]
        with langchain_errors():
            return _result([(self._ask(plan), plan.choice) for plan in plans])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        plans = [self._plan(prompt, stop, kwargs) for prompt in prompts]
        with langchain_errors():
            answers = await asyncio.gather(*(self._aask(plan) for plan in plans))
        return _result([(answer, plan.choice) for answer, plan in zip(answers, plans, strict=True)])

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


def _result(answers: list[tuple[ChatResponse, Choice]]) -> LLMResult:
    generations = [
        [Generation(text=response.content, generation_info=_info(response, choice))] for response, choice in answers
    ]
    return LLMResult(generations=list(generations))
