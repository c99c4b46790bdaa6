"""`AsyncOmniClient`: arguments in, a flow driven with asyncio, a response out."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from omnilabs._base_client import BaseClient, Messages, routing_settings
from omnilabs._core import Plan
from omnilabs._decision import Decision
from omnilabs._drive import AsyncChatStream, adrive
from omnilabs._flow import chat_flow, plain_flow, stream_flow
from omnilabs._http import AsyncTransport
from omnilabs._request import DEFAULT_TEMPERATURE, ChatOptions
from omnilabs._response import ChatResponse

__all__ = ["AsyncOmniClient"]


class AsyncOmniClient(BaseClient[AsyncTransport]):
    """`OmniClient` for asyncio: the same methods and arguments, awaited.

    ```python
    from omnilabs import AsyncOmniClient

    async with AsyncOmniClient() as client:
        stream = await client.chat([{"role": "user", "content": "Tell me a joke."}], "gpt-4o-mini", stream=True)
        async for chunk in stream:
            print(chunk["content"], end="")
    ```

    One object serves any number of event loops, one after the other or in several threads.
    """

    def _new_transport(self) -> AsyncTransport:
        return self._core.async_transport()

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: Literal[False] = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        *,
        stream: Literal[True],
        **options: Unpack[ChatOptions],
    ) -> AsyncChatStream: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream: ...

    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream:
        """Ask one model; see `OmniClient.chat`."""
        return await self._answer(self._core.chat(messages, model, temperature, max_tokens, options), stream)

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[False] = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[True],
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncChatStream: ...

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream: ...

    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream:
        """Choose the model and ask it; see `OmniClient.smart_select`."""
        return await self._answer(
            self._core.smart_select(
                messages,
                temperature,
                max_tokens,
                routing_settings(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
                options,
            ),
            stream,
        )

    async def select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> Decision:
        """Return the decision alone; see `OmniClient.select`."""
        return self._core.select(
            messages,
            temperature,
            max_tokens,
            routing_settings(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
            options,
        )

    async def get_available_models(self, model_type: str | None = None) -> list[dict[str, Any]]:
        """Return the records of the models that can be asked; see `OmniClient.get_available_models`."""
        listing = self._core.model_listing(model_type)
        if isinstance(listing, list):
            return listing
        return await adrive(plain_flow(listing.call, listing.http, listing.read), self._transport)

    async def generate_image(
        self, prompt: str, model: str = "dall-e-3", size: str = "1024x1024", quality: str = "standard", n: int = 1
    ) -> dict[str, Any]:
        """Generate pictures; see `OmniClient.generate_image`."""
        task = self._core.image(prompt, model, size, quality, n)
        return await adrive(plain_flow(task.call, task.http, task.read), self._transport)

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _answer(self, plan: Plan, stream: bool) -> ChatResponse | AsyncChatStream:
        if stream:
            return AsyncChatStream(await adrive(stream_flow(plan.call, plan.request), self._transport))
        return await adrive(chat_flow(plan.call, plan.request), self._transport)
