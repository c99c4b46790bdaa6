"""What every check starts from: how to make the LLM under test, what it can do, and the server it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing._server import OpenAIServer

__all__ = ["SECRET", "Kit"]

SECRET = "sk-kit-0123456789abcdef"  # noqa: S105 - made up; the checks look for it where it must not be


class Kit:
    """Base of the checks. Inherit `LLMTests`, define `make_llm`, and switch off what the LLM does not claim to do."""

    has_tools: ClassVar[bool] = True
    """It is a `FunctionCallingLLM`."""
    has_structured_output: ClassVar[bool] = True
    """`structured_predict` works, by whatever means."""
    has_images: ClassVar[bool] = True
    """It takes `ImageBlock`."""
    has_audio: ClassVar[bool] = True
    """It takes `AudioBlock`."""
    has_documents: ClassVar[bool] = True
    """It takes `DocumentBlock`."""
    has_thinking: ClassVar[bool] = True
    """It shows the model's thoughts as `ThinkingBlock` and `thinking_delta`."""
    has_logprobs: ClassVar[bool] = True
    """It returns `logprobs` when asked with `logprobs_settings`."""
    has_retries: ClassVar[bool] = True
    """It takes a number of retries."""
    has_key: ClassVar[bool] = True
    """It takes a key."""
    logprobs_settings: ClassVar[dict[str, Any]] = {"logprobs": True, "top_logprobs": 1}
    """Keyword arguments of a call that ask for log-probabilities."""
    retry_settings: ClassVar[dict[str, Any]] = {}
    """Further settings for the checks that count requests."""

    def make_llm(self, base_url: str, api_key: str, **settings: Any) -> LLM:
        """Return the LLM under test, talking to `base_url` with `api_key`.

        Args:
            base_url: Address of an OpenAI-shaped server.
            api_key: A made-up key, which the checks look for where it must not be.
            **settings: `max_retries`, `temperature`, `max_tokens`, or a field of LlamaIndex's `LLM`, such as
                `callback_manager`; rename what has another name in the class under test.
        """
        raise NotImplementedError

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        """A scripted server."""
        with OpenAIServer() as server:
            yield server

    @pytest.fixture
    def llm(self, server: OpenAIServer) -> Iterator[LLM]:
        """The LLM under test."""
        with self.made(server) as llm:
            yield llm

    def made(self, server: OpenAIServer, **settings: Any) -> _Closing:
        """Return the LLM under test as a context that closes it, where it can be closed."""
        return _Closing(self.make_llm(server.base_url, SECRET, **settings))

    def needs(self, *flags: str) -> None:
        """Skip a check that is about something the LLM does not claim to do."""
        for flag in flags:
            if not getattr(self, flag):
                pytest.skip(f"{flag} is off")


class _Closing:
    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def __enter__(self) -> LLM:
        return self._llm

    def __exit__(self, *exc_info: object) -> None:
        close = getattr(self._llm, "close", None)
        if callable(close):
            close()
