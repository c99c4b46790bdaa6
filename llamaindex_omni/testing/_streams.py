"""Checks of streams: deltas, snapshots, leaving early, breaking off."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock, ToolCallBlock
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._calling import STREAMS, Answer, call, text_of
from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import Break, Calls, Endless, OpenAIServer, Say, ToolCallReply

__all__ = ["StreamChecks"]


class StreamChecks(Kit):
    """What a stream owes its reader."""

    @pytest.mark.parametrize("endpoint", STREAMS)
    def test_deltas_add_up_to_the_text(self, llm: LLM, endpoint: str) -> None:
        """Whoever prints the deltas prints the answer."""
        chunks = call(llm, endpoint)
        assert "".join(chunk.delta or "" for chunk in chunks) == text_of(chunks[-1]) != ""

    @pytest.mark.parametrize("endpoint", STREAMS)
    def test_snapshots_do_not_change_later(self, llm: LLM, endpoint: str) -> None:
        """A chunk that was kept says what it said when it came."""
        kept: list[tuple[Answer, str]] = []

        def keep(chunk: Answer) -> None:
            kept.append((chunk, text_of(chunk)))

        if endpoint.startswith("a"):
            asyncio.run(_aeach(llm, endpoint, keep))
        else:
            for chunk in _opened(llm, endpoint):
                keep(chunk)
        assert len(kept) >= 3
        assert all(text_of(chunk) == said for chunk, said in kept)

    @pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
    def test_last_chunk_tells_why_it_ended(self, llm: LLM, endpoint: str) -> None:
        """The finish reason is in the last chunk's raw or additional kwargs."""
        last = call(llm, endpoint)[-1]
        assert "stop" in repr(last.raw) + repr(last.additional_kwargs)

    @pytest.mark.parametrize("endpoint", ["stream_chat", "stream_complete"])
    def test_leaving_early_releases_the_connection(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """`break` ends the request: the provider stops writing, and charging."""
        server.replies(Endless())
        for index, _ in enumerate(_opened(llm, endpoint)):
            if index == 3:
                break
        gc.collect()
        assert server.reader_left()

    @pytest.mark.parametrize("endpoint", ["stream_chat", "stream_complete"])
    def test_closing_releases_the_connection(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """So does `close()`."""
        server.replies(Endless())
        stream = _opened(llm, endpoint)
        next(stream)
        stream.close()
        assert server.reader_left()

    def test_a_stream_nobody_reads_releases_the_connection(self, llm: LLM, server: OpenAIServer) -> None:
        """A generator that was never started has no `finally`."""
        server.replies(Endless())
        stream = _opened(llm, "stream_chat")
        del stream
        gc.collect()
        if server.requests:  # asked eagerly, so there is something to release
            assert server.reader_left()

    @pytest.mark.parametrize("endpoint", ["astream_chat", "astream_complete"])
    def test_leaving_an_asyncio_stream_releases_the_connection(
        self, llm: LLM, server: OpenAIServer, endpoint: str
    ) -> None:
        """`aclose()` does while the loop goes on."""
        server.replies(Endless())

        async def leave() -> bool:
            stream: Any = await getattr(llm, endpoint)(_asked(endpoint))
            await anext(stream)
            await stream.aclose()
            del stream
            gc.collect()
            return await asyncio.to_thread(server.reader_left)

        assert asyncio.run(leave())

    def test_cancelling_an_asyncio_stream_releases_the_connection(self, llm: LLM, server: OpenAIServer) -> None:
        """So does the cancellation of the task that reads."""
        server.replies(Endless())

        async def read(begun: asyncio.Event) -> None:
            async for _ in await llm.astream_chat([ChatMessage("Hello?")]):
                begun.set()

        async def cancel() -> bool:
            begun = asyncio.Event()
            reading = asyncio.ensure_future(read(begun))
            await begun.wait()
            reading.cancel()
            await asyncio.wait([reading])
            gc.collect()
            return await asyncio.to_thread(server.reader_left)

        assert asyncio.run(cancel())

    @pytest.mark.parametrize("by_event", [True, False])
    @pytest.mark.parametrize("endpoint", STREAMS)
    def test_breaking_off_is_an_error(self, llm: LLM, server: OpenAIServer, endpoint: str, by_event: bool) -> None:
        """A short answer is never passed off as a whole one, and not asked for again once it has begun."""
        server.replies(Break(by_event=by_event))
        with pytest.raises(Exception):  # noqa: B017, PT011 - each class has its own
            call(llm, endpoint)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    @pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
    def test_thoughts_are_streamed(self, llm: LLM, server: OpenAIServer, endpoint: str, field: str) -> None:
        """As `thinking_delta`, and whole in a `ThinkingBlock` before the text."""
        self.needs("has_thinking")
        server.replies(Say("Four.", reasoning="Two and two.", reasoning_field=field))
        chunks = call(llm, endpoint)
        last = chunks[-1]
        assert isinstance(last, ChatResponse)
        assert "".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks) == "Two and two."
        thoughts = [block.content for block in last.message.blocks if isinstance(block, ThinkingBlock)]
        assert (thoughts, last.message.content) == (["Two and two."], "Four.")

    @pytest.mark.parametrize("endpoint", ["stream_chat", "astream_chat"])
    def test_streamed_calls_come_whole_in_the_end(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """The last chunk has the text and both calls, in order."""
        self.needs("has_tools")
        weather = ToolCallReply("get_weather", '{"city": "Paris"}', "call_a")
        server.replies(Calls((weather, ToolCallReply("add", '{"a": 1, "b": 2}', "call_b")), text="Let me see."))
        last = call(llm, endpoint)[-1]
        assert isinstance(last, ChatResponse)
        calls = [block for block in last.message.blocks if isinstance(block, ToolCallBlock)]
        assert [(one.tool_call_id, one.tool_name) for one in calls] == [("call_a", "get_weather"), ("call_b", "add")]
        assert last.message.content == "Let me see."


def _asked(endpoint: str) -> Any:
    return "Hello?" if "complete" in endpoint else [ChatMessage("Hello?")]


def _opened(llm: LLM, endpoint: str) -> Any:
    return getattr(llm, endpoint)(_asked(endpoint))


async def _aeach(llm: LLM, endpoint: str, see: Any) -> None:
    async for chunk in await _opened(llm, endpoint):
        see(chunk)
