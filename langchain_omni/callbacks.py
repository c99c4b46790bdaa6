"""What it all cost: US dollars, tokens, calls and selection time per model, counted where the answers pass."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.tracers.context import register_configure_hook

from langchain_omni._answer import PROVIDER
from omnilabs import ChatResponse
from omnilabs.errors import OmniError

__all__ = ["ModelCost", "OmniCostCallbackHandler", "get_omni_cost_callback"]

_Told: TypeAlias = LLMResult | BaseException


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model, or all of them, took.

    Attributes:
        calls: Answers, including those that broke off, and those LangChain's cache gave a chat model; when the cache
            answers for a text model, LangChain tells callbacks nothing.
        cached_calls: Answers that came from LangChain's cache and cost nothing.
        broken_calls: Answers that broke off: a stream failed after it had begun. Their tokens and cost are estimates
            from what had arrived.
        unpriced_calls: Answers whose cost is not known; `cost_usd` lacks them.
        input_tokens: Prompt tokens.
        output_tokens: Answer tokens, reasoning included.
        cost_usd: US dollars, as far as prices are known.
        select_ms: Milliseconds the router took to choose.
    """

    calls: int = 0
    cached_calls: int = 0
    broken_calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    select_ms: float = 0.0

    def __add__(self, other: ModelCost) -> ModelCost:
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


class OmniCostCallbackHandler(BaseCallbackHandler):
    """Counts what the models of this package cost, per served model; other integrations' answers are left alone.

    One handler serves any number of threads and tasks. Of two things LangChain does not tell callbacks what they cost,
    so both are missing here: streams the caller leaves before their end, and the answers of a text model's batch in
    which another prompt failed. The client's own ledger, `client.spend`, has them.
    """

    def __init__(self, outer: OmniCostCallbackHandler | None = None) -> None:
        super().__init__()
        self._outer = outer
        self._lock = threading.Lock()
        self._by_model: dict[str, ModelCost] = {}
        self._told: WeakValueDictionary[int, _Told] = WeakValueDictionary()  # by identity: an answer has no hash

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
        self._count(response, [part for line in response.generations for one in line if (part := _counted(one))])

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Count what had arrived of an answer that broke off."""
        partial = error.partial if isinstance(error, OmniError) else None
        if partial is not None:
            self._count(error, [(partial.model, _spent_on(partial))])

    def _count(self, told: _Told, parts: list[tuple[str, ModelCost]]) -> None:
        """Add the costs of an answer or a failure, once.

        A handler can be told of it by the run and by a block within its own; every run of a failed batch is told of
        the same error.
        """
        with self._lock:
            if self._told.get(id(told)) is told:
                return
            self._told[id(told)] = told
            for name, spent in parts:
                self._by_model[name] = self._by_model.get(name, ModelCost()) + spent
        if self._outer is not None:
            self._outer._count(told, parts)


def _counted(generation: Generation) -> tuple[str, ModelCost] | None:
    facts, usage = _read(generation)
    return (str(facts.get("model_name")), _spent(facts, usage)) if facts.get("model_provider") == PROVIDER else None


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


def _spent_on(partial: ChatResponse) -> ModelCost:
    usage = partial.usage
    return ModelCost(
        calls=1,
        broken_calls=1,
        unpriced_calls=int(usage.total_cost is None),
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cost_usd=usage.total_cost or 0.0,
        select_ms=0.0 if partial.decision is None else partial.decision.select_ms,
    )


_current: ContextVar[OmniCostCallbackHandler | None] = ContextVar("omni_cost_callback", default=None)
register_configure_hook(_current, inheritable=True)


@contextmanager
def get_omni_cost_callback() -> Generator[OmniCostCallbackHandler]:
    """Count everything run within the block.

    ```python
    with get_omni_cost_callback() as cost:
        chain.invoke("...")
    print(cost.total.cost_usd, cost.by_model)
    ```

    The block is part of the context, and reaches as far as that is copied: into asyncio tasks, `asyncio.to_thread`, and
    LangChain's own threads, those of `batch` and `RunnableParallel`. A plain `threading.Thread`, a `ThreadPoolExecutor`
    and `loop.run_in_executor` start without it: pass the handler there, `config={"callbacks": [cost]}`. Passing it
    where the block reaches too counts nothing twice.

    A block within a block counts for both.
    """
    handler = OmniCostCallbackHandler(outer=_current.get())
    token = _current.set(handler)
    try:
        yield handler
    finally:
        _current.reset(token)
