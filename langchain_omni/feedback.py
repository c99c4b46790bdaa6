"""Ratings given later, by run: the router learns from them as LangSmith's feedback is given."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_omni._answer import PROVIDER
from omnilabs import ChatResponse
from omnilabs.errors import InvalidRequestError
from omnilabs.router import Router
from omnilabs.types import Decision, Usage

__all__ = ["OmniFeedbackHandler"]

_Run: TypeAlias = UUID | str


class OmniFeedbackHandler(BaseCallbackHandler):
    """Remembers which model answered in which run, so that a rating of the run teaches the router.

    ```python
    router = Router()
    model = ChatOmni(model="auto", router=router)
    ratings = OmniFeedbackHandler(router)
    chain.invoke("...", config={"callbacks": [ratings], "run_id": run_id})
    ratings.create_feedback(run_id, "correctness", score=1.0)  # later, as LangSmith's client takes it
    ```

    A run of a chain or an agent stands for the last answer in it. The last `remember` runs are known; one handler
    serves any number of threads and tasks.
    """

    def __init__(self, router: Router, *, remember: int = 10_000) -> None:
        super().__init__()
        self._router = router
        self._remember = remember
        self._lock = threading.Lock()
        self._parents: OrderedDict[str, str | None] = OrderedDict()
        self._answers: OrderedDict[str, ChatResponse] = OrderedDict()

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note which run this one is part of."""
        with self._lock:
            self._parents[str(run_id)] = None if parent_run_id is None else str(parent_run_id)
            self._forget(self._parents)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note who answered, for this run and all it is part of."""
        answer = _answer(response)
        if answer is None:
            return
        with self._lock:
            self._answers[str(run_id)] = answer
            run = None if parent_run_id is None else str(parent_run_id)
            while run is not None:
                self._answers[run] = answer
                run = self._parents.get(run)
            self._forget(self._answers)

    def create_feedback(self, run_id: _Run, key: str = "score", *, score: float | bool) -> None:
        """Rate a run's answer: 0 (or False) for useless to 1 (or True) for right.

        Takes what LangSmith's `Client.create_feedback` takes; `key` names what was rated and is not told apart.

        Raises:
            InvalidRequestError: No answer of that run is remembered, or the score is not from 0 to 1.
            UnknownModelError: The router does not know the model that answered.
        """
        with self._lock:
            answer = self._answers.get(str(run_id))
        if answer is None:
            raise InvalidRequestError(
                f"no answer of run {run_id} is remembered: pass this handler in the run's callbacks", parameter="run_id"
            )
        self._router.feedback(answer, float(score))

    def _forget(self, runs: OrderedDict[str, Any]) -> None:
        while len(runs) > self._remember:
            runs.popitem(last=False)


def _answer(response: LLMResult) -> ChatResponse | None:
    """Return who answered and what the prompt was taken for, as the router's `feedback` reads them."""
    for generations in response.generations:
        for generation in generations:
            if not isinstance(generation, ChatGeneration):
                continue
            facts: Mapping[str, Any] = generation.message.response_metadata
            if facts.get("model_provider") == PROVIDER:
                decision: Mapping[str, Any] = (facts.get("omni") or {}).get("decision") or {}
                return ChatResponse(
                    model=str(facts.get("model_name")),
                    content="",
                    provider=str(facts.get("provider")),
                    usage=Usage(),
                    decision=Decision((), task_type=decision.get("task_type") or {}),
                    model_id=(facts.get("omni_call") or {}).get("model_id"),
                )
    return None
