"""Choosing a model: `Router`, the decisions it takes, and the values it reads."""

from omnilabs._decision import Candidate, Decision, Weights
from omnilabs._models import Ability, Capabilities, ModelInfo, Price, Speed
from omnilabs.router._router import Router

__all__ = [
    "Ability",
    "Candidate",
    "Capabilities",
    "Decision",
    "ModelInfo",
    "Price",
    "Router",
    "Speed",
    "Weights",
]
