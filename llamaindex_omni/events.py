"""What OmniRouter tells LlamaIndex's instrumentation, inside the span of the call. No prompt text in any of them."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation.events import BaseEvent

__all__ = ["OmniAbandonedEvent", "OmniFallbackEvent", "OmniRoutingEvent"]


class OmniRoutingEvent(BaseEvent):
    """A model was chosen for a call.

    Attributes:
        model: The model asked first.
        provider: Its provider.
        source: router, route (a decision was passed in), sticky (a tool loop stays with its model) or server.
        decision_id: The id that the responses carry in `additional_kwargs["omni"]`.
        decision: The decision in JSON types, or None where a server decided.
    """

    model: str
    provider: str
    source: str
    decision_id: str
    decision: dict[str, Any] | None = None

    @classmethod
    def class_name(cls) -> str:
        """Return the event's stable name."""
        return "OmniRoutingEvent"


class OmniFallbackEvent(BaseEvent):
    """A model was given up, and the next one asked.

    Attributes:
        failed_model: The model that was given up.
        failed_provider: Its provider.
        next_model: The model asked instead, or None where there was none left.
        error_type: Class of its last error, from `omnilabs.errors`.
        message: The error in words, keys redacted.
        status: HTTP status, or None when there was no response.
        attempts: How often it had been asked.
        decision_id: As in `OmniRoutingEvent`.
    """

    failed_model: str
    failed_provider: str
    next_model: str | None
    error_type: str
    message: str
    status: int | None
    attempts: int
    decision_id: str

    @classmethod
    def class_name(cls) -> str:
        """Return the event's stable name."""
        return "OmniFallbackEvent"


class OmniAbandonedEvent(BaseEvent):
    """A stream was closed before its end: there is no end event, so this tells what it used.

    Attributes:
        model: The model that was answering.
        provider: Its provider.
        prompt_tokens: An estimate, or None.
        completion_tokens: An estimate, or None.
        cost_usd: US dollars by that estimate, or None where the price is not known.
        decision_id: As in `OmniRoutingEvent`.
    """

    model: str
    provider: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    decision_id: str

    @classmethod
    def class_name(cls) -> str:
        """Return the event's stable name."""
        return "OmniAbandonedEvent"
