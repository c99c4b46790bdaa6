"""The models of these tests: three that can do everything, at three prices, and one that can only talk."""

from __future__ import annotations

from decimal import Decimal

from omnilabs.types import Ability, Capabilities, ModelInfo, Price

_EVERYTHING = Capabilities(images=True, pdf=True, audio=True, json_schema=True, reasoning=True)


def _model(
    name: str, dollars: str, ability: float, context_tokens: int, capabilities: Capabilities = _EVERYTHING
) -> ModelInfo:
    return ModelInfo(
        name,
        "openai",
        price=Price(Decimal(dollars), Decimal(dollars)),
        context_tokens=context_tokens,
        max_output_tokens=16_000,
        capabilities=capabilities,
        ability=Ability(ability, 0.1, cells=20),
    )


MODELS = [
    _model("small", "0.1", -1.0, 128_000),
    _model("middle", "1", 1.0, 64_000),
    _model("large", "10", 3.0, 200_000),
    _model("plain", "1", -3.0, 128_000, Capabilities(tools=False)),
]
