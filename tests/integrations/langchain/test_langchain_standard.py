"""The official suites of langchain-tests with every flag on, over sockets: for "auto" and for a named model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_omni import ChatOmni
from omnilabs.types import Capabilities, ModelInfo

_EVERYTHING = Capabilities(tools=True, images=True, pdf=True, audio=True, json_schema=True)
_MODELS = [ModelInfo(f"omnivore-{size}", "openai", capabilities=_EVERYTHING) for size in ("small", "large")]
_AUTO = {"model": "auto", "models": _MODELS, "rel_cost": 0.2}
_NAMED = {"model": "gpt-4o"}
_Detail: TypeAlias = Literal[
    "audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"
]
_DETAILS: list[_Detail] = [
    "audio_input",
    "audio_output",
    "reasoning_output",
    "cache_read_input",
    "cache_creation_input",
]


class _Flags:
    """Every flag the suites have, switched on."""

    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_video_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = True
    returns_usage_metadata = True
    supports_model_override = True
    model_override_value = "gpt-4o-mini"
    supported_usage_metadata_details: ClassVar[dict[Literal["invoke", "stream"], list[_Detail]]] = {
        "invoke": _DETAILS,
        "stream": _DETAILS,
    }


class _Unit(_Flags, ChatModelUnitTests):
    settings: ClassVar[dict[str, Any]]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOmni

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self.settings

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"OMNI_API_KEY": "key", "OMNI_BASE_URL": "http://127.0.0.1:1", "OPENAI_API_KEY": "key"},
            {},
            {"api_key": "key", "base_url": "http://127.0.0.1:1"},
        )


class TestUnitAuto(_Unit):
    settings = _AUTO


class TestUnitNamed(_Unit):
    settings = _NAMED | {"providers": {"openai": {"api_key": "test", "headers": {"x-team": "test"}}}}


class _Integration(_Flags, ChatModelIntegrationTests):
    settings: ClassVar[dict[str, Any]]
    _server: ChatServer

    @pytest.fixture(autouse=True)
    def _serve(self, chat_server: ChatServer) -> None:
        self._server = chat_server

    @pytest.fixture
    def model(self, request: Any, chat_server: ChatServer) -> BaseChatModel:
        extra = getattr(request, "param", None) or {}
        return ChatOmni(**{**self.standard_chat_model_params, **self._params(chat_server), **extra})

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOmni

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._params(self._server)

    def _params(self, server: ChatServer) -> dict[str, Any]:
        return {**self.settings, "providers": {"openai": {"api_key": "test", "base_url": server.url}}}

    def _invoke(self, prompt: str, *, stream: bool) -> AIMessage:
        model = ChatOmni(**self.chat_model_params)
        if not stream:
            return model.invoke(prompt)
        whole: Any = None
        for chunk in model.stream(prompt):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        return whole

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke("audio_input", stream=stream)

    def invoke_with_audio_output(self, *, stream: bool = False) -> AIMessage:
        return self._invoke("audio_output", stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._invoke("reasoning_output", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke("cache_read_input", stream=stream)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._invoke("cache_creation_input", stream=stream)


class TestAutoJsonSchema(_Integration):
    settings = _AUTO
    structured_output_kwargs: ClassVar = {"method": "json_schema"}


class TestAutoFunctionCalling(_Integration):
    settings = _AUTO
    structured_output_kwargs: ClassVar = {"method": "function_calling"}


class TestNamedJsonSchema(_Integration):
    settings = _NAMED
    structured_output_kwargs: ClassVar = {"method": "json_schema"}


class TestNamedFunctionCalling(_Integration):
    settings = _NAMED
    structured_output_kwargs: ClassVar = {"method": "function_calling"}
