"""LangChain models over `omnilabs`: `ChatOmni` and `OmniLLM`, selection as a step, and what it all cost.

Names are loaded when they are first used, so that a chat model does not pay for the agents' middleware. One more is
here, `OmniDecisionModel`; it needs langchain-core 1.8, so `import *` leaves it out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_omni._structured import OmniRefusalError
    from langchain_omni.callbacks import ModelCost, OmniCostCallbackHandler, get_omni_cost_callback
    from langchain_omni.chat_models import ChatOmni
    from langchain_omni.decisions import OmniDecisionModel as OmniDecisionModel  # public, if not in __all__
    from langchain_omni.feedback import OmniFeedbackHandler
    from langchain_omni.llms import OmniLLM
    from langchain_omni.middleware import OmniRouterMiddleware
    from langchain_omni.provider import register_provider
    from langchain_omni.selector import OmniSelector

__all__ = [
    "ChatOmni",
    "ModelCost",
    "OmniCostCallbackHandler",
    "OmniFeedbackHandler",
    "OmniLLM",
    "OmniRefusalError",
    "OmniRouterMiddleware",
    "OmniSelector",
    "get_omni_cost_callback",
    "register_provider",
]

_HOME = {
    "ChatOmni": "chat_models",
    "ModelCost": "callbacks",
    "OmniCostCallbackHandler": "callbacks",
    "OmniDecisionModel": "decisions",
    "OmniFeedbackHandler": "feedback",
    "OmniLLM": "llms",
    "OmniRefusalError": "_structured",
    "OmniRouterMiddleware": "middleware",
    "OmniSelector": "selector",
    "get_omni_cost_callback": "callbacks",
    "register_provider": "provider",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # LangChain loads this anyway, but some fifteen imports further down, where a script's frames cross the end of one
    # of CPython's 16 KiB stack chunks: it is then mapped and unmapped thousands of times, a tenth of the whole import.
    import_module("langchain_core.tracers.schemas")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
