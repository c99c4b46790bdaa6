"""A model that will not answer, where a schema or a tool was asked for and words are no answer. Pure."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse

from omnilabs.errors import OmniError

__all__ = ["OmniRefusalError", "raise_refusal"]


class OmniRefusalError(OmniError, ValueError):
    """The model will not answer, and said so instead of filling the schema or calling a tool.

    Also a `ValueError`, as everything else is that keeps an answer from fitting a class.
    """


def raise_refusal(response: ChatResponse) -> None:
    """Raise what a whole response says of the model's refusal, if it says anything of it.

    Raises:
        OmniRefusalError: The model refused, in its words, or its provider withheld the answer.
    """
    extra = response.additional_kwargs
    refusal = extra.get("refusal")
    if refusal:
        message = f"the model refused to answer: {refusal}"
    elif extra.get("finish_reason") == "content_filter":
        message = "the model's provider withheld the answer (finish_reason 'content_filter')"
    else:
        return
    omni: dict[str, Any] = extra.get("omni") or {}
    raise OmniRefusalError(message, provider=omni.get("provider"), model=omni.get("model"))
