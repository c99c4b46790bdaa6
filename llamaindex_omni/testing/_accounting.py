"""Checks of usage, raw answers and metadata: what LlamaIndex counts, stores and plans by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._calling import ENDPOINTS, call
from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import USAGE, OpenAIServer

__all__ = ["AccountingChecks"]

_EVERY = pytest.mark.parametrize("endpoint", ENDPOINTS)


class AccountingChecks(Kit):
    """The provider's own counts reach everyone who counts."""

    @_EVERY
    def test_token_counting_handler_is_exact(self, server: OpenAIServer, endpoint: str) -> None:
        """It counts what the provider charges for, once, in all eight endpoints."""
        counter = TokenCountingHandler(tokenizer=_guess)
        with self.made(server, callback_manager=CallbackManager([counter])) as llm:
            call(llm, endpoint)
        assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (7, 5)

    @_EVERY
    def test_usage_is_in_the_additional_kwargs(self, llm: LLM, endpoint: str) -> None:
        """Flat, by OpenAI's names, at the answer or the last chunk."""
        told = call(llm, endpoint)[-1].additional_kwargs
        assert {name: told.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")} == {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
        }

    @_EVERY
    def test_raw_is_plain_json_with_the_usage(self, llm: LLM, endpoint: str) -> None:
        """Agents copy it into every event, workflows store it."""
        answers = call(llm, endpoint)
        for answer in answers:
            assert isinstance(answer.raw, dict)
            json.dumps(answer.raw)
        usage: Any = (answers[-1].raw or {})["usage"]
        assert usage["prompt_tokens"] == USAGE["prompt_tokens"]
        assert usage["prompt_tokens_details"]["cached_tokens"] == 3

    def test_raw_names_the_model(self, llm: LLM, server: OpenAIServer) -> None:
        """The one that answered."""
        answer = call(llm, "chat")[0]
        assert isinstance(answer.raw, dict)
        assert answer.raw["model"] == server.requests[0].body["model"]

    def test_metadata_asks_nobody(self, llm: LLM, server: OpenAIServer) -> None:
        """It is read at every call, and before the first."""
        first, second = llm.metadata, llm.metadata
        assert first == second
        assert first.is_chat_model
        assert not server.requests

    def test_context_window_is_not_the_placeholder(self, llm: LLM) -> None:
        """LlamaIndex's default cuts every chat history to a few thousand tokens without a word."""
        assert llm.metadata.context_window > DEFAULT_CONTEXT_WINDOW

    def test_metadata_does_not_depend_on_the_last_answer(self, llm: LLM) -> None:
        """Agents and memories read it once."""
        before = llm.metadata.model_dump()
        call(llm, "chat")
        assert llm.metadata.model_dump() == before


def _guess(text: str) -> list[int]:
    """Return tokens that give themselves away: a count of a thousand was guessed."""
    return [0] * 1000
