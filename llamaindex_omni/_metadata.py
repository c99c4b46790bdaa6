"""What LlamaIndex wants to know of a model before it is asked: offline, from the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from omnilabs import ClientPair
from omnilabs.types import ModelInfo

__all__ = ["candidates", "describe"]

_log = logging.getLogger("llamaindex_omni")


def candidates(clients: ClientPair, model_names: Sequence[str] | None) -> list[ModelInfo]:
    """Return the models that may be chosen: those named, or all that can be asked now. A server's are not known."""
    router = clients.router
    if model_names is not None:
        return [model for name in model_names if (model := router.find(name)) is not None]
    models = [model for model in router.catalog.models if model.kind == "chat" and not model.retired]
    listed = clients.available_models("chat")
    if listed is None:
        return models
    available = {record["id"] for record in listed}
    return [model for model in models if model.id in available]


def describe(
    name: str, models: Sequence[ModelInfo], *, context_window: int | None, max_tokens: int | None
) -> LLMMetadata:
    """Return the metadata of a choice among these models: what every one of them can hold, what any of them can do.

    LlamaIndex reads the window once, before it is known which model will answer, so it is the smallest. Whether tools
    can be called does not depend on the model that answered last either: with tools, only models that take them are
    chosen.

    Args:
        name: What to call the choice.
        models: The candidates; empty where nothing is known of them.
        context_window: Tokens to claim instead.
        max_tokens: Longest answer asked for.
    """
    windows = [model.context_tokens for model in models if model.context_tokens is not None]
    if context_window is None and not windows:
        _log.warning(
            "the context window of %r is not known; LlamaIndex's default of %d tokens is assumed, which cuts longer "
            "chat histories and contexts: pass context_window=",
            name,
            DEFAULT_CONTEXT_WINDOW,
        )
    return LLMMetadata(
        context_window=context_window or min(windows, default=DEFAULT_CONTEXT_WINDOW),
        num_output=max_tokens or -1,
        is_chat_model=True,
        is_function_calling_model=not models or any(model.capabilities.tools for model in models),
        model_name=name,
    )
