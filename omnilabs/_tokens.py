"""How many tokens a text or a request is likely to be, without any model's vocabulary.

About four UTF-8 bytes a token, as byte-pair tokenizers give for prose and code mixed, which makes a Chinese character
three quarters of one. It serves prices shown before a call, limits, and streams that were left early; usage that a
provider reports always replaces it, and the router corrects it by what it sees reported.
"""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING

from omnilabs._messages import AudioPart, ChatMessage, FilePart, ImagePart, TextPart

if TYPE_CHECKING:
    from omnilabs._request import ChatRequest

__all__ = ["estimate_tokens", "prompt_tokens", "text_tokens"]

_BYTES_PER_TOKEN = 4.0
_SAMPLE_CHARS = 2048
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 800
_TOKENS_PER_DOCUMENT = 3000
_AUDIO_BASE64_PER_TOKEN = 1300


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has; 0 only for no text at all."""
    return ceil(text_tokens(text))


def text_tokens(text: str) -> float:
    """Return the likely tokens of a text, from its length in UTF-8 bytes.

    A long text that is not ASCII is sampled evenly, so that a megabyte costs no more than a page.
    """
    if text.isascii():
        return len(text) / _BYTES_PER_TOKEN
    sample = text if len(text) <= _SAMPLE_CHARS else text[:: -(-len(text) // _SAMPLE_CHARS)]
    bytes_per_char = len(sample.encode("utf-8", "surrogatepass")) / len(sample)
    return len(text) * bytes_per_char / _BYTES_PER_TOKEN


def prompt_tokens(request: ChatRequest) -> float:
    """Return the likely tokens of everything that is sent: messages, media, tools and the answer's schema."""
    total = 0.0
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE + _content_tokens(message)
        for call in message.calls if message.tool_calls else ():
            total += _TOKENS_PER_MESSAGE + text_tokens(call.arguments_json)
    for extra in (request.tools, request.response_format):
        if extra:
            total += text_tokens(json.dumps(extra, default=str))
    return total


def _content_tokens(message: ChatMessage) -> float:
    if isinstance(message.content, str):
        return text_tokens(message.content)
    total = 0.0
    for part in message.parts:
        match part:
            case TextPart():
                total += text_tokens(part.text)
            case ImagePart():
                total += _TOKENS_PER_IMAGE
            case FilePart():
                total += _TOKENS_PER_DOCUMENT
            case AudioPart():
                total += len(part.data or "") / _AUDIO_BASE64_PER_TOKEN or _TOKENS_PER_IMAGE
            case _:
                total += text_tokens(part.text)
    return total
