"""LlamaIndex's events and callbacks around an endpoint, with its type kept, and streams that end when they are closed.

LlamaIndex wraps a stream in a generator of its own. When that one is closed it only lets go of ours, and if somebody
keeps the event that tells of it, the traceback keeps ours alive, and with it the connection. So the stream that is
given out closes both.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar, cast

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

__all__ = ["achat_stream", "acompletion_stream", "chat", "chat_stream", "completion", "completion_stream", "opened"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_Opened: TypeAlias = list[Generator[Any, None, None] | AsyncGenerator[Any, None]]

_streams: ContextVar[_Opened | None] = ContextVar("llamaindex_omni_streams", default=None)


def opened(stream: T) -> T:
    """Have a stream of ours closed together with the one that is given out for it; returns it."""
    streams = _streams.get()
    if streams is not None:
        streams.append(cast("Any", stream))
    return stream


def chat(method: F) -> F:
    """Tell of a chat."""
    return cast("F", _signed(llm_chat_callback()(method)))


def completion(method: F) -> F:
    """Tell of a completion."""
    return cast("F", _signed(llm_completion_callback()(method)))


def chat_stream(method: F) -> F:
    """Tell of a streamed chat."""
    return _closing(method, chat(method))


def completion_stream(method: F) -> F:
    """Tell of a streamed completion."""
    return _closing(method, completion(method))


def achat_stream(method: F) -> F:
    """Tell of a chat streamed with asyncio."""
    return _aclosing(method, chat(method))


def acompletion_stream(method: F) -> F:
    """Tell of a completion streamed with asyncio."""
    return _aclosing(method, completion(method))


def _closing(method: F, told: Callable[..., Any]) -> F:
    def endpoint(self: Any, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        streams: _Opened = []
        token = _streams.set(streams)
        try:
            outer: Generator[Any, None, None] = told(self, *args, **kwargs)
        finally:
            _streams.reset(token)
        return _through(outer, streams)

    return _dressed(endpoint, method, told)


def _aclosing(method: F, told: Callable[..., Any]) -> F:
    async def endpoint(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        streams: _Opened = []
        token = _streams.set(streams)
        try:
            outer: AsyncGenerator[Any, None] = await told(self, *args, **kwargs)
        finally:
            _streams.reset(token)
        return _athrough(outer, streams)

    return _dressed(endpoint, method, told)


def _through(outer: Generator[Any, None, None], streams: _Opened) -> Generator[Any, None, None]:
    try:
        yield from outer
    finally:
        for stream in streams:
            cast("Generator[Any, None, None]", stream).close()


async def _athrough(outer: AsyncGenerator[Any, None], streams: _Opened) -> AsyncGenerator[Any, None]:
    try:
        async for chunk in outer:
            yield chunk
    finally:
        await outer.aclose()
        for stream in streams:
            await cast("AsyncGenerator[Any, None]", stream).aclose()


def _signed(told: Any) -> Any:
    """Work a signature out once: spans bind every call's arguments by it."""
    told.__signature__ = inspect.signature(told)
    return told


def _dressed(endpoint: Callable[..., Any], method: F, told: Callable[..., Any]) -> F:
    """Give an endpoint its method's name and documentation, and the signature that spans record arguments by."""
    functools.update_wrapper(endpoint, method)
    # LlamaIndex marks what it has wrapped by this very name, which would lead `inspect.signature` astray.
    del endpoint.__dict__["__wrapped__"]
    cast("Any", endpoint).__signature__ = inspect.signature(told)
    return cast("F", endpoint)
