"""The cost-quality plot of an evaluation. The only importer of matplotlib."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from omnilabs.errors import ConfigurationError

if TYPE_CHECKING:
    from omnilabs.router._evaluation import Evaluation

__all__ = ["draw"]


def draw(evaluation: Evaluation, path: str) -> None:
    """Write the plot; the file's ending (.svg, .png) says in which format.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigurationError("a plot needs matplotlib: pip install 'omnirouter[plot]'")
    figure_module: Any = importlib.import_module("matplotlib.figure")
    figure = figure_module.Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.subplots()
    usd, quality = zip(*evaluation.curve, strict=True)
    axes.plot([1000 * one for one in usd], quality, marker=".", label="router, at every weight")
    for name, (cost, score) in evaluation.singles.items():
        axes.plot(1000 * cost, score, "ko", markersize=4)
        axes.annotate(name, (1000 * cost, score), textcoords="offset points", xytext=(4, -9), fontsize=7)
    axes.set_xlabel("US dollars per 1,000 prompts")
    axes.set_ylabel("quality")
    axes.set_title(f"{evaluation.prompts} prompts; share of headroom {evaluation.headroom}", fontsize=9)
    axes.legend(loc="lower right")
    figure.savefig(path)
