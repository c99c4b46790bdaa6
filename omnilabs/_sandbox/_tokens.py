"""Token counts from one estimate, in place of every provider's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omnilabs._sandbox._request import media_of, text_of
from omnilabs._sandbox._schema import as_list, as_schema

__all__ = ["BYTES_PER_TOKEN", "call_tokens", "prompt_tokens", "text_tokens"]

BYTES_PER_TOKEN = 4
_TOKENS_PER_REPLY = 3
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_CALL = 4
_TOKENS_PER_TOOL = 8
# An image of 1024 x 1024 in full detail, half a minute of speech, two pages of a document.
_TOKENS_PER_MEDIUM: Mapping[str, int] = {"image": 765, "sound": 300, "file": 1500}


def text_tokens(text: str) -> int:
    """Return the estimated tokens of a text: its length in UTF-8 bytes divided by 4, rounded up.

    By script that is a token for 4 Latin letters, 2 Greek, Cyrillic, Hebrew or Arabic ones, 4 of 3 Han, kana, Hangul,
    Thai or Devanagari characters, and one emoji: what current byte-pair vocabularies give, within a third or so.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def call_tokens(name: str, arguments: str) -> int:
    """Return the estimated tokens of one tool call."""
    return _TOKENS_PER_CALL + text_tokens(name) + text_tokens(arguments)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return the estimated tokens of a request.

    4 for each message and 3 for the reply's beginning, all text and tool calls, 765 for an image, 300 for a sound, 1500
    for a file, each tool's JSON and 8, and the answer schema's JSON.
    """
    schema = as_schema(as_schema(body.get("response_format")).get("json_schema"))
    total = _TOKENS_PER_REPLY + (_json_tokens(schema) if schema else 0)
    total += sum(
        _TOKENS_PER_TOOL + _json_tokens(as_schema(tool).get("function")) for tool in as_list(body.get("tools"))
    )
    return total + sum(_message_tokens(message) for message in as_list(body.get("messages")))


def _message_tokens(message: Mapping[str, Any]) -> int:
    total = _TOKENS_PER_MESSAGE + text_tokens(text_of(message)) + text_tokens(str(message.get("name") or ""))
    total += sum(_TOKENS_PER_MEDIUM[kind] for kind in media_of(message))
    functions: Sequence[Any] = [
        as_schema(as_schema(call).get("function")) for call in as_list(message.get("tool_calls"))
    ]
    return total + sum(call_tokens(str(one.get("name") or ""), str(one.get("arguments") or "")) for one in functions)


def _json_tokens(value: object) -> int:
    return text_tokens(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
