"""The eight endpoints. Blocking and asyncio differ in who waits; asking, reading and telling are shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
)
from llama_index.core.instrumentation.span import active_span_id
from llama_index_instrumentation import get_dispatcher

from llamaindex_omni import _telling
from llamaindex_omni._calls import ROUTING, Ask, fallback_events, report
from llamaindex_omni._inbound import to_omni_messages
from llamaindex_omni._outbound import to_chat_response, to_completion
from llamaindex_omni._settings import OmniSettings
from llamaindex_omni._streaming import Snapshots
from omnilabs import AsyncChatStream, ChatStream
from omnilabs import ChatResponse as OmniResponse
from omnilabs.errors import InvalidRequestError, OmniError
from omnilabs.types import Decision

__all__ = ["OmniEndpoints"]

_dispatcher = get_dispatcher(__name__)

# None says nothing of them; elsewhere it undoes what the LLM was made with.
_NEVER_NONE = frozenset({"model", *ROUTING}) - {"model_names"}


class OmniEndpoints(OmniSettings):
    """`chat`, `complete`, their streams, and the asyncio four: native, each with its own events exactly once.

    Keyword arguments of all eight: those of `omnilabs.types.ChatOptions`, `temperature`, `max_tokens`, `model`, the
    routing settings (`k`, `model_names`, `rel_cost`, `rel_latency`, `rel_accuracy`, `verbose`), and `route`: a decision
    of `smart_select` to act on. Others are a `TypeError` before anything is sent. What is given has the last word, None
    too: `temperature=None` leaves the temperature to the provider whatever the LLM was made with.
    """

    # ---- endpoints

    @_telling.chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return the answer.

        Raises:
            InvalidRequestError: Bad input; nothing was sent.
            NoEligibleModelError: No model can answer; `.rejected` holds each one's reason.
            OmniError: The provider's failure, by class, after the client's retries and fallbacks.
        """
        return self._chat(messages, kwargs)

    @_telling.chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return the answer; see `chat`."""
        return await self._achat(messages, kwargs)

    @_telling.chat_stream
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Return the answer's chunks; the model has begun to answer when this returns.

        Raises:
            OmniError: As `chat`; from the generator `StreamInterruptedError` when the answer breaks off.
        """
        return self._stream(messages, kwargs)

    @_telling.achat_stream
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Return the answer's chunks; see `stream_chat`."""
        return await self._astream(messages, kwargs)

    @_telling.completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Return the answer to a prompt, which `completion_to_prompt` shapes unless it is `formatted`; see `chat`."""
        return to_completion(self._chat(self._question(prompt, formatted), kwargs))

    @_telling.completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Return the answer to a prompt; see `complete`."""
        return to_completion(await self._achat(self._question(prompt, formatted), kwargs))

    @_telling.completion_stream
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Return the chunks of the answer to a prompt; see `stream_chat`."""
        return _completions(self._stream(self._question(prompt, formatted), kwargs))

    @_telling.acompletion_stream
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Return the chunks of the answer to a prompt; see `stream_chat`."""
        return _acompletions(await self._astream(self._question(prompt, formatted), kwargs))

    # ---- undecorated, so that a completion does not count as a chat too

    def _chat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        ask = self._settled(messages, kwargs)
        client = self._clients.blocking
        try:
            if ask.model is None:
                response = client.smart_select(ask.messages, **ask.routing, **ask.settings)
            else:
                response = client.chat(ask.messages, ask.model, **ask.settings)
        except OmniError as error:
            _failed(ask, error)
            raise
        return self._answered(ask, response)

    async def _achat(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        ask = await self._asettled(messages, kwargs)
        client = self._clients.asyncio
        try:
            if ask.model is None:
                response = await client.smart_select(ask.messages, **ask.routing, **ask.settings)
            else:
                response = await client.chat(ask.messages, ask.model, **ask.settings)
        except OmniError as error:
            _failed(ask, error)
            raise
        return self._answered(ask, response)

    def _stream(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse, None, None]:
        ask = self._settled(messages, kwargs)
        client = self._clients.blocking
        try:
            if ask.model is None:
                stream = client.smart_select(ask.messages, **ask.routing, stream=True, **ask.settings)
            else:
                stream = client.chat(ask.messages, ask.model, stream=True, **ask.settings)
        except OmniError as error:
            _failed(ask, error)
            raise
        _opened(ask, stream.decision)
        chunks = self._read(ask, stream)
        next(chunks)  # a generator that was started gives its connection up even when nobody reads it
        return _telling.opened(chunks)

    async def _astream(
        self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse, None]:
        ask = await self._asettled(messages, kwargs)
        client = self._clients.asyncio
        try:
            if ask.model is None:
                stream = await client.smart_select(ask.messages, **ask.routing, stream=True, **ask.settings)
            else:
                stream = await client.chat(ask.messages, ask.model, stream=True, **ask.settings)
        except OmniError as error:
            _failed(ask, error)
            raise
        _opened(ask, stream.decision)
        chunks = self._aread(ask, stream)
        await anext(chunks)
        return _telling.opened(chunks)

    def _read(self, ask: Ask, stream: ChatStream) -> Generator[ChatResponse, None, None]:
        snapshots, span_id, is_whole = Snapshots(ask), active_span_id.get(), False
        try:
            yield snapshots.start()
            for chunk in stream:
                if chunk.usage is None and chunk.finish_reason is None:
                    yield snapshots.add(chunk)
            is_whole = True
            yield self._answered(ask, stream.response, span_id, delta="")
        except GeneratorExit:
            stream.close()
            if not is_whole:
                _dispatcher.event(ask.abandoned(stream.response, span_id))
            raise
        finally:
            stream.close()

    async def _aread(self, ask: Ask, stream: AsyncChatStream) -> AsyncGenerator[ChatResponse, None]:
        snapshots, span_id, is_whole = Snapshots(ask), active_span_id.get(), False
        try:
            yield snapshots.start()
            async for chunk in stream:
                if chunk.usage is None and chunk.finish_reason is None:
                    yield snapshots.add(chunk)
            is_whole = True
            yield self._answered(ask, stream.response, span_id, delta="")
        except (GeneratorExit, asyncio.CancelledError):
            await stream.aclose()
            if not is_whole:
                _dispatcher.event(ask.abandoned(stream.response, span_id))
            raise
        finally:
            await stream.aclose()

    # ---- what all eight share

    def _question(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        shape = self.completion_to_prompt
        text = prompt if formatted or shape is None else shape(prompt)
        return [ChatMessage(role=MessageRole.USER, content=text)]

    def _ask(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> Ask:
        """Return the call these arguments ask for.

        Raises:
            InvalidRequestError: A message or a `route` that cannot be used.
        """
        given = {name: value for name, value in kwargs.items() if value is not None or name not in _NEVER_NONE}
        settings: dict[str, Any] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **self.additional_kwargs,
            **given,
        }
        route = settings.pop("route", None)
        model: str | Decision | None = settings.pop("model", self.model)
        single_call = settings.pop("allow_parallel_tool_calls", True) is False
        routing = {name: settings.pop(name, getattr(self, name)) for name in ROUTING}
        source, began = "pinned", None
        if route is not None:
            if not isinstance(route, Decision):
                raise InvalidRequestError(
                    f"route is a decision of smart_select(), not {type(route).__name__}", parameter="route"
                )
            model, source = route, "route"
        elif model == "auto":
            # Routing settings of this very call ask for a choice of its own.
            sticks = self.sticky == "tool_loop" and not given.keys() & ROUTING
            began = self._loops.recall(messages) if sticks else None
            model, source = None, "server" if self._clients.mode == "hosted" else "router"
        return Ask(to_omni_messages(messages), model, settings, routing, source, single_call, began)

    def _settled(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> Ask:
        """Return the call these arguments ask for; within a tool loop with its model, as long as that can go on."""
        ask = self._ask(messages, kwargs)
        client = self._clients.blocking
        if ask.began is None or client.mode == "hosted":
            return ask
        decision = client.select(ask.messages, **ask.routing, **ask.settings)
        return ask.staying(decision, is_known=client.router.find(ask.began.model) is not None)

    async def _asettled(self, messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> Ask:
        ask = self._ask(messages, kwargs)
        client = self._clients.asyncio
        if ask.began is None or client.mode == "hosted":
            return ask
        decision = await client.select(ask.messages, **ask.routing, **ask.settings)
        return ask.staying(decision, is_known=client.router.find(ask.began.model) is not None)

    def _answered(
        self, ask: Ask, response: OmniResponse, span_id: str | None = None, *, delta: str | None = None
    ) -> ChatResponse:
        """Remember and tell what a whole answer shows, and return it; `delta` is None unless it ends a stream."""
        if response.tool_calls:
            self._loops.remember(response)
        told = report(ask, response)
        span_id = span_id or active_span_id.get()
        is_stream = delta is not None
        if ask.source != "pinned" and (not is_stream or response.decision is None):
            first = response if response.decision is None else response.decision
            _dispatcher.event(ask.routed(first.model, first.provider, told.get("decision"), span_id))
        if response.attempts:
            for event in fallback_events(ask, response.attempts, response.model_id, span_id):
                _dispatcher.event(event)
        return to_chat_response(response, told, delta=delta, single_call=ask.single_call)


def _opened(ask: Ask, decision: Decision | None) -> None:
    """Tell the choice as soon as a stream is open; a server's is known only with its answer."""
    if ask.source != "pinned" and decision is not None:
        told = decision.to_dict()
        _dispatcher.event(ask.routed(decision.model, decision.provider, told, active_span_id.get()))


def _failed(ask: Ask, error: OmniError) -> None:
    """Tell which models were given up before the call failed."""
    for event in fallback_events(ask, error.attempts, None, active_span_id.get()):
        _dispatcher.event(event)


def _completions(chunks: Generator[ChatResponse, None, None]) -> CompletionResponseGen:
    with closing(chunks):
        for chunk in chunks:
            yield to_completion(chunk)


async def _acompletions(chunks: AsyncGenerator[ChatResponse, None]) -> CompletionResponseAsyncGen:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield to_completion(chunk)
