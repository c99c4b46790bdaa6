"""LangChain models over `omnilabs`: `ChatOmni` and `OmniLLM`, selection as a step, and what it all cost.

Names are loaded when they are first used, so that a chat model does not pay for the agents' middleware.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_omni.chat_models import ChatOmni
    from langchain_omni.llms import OmniLLM

__all__ = ["ChatOmni", "OmniLLM"]

_HOME = {"ChatOmni": "chat_models", "OmniLLM": "llms"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
