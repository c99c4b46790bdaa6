"""`OmniLLM`: every model as one LlamaIndex LLM, and the right one for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, MessageRole
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms.llm import ToolSelection
from llama_index_instrumentation import get_dispatcher

from llamaindex_omni._metadata import candidates, describe
from llamaindex_omni._structured import OmniStructured
from llamaindex_omni._toolbox import conversation, only_first_call, selections, tool_settings
from omnilabs.types import Decision

if TYPE_CHECKING:
    from llama_index.core.tools.types import BaseTool

__all__ = ["OmniLLM"]

_dispatcher = get_dispatcher(__name__)


class OmniLLM(OmniStructured):
    """A LlamaIndex LLM over every model: `model="auto"` chooses one for each call, a name asks that one.

    ```python
    from llamaindex_omni import OmniLLM

    llm = OmniLLM(rel_accuracy=0.7, rel_cost=0.3)
    answer = llm.complete("Name a prime above 100.")
    print(answer.text, answer.additional_kwargs["omni"]["model"])
    ```

    It takes the settings of `omnilabs.OmniClient` by their own names (`mode`, `api_key`, `base_url`, `providers`,
    `models`, `router`, `timeout_s`, `max_retries`, ...), or ready clients as `client=` and `async_client=`.
    Constructing it opens nothing. Retries, time limits and fallbacks are the client's alone.
    """

    _described: tuple[tuple[Any, ...], LLMMetadata] | None = PrivateAttr(None)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that dumps carry."""
        return "OmniLLM"

    # ---- metadata

    @property
    def metadata(self) -> LLMMetadata:
        """What holds for every model that may answer: no I/O, and the same whichever answered last."""
        key = (self.model, self.model_names and tuple(self.model_names), self.context_window, self.max_tokens)
        described = self._described
        if described is None or described[0] != key:
            names = self.model_names if self.model == "auto" else [self.model]
            models = candidates(self._clients, names)
            described = (
                key,
                describe(self.model, models, context_window=self.context_window, max_tokens=self.max_tokens),
            )
            self._described = described
        return described[1]

    def metadata_for(self, model: str) -> LLMMetadata:
        """Return the metadata of one model."""
        return describe(model, candidates(self._clients, [model]), context_window=None, max_tokens=self.max_tokens)

    def to_payload(self) -> dict[str, Any]:
        """Return what traces show of this LLM: its metadata and settings, no key."""
        return {
            **super().to_payload(),
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "router": self._clients.mode,
            "weights": {
                "rel_accuracy": self.rel_accuracy,
                "rel_cost": self.rel_cost,
                "rel_latency": self.rel_latency,
            },
            "candidates": self.model_names,
        }

    # ---- choosing without asking

    @_dispatcher.span
    def smart_select(self, prompt: str | Sequence[ChatMessage], **kwargs: Any) -> Decision:
        """Return which models should answer, best first; nothing is sent and nothing spent.

        Args:
            prompt: A prompt, or the messages of a chat.
            **kwargs: What `chat` takes; `tools` may be LlamaIndex tools.

        Raises:
            ConfigurationError: In hosted mode: the service decides only together with an answer.
            NoEligibleModelError: No model can answer; `.rejected` holds each one's reason.
        """
        ask = self._ask(_messages(prompt), _with_specs(kwargs))
        return self._clients.blocking.select(ask.messages, **ask.routing, **ask.settings)

    @_dispatcher.span
    async def asmart_select(self, prompt: str | Sequence[ChatMessage], **kwargs: Any) -> Decision:
        """Return which models should answer; see `smart_select`."""
        ask = self._ask(_messages(prompt), _with_specs(kwargs))
        return await self._clients.asyncio.select(ask.messages, **ask.routing, **ask.settings)

    # ---- tools

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        settings = tool_settings(tools, tool_required=tool_required, tool_choice=tool_choice, strict=strict)
        if settings and not allow_parallel_tool_calls:
            settings["allow_parallel_tool_calls"] = False
        return {"messages": conversation(user_msg, chat_history), **settings, **kwargs}

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        return response if allow_parallel_tool_calls else only_first_call(response)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the tool calls of a response, or of a chunk of a stream: there, with what has arrived of them.

        Raises:
            ValueError: There are none, unless `error_on_no_tool_call` is False; an `OmniRefusalError` where the model
                refused.
            ResponseFormatError: A call of a whole response (or of a stream's last chunk) is cut off or broken, whatever
                `error_on_no_tool_call` says: half a call must not be made, and no call would pass for an answer.
        """
        return selections(response, required=error_on_no_tool_call)


def _messages(prompt: str | Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    return [ChatMessage(role=MessageRole.USER, content=prompt)] if isinstance(prompt, str) else prompt


def _with_specs(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with LlamaIndex tools as the client takes them."""
    if not kwargs.get("tools"):
        return dict(kwargs)
    tools: Sequence[Any] = kwargs["tools"]
    return {
        **kwargs,
        "tools": [tool if isinstance(tool, Mapping) else tool.metadata.to_openai_tool(True) for tool in tools],
    }
