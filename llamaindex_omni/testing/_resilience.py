"""Checks of failures: one retry layer, typed errors, event loops that come and go."""

from __future__ import annotations

import asyncio
import time

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._calling import ENDPOINTS, call, text_of
from llamaindex_omni.testing._kit import SECRET, Kit
from llamaindex_omni.testing._server import Fail, OpenAIServer, Say

__all__ = ["ResilienceChecks"]

# The waits between attempts are real, so each kind of call is checked once.
_KINDS = pytest.mark.parametrize("endpoint", ["chat", "achat", "stream_chat", "astream_chat"])
_NO_WAIT = {"retry-after-ms": "1", "retry-after": "0"}


class ResilienceChecks(Kit):
    """Requests are counted at the server: what a setting promises is what arrives there."""

    @pytest.mark.parametrize(("status", "requests"), [(500, 3), (429, 3), (401, 1), (400, 1), (404, 1)])
    @_KINDS
    def test_two_retries_are_three_requests(
        self, server: OpenAIServer, endpoint: str, status: int, requests: int
    ) -> None:
        """No second layer multiplies them, and what cannot be mended is not tried again."""
        self.needs("has_retries")
        server.replies(Fail(status, _NO_WAIT))
        with self.made(server, max_retries=2, **self.retry_settings) as llm, pytest.raises(Exception) as raised:  # noqa: PT011 - each class has its own
            call(llm, endpoint)
        assert len(server.requests) == requests
        assert SECRET not in repr(raised.value)

    @_KINDS
    def test_a_passing_failure_passes_unseen(self, server: OpenAIServer, endpoint: str) -> None:
        """The answer after it is the answer."""
        self.needs("has_retries")
        server.replies(Fail(500, _NO_WAIT), Say("At last."))
        with self.made(server, max_retries=2, **self.retry_settings) as llm:
            assert text_of(call(llm, endpoint)[-1]) == "At last."

    def test_retry_after_is_obeyed(self, server: OpenAIServer) -> None:
        """A second means a second."""
        self.needs("has_retries")
        server.replies(Fail(429, {"retry-after": "1"}), Say())
        begun = time.monotonic()
        with self.made(server, max_retries=1, **self.retry_settings) as llm:
            call(llm, "chat")
        assert time.monotonic() - begun >= 1.0

    @_KINDS
    def test_streams_fail_before_they_are_returned(self, server: OpenAIServer, endpoint: str) -> None:
        """An error that is raised at the call is caught where the call is."""
        server.replies(Fail(401))

        def open_only(llm: LLM) -> None:
            opened = getattr(llm, endpoint)([ChatMessage("Hello?")])
            if endpoint.startswith("a"):
                asyncio.run(opened)

        with self.made(server, **self.retry_settings) as llm, pytest.raises(Exception):  # noqa: B017, PT011 - each class has its own
            open_only(llm)

    def test_event_loops_come_and_go(self, llm: LLM) -> None:
        """Every `asyncio.run` has a loop of its own; connections of the last one are no use."""
        for _ in range(3):
            for endpoint in (name for name in ENDPOINTS if name.startswith("a")):
                assert text_of(call(llm, endpoint)[-1]) == "Hello there, friend."

    def test_threads_and_loops_at_once(self, llm: LLM) -> None:
        """One LLM serves threads, each with its own loop, side by side."""

        async def many() -> list[str]:
            return await asyncio.gather(*(asyncio.to_thread(_ask, llm, index) for index in range(8)))

        assert set(asyncio.run(many())) == {"Hello there, friend."}


def _ask(llm: LLM, index: int) -> str:
    return text_of(call(llm, "achat" if index % 2 else "chat")[0])
