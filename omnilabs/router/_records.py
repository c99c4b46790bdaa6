"""Graded answers as users hand them in, checked; and what came of learning from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from omnilabs._messages import parse_messages
from omnilabs._models import ModelInfo
from omnilabs.errors import InvalidRequestError, UnknownModelError
from omnilabs.router._evaluation import Evaluation
from omnilabs.router._tokens import last_user_text

__all__ = ["FitReport", "Record", "read_records"]

Record = tuple[str, str, float, float | None]
"""(prompt, model id, score from 0 to 1, cost in US dollars or None)"""


def read_records(rows: Iterable[Mapping[str, Any]], find: Callable[[str], ModelInfo | None]) -> list[Record]:
    """Return checked records from rows of `prompt` or `messages`, `model`, `score`, and `cost_usd` where it is known.

    Raises:
        InvalidRequestError: A row lacks something, or holds what it may not; the row is named.
        UnknownModelError: A row's model is not one of the router's.
    """
    found: list[Record] = []
    for number, row in enumerate(rows):
        where = f"records[{number}]"
        model = find(str(row.get("model", "")))
        if model is None:
            raise UnknownModelError(f"{where} is of the model {row.get('model')!r}, which this router does not know")
        score = _number(row.get("score"), f"{where}['score']", most=1.0)
        cost = row.get("cost_usd")
        found.append(
            (_prompt(row, where), model.id, score, None if cost is None else _number(cost, f"{where}['cost_usd']"))
        )
    return found


def _prompt(row: Mapping[str, Any], where: str) -> str:
    prompt = row.get("prompt")
    if prompt is None and row.get("messages") is not None:
        return last_user_text(parse_messages(row["messages"]))
    if not isinstance(prompt, str):
        raise InvalidRequestError(f"{where} has neither a 'prompt' text nor 'messages'", parameter="records")
    return prompt


def _number(value: object, where: str, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        upto = f" to {most:g}" if math.isfinite(most) else ""
        raise InvalidRequestError(f"{where} is a number from 0{upto}, not {value!r}", parameter="records")
    return float(value)


@dataclass(frozen=True)
class FitReport:
    """What `Router.fit` learned, or why it changed nothing.

    Attributes:
        rows: Graded answers read.
        prompts: Different prompts among them.
        learned: "text" (each model's success by the prompt's words), "levels" (each model's own level only), or None.
        why: The reason, with the figures it rests on.
        gain: Log-loss per answer below the prior's, on rows held back.
        gain_low: Lower end of its 95 % interval.
        gain_high: Upper end of it.
        seconds: How long it took.
        state_bytes: Size of what was learned, as saved.
        evaluation: The router on rows held back, beside the baselines; None where not every model was graded on enough
            prompts, or a price is not known.
    """

    rows: int
    prompts: int
    learned: str | None
    why: str
    gain: float = 0.0
    gain_low: float = 0.0
    gain_high: float = 0.0
    seconds: float = 0.0
    state_bytes: int = 0
    evaluation: Evaluation | None = None

    @property
    def changed(self) -> bool:
        """Whether decisions are now taken otherwise."""
        return self.learned is not None

    def __str__(self) -> str:
        head = f"{self.rows} graded answers to {self.prompts} prompts in {self.seconds:.1f} s: {self.why}"
        return head if self.evaluation is None else f"{head}\n\n{self.evaluation}"
