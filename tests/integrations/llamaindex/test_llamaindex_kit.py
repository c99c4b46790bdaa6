"""Our own LLM passes the kit with every flag on: choosing among several models, and with a named one."""

from __future__ import annotations

from typing import Any, ClassVar

from integrations.llamaindex.pool import MODELS

from llamaindex_omni import OmniLLM
from llamaindex_omni.testing import LLMTests


class TestAuto(LLMTests):
    retry_settings: ClassVar[dict[str, Any]] = {"k": 1}

    def make_llm(self, base_url: str, api_key: str, **settings: Any) -> OmniLLM:
        providers = {"openai": {"base_url": base_url, "api_key": api_key}}
        return OmniLLM(providers=providers, models=MODELS, **settings)


class TestNamed(LLMTests):
    def make_llm(self, base_url: str, api_key: str, **settings: Any) -> OmniLLM:
        providers = {"openai": {"base_url": base_url, "api_key": api_key}}
        return OmniLLM(model="middle", providers=providers, models=MODELS, **settings)
