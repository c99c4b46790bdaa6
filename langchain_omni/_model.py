"""What `ChatOmni` and `OmniLLM` share: the settings of a call, the cache key, and asking the client."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, get_buffer_string
from langchain_core.messages.utils import count_tokens_approximately
from pydantic import AliasChoices, Field, model_validator

from langchain_omni._routing import AUTO, Plan, Sticky
from langchain_omni._settings import ROUTING, OmniSettings
from langchain_omni._tools import bound_tools
from omnilabs import AsyncChatStream, ChatResponse, ChatStream, __version__
from omnilabs.types import estimate_tokens

__all__ = ["OmniModel"]

_CALL_SETTINGS = (
    "temperature",
    "max_tokens",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "reasoning_budget_tokens",
    "extra_body",
)


class OmniModel(OmniSettings):
    """A model to ask: `OmniSettings`, and the settings of a call. What is not given is not sent."""

    model: str = AUTO
    """A model's id, `provider/name`, or "auto" to choose one for each prompt. `model_name=` is read too."""
    sticky: Sticky = "tool_loop"
    """How long "auto" keeps the model it chose: off, for the tool loop it began, or for the conversation."""
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: list[str] | str | None = Field(default=None, validation_alias=AliasChoices("stop", "stop_sequences"))
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    reasoning_budget_tokens: int | None = None
    extra_body: dict[str, Any] | None = None
    """Fields put into each request's JSON as they are."""
    streaming: bool = False
    """Stream inside `invoke` too, for callbacks that show tokens as they come."""

    @model_validator(mode="before")
    @classmethod
    def _read_model_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "model_name" in values and "model" not in values:
            values = {**values, "model": values["model_name"]}
            del values["model_name"]
        return values

    if TYPE_CHECKING:  # LangChain's base of both models has it

        def _add_version(self, pkg: str, version: str) -> None: ...

    def model_post_init(self, context: Any, /) -> None:
        """Note this package's version in the traces."""
        super().model_post_init(context)
        self._add_version("omnirouter", __version__)

    @property
    def model_name(self) -> str:
        """The `model`, as many integrations call it."""
        return self.model

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain can store and load it: yes, without its keys."""
        return True

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self._identity

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Every setting that can change an answer, for caches and traces; no keys."""
        names = ("model", "sticky", "mode", "base_url", "unsupported", *ROUTING, *_CALL_SETTINGS)
        params = {name: value for name in names if (value := self._given(name)) is not None}
        if self.providers:
            params["providers"] = {name: given.get("base_url") for name, given in sorted(self.providers.items())}
        if self.models is not None:
            params["models"] = sha256(repr(self.models).encode()).hexdigest()[:16]
        return params | {name: repr(mark) for name, mark in self._marks().items()}

    @cached_property
    def _call_defaults(self) -> dict[str, Any]:
        settings = {name: value for name in _CALL_SETTINGS if (value := getattr(self, name)) is not None}
        return {**settings, **self._routing(), "model": self.model, "verbose": getattr(self, "verbose", False)}

    def _ask(self, plan: Plan) -> ChatResponse:
        answer: ChatResponse = getattr(self._pair().blocking, plan.method)(**plan.arguments)
        return answer

    async def _aask(self, plan: Plan) -> ChatResponse:
        answer: ChatResponse = await getattr(self._pair().asyncio, plan.method)(**plan.arguments)
        return answer

    def _open(self, plan: Plan) -> ChatStream:
        stream: ChatStream = getattr(self._pair().blocking, plan.method)(**plan.arguments, stream=True)
        return stream

    async def _aopen(self, plan: Plan) -> AsyncChatStream:
        stream: AsyncChatStream = await getattr(self._pair().asyncio, plan.method)(**plan.arguments, stream=True)
        return stream

    def get_num_tokens(self, text: str) -> int:
        """Return about how many tokens a text has: an estimate made here, since vocabularies differ by model."""
        count: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        return estimate_tokens(text) if count is None else len(count(text))

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Return about how many tokens messages, and tools if given, have as a prompt."""
        schemas = json.dumps(bound_tools(tools, None), ensure_ascii=False) if tools else ""
        if getattr(self, "custom_get_token_ids", None) is None:
            return count_tokens_approximately(messages) + self.get_num_tokens(schemas)
        return sum(self.get_num_tokens(text) for text in (*(get_buffer_string([one]) for one in messages), schemas))

    def get_token_ids(self, text: str) -> list[int]:
        """Refuse: every model has a vocabulary of its own. `custom_get_token_ids` sets one."""
        count: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        if count is None:
            raise NotImplementedError("token ids differ by model: pass custom_get_token_ids=, or use get_num_tokens()")
        return count(text)

    def close(self) -> None:
        """Close the connections of the model's own client; a later call opens new ones."""
        self.shared_clients.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        await self.shared_clients.aclose()
