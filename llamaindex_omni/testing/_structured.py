"""Checks of structured answers, against a server that answers a forced tool and a JSON schema alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_omni.testing._kit import Kit
from llamaindex_omni.testing._server import OpenAIServer, Structured

__all__ = ["StructuredChecks"]


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


_PARIS = City(name="Paris", inhabitants=2_100_000)
_PROMPT = PromptTemplate("Describe {name}.")
_JSON = '{"name": "Paris", "inhabitants": 2100000}'


class StructuredChecks(Kit):
    """`structured_predict` and its kin."""

    @pytest.fixture
    def describing(self, llm: LLM, server: OpenAIServer) -> LLM:
        """The LLM under test; the server describes Paris by whatever means it is asked to."""
        self.needs("has_structured_output")
        server.replies(Structured(_JSON))
        return llm

    def test_structured_predict(self, describing: LLM) -> None:
        """Blocking and asyncio."""
        assert describing.structured_predict(City, _PROMPT, name="Paris") == _PARIS
        assert asyncio.run(describing.astructured_predict(City, _PROMPT, name="Paris")) == _PARIS

    def test_stream_structured_predict_ends_with_the_whole_object(self, describing: LLM) -> None:
        """Blocking and asyncio; what comes before grows towards it."""

        async def stream() -> list[Any]:
            return [one async for one in await describing.astream_structured_predict(City, _PROMPT, name="Paris")]

        for objects in (list(describing.stream_structured_predict(City, _PROMPT, name="Paris")), asyncio.run(stream())):
            assert objects[-1] == _PARIS
            assert len(objects) > 1

    def test_as_structured_llm(self, describing: LLM) -> None:
        """All the endpoints that LlamaIndex's wrapper has."""
        structured = describing.as_structured_llm(City)
        messages = [ChatMessage("Describe Paris.")]

        async def astream() -> list[Any]:
            return [chunk async for chunk in await structured.astream_chat(messages)]

        assert structured.chat(messages).raw == _PARIS
        assert asyncio.run(structured.achat(messages)).raw == _PARIS
        assert list(structured.stream_chat(messages))[-1].raw == _PARIS
        assert asyncio.run(astream())[-1].raw == _PARIS
        assert structured.complete("Describe Paris.").raw == _PARIS

    def test_llm_kwargs_are_used_and_not_changed(self, describing: LLM, server: OpenAIServer) -> None:
        """The caller's dict is the caller's."""
        given = {"temperature": 0.25, "tool_choice": None}
        describing.structured_predict(City, _PROMPT, llm_kwargs=given, name="Paris")
        assert given == {"temperature": 0.25, "tool_choice": None}
        assert server.requests[0].body["temperature"] == 0.25

    def test_the_schema_is_sent_once(self, describing: LLM, server: OpenAIServer) -> None:
        """As a response format or as a tool, and a choice only beside tools."""
        describing.structured_predict(City, _PROMPT, name="Paris")
        body = server.requests[0].body
        assert ("tools" in body) != (body.get("response_format") is not None)
        assert "tool_choice" not in body or "tools" in body
