"""Calling any of the eight endpoints the same way, and listening to what LlamaIndex is told meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.bridge.pydantic import Field
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.llm import LLM
from llama_index_instrumentation import get_dispatcher

__all__ = ["CHATS", "ENDPOINTS", "STREAMS", "Answer", "call", "listening", "text_of"]

Answer: TypeAlias = ChatResponse | CompletionResponse

CHATS = ("chat", "achat", "stream_chat", "astream_chat")
COMPLETIONS = ("complete", "acomplete", "stream_complete", "astream_complete")
ENDPOINTS = (*CHATS, *COMPLETIONS)
STREAMS = tuple(name for name in ENDPOINTS if "stream" in name)


def call(llm: LLM, endpoint: str, prompt: str | Sequence[ChatMessage] = "Hello?", **kwargs: Any) -> list[Answer]:
    """Return everything an endpoint gave: one answer, or the chunks of a stream. Each asyncio call has its own loop."""
    method: Callable[..., Any] = getattr(llm, endpoint)
    asked: Any = prompt
    if endpoint in CHATS and isinstance(prompt, str):
        asked = [ChatMessage(role="user", content=prompt)]
    if endpoint.startswith("a"):
        return asyncio.run(_acall(method, asked, kwargs, is_stream="stream" in endpoint))
    answer = method(asked, **kwargs)
    return list(answer) if "stream" in endpoint else [answer]


async def _acall(method: Callable[..., Any], asked: Any, kwargs: dict[str, Any], *, is_stream: bool) -> list[Answer]:
    answer = await method(asked, **kwargs)
    return [chunk async for chunk in answer] if is_stream else [answer]


def text_of(answer: Answer) -> str:
    """Return an answer's text."""
    return answer.message.content or "" if isinstance(answer, ChatResponse) else answer.text


class _Ear(BaseEventHandler):
    heard: list[BaseEvent] = Field(default_factory=list[BaseEvent])

    @classmethod
    def class_name(cls) -> str:
        """Return the handler's name."""
        return "llamaindex_omni.testing.Ear"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Keep the event."""
        self.heard.append(event)


@contextmanager
def listening() -> Generator[list[BaseEvent], None, None]:
    """Collect LlamaIndex's instrumentation events while the block runs."""
    ear = _Ear()
    root = get_dispatcher()
    root.add_event_handler(ear)
    try:
        yield ear.heard
    finally:
        root.event_handlers.remove(ear)
