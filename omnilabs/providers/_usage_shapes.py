"""Every usage shape the hosted service sends, read as one.

Its versions and the providers behind it report `all_tokens` with `total_cost`; `total_tokens`; `prompt_tokens` with
`completion_tokens`; or `input_tokens` with `output_tokens` and `reasoning_tokens`. They also come mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from omnilabs._usage import Usage

__all__ = ["read_usage"]

_NOTHING: Mapping[str, Any] = {}


def read_usage(value: object) -> Usage:
    """Return a hosted usage in disjoint buckets; what it does not say stays None, and so does its cost.

    Cached and reasoning tokens are parts of the input and output as OpenAI counts them, except where the numbers show
    that they were counted apart: more of them than of the whole, or a total that only adds up with them. A number that
    cannot be one (negative, text, a fraction) counts as not reported: an answer is not lost over its accounting.
    """
    if not isinstance(value, Mapping):
        return Usage()
    fields = cast("Mapping[str, Any]", value)
    given = _details(fields, "prompt_tokens_details", "input_tokens_details")
    made = _details(fields, "completion_tokens_details", "output_tokens_details")
    total = _count(fields, "all_tokens", "total_tokens")
    prompt = _count(fields, "prompt_tokens", "input_tokens")
    output = _count(fields, "completion_tokens", "output_tokens")
    cached, sound = _count(given, "cached_tokens") or 0, _count(given, "audio_tokens") or 0
    reasoning = _count(fields, "reasoning_tokens") or _count(made, "reasoning_tokens") or 0
    if output is not None and (reasoning > output or (prompt is not None and total == prompt + output + reasoning)):
        output += reasoning
    if prompt is not None and cached + sound <= prompt:
        prompt -= cached + sound
    spoken = _count(made, "audio_tokens") or 0
    cost_usd = _cost(fields)
    return Usage(
        uncached_input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=cached,
        input_audio_tokens=sound,
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken if output is None else min(spoken, output),
        reported_total_tokens=total,
        cost_usd=cost_usd,
        cost_source="unknown" if cost_usd is None else "provider",
    )


def _details(fields: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        if isinstance(value := fields.get(name), Mapping):
            return cast("Mapping[str, Any]", value)
    return _NOTHING


def _count(fields: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of these fields that is a number of tokens."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _cost(fields: Mapping[str, Any]) -> Decimal | None:
    """Return `total_cost` in US dollars exactly as it was written."""
    value = fields.get("total_cost")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        cost_usd = Decimal(str(value))
    except InvalidOperation:
        return None
    return cost_usd if cost_usd.is_finite() and cost_usd >= 0 else None
