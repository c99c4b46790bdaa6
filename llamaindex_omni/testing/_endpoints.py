"""Checks of the eight endpoints: native, once-only events, true generators."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._calling import CHATS, ENDPOINTS, STREAMS, call, listening, text_of
from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import OpenAIServer, Say

__all__ = ["EndpointChecks"]

_TEXT = "Hello there, friend."


class EndpointChecks(Kit):
    """What all eight endpoints owe their callers."""

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_endpoint_answers(self, llm: LLM, endpoint: str) -> None:
        """The whole text arrives, in one answer or as the last snapshot of a stream."""
        assert text_of(call(llm, endpoint)[-1]) == _TEXT

    @pytest.mark.parametrize("endpoint", CHATS)
    def test_answer_is_from_the_assistant(self, llm: LLM, endpoint: str) -> None:
        """Every chunk has the assistant's role."""
        roles = {answer.message.role for answer in call(llm, endpoint) if isinstance(answer, ChatResponse)}
        assert roles == {MessageRole.ASSISTANT}

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_one_call_is_one_request(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """An endpoint asks once."""
        call(llm, endpoint)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("endpoint", STREAMS)
    def test_streams_ask_for_a_stream(self, llm: LLM, server: OpenAIServer, endpoint: str) -> None:
        """A stream is not a whole answer cut into pieces."""
        call(llm, endpoint)
        assert server.requests[0].body["stream"] is True

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_one_call_is_told_once(self, llm: LLM, endpoint: str) -> None:
        """Instrumentation hears one start and one end; a completion is not a chat as well."""
        with listening() as heard:
            call(llm, endpoint)
        kinds = Counter(event.class_name() for event in heard)
        kind, other = ("Chat", "Completion") if endpoint in CHATS else ("Completion", "Chat")
        assert (kinds[f"LLM{kind}StartEvent"], kinds[f"LLM{kind}EndEvent"]) == (1, 1)
        assert not kinds[f"LLM{other}StartEvent"]

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_callback_handlers_hear_one_llm_event(self, server: OpenAIServer, endpoint: str) -> None:
        """The older callbacks hear one pair, too."""
        handler = LlamaDebugHandler(print_trace_on_end=False)
        with self.made(server, callback_manager=CallbackManager([handler])) as llm:
            call(llm, endpoint)
        assert len(handler.get_event_pairs(CBEventType.LLM)) == 1

    @pytest.mark.parametrize("endpoint", STREAMS)
    def test_each_chunk_is_told(self, llm: LLM, endpoint: str) -> None:
        """Instrumentation hears of every chunk."""
        with listening() as heard:
            chunks = call(llm, endpoint)
        told = [event for event in heard if event.class_name().endswith("InProgressEvent")]
        assert len(told) == len(chunks)

    def test_streams_are_generators(self, llm: LLM) -> None:
        """Anything else makes LlamaIndex's own end event fail."""

        async def both() -> list[Any]:
            found: list[Any] = [await llm.astream_chat([ChatMessage("Hello?")]), await llm.astream_complete("Hello?")]
            for stream in found:
                async for _ in stream:
                    pass
            return found

        blocking: list[Any] = [llm.stream_chat([ChatMessage("Hello?")]), llm.stream_complete("Hello?")]
        for stream in blocking:
            list(stream)
        assert all(isinstance(stream, Generator) for stream in blocking)
        assert all(isinstance(stream, AsyncGenerator) for stream in asyncio.run(both()))

    def test_asyncio_endpoints_do_not_block_the_loop(self, llm: LLM, server: OpenAIServer) -> None:
        """While the model thinks, other tasks go on."""
        server.replies(Say(delay_s=0.4))

        async def ticks() -> int:
            count = 0
            asking = asyncio.ensure_future(llm.achat([ChatMessage("Hello?")]))
            while not asking.done():
                await asyncio.sleep(0.02)
                count += 1
            await asking
            return count

        assert asyncio.run(ticks()) >= 8

    def test_asyncio_calls_run_side_by_side(self, llm: LLM, server: OpenAIServer) -> None:
        """Five slow calls take about as long as one."""
        server.replies(Say(delay_s=0.5))

        async def gathered() -> float:
            begun = asyncio.get_running_loop().time()
            await asyncio.gather(*(llm.achat([ChatMessage("Hello?")]) for _ in range(5)))
            return asyncio.get_running_loop().time() - begun

        assert asyncio.run(gathered()) < 2.0

    def test_arguments_go_by_name(self, llm: LLM) -> None:
        """`chat(messages=...)` and `complete(prompt=...)`, as LlamaIndex's own callers write it."""
        messages = [ChatMessage("Hello?")]
        assert llm.chat(messages=messages).message.content == _TEXT
        assert llm.complete(prompt="Hello?").text == _TEXT
        assert list(llm.stream_chat(messages=messages))[-1].message.content == _TEXT
        assert list(llm.stream_complete(prompt="Hello?"))[-1].text == _TEXT

    def test_completion_to_prompt_shapes_what_is_not_formatted(self, server: OpenAIServer) -> None:
        """`formatted=True` leaves the prompt alone."""

        def marked(prompt: str) -> str:
            return f"<<{prompt}>>"

        with self.made(server, completion_to_prompt=marked) as llm:
            llm.complete("one")
            llm.complete("two", formatted=True)
        sent = [_text(request.body["messages"][-1]["content"]) for request in server.requests]
        assert sent == ["<<one>>", "two"]

    def test_predict_uses_the_system_prompt_and_the_output_parser(self, server: OpenAIServer) -> None:
        """What LlamaIndex's own `predict` builds on is taken by name and takes effect."""
        from llama_index.core.prompts import PromptTemplate
        from llama_index.core.types import BaseOutputParser

        class Shouting(BaseOutputParser):
            def parse(self, output: str) -> str:
                return output.upper()

        with self.made(server, system_prompt="Be kind.", output_parser=Shouting()) as llm:
            said = llm.predict(PromptTemplate("Say {what}."), what="hello")
        sent = server.requests[0].body["messages"]
        assert said == _TEXT.upper()
        assert (sent[0]["role"], _text(sent[0]["content"])) == ("system", "Be kind.")
        assert _text(sent[1]["content"]) == "Say hello."

    def test_rate_limiter_is_asked_before_each_call(self, server: OpenAIServer) -> None:
        """A limiter given by name holds for blocking and asyncio calls."""
        asked: list[str] = []

        class Limiter:
            def acquire(self, num_tokens: int = 0) -> None:
                asked.append("blocking")

            async def async_acquire(self, num_tokens: int = 0) -> None:
                asked.append("asyncio")

        with self.made(server, rate_limiter=Limiter()) as llm:
            call(llm, "chat")
            call(llm, "achat")
        assert asked == ["blocking", "asyncio"]

    def test_asyncio_endpoints_are_coroutines(self, llm: LLM) -> None:
        """They are awaited, the streams too."""
        names = [name for name in ENDPOINTS if name.startswith("a")]
        assert all(inspect.iscoroutinefunction(inspect.unwrap(getattr(type(llm), name))) for name in names)


def _text(content: Any) -> str:
    """Return a wire message's text, as a string or as parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
