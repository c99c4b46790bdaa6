"""The piece of a request that the router reads."""

from __future__ import annotations

from collections.abc import Sequence

from omnilabs._messages import ChatMessage

__all__ = ["HEAD_CHARS", "TAIL_CHARS", "clip", "last_user_text"]

HEAD_CHARS = 650
TAIL_CHARS = 350


def clip(text: str) -> str:
    """Return the first 650 and the last 350 characters of a longer text: the task stands at either end."""
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"


def last_user_text(messages: Sequence[ChatMessage]) -> str:
    """Return the text of the last user message, or of the last message that has any."""
    for message in reversed(messages):
        if message.role == "user" and (text := message.text):
            return text
    return next((text for message in reversed(messages) if (text := message.text)), "")
