"""The two drivers: they do what a flow asks for, one with blocking calls and one with asyncio. They decide nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar

from omnilabs._call import Close, Flow, Open, Read, Send, Sleep, Step
from omnilabs._decision import Decision
from omnilabs._http import AsyncTransport, Transport
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs._stream import StreamSession

__all__ = ["AsyncChatStream", "ChatStream", "adrive", "drive"]

T = TypeVar("T")


def drive(flow: Flow[T], transport: Transport) -> T:
    """Run a flow with blocking calls and return what it returns."""
    reply: Any = None
    with closing(flow):
        while True:
            try:
                step: Step = flow.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            match step:
                case Send(http):
                    reply = transport.send(http)
                case Open(http):
                    reply = transport.open(http)
                case Read(head):
                    reply = head.stream.read()
                case Close(head):
                    reply = head.stream.close()
                case Sleep(seconds):
                    time.sleep(seconds)
                    reply = None


async def adrive(flow: Flow[T], transport: AsyncTransport) -> T:
    """Run a flow with asyncio and return what it returns."""
    reply: Any = None
    with closing(flow):
        while True:
            try:
                step: Step = flow.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            match step:
                case Send(http):
                    reply = await transport.send(http)
                case Open(http):
                    reply = await transport.open(http)
                case Read(head):
                    reply = await head.stream.read()
                case Close(head):
                    reply = await head.stream.aclose()
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                    reply = None


class ChatStream:
    """The chunks of a streamed answer: iterate over it, then read `response`.

    Leaving the `for` early, `close()` and the end of a `with` block all give the connection up at once; `response` then
    holds what had arrived, its usage marked as an estimate. Errors after the first chunk carry the same in `.partial`.
    """

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._chunks: Generator[ChatChunk, None, None] | None = _chunks(session)
        next(self._chunks)  # a generator that has started gives its connection up whatever becomes of it

    @property
    def response(self) -> ChatResponse:
        """The whole response; before the end, what has arrived so far."""
        return self._session.response

    @property
    def decision(self) -> Decision | None:
        """The router's decision, when it chose the model."""
        return self._session.decision

    def __iter__(self) -> Generator[ChatChunk, None, None]:
        # A generator of its own, so that leaving the loop ends it and with it the connection.
        try:
            while self._chunks is not None:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                yield chunk
        finally:
            self.close()

    def __next__(self) -> ChatChunk:
        if self._chunks is None:
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """Give the connection up; more chunks do not come."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncChatStream:
    """`ChatStream` for asyncio: `async for chunk in stream`, then read `response`."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._chunks: AsyncGenerator[ChatChunk, None] | None = _achunks(session)
        _start(self._chunks)

    @property
    def response(self) -> ChatResponse:
        """The whole response; before the end, what has arrived so far."""
        return self._session.response

    @property
    def decision(self) -> Decision | None:
        """The router's decision, when it chose the model."""
        return self._session.decision

    async def __aiter__(self) -> AsyncGenerator[ChatChunk, None]:
        try:
            while self._chunks is not None:
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    return
                yield chunk
        finally:
            await self.aclose()

    async def __anext__(self) -> ChatChunk:
        if self._chunks is None:
            raise StopAsyncIteration
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Give the connection up; more chunks do not come."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


# Functions rather than methods: a generator that held its stream in a cycle would give the connection up much later.


def _chunks(session: StreamSession) -> Generator[ChatChunk, None, None]:
    stream = session.head.stream
    try:
        yield ChatChunk()  # for the constructor
        yield from session.pending()
        while not session.is_over:
            yield from session.take(stream.read())
            session.check()
        stream.drain()
    finally:
        session.abandon()
        stream.close()


async def _achunks(session: StreamSession) -> AsyncGenerator[ChatChunk, None]:
    stream = session.head.stream
    try:
        yield ChatChunk()  # for the constructor
        for chunk in session.pending():
            yield chunk
        while not session.is_over:
            for chunk in session.take(await stream.read()):
                yield chunk
            session.check()
        await stream.drain()
    finally:
        session.abandon()
        await stream.aclose()


def _start(chunks: AsyncGenerator[ChatChunk, None]) -> None:
    """Take the first chunk, which needs no waiting: from here on the event loop closes the generator if nobody does."""
    try:
        chunks.asend(None).send(None)
    except StopIteration:
        return
