"""Model lists of the router's tests."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from omnilabs.router import Ability, Capabilities, ModelInfo, Price, Speed


def model(
    name: str,
    *,
    usd: float | None = 1.0,
    ability: float | None = 0.0,
    by_type: Mapping[str, float] | None = None,
    ttft_s: float = 0.5,
    tokens_per_s: float | None = 100.0,
    **fields: Any,
) -> ModelInfo:
    """Return a model that charges `usd` per million tokens either way; None for what is not known."""
    able = {key: fields.pop(key) for key in list(fields) if key in Capabilities.__dataclass_fields__}
    return ModelInfo(
        id=name,
        provider=fields.pop("provider", "acme"),
        price=None if usd is None else Price(Decimal(str(usd)), Decimal(str(usd))),
        ability=None if ability is None else Ability(ability, 0.1, by_type or {}, cells=10),
        speed=None if tokens_per_s is None else Speed(ttft_s, tokens_per_s),
        capabilities=Capabilities(**able),
        **fields,
    )


def ask(text: str = "What is the capital of France?") -> list[dict[str, str]]:
    """Return the messages of one question."""
    return [{"role": "user", "content": text}]


SMALL = model("small", usd=0.1, ability=-1.5, tokens_per_s=200.0)
MIDDLE = model("middle", usd=1.0, ability=0.5, tokens_per_s=80.0)
LARGE = model("large", usd=10.0, ability=2.0, tokens_per_s=40.0)
THREE = (SMALL, MIDDLE, LARGE)

_coarse = st.integers(0, 6)
"""Few distinct values, so that ties and dominated models are common."""


@st.composite
def pools(draw: st.DrawFn) -> list[ModelInfo]:
    """Random catalogues, with ties, free models and models of which little is known."""
    usd = st.one_of(st.none(), st.just(0.0), _coarse.map(lambda n: 0.05 * 3**n), st.floats(0.01, 100))
    ability = st.one_of(st.none(), _coarse.map(lambda n: n - 3.0), st.floats(-4, 4))
    speed = st.one_of(st.none(), _coarse.map(lambda n: 10.0 * 2**n), st.floats(1, 1000))
    rows = draw(st.lists(st.tuples(usd, ability, speed), min_size=1, max_size=12))
    return [
        model(f"m{place}", usd=price, ability=able, tokens_per_s=rate) for place, (price, able, rate) in enumerate(rows)
    ]


weights = st.one_of(st.floats(0, 1), st.integers(0, 10).map(lambda n: n / 10))
