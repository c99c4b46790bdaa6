"""`OmniDecisionModel`: the router as a decision model, for core's `ModelRouterMiddleware`. From langchain-core 1.8."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import Field

from langchain_omni.chat_models import ChatOmni
from omnilabs.errors import InvalidRequestError
from omnilabs.types import Decision

__all__ = ["OmniDecisionModel", "probabilities"]

try:
    # By name, because the oldest langchain-core that this package supports has no such module to check against.
    _decisions: Any = import_module("langchain_core.decisions")
except ImportError as exc:
    raise ImportError("OmniDecisionModel needs langchain-core 1.8 or newer: pip install -U langchain-core") from exc


class OmniDecisionModel(_decisions.BaseDecisionModel):  # type: ignore[misc]  # the base is not there in 1.6 and 1.7
    """Answers the question which model to use; any other question is refused.

    ```python
    router = ModelRouterMiddleware(
        choices={"gpt-4o-mini": ModelChoice("openai:gpt-4o-mini", None), "gpt-4o": ModelChoice("openai:gpt-4o", None)},
        instructions="Choose the model.",
        classifier=OmniDecisionModel(chooser=ChatOmni(rel_cost=0.7)),
    )
    ```
    """

    model: str = "omni-router"
    chooser: ChatOmni = Field(default_factory=ChatOmni)
    """Whose routing settings decide."""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Our id of the model behind each label, where the labels are not ids themselves."""

    @property
    def _provider(self) -> str:
        return "omni"

    def _classify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        messages = _messages(state)
        answers = {
            name: _answer(self.chooser.select(messages, **_among(ids)), ids)
            for name, ids in self._ids(questions).items()
        }
        return _decisions.ClassifierResponse(model=self.model, answers=answers)

    async def _aclassify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        messages = _messages(state)
        answers = {
            name: _answer(await self.chooser.aselect(messages, **_among(ids)), ids)
            for name, ids in self._ids(questions).items()
        }
        return _decisions.ClassifierResponse(model=self.model, answers=answers)

    def _ids(self, questions: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Return, per question, the id of the model behind each label."""
        ids: dict[str, dict[str, str]] = {}
        for name, question in questions.items():
            if question.type != "choice":
                raise InvalidRequestError(
                    f"the router answers which model to use, a Choice among models; {name!r} is a {question.type}",
                    parameter="questions",
                )
            labels: list[str] = list(question.criteria)
            ids[name] = {label: self.chooser._id_of(self.labels.get(label, label)) for label in labels}
        return ids


def _among(ids: Mapping[str, str]) -> dict[str, Any]:
    names = list(ids.values())
    return {"model_names": names, "k": min(len(names), 10)}  # to rank all of them, as far as the router goes


def _messages(state: Any) -> list[BaseMessage]:
    if isinstance(state, str | BaseMessage):
        return convert_to_messages([state])
    if isinstance(state, Mapping) and "messages" in state:
        state = state["messages"]
    if isinstance(state, Mapping):
        raise InvalidRequestError("the router reads text or messages, not a mapping of other things", parameter="state")
    return convert_to_messages(list(state))


def _answer(decision: Decision, ids: Mapping[str, str]) -> Any:
    chances = probabilities(decision, ids)
    label = max(chances, key=lambda name: (chances[name], ids[name] == decision.model))
    return _decisions.ChoiceAnswer(
        type="choice", choice=label, probabilities=chances, confidence=min(chances[label], 1.0)
    )


def probabilities(decision: Decision, ids: Mapping[str, str]) -> dict[str, float]:
    """Return a probability per label: the softmax of the utilities; a model that was not ranked has none."""
    top = decision.pick.utility
    weight = {candidate.model: math.exp(candidate.utility - top) for candidate in decision.ranked}
    shares = {label: weight.get(model, 0.0) for label, model in ids.items()}
    total = sum(shares.values())
    return {label: share / total for label, share in shares.items()}
