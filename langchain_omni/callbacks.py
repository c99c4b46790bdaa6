"""What it all cost: US dollars, tokens, calls and selection time per model, counted where the answers pass."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.tracers.context import register_configure_hook

from langchain_omni._answer import PROVIDER

__all__ = ["ModelCost", "OmniCostCallbackHandler", "get_omni_cost_callback"]


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model, or all of them, took.

    Attributes:
        calls: Answers, those from LangChain's cache included.
        cached_calls: Answers that came from LangChain's cache and cost nothing.
        unpriced_calls: Answers whose cost is not known; `cost_usd` lacks them.
        input_tokens: Prompt tokens.
        output_tokens: Answer tokens, reasoning included.
        cost_usd: US dollars, as far as prices are known.
        select_ms: Milliseconds the router took to choose.
    """

    calls: int = 0
    cached_calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    select_ms: float = 0.0

    def __add__(self, other: ModelCost) -> ModelCost:
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


class OmniCostCallbackHandler(BaseCallbackHandler):
    """Counts what the models of this package cost, per served model; other integrations' answers are left alone.

    One handler serves any number of threads and tasks.
    """

    def __init__(self, outer: OmniCostCallbackHandler | None = None) -> None:
        super().__init__()
        self._outer = outer
        self._lock = threading.Lock()
        self._by_model: dict[str, ModelCost] = {}

    @property
    def by_model(self) -> Mapping[str, ModelCost]:
        """The counts by the served model's name, as of now."""
        with self._lock:
            return dict(self._by_model)

    @property
    def total(self) -> ModelCost:
        """The counts of all models together."""
        return sum(self.by_model.values(), ModelCost())

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Count one run's answers."""
        for generations in response.generations:
            for generation in generations:
                self._count(generation)

    def _count(self, generation: Generation) -> None:
        facts, usage = _read(generation)
        if facts.get("model_provider") != PROVIDER:
            return
        spent = _spent(facts, usage)
        with self._lock:
            name = str(facts.get("model_name"))
            self._by_model[name] = self._by_model.get(name, ModelCost()) + spent
        if self._outer is not None:
            self._outer._count(generation)


def _read(generation: Generation) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if isinstance(generation, ChatGeneration):
        return generation.message.response_metadata, getattr(generation.message, "usage_metadata", None) or {}
    info = generation.generation_info or {}
    return info, info.get("usage_metadata") or {}


def _spent(facts: Mapping[str, Any], usage: Mapping[str, Any]) -> ModelCost:
    if usage.get("total_cost") == 0:  # so LangChain marks an answer from its cache
        return ModelCost(calls=1, cached_calls=1)
    cost = facts.get("cost")
    omni = facts.get("omni") or {}
    return ModelCost(
        calls=1,
        unpriced_calls=int(cost is None),
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
        cost_usd=cost or 0.0,
        select_ms=(omni.get("decision") or {}).get("select_ms", 0.0),
    )


_current: ContextVar[OmniCostCallbackHandler | None] = ContextVar("omni_cost_callback", default=None)
register_configure_hook(_current, inheritable=True)


@contextmanager
def get_omni_cost_callback() -> Generator[OmniCostCallbackHandler]:
    """Count everything run within the block, in its threads and tasks too.

    ```python
    with get_omni_cost_callback() as cost:
        chain.invoke("...")
    print(cost.total.cost_usd, cost.by_model)
    ```

    A block within a block counts for both.
    """
    handler = OmniCostCallbackHandler(outer=_current.get())
    token = _current.set(handler)
    try:
        yield handler
    finally:
        _current.reset(token)
