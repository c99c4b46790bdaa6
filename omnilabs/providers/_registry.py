"""The providers: one row each. To add an OpenAI-shaped provider, add a row; the contract tests find it there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from omnilabs.providers._base import ProviderSpec, Wire

__all__ = ["PROVIDERS", "wire_named"]

_ROWS = (
    ProviderSpec(
        name="openai",
        wire="openai",
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_url_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        docs_url="https://platform.openai.com/docs/api-reference/chat",
        checked="2026-11-23",
        renamed={"max_tokens": "max_completion_tokens"},
        unsupported=frozenset({"reasoning_budget_tokens"}),
        images_path="/images/generations",
    ),
    ProviderSpec(
        name="anthropic",
        wire="anthropic",
        base_url="https://api.anthropic.com",
        key_env=("ANTHROPIC_API_KEY",),
        base_url_env=("ANTHROPIC_BASE_URL",),
        docs_url="https://docs.anthropic.com/en/api/messages",
        checked="2026-11-23",
        caches_on_mark=True,
    ),
    ProviderSpec(
        name="gemini",
        wire="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_url_env=("GEMINI_BASE_URL",),
        docs_url="https://ai.google.dev/api/generate-content",
        checked="2026-11-23",
    ),
    ProviderSpec(
        name="deepseek",
        wire="openai",
        base_url="https://api.deepseek.com/v1",
        key_env=("DEEPSEEK_API_KEY",),
        base_url_env=("DEEPSEEK_BASE_URL",),
        docs_url="https://api-docs.deepseek.com/api/create-chat-completion",
        checked="2026-11-23",
        unsupported=frozenset({"seed", "parallel_tool_calls", "reasoning_budget_tokens", "reasoning_effort"}),
        native_schema=False,
        replays_reasoning="reasoning_content",
    ),
    ProviderSpec(
        name="together",
        wire="openai",
        base_url="https://api.together.xyz/v1",
        key_env=("TOGETHER_API_KEY",),
        base_url_env=("TOGETHER_BASE_URL",),
        docs_url="https://docs.together.ai/reference/chat-completions-1",
        checked="2026-11-23",
        unsupported=frozenset({"reasoning_budget_tokens", "size", "quality"}),
        images_path="/images/generations",
    ),
    ProviderSpec(
        name="xai",
        wire="openai",
        base_url="https://api.x.ai/v1",
        key_env=("XAI_API_KEY",),
        base_url_env=("XAI_BASE_URL",),
        docs_url="https://docs.x.ai/docs/api-reference",
        checked="2026-11-23",
        unsupported=frozenset({"reasoning_budget_tokens", "size"}),
        images_path="/images/generations",
    ),
    ProviderSpec(
        name="groq",
        wire="openai",
        base_url="https://api.groq.com/openai/v1",
        key_env=("GROQ_API_KEY",),
        base_url_env=("GROQ_BASE_URL",),
        docs_url="https://console.groq.com/docs/api-reference",
        checked="2026-11-23",
        renamed={"max_tokens": "max_completion_tokens"},
        unsupported=frozenset({"logprobs", "top_logprobs", "reasoning_budget_tokens"}),
    ),
    ProviderSpec(
        name="mistral",
        wire="openai",
        base_url="https://api.mistral.ai/v1",
        key_env=("MISTRAL_API_KEY",),
        base_url_env=("MISTRAL_BASE_URL",),
        docs_url="https://docs.mistral.ai/api/",
        checked="2026-11-23",
        renamed={"seed": "random_seed"},
        unsupported=frozenset({"logprobs", "top_logprobs", "reasoning_budget_tokens", "name"}),
        stream_usage=False,
        call_id_length=9,
    ),
    ProviderSpec(
        name="openrouter",
        wire="openai",
        base_url="https://openrouter.ai/api/v1",
        key_env=("OPENROUTER_API_KEY",),
        base_url_env=("OPENROUTER_BASE_URL",),
        docs_url="https://openrouter.ai/docs/api-reference/chat-completion",
        checked="2026-11-23",
        renamed={"reasoning_effort": "reasoning.effort", "reasoning_budget_tokens": "reasoning.max_tokens"},
        caches_on_mark=True,
        replays_reasoning="reasoning_details",
    ),
    ProviderSpec(
        name="fireworks",
        wire="openai",
        base_url="https://api.fireworks.ai/inference/v1",
        key_env=("FIREWORKS_API_KEY",),
        base_url_env=("FIREWORKS_BASE_URL",),
        docs_url="https://docs.fireworks.ai/api-reference/post-chatcompletions",
        checked="2026-11-23",
        unsupported=frozenset({"reasoning_budget_tokens"}),
    ),
    ProviderSpec(
        name="ollama",
        wire="openai",
        base_url="http://127.0.0.1:11434/v1",
        key_env=("OLLAMA_API_KEY",),
        base_url_env=("OLLAMA_BASE_URL",),
        docs_url="https://github.com/ollama/ollama/blob/main/docs/api/openai-compatibility.mdx",
        checked="2026-11-23",
        needs_key=False,
        unsupported=frozenset(
            {"parallel_tool_calls", "reasoning_budget_tokens", "logprobs", "top_logprobs", "tool_choice"}
        ),
        ends_without_mark=True,
    ),
)

PROVIDERS: Mapping[str, ProviderSpec] = MappingProxyType({row.name: row for row in _ROWS})
"""The rows by name."""

HOSTED = ProviderSpec(
    name="omnirouter",
    wire="omnirouter",
    base_url="https://omni-router.vercel.app",
    key_env=("OMNI_API_KEY",),
    base_url_env=("OMNI_BASE_URL",),
    needs_key=False,
)
"""The hosted service: an adapter like any other, asked alone."""

SANDBOX = ProviderSpec(name="sandbox", wire="openai", base_url="http://sandbox.invalid/v1", needs_key=False)
"""The sandbox: the whole pipe runs, a transport inside the process answers."""

WIRES = ("openai", "anthropic", "gemini", "omnirouter")
"""The wire formats, one file each."""


@cache
def wire_named(name: str) -> Wire:
    """Return a wire format by its name in a row, loading its file when it is first needed."""
    match name:
        case "openai":
            from omnilabs.providers._openai_compat import WIRE as openai_wire

            return openai_wire
        case "anthropic":
            from omnilabs.providers._anthropic import WIRE as anthropic_wire

            return anthropic_wire
        case "gemini":
            from omnilabs.providers._gemini import WIRE as gemini_wire

            return gemini_wire
        case "omnirouter":
            from omnilabs.providers._omnirouter import WIRE as hosted_wire

            return hosted_wire
        case _:
            raise KeyError(name)
