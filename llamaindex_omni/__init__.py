"""LlamaIndex models over `omnilabs`: one LLM for every model, and the right one for each call."""

from llamaindex_omni._refusals import OmniRefusalError
from llamaindex_omni.base import OmniLLM
from llamaindex_omni.events import OmniAbandonedEvent, OmniFallbackEvent, OmniRoutingEvent
from llamaindex_omni.selector import OmniSelection, OmniSelector

__all__ = [
    "OmniAbandonedEvent",
    "OmniFallbackEvent",
    "OmniLLM",
    "OmniRefusalError",
    "OmniRoutingEvent",
    "OmniSelection",
    "OmniSelector",
]
