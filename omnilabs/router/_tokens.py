"""How many tokens a request is, estimated without a tokenizer, and the piece of it the router reads."""

from __future__ import annotations

import json
from collections.abc import Sequence

from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, TextPart
from omnilabs._request import ChatRequest

__all__ = ["clip", "estimate_tokens", "input_tokens", "last_user_text"]

HEAD_CHARS = 650
TAIL_CHARS = 350
_SAMPLE_CHARS = 2048
# UTF-8 bytes a token, as byte-pair tokenizers give for prose and code mixed. The online calibration corrects it.
_BYTES_PER_TOKEN = 4.0
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 800
_TOKENS_PER_DOCUMENT = 3000
_AUDIO_BASE64_PER_TOKEN = 1300


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


def estimate_tokens(text: str) -> float:
    """Return the tokens of a text, from its length in UTF-8 bytes.

    A long text that is not ASCII is sampled evenly, so that a megabyte costs no more than a page.
    """
    if text.isascii():
        return len(text) / _BYTES_PER_TOKEN
    sample = text if len(text) <= _SAMPLE_CHARS else text[:: -(-len(text) // _SAMPLE_CHARS)]
    bytes_per_char = len(sample.encode("utf-8", "surrogatepass")) / len(sample)
    return len(text) * bytes_per_char / _BYTES_PER_TOKEN


def input_tokens(request: ChatRequest) -> float:
    """Return the estimated tokens of everything that is sent: messages, media, tools and the answer's schema."""
    total = 0.0
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE + _content_tokens(message)
        for call in message.calls if message.tool_calls else ():
            total += _TOKENS_PER_MESSAGE + estimate_tokens(call.arguments_json)
    for extra in (request.tools, request.response_format):
        if extra:
            total += estimate_tokens(json.dumps(extra, default=str))
    return total


def _content_tokens(message: ChatMessage) -> float:
    if isinstance(message.content, str):
        return estimate_tokens(message.content)
    total = 0.0
    for part in message.parts:
        match part:
            case TextPart():
                total += estimate_tokens(part.text)
            case ImagePart():
                total += _TOKENS_PER_IMAGE
            case FilePart():
                total += _TOKENS_PER_DOCUMENT
            case AudioPart():
                total += len(part.data or "") / _AUDIO_BASE64_PER_TOKEN or _TOKENS_PER_IMAGE
            case _:
                total += estimate_tokens(part.text)
    return total
