"""What a router knows: its models, the prior, and all it was told since."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from random import Random
from typing import TYPE_CHECKING, Any, Self

from omnilabs._decision import Decision
from omnilabs._models import ModelInfo
from omnilabs._request import ChatRequest
from omnilabs.errors import ConfigurationError, InvalidRequestError, UnknownModelError
from omnilabs.router._feedback import Feedback
from omnilabs.router._forecast import Forecaster, Reading, sigmoid, tokens_of
from omnilabs.router._health import Health
from omnilabs.router._outlook import Outlook, outlook
from omnilabs.router._prior import Entry, Prior, compile_entry
from omnilabs.router._tasks import TaskTypes

if TYPE_CHECKING:
    from omnilabs._response import ChatResponse
    from omnilabs.router._catalog import Catalog
    from omnilabs.router._evaluation import Evaluation
    from omnilabs.router._fit import Fit
    from omnilabs.router._records import FitReport

__all__ = ["Knowledge"]

STATE_FORMAT = 1
MOST_EXPLORATION = 0.02


class Knowledge:
    """Models, what is expected of them, and what was learned of them from `observe`, `feedback` and `fit`."""

    def __init__(
        self,
        models: Sequence[ModelInfo] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        explore: float = 0.0,
        random: Random | None = None,
    ) -> None:
        if not 0 <= explore <= MOST_EXPLORATION:
            raise InvalidRequestError(
                f"explore is a share from 0 to {MOST_EXPLORATION}, not {explore!r}", parameter="explore"
            )
        self._given = None if models is None else tuple(models)
        self._explore = explore
        self._random = random or Random()  # noqa: S311 - which good model is tried is no secret
        self._health = Health(clock)
        self._feedback = Feedback()
        self._fit: Fit | None = None
        self._lock = threading.Lock()

    @cached_property
    def catalog(self) -> Catalog:
        """The models to choose from: those given, or the package's own catalogue."""
        from omnilabs.router._catalog import Catalog  # its data is read when first needed, not at import

        return Catalog.load() if self._given is None else Catalog.of(self._given)

    @cached_property
    def _forecaster(self) -> Forecaster:
        return Forecaster(Prior.load(), TaskTypes.load())

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(compile_entry(model, self._forecaster.prior) for model in self.catalog.models)

    def find(self, name: str) -> ModelInfo | None:
        """Return the model of this id, alias or `provider/name`, or None."""
        return self.catalog.find(name)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Return the known ids closest to a name that is not known."""
        return self.catalog.nearest(name)

    def observe(
        self,
        model_id: str,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        ttft_s: float | None = None,
        total_s: float | None = None,
        request: ChatRequest | None = None,
    ) -> None:
        """Learn speed, length of answers and the token estimate's error from a finished call.

        Args:
            model_id: The catalogue's id of the model that answered; an unknown one is ignored.
            input_tokens: Prompt tokens as the provider reported them.
            output_tokens: Tokens generated, as the provider reported them.
            ttft_s: Seconds from sending to the first token, where the answer was streamed.
            total_s: Seconds from sending to the whole answer.
            request: What was asked; without it lengths are not learned.
        """
        model = self.find(model_id)
        if model is None:
            return
        entry = self._entries[self._places[model.id]]
        expected = estimated = None
        if request is not None:
            reading = self._forecaster.read(request)
            estimated = reading.input_tokens
            # An answer cut short by the caller's own limit tells nothing of the model's habits.
            if request.max_tokens is None or (output_tokens or 0) < request.max_tokens:
                expected = sum(tokens_of(entry, reading))
        self._health.observe(
            model.id,
            output_tokens=output_tokens,
            expected_output_tokens=expected,
            ttft_s=ttft_s,
            total_s=total_s,
            expected_ttft_s=entry.ttft_s,
            input_tokens=input_tokens,
            estimated_input_tokens=estimated,
        )

    def feedback(self, response: ChatResponse | Decision, score: float) -> None:
        """Learn from a rating of an answer.

        Args:
            response: The rated response, or the decision whose pick answered.
            score: 0 for useless to 1 for right.

        Raises:
            InvalidRequestError: The score is no number from 0 to 1.
            UnknownModelError: This router does not know the model that answered.
        """
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InvalidRequestError(f"score is a number from 0 to 1, not {score!r}", parameter="score")
        decision = response if isinstance(response, Decision) else response.decision
        name = response.model if isinstance(response, Decision) else response.model_id or response.model
        model = self.find(name)
        if model is None:
            raise UnknownModelError(f"this router does not know the model {name!r}", nearest=self.nearest(name))
        mix: Mapping[str, float] = {} if decision is None else decision.task_type
        ranked = () if decision is None else decision.ranked
        expected = next((c.unrated_quality for c in ranked if c.model == model.id), None)
        if expected is None:
            entry = self._entries[self._places[model.id]]
            at_zero, slope = self._forecaster.prior.line(0.0)
            expected = sigmoid(at_zero + slope * sum(entry.abilities) / len(entry.abilities))
        self._feedback.add(model.id, mix, float(score), expected)

    def fit(self, records: Iterable[Mapping[str, Any]], *, folds: int = 5, seed: int = 0) -> FitReport:
        """Learn from graded answers to the user's own prompts, where held-back rows show that it helps.

        Every step (each model's own level, then its success by the prompt's words) must beat the one before it in
        cross-validated log-loss by more than chance; otherwise nothing changes, and the report says why. What an
        earlier `fit` learned is replaced.

        Args:
            records: At least 200 rows of `prompt` (or `messages`), `model`, `score` from 0 to 1 and, for the report's
                costs, `cost_usd`. Several models per prompt tell most.
            folds: How many parts the prompts are held back in.
            seed: Which prompt falls into which part.

        Raises:
            InvalidRequestError: A row lacks something, or holds what it may not; the row is named.
            UnknownModelError: A row's model is not one of this router's.
            ConfigurationError: numpy is not installed.
        """
        from omnilabs.router._fitting import fitted  # a router that is not fitted needs none of it
        from omnilabs.router._records import read_records

        fit, report = fitted(
            read_records(records, self.find),
            self._by_id,
            self._forecaster,
            folds=folds,
            seed=seed,
        )
        self._fit = fit
        return report

    def save(self, path: str | PathLike[str]) -> None:
        """Write what was learned from records and ratings to a JSON file; the models themselves are not in it."""
        state = {
            "format": STATE_FORMAT,
            "fit": None if self._fit is None else self._fit.to_dict(),
            "feedback": self._feedback.to_dict(),
        }
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(state) + "\n")

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        models: Sequence[ModelInfo] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        explore: float = 0.0,
        random: Random | None = None,
    ) -> Self:
        """Return a router over `models` (the catalogue when None) that knows what `save` wrote.

        Raises:
            InvalidRequestError: The file is not one that `save` wrote.
            ConfigurationError: It holds text weights, and numpy is not installed.
        """
        from omnilabs.router._fit import Fit  # a router that is not fitted needs none of it

        router = cls(models, clock=clock, explore=explore, random=random)
        try:
            with open(path, encoding="utf-8") as file:
                state: Any = json.load(file)
            if state["format"] != STATE_FORMAT:
                raise ValueError(f"format {state['format']!r}, not {STATE_FORMAT}")
            router._fit = None if state["fit"] is None else Fit.from_dict(state["fit"])
            router._feedback = Feedback.from_dict(state["feedback"])
        except ConfigurationError:
            raise
        except (KeyError, TypeError, ValueError, zlib.error) as exc:
            raise InvalidRequestError(f"{path} is not what Router.save writes: {exc!r}", parameter="path") from exc
        return router

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {entry.id: index for index, entry in enumerate(self._entries)}

    @property
    def _by_id(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self._entries}

    def _outlook(self, entries: Sequence[Entry], reading: Reading) -> Outlook:
        return outlook(self._forecaster, entries, reading, self._fit, self._feedback)

    def expected_quality(self, prompts: Sequence[str]) -> list[list[float]]:
        """Return the quality expected of every model, in the catalogue's order, on each prompt."""
        readings = map(self._forecaster.read_text, prompts)
        return [[sigmoid(logit) for logit in self._outlook(self._entries, reading).logits] for reading in readings]

    def evaluate(
        self, records: Iterable[Mapping[str, Any]], *, rel_accuracy: float = 0.5, rel_cost: float = 0.5
    ) -> Evaluation:
        """Return how this router, as it stands, does on graded answers: see `omnilabs.evaluate.evaluate`."""
        from omnilabs._request import build_routing
        from omnilabs.router._fitting import evaluated
        from omnilabs.router._records import read_records

        weights = build_routing(
            k=1, model_names=None, rel_cost=rel_cost, rel_latency=0.0, rel_accuracy=rel_accuracy, verbose=False
        ).weights
        return evaluated(read_records(records, self.find), self._by_id, self._forecaster, self._outlook, weights)
