"""`OmniSelector`: which query engine or retriever should answer, chosen by the model that suits the question."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.bridge.pydantic import Field
from llama_index.core.prompts import PromptTemplate
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import QueryBundle
from llama_index.core.tools.types import ToolMetadata

from llamaindex_omni._refusals import raise_refusal
from llamaindex_omni.base import OmniLLM
from omnilabs.errors import ResponseFormatError

__all__ = ["OmniSelection", "OmniSelector"]

_PROMPT = """\
Decide which of these can best answer the user's question. Choose by what each one is for, not by its place in the \
list, and do not answer the question yourself.

{choices}"""


class OmniSelection(SelectorResult):
    """What was chosen, and who chose.

    Attributes:
        model: The model that made the choice.
        omni: What `additional_kwargs["omni"]` tells of its call: decision, tokens' cost, fallbacks.
    """

    model: str
    omni: dict[str, Any] = Field(default_factory=dict)


class OmniSelector(BaseSelector):
    """Chooses among tools for `RouterQueryEngine`, `RouterRetriever` and `ToolRetrieverRouterQueryEngine`.

    ```python
    engine = RouterQueryEngine.from_defaults(tools, llm=llm, selector=OmniSelector(llm))
    ```

    The choice is asked for by a JSON schema that names the tools, so an answer outside the list cannot come from a
    model that keeps to schemas; from any other it is an error, not the first tool.
    """

    def __init__(self, llm: OmniLLM, *, max_outputs: int = 1, prompt: str = _PROMPT) -> None:
        """Take the LLM that chooses.

        Args:
            llm: With `model="auto"` each question gets the model that suits it.
            max_outputs: How many tools may be chosen for one question.
            prompt: Instructions, with `{choices}` where the tools are listed.
        """
        self._llm = llm
        self._max_outputs = max_outputs
        self._prompt = PromptTemplate(prompt)

    def _get_prompts(self) -> PromptDictType:
        return {"prompt": self._prompt}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        if "prompt" in prompts_dict:
            self._prompt = cast("PromptTemplate", prompts_dict["prompt"])

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        names = _names(choices)
        response = self._llm.chat(self._messages(names, choices, query), response_format=self._schema(names))
        return _selection(response, names)

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        names = _names(choices)
        response = await self._llm.achat(self._messages(names, choices, query), response_format=self._schema(names))
        return _selection(response, names)

    def _messages(self, names: Sequence[str], choices: Sequence[ToolMetadata], query: QueryBundle) -> list[ChatMessage]:
        listed = [f"- {name}: {' '.join(one.description.split())}" for name, one in zip(names, choices, strict=True)]
        return [
            ChatMessage(role=MessageRole.SYSTEM, content=self._prompt.format(choices="\n".join(listed))),
            ChatMessage(role=MessageRole.USER, content=query.query_str),
        ]

    def _schema(self, names: Sequence[str]) -> dict[str, Any]:
        # The reason comes first: a model that has to say why chooses better than one that has to defend a choice.
        one = {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "choice": {"type": "string", "enum": list(names)}},
            "required": ["reason", "choice"],
            "additionalProperties": False,
        }
        most = min(self._max_outputs, len(names))
        several = {"type": "array", "items": one, "minItems": 1, "maxItems": most}
        schema = {
            "type": "object",
            "properties": {"selections": several},
            "required": ["selections"],
            "additionalProperties": False,
        }
        return {"type": "json_schema", "json_schema": {"name": "selection", "schema": schema}}


def _names(choices: Sequence[ToolMetadata]) -> list[str]:
    """Return a name for each choice: its own where that tells it apart, else its number."""
    own = [choice.name for choice in choices]
    return [name if name and own.count(name) == 1 else f"choice_{number}" for number, name in enumerate(own, start=1)]


def _selection(response: ChatResponse, names: Sequence[str]) -> OmniSelection:
    """Return what a response chose.

    Raises:
        OmniRefusalError: The model will not choose.
        ResponseFormatError: Nothing that was offered.
    """
    raise_refusal(response)
    text = response.message.content or ""
    try:
        chosen = [
            SingleSelection(index=names.index(one["choice"]), reason=str(one.get("reason") or ""))
            for one in json.loads(text)["selections"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ResponseFormatError(f"the selector's answer names none of {', '.join(names)}", body_prefix=text) from exc
    if not chosen:
        raise ResponseFormatError(f"the selector chose nothing of {', '.join(names)}", body_prefix=text)
    omni: dict[str, Any] = response.additional_kwargs["omni"]
    return OmniSelection(selections=chosen, model=omni["model"], omni=omni)
