"""Our own LLM passes the kit with every flag on: choosing among several models, and with a named one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from llamaindex_omni import OmniLLM
from llamaindex_omni.testing import LLMTests
from omnilabs.types import Capabilities, ModelInfo, Price

_EVERYTHING = Capabilities(images=True, pdf=True, audio=True, json_schema=True, reasoning=True)


def model(name: str, dollars: str) -> ModelInfo:
    """Return a model that can do everything."""
    return ModelInfo(
        name,
        "openai",
        price=Price(Decimal(dollars), Decimal(dollars)),
        context_tokens=128_000,
        max_output_tokens=16_000,
        capabilities=_EVERYTHING,
    )


MODELS = [model("small", "0.1"), model("middle", "1"), model("large", "10")]


class TestAuto(LLMTests):
    retry_settings: ClassVar[dict[str, Any]] = {"k": 1}

    def make_llm(self, base_url: str, api_key: str, **settings: Any) -> OmniLLM:
        providers = {"openai": {"base_url": base_url, "api_key": api_key}}
        return OmniLLM(providers=providers, models=MODELS, **settings)


class TestNamed(LLMTests):
    def make_llm(self, base_url: str, api_key: str, **settings: Any) -> OmniLLM:
        providers = {"openai": {"base_url": base_url, "api_key": api_key}}
        return OmniLLM(model="middle", providers=providers, models=MODELS, **settings)
