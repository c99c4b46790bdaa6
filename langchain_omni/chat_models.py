"""`ChatOmni`: every model behind one LangChain chat model, and with `model="auto"` the right one for each prompt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_omni._answer import PROVIDER, to_chunk, to_first_chunk, to_last_chunk, to_message
from langchain_omni._convert import to_omni_messages
from langchain_omni._errors import langchain_errors
from langchain_omni._model import OmniModel
from langchain_omni._routing import Choice, Plan, plan_call
from omnilabs import AsyncChatStream, ChatChunk, ChatResponse, ChatStream

__all__ = ["ChatOmni"]


class ChatOmni(OmniModel, BaseChatModel):
    """A chat model in front of every provider.

    ```python
    from langchain_omni import ChatOmni

    model = ChatOmni(model="auto", rel_cost=0.8, rel_accuracy=0.2)
    answer = model.invoke("Name three uses of a paper clip.")
    print(answer.text, answer.response_metadata["model_name"], answer.response_metadata["cost"])
    ```
    """

    @property
    def _llm_type(self) -> str:
        return "omni-chat"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            response = self._ask(plan)
        return _result(response, plan.choice)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            response = await self._aask(plan)
        return _result(response, plan.choice)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            with self._open(plan) as stream:
                reader = _Reader(stream, plan.choice)
                for chunk in stream:
                    yield reader.read(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            async with await self._aopen(plan) as stream:
                reader = _Reader(stream, plan.choice)
                async for chunk in stream:
                    yield reader.read(chunk)

    def _plan(self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> Plan:
        if stop is not None:
            kwargs = {**kwargs, "stop": stop}
        return plan_call(to_omni_messages(messages), messages, self._call_settings(), kwargs, self.sticky)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        # The same as `model_provider` in the answer's metadata: middleware trusts reported tokens only if they agree.
        params["ls_provider"] = PROVIDER
        return params


class _Reader:
    """Turns the chunks of one open stream into LangChain's; the blocking and the asyncio loop both read through it."""

    def __init__(self, stream: ChatStream | AsyncChatStream, choice: Choice) -> None:
        self._stream = stream
        self._choice = choice
        self._told: dict[str, Any] | None = None

    def read(self, chunk: ChatChunk) -> ChatGenerationChunk:
        """Return the next chunk: the first tells who answers, the last what it cost."""
        return ChatGenerationChunk(message=self._message(chunk))

    def _message(self, chunk: ChatChunk) -> AIMessageChunk:
        if self._told is None:
            message = to_first_chunk(chunk, self._stream.decision, self._choice)
            self._told = dict(message.response_metadata)
            return message
        if chunk.usage is not None:
            return to_last_chunk(self._stream.response, self._told, self._choice)
        return to_chunk(chunk)


def _result(response: ChatResponse, choice: Choice) -> ChatResult:
    message = to_message(response, choice)
    totals = {"model_name": response.model, "cost": response.usage.total_cost}
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=totals)
