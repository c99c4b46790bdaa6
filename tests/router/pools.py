"""Model lists of the router's tests."""

from decimal import Decimal

from omnilabs.router import Ability, Capabilities, ModelInfo, Price, Speed


def model(
    name,
    *,
    usd=1.0,
    ability=0.0,
    se=0.1,
    by_type=None,
    ttft_s=0.5,
    tokens_per_s=100.0,
    context_tokens=None,
    max_output_tokens=None,
    **fields,
):
    """Return a model that charges `usd` per million tokens either way; None for what is not known."""
    able = {key: fields.pop(key) for key in list(fields) if key in Capabilities.__dataclass_fields__}
    return ModelInfo(
        id=name,
        provider=fields.pop("provider", "acme"),
        price=None if usd is None else Price(Decimal(str(usd)), Decimal(str(usd))),
        ability=None if ability is None else Ability(ability, se, by_type or {}, cells=10),
        speed=None if tokens_per_s is None else Speed(ttft_s, tokens_per_s),
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        capabilities=Capabilities(**able),
        **fields,
    )


def ask(text="What is the capital of France?"):
    """Return the messages of one question."""
    return [{"role": "user", "content": text}]


SMALL = model("small", usd=0.1, ability=-1.5, tokens_per_s=200.0)
MIDDLE = model("middle", usd=1.0, ability=0.5, tokens_per_s=80.0)
LARGE = model("large", usd=10.0, ability=2.0, tokens_per_s=40.0)
THREE = (SMALL, MIDDLE, LARGE)
