"""`OmniSelector`: choosing the model as a step of its own, for models of any integration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig, RunnableSerializable

from langchain_omni._convert import to_omni_messages
from langchain_omni._raising import langchain_errors
from langchain_omni._settings import CONFIG, OmniSettings
from langchain_omni._tools import bound_tools
from omnilabs.router import Router
from omnilabs.types import Decision

__all__ = ["OmniSelector"]

# LangChain's names of our providers, where they differ.
_LANGCHAIN_NAMES: Mapping[str, str] = {"gemini": "google_genai", "mistral": "mistralai"}
_LANGCHAIN_KNOWS = frozenset(
    {
        "openai",
        "anthropic",
        "gemini",
        "deepseek",
        "together",
        "xai",
        "groq",
        "mistral",
        "openrouter",
        "fireworks",
        "ollama",
    }
)


class OmniSelector(OmniSettings, RunnableSerializable[LanguageModelInput, Any]):
    """Chooses a model for its input; asks none and spends nothing.

    ```python
    selector = OmniSelector(model_names=["gpt-4o-mini", "gpt-4o"], rel_cost=0.7)
    selector.invoke("What is 2 + 2?")  # 'openai:gpt-4o-mini', for `init_chat_model`
    ```

    `models=` or `router=` choose among models of your own, no key needed. Otherwise the candidates are those that a
    client with the same settings can ask.
    """

    model_config = CONFIG

    output: Literal["init_chat_model", "model", "decision"] = "init_chat_model"
    """What to return: "provider:name" for `init_chat_model`, our id of the model, or the whole decision."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain can store and load it: yes, without its keys."""
        return True

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the choice for a prompt, messages or text.

        Args:
            input: What the model is to answer.
            config: LangChain's.
            **kwargs: What decides who can answer: `tools`, `response_format`, `max_tokens`, or routing for this once.

        Raises:
            NoEligibleModelError: No model can answer; `.rejected` holds each one's reason.
        """

        def choose(value: LanguageModelInput) -> Any:
            with langchain_errors():
                router = self._own_router
                select = self._pair().blocking.select if router is None else router.select
                return self._shown(select(**self._request(value, kwargs)))

        return self._call_with_config(choose, input, config, run_type="tool")

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the choice, as `invoke` does."""

        async def choose(value: LanguageModelInput) -> Any:
            with langchain_errors():
                router = self._own_router
                request = self._request(value, kwargs)
                if router is not None:
                    return self._shown(router.select(**request))
                return self._shown(await self._pair().asyncio.select(**request))

        return await self._acall_with_config(choose, input, config, run_type="tool")

    @cached_property
    def _own_router(self) -> Router | None:
        """The router to ask when models were given: who chooses among them need not be able to call them."""
        return Router(self.models) if self.router is None and self.models is not None else self.router

    def _request(self, value: LanguageModelInput, given: Mapping[str, Any]) -> dict[str, Any]:
        messages = value.to_messages() if isinstance(value, PromptValue) else convert_to_messages(_listed(value))
        request = {**self._routing(), **given, "messages": to_omni_messages(messages)}
        if request.get("tools"):
            request["tools"] = bound_tools(request["tools"], None)
        return request

    def _shown(self, decision: Decision) -> Any:
        if self.output == "decision":
            return decision
        if self.output == "model":
            return decision.model
        if decision.provider not in _LANGCHAIN_KNOWS:
            return f"omni:{decision.model}"
        known = (self._own_router or self._pair().blocking.router).find(decision.model)
        name = decision.model if known is None else known.name
        return f"{_LANGCHAIN_NAMES.get(decision.provider, decision.provider)}:{name}"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value
