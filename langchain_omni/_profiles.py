"""What a model can do, as LangChain's `ModelProfile`; for several models what all of them can."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from langchain_core.language_models import ModelProfile

from omnilabs import OmniClient

__all__ = ["candidates_profile", "configured_profile", "profile_of", "variables_that_configure"]

Mode: TypeAlias = Literal["hosted", "embedded", "sandbox"] | None


def profile_of(models: Sequence[Mapping[str, Any]]) -> ModelProfile | None:
    """Return the profile of one model record, or the intersection of several: smallest limits, common abilities.

    A limit that some of them do not tell is the smallest of the others'; one that none tells is left out.
    """
    if not models:
        return None
    able: list[Mapping[str, bool]] = [model["capabilities"] for model in models]
    images = all(one["images"] for one in able)
    tools = all(one["tools"] for one in able)
    profile = ModelProfile(
        text_inputs=True,
        text_outputs=True,
        image_inputs=images,
        image_url_inputs=images,
        pdf_inputs=all(one["pdf"] for one in able),
        audio_inputs=all(one["audio"] for one in able),
        video_inputs=False,
        reasoning_output=all(one["reasoning"] for one in able),
        tool_calling=tools,
        tool_choice=tools,
        structured_output=all(one["json_schema"] for one in able),
    )
    context_tokens = _smallest(model["context_tokens"] for model in models)
    if context_tokens is not None:
        profile["max_input_tokens"] = context_tokens
    output_tokens = _smallest(model["max_tokens"] for model in models)
    if output_tokens is not None:
        profile["max_output_tokens"] = output_tokens
    return profile


def _smallest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def candidates_profile(client: OmniClient) -> ModelProfile | None:
    """Return what every model has that `smart_select` may choose with this client; None where a server decides."""
    if client.mode == "hosted":
        return None
    return profile_of([model for model in client.get_available_models("chat") if not model["retired"]])


@lru_cache(maxsize=32)
def configured_profile(mode: Mode, providers: frozenset[str], variables: frozenset[str]) -> ModelProfile | None:
    """Return `candidates_profile` of a client for these providers and these variables of the environment, by name.

    Remembered, because it lists the catalogue: a second model of the same configuration costs nothing.

    Raises:
        ConfigurationError: Nothing says whom to ask.
    """
    given = {name: {"api_key": "unused", "base_url": "http://unused.invalid"} for name in providers}
    return candidates_profile(OmniClient(mode=mode, providers=given or None))


def variables_that_configure() -> frozenset[str]:
    """Return the names of the environment's variables that decide which providers can be asked."""
    return frozenset(name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE", "OMNI_MODE")))
