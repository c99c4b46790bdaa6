"""Calls of the hosted service, streamed or not, for the tests over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omniserver import ANSWER, OmniServer

from omnilabs import ChatMessage
from omnilabs.types import ChatChunk, ChatResponse

if TYPE_CHECKING:
    from conftest import Omni

TEXT = "".join(ANSWER)
JOKE = [ChatMessage("system", "You are a helpful assistant."), {"role": "user", "content": "Tell me a joke."}]


def connect(omni: Omni, server: OmniServer, **settings: Any) -> Any:
    """Return a client of the server that tries once, unless said otherwise."""
    return omni.client(**{"api_key": "k", "base_url": server.url, "max_retries": 0, **settings})


def collect(method: Any, *arguments: Any, **options: Any) -> tuple[list[ChatChunk], ChatResponse]:
    """Return a stream's chunks and then its whole response."""
    stream = method(*arguments, stream=True, **options)
    return list(stream), stream.response


def answer(method: Any, *arguments: Any, streamed: bool, **options: Any) -> ChatResponse:
    """Return the response of a call, streamed or not."""
    if streamed:
        return collect(method, *arguments, **options)[1]
    response: ChatResponse = method(*arguments, **options)
    return response
