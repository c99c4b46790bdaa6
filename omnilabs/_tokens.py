"""How many tokens a text is likely to be, without any model's vocabulary.

The estimate counts UTF-8 bytes by script: about four bytes a token for ASCII text, about three for other text, which is
a character of Chinese or Japanese and one and a half letters of Cyrillic or Greek. It is for prices shown before a call
and for streams that were left early; usage that a provider reports always replaces it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from omnilabs._messages import AudioPart, FilePart, ImagePart

if TYPE_CHECKING:
    from omnilabs._request import ChatRequest

__all__ = ["estimate_prompt_tokens", "estimate_tokens"]

_PER_MESSAGE = 4
_PER_IMAGE = 765
_BYTES_PER_ASCII_TOKEN = 4
_BYTES_PER_OTHER_TOKEN = 3


def estimate_tokens(text: str) -> int:
    """Return the likely number of tokens of `text`; 0 only for no text at all."""
    if text.isascii():
        return -(-len(text) // _BYTES_PER_ASCII_TOKEN)
    ascii_count = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "replace")) - ascii_count
    return -(-ascii_count // _BYTES_PER_ASCII_TOKEN) - (-other_bytes // _BYTES_PER_OTHER_TOKEN)


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """Return the likely number of prompt tokens of a request: messages, media, tools and schema.

    An image counts as 765 tokens (a 1024 x 1024 picture at OpenAI's high detail); a document or sound by its size, one
    token for 100 bytes.
    """
    total = 0
    for message in request.messages:
        total += _PER_MESSAGE + estimate_tokens(message.text)
        for call in message.calls:
            total += estimate_tokens(call.name) + estimate_tokens(call.arguments_json)
        for part in message.parts if not isinstance(message.content, str) else ():
            if isinstance(part, ImagePart):
                total += _PER_IMAGE
            elif isinstance(part, FilePart | AudioPart):
                total += len(part.data or "") * 3 // 4 // 100
    for extra in (request.tools, request.response_format):
        if extra:
            total += estimate_tokens(json.dumps(extra, ensure_ascii=False, default=str))
    return total
