"""Never executed, only type-checked: what a user's code may rely on the types of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import assert_type

from omnilabs import (
    AsyncChatStream,
    AsyncOmniClient,
    ChatChunk,
    ChatMessage,
    ChatResponse,
    ChatStream,
    OmniClient,
)
from omnilabs.router import Router
from omnilabs.types import Decision, ModelInfo, Price, Spend, Usage

client = OmniClient(providers={"local": {"base_url": "http://localhost:1", "wire": "openai"}}, timeout_s=5)
messages = [ChatMessage("user", "Hi"), {"role": "user", "content": "Hi"}]

assert_type(client.chat(messages, "gpt-4o-mini"), ChatResponse)
assert_type(client.chat(messages, "gpt-4o-mini", 0.2, 100, False), ChatResponse)
assert_type(client.chat(messages, "gpt-4o-mini", stream=True), ChatStream)
assert_type(client.smart_select(messages, 3, ["gpt-4o-mini"], 0.2), ChatResponse)
assert_type(client.smart_select(messages, verbose=True, stream=True, top_p=0.5), ChatStream)
assert_type(client.select(messages), Decision)
assert_type(client.spend, Spend)
assert_type(client.chat(messages, "m").usage, Usage)
assert_type(client.chat(messages, "m").usage.cost_usd, Decimal | None)
assert_type(client.chat(messages, "m").usage.total_cost, float | None)
assert_type(client.chat(messages, "m").message, ChatMessage)


def chunks() -> Iterator[ChatChunk]:
    yield from client.chat(messages, "m", stream=True)


async def asynchronous() -> None:
    async with AsyncOmniClient(api_key="k") as omni:
        assert_type(await omni.chat(messages, "m"), ChatResponse)
        assert_type(await omni.chat(messages, "m", stream=True), AsyncChatStream)
        assert_type(await omni.smart_select(messages, stream=True), AsyncChatStream)
        assert_type(await omni.select(messages), Decision)


async def achunks(omni: AsyncOmniClient) -> AsyncIterator[ChatChunk]:
    async for chunk in await omni.chat(messages, "m", stream=True):
        yield chunk


own = ModelInfo("local/llama", "local", price=Price(Decimal("0.1"), Decimal("0.2")), scores={"MMLU": 0.7})
assert_type(Router([own]).select(messages).ranked[0].model, str)
