"""What a prompt is taken for: soft task types from its words, by the weights of a small readable file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from omnilabs._frozen import frozen

__all__ = ["TASK_TYPES", "TaskTypes", "words_of"]

TASK_TYPES = ("code", "math", "math_formal", "knowledge", "law_med_hum", "puzzle", "extract", "chat")

# One pass: words, numbers, TeX commands, the marks of code, and each character of a script written without spaces.
# `re` compiles both when they are first used and keeps them: compiling is a twentieth of the package's import.
_PIECE = r"[^\W\d_]+|\d+|\\[a-z]+|```|[{}$=<>;]|==|\|"
_UNSPACED = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]"


def words_of(text: str) -> list[str]:
    """Return the tokens of a (clipped) prompt, lower case; numbers become their count of digits."""
    words = re.findall(_PIECE, text.lower())
    if text.isascii():
        return ["0" * min(len(word), 4) if word[0] in "0123456789" else word for word in words]
    return [piece for word in words for piece in _pieces(word)]


def _pieces(word: str) -> Sequence[str]:
    if word[0].isdigit():
        return ("0" * min(len(word), 4),)
    return re.findall(_UNSPACED, word) or (word,)


@frozen
class TaskTypes:
    """A linear softmax over a prompt's distinct words.

    Attributes:
        version: Date the weights were made.
        bias: One logit per task type.
        rows: Word -> its weight per task type; a word not in here says nothing.
    """

    version: str
    bias: tuple[float, ...]
    rows: Mapping[str, tuple[float, ...]]

    @classmethod
    def load(cls) -> TaskTypes:
        """Return the weights shipped with the package."""
        return _shipped()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> TaskTypes:
        """Return the weights from the artefact's JSON, as `scripts/train_task_types.py` writes it."""
        if tuple(data["types"]) != TASK_TYPES:
            raise ValueError(f"task types are {', '.join(TASK_TYPES)}, not {data['types']}")
        step = float(data["step"])
        rows = {word: tuple(step * weight for weight in weights) for word, weights in data["words"].items()}
        return cls(data["version"], tuple(data["bias"]), rows)

    def mix(self, words: Sequence[str]) -> tuple[float, ...]:
        """Return the probability per task type. Words are counted once, and fewer words say less."""
        distinct = set(words)
        rows = self.rows
        known = [rows[word] for word in distinct if word in rows]
        if known:
            share = 1.0 / math.sqrt(len(distinct))
            # Sorted inside `fsum`, in effect: the sum does not depend on the order of a set.
            logits = [
                b + share * math.fsum(column) for b, column in zip(self.bias, zip(*known, strict=True), strict=True)
            ]
        else:
            logits = list(self.bias)
        top = max(logits)
        odds = [math.exp(logit - top) for logit in logits]
        total = sum(odds)
        return tuple(odd / total for odd in odds)


@lru_cache(maxsize=1)
def _shipped() -> TaskTypes:
    from importlib import resources  # five milliseconds that an import of the package need not take

    return TaskTypes.parse(
        json.loads(resources.files("omnilabs.router").joinpath("task_types.json").read_text("utf-8"))
    )
