"""Who can answer: one reason per model that cannot."""

from typing import Any

import pytest
from router.pools import LARGE, MIDDLE, SMALL, THREE, ask, model

from omnilabs._request import ChatRequest, build_request
from omnilabs.errors import BudgetExceededError, InvalidRequestError, NoEligibleModelError, UnknownModelError
from omnilabs.router import ModelInfo, Router

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("candidate", "call", "reason"),
    [
        (model("m", kind="image"), {}, "not for chat"),
        (model("m", retired=True), {}, "retired"),
        (model("m", tools=False), {"tools": [TOOL]}, "no tools"),
        (model("m", tools=False), {"response_format": SCHEMA}, "JSON schema"),
        (model("m", temperature=False), {"temperature": 0.2}, "temperature"),
        (model("m", temperature=False), {"top_p": 0.9, "logprobs": True}, "logprobs, top_p"),
        (model("m"), {"reasoning_effort": "high"}, "reasoning_effort"),
        (model("m", forced_tools=False), {"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        (model("m", provider="anthropic"), {"seed": 7}, "seed"),
        (model("m", context_tokens=1000), {"max_tokens": 990}, "context of 1,000"),
        (model("m", max_output_tokens=100), {"max_tokens": 101}, "longest answer of 100"),
        (model("m", usd=None), {"max_cost_usd": 1.0}, "price is not known"),
        (model("m", usd=1000), {"max_cost_usd": 0.001}, "may cost"),
        (model("m", tokens_per_s=None), {"max_latency_s": 60.0}, "speed is not known"),
        (model("m", tokens_per_s=1.0), {"max_latency_s": 5.0}, "max_latency_s is 5.0"),
        (model("m", ability=-9.0), {"min_quality": 0.9}, "below min_quality=0.9"),
    ],
)
def test_a_model_that_cannot_answer_is_rejected_with_its_reason(
    candidate: ModelInfo, call: dict[str, Any], reason: str
):
    router = Router([candidate, model("other", tools=True, temperature=True, reasoning=True, usd=0.01, ability=9.0)])
    decision = router.select(ask(), **call)
    assert decision.model == "other"
    assert reason in decision.rejected["m"]


def test_media_need_a_model_that_takes_them():
    router = Router([model("blind"), model("seeing", images=True)])
    decision = router.select([{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PNG]}])
    assert decision.model == "seeing"
    assert decision.rejected == {"blind": "it takes no images"}


def test_a_schema_may_be_asked_for_by_a_forced_tool():
    assert Router([model("m", tools=True, json_schema=False)]).select(ask(), response_format=SCHEMA).model == "m"


def test_dropping_is_the_callers_to_allow():
    router = Router([model("m", temperature=False)])
    assert router.select(ask(), temperature=0.2, unsupported="drop").model == "m"
    with pytest.raises(NoEligibleModelError, match="m: it takes no temperature"):
        router.select(ask(), temperature=0.2)


def test_a_retired_model_answers_when_named():
    router = Router([model("old", retired=True), SMALL])
    assert router.select(ask(), model_names=["old"]).model == "old"
    assert "old" in router.select(ask()).rejected


def test_model_names_restrict_the_choice_and_take_aliases():
    router = Router([model("m", aliases=("emm",), provider="acme"), *THREE])
    for name in ("m", "emm", "acme/m"):
        decision = router.select(ask(), model_names=[name])
        assert decision.model == "m"
        assert decision.rejected == dict.fromkeys(("small", "middle", "large"), "not in model_names")


def test_an_unknown_name_is_an_error_with_the_nearest_ids():
    with pytest.raises(UnknownModelError, match="'midle'") as caught:
        Router(THREE).select(ask(), model_names=["small", "midle"])
    assert "middle" in caught.value.nearest


def test_nothing_left_lists_every_reason():
    with pytest.raises(NoEligibleModelError, match="small: its context") as caught:
        Router(THREE).plan(_request(), available=lambda m: f"its context {m.id}")
    assert caught.value.rejected.keys() == {"small", "middle", "large"}


def test_a_budget_that_rules_out_the_last_model_says_so():
    with pytest.raises(BudgetExceededError):
        Router(THREE).select(ask(), max_cost_usd=1e-9)


def test_what_is_not_available_is_rejected_in_the_words_of_who_knows():
    decision = Router(THREE).plan(_request(), available=lambda m: "set ACME_API_KEY" if m is SMALL else None)
    assert decision.rejected == {"small": "set ACME_API_KEY"}


def test_a_long_prompt_needs_a_long_context():
    router = Router([model("short", context_tokens=8000, ability=3.0), model("long", context_tokens=1_000_000)])
    decision = router.select(ask("word " * 20_000))
    assert decision.model == "long"
    assert "exceeds its context of 8,000" in decision.rejected["short"]


@pytest.mark.parametrize("limit", ["max_cost_usd", "max_latency_s", "min_quality"])
@pytest.mark.parametrize("value", [float("nan"), -1, "1", True])
def test_a_limit_that_is_no_number_is_an_error(limit: str, value: Any):
    with pytest.raises(InvalidRequestError, match=limit):
        Router([MIDDLE, LARGE]).select(ask(), **{limit: value})


def _request() -> ChatRequest:
    return build_request(ask(), temperature=None, max_tokens=None, routing=None, options={})
