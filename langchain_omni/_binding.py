"""A `ChatOmni` with settings bound to it. LangChain's own binding forgets them when tools or a schema come next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding

from langchain_omni._tools import Schema, ToolLike
from omnilabs.types import Decision

if TYPE_CHECKING:
    from langchain_omni.chat_models import ChatOmni

    _Binding = RunnableBinding[LanguageModelInput, AIMessage]
else:
    _Binding = RunnableBinding  # with its parameters pydantic would build it a second time, at import

__all__ = ["OmniBinding"]


class OmniBinding(_Binding):
    """What `bind`, `bind_tools` and `with_config` return: each keeps what was bound before."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return LangChain's own id, so that a stored binding loads everywhere."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind(self, **kwargs: Any) -> OmniBinding:
        """Bind more settings of the call."""
        return cast("OmniBinding", super().bind(**kwargs))

    def bind_tools(self, tools: Sequence[ToolLike], **kwargs: Any) -> OmniBinding:
        """Bind tools, as `ChatOmni.bind_tools` does."""
        return self.bind(**self._model.bind_tools(tools, **kwargs).kwargs)

    def with_structured_output(self, schema: Schema | None = None, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Bind a schema, as `ChatOmni.with_structured_output` does. It takes the place of another answer form."""
        replaced = {"response_format"}
        if kwargs.get("method") == "function_calling":
            replaced |= {"tools", "tool_choice"}
        kept = {name: value for name, value in self.kwargs.items() if name not in replaced}
        return self._model.with_structured_output(schema, **{**kept, **kwargs}).with_config(self.config)

    def select(self, input: LanguageModelInput, **kwargs: Any) -> Decision:
        """Return the decision for this input and what is bound, as `ChatOmni.select` does."""
        return self._model.select(input, **{**self.kwargs, **kwargs})

    async def aselect(self, input: LanguageModelInput, **kwargs: Any) -> Decision:
        """Return the decision, as `select` does."""
        return await self._model.aselect(input, **{**self.kwargs, **kwargs})

    @property
    def _model(self) -> ChatOmni:
        return cast("ChatOmni", self.bound)
