"""Money: what a call may cost, what a client may spend, and what it has spent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from fault_kit import QUESTION, ask, failure, providers
from faultserver import Act, FaultServer, completion, delta, stream, whole
from router.pools import model as model_of

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import BudgetExceededError, ConfigurationError
from omnilabs.router import Router

if TYPE_CHECKING:
    from conftest import Omni

PER_CALL = Decimal("0.000011")  # 9 + 2 tokens at a dollar a million
streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def client_of(omni: Omni, server: FaultServer, **options: Any) -> Any:
    models = [
        model_of("cheap", provider="local", usd=1.0, ability=0.0),
        model_of("dear", provider="local", usd=1000.0, ability=3.0),
        model_of("unpriced", provider="local", usd=None, ability=3.0),
    ]
    return omni.client(providers=providers(server), models=models, **options)


@streamed_or_not
def test_spending_is_added_up_by_model(omni: Omni, server: FaultServer, streamed: bool):
    client = client_of(omni, server)
    for name in ("cheap", "cheap", "dear", "unpriced"):
        ask(client, streamed=streamed, model=name)
    spend = client.spend
    assert spend.cost_usd == 2 * PER_CALL + 1000 * PER_CALL
    assert (spend.calls, spend.unpriced_calls) == (4, 1)
    cheap = spend.by_model["cheap"]
    assert (cheap.calls, cheap.input_tokens, cheap.output_tokens, cheap.cost_usd) == (2, 18, 4, 2 * PER_CALL)
    assert spend.by_model["unpriced"].cost_usd == 0
    assert spend["cost_usd"] == spend.cost_usd
    assert spend.to_dict()["by_model"]["dear"]["calls"] == 1


@streamed_or_not
def test_a_call_that_may_cost_too_much_is_not_made(omni: Omni, server: FaultServer, streamed: bool):
    client = client_of(omni, server)
    error = failure(lambda: ask(client, streamed=streamed, model="dear", max_cost_usd=0.0001))
    assert type(error) is BudgetExceededError
    assert "max_cost_usd" in str(error)
    assert "dear" in error.rejected
    assert server.requests == []
    assert client.spend.calls == 0
    assert ask(client, streamed=streamed, model="cheap", max_cost_usd=0.01).content


def test_the_longest_answer_allowed_counts(omni: Omni, server: FaultServer):
    client = client_of(omni, server)
    assert ask(client, streamed=False, model="cheap", max_cost_usd=0.002, max_tokens=1000).content
    error = failure(lambda: ask(client, streamed=False, model="cheap", max_cost_usd=0.002, max_tokens=100_000))
    assert type(error) is BudgetExceededError


def test_a_model_without_a_price_is_refused_where_money_is_limited(omni: Omni, server: FaultServer):
    client = client_of(omni, server)
    for name in ("unpriced", "local/never-heard-of"):
        error = failure(partial(ask, client, streamed=False, model=name, max_cost_usd=1.0))
        assert type(error) is BudgetExceededError
        assert "price" in str(error)
    assert server.requests == []


def test_selection_leaves_out_what_is_too_dear(omni: Omni, server: FaultServer):
    client = client_of(omni, server)
    answer = client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0, max_cost_usd=0.01)
    assert answer.model_id == "cheap"
    assert "max_cost_usd" in answer.decision.rejected["dear"]
    assert "price is not known" in answer.decision.rejected["unpriced"]
    error = failure(lambda: client.smart_select(QUESTION, max_cost_usd=1e-9))
    assert type(error) is BudgetExceededError


def test_a_client_stops_when_its_budget_is_spent(omni: Omni, server: FaultServer):
    client = client_of(omni, server, max_cost_usd=0.02)
    assert ask(client, streamed=False, model="cheap").content
    answered = whole(200, completion(usage={"prompt_tokens": 20_000, "completion_tokens": 1}))
    server.script(answered)  # the provider's count is what is paid, whatever was expected
    assert ask(client, streamed=False, model="cheap").content
    asked = len(server.requests)
    for call in (lambda: ask(client, streamed=False, model="cheap"), lambda: client.smart_select(QUESTION)):
        error = failure(call)
        assert type(error) is BudgetExceededError
        assert "raise max_cost_usd" in str(error)
    assert len(server.requests) == asked


def test_what_is_left_of_the_budget_limits_the_next_call(omni: Omni, server: FaultServer):
    client = client_of(omni, server, max_cost_usd=0.3)
    assert client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0, max_tokens=100).model_id == "dear"
    server.script(whole(200, completion(usage={"prompt_tokens": 250_000, "completion_tokens": 1})))
    ask(client, streamed=False, model="cheap")
    assert client.smart_select(QUESTION, rel_accuracy=1.0, rel_cost=0.0, max_tokens=100).model_id == "cheap"


def test_broken_and_abandoned_streams_are_paid_for_by_estimate(omni: Omni, server: FaultServer):
    client = client_of(omni, server)
    server.script(stream(*[delta("word ")] * 40), stream(*[delta("word ")] * 40, ends=False, then="hold"))
    failure(lambda: ask(client, streamed=True, model="cheap"))
    broken = client.spend
    assert broken.calls == 1
    assert broken.cost_usd > 0
    assert broken.by_model["cheap"].failed_attempts == 1
    left = client.chat(QUESTION, "cheap", stream=True)
    next(iter(left))
    left.close()
    assert client.spend.calls == 2
    assert client.spend.cost_usd > broken.cost_usd


def test_failed_attempts_are_counted_and_cost_nothing(omni: Omni, server: FaultServer):
    client = client_of(omni, server)
    server.script(*[whole(500, {}, {"retry-after-ms": "0"})] * 2)
    ask(client, streamed=False, model="cheap")
    line = client.spend.by_model["cheap"]
    assert (line.calls, line.failed_attempts, line.cost_usd) == (1, 2, PER_CALL)


def test_nothing_is_lost_when_many_threads_spend(server: FaultServer):
    models = [model_of("cheap", provider="local", usd=1.0)]
    with OmniClient(providers=providers(server), models=models) as client, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: client.chat(QUESTION, "cheap"), range(300)))
        assert client.spend.cost_usd == 300 * PER_CALL


@pytest.mark.parametrize("budget", [-1, float("nan"), "much", True])
def test_a_budget_that_is_no_amount_is_refused(budget: Any):
    with pytest.raises(ConfigurationError, match="max_cost_usd"):
        OmniClient(mode="sandbox", max_cost_usd=budget)


def test_calls_at_the_same_moment_cannot_pass_the_budget_together(server: FaultServer):
    models = [model_of("cheap", provider="local", usd=1.0)]
    expected_usd = Router(models).select(QUESTION).pick.cost_usd
    assert expected_usd is not None
    server.answer = lambda request: Act(whole(200, completion()).pieces, first_s=0.3)

    async def main() -> tuple[list[Any], Any]:
        budget_usd = float(expected_usd) * 3.5
        async with AsyncOmniClient(providers=providers(server), models=models, max_cost_usd=budget_usd) as client:
            named = [client.chat(QUESTION, "cheap") for _ in range(5)]
            chosen = [client.smart_select(QUESTION) for _ in range(5)]
            outcomes = await asyncio.gather(*named, *chosen, return_exceptions=True)
            again = await client.chat(QUESTION, "cheap")  # what was held has been given back
            return outcomes, again

    outcomes, again = asyncio.run(main())
    refused: list[Any] = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(outcomes) - len(refused) == 3
    assert {type(error) for error in refused} == {BudgetExceededError}
    assert all(error.retryable and "under way" in str(error) for error in refused)
    assert again.content
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("factor", "own", "retryable"),
    [(1.5, None, True), (1.5, 0.5, False), (0.5, None, False), (1.5, 1.2, True)],
    ids=["held alone", "the call's own limit", "more than the whole budget", "held, below the call's own limit"],
)
def test_a_refusal_is_retryable_only_where_waiting_would_mend_it(
    server: FaultServer, factor: float, own: float | None, retryable: bool
):
    models = [model_of("cheap", provider="local", usd=1.0)]
    expected_usd = float(Router(models).select(QUESTION).pick.cost_usd or 0)
    with OmniClient(providers=providers(server), models=models, max_cost_usd=expected_usd * factor) as client:
        held = client._core.ledger.hold(Decimal(expected_usd * factor / 2), expected_usd * factor)
        limit: dict[str, Any] = {} if own is None else {"max_cost_usd": expected_usd * own}
        for call in (client.chat, client.smart_select):
            named: dict[str, Any] = {"model": "cheap"} if call == client.chat else {}
            with pytest.raises(BudgetExceededError) as caught:
                call(QUESTION, **named, **limit)
            assert caught.value.retryable is retryable
            assert ("under way" in str(caught.value)) is retryable
        held.ended(None, None)
        if retryable:
            assert client.chat(QUESTION, "cheap", **limit).content


@streamed_or_not
def test_what_was_held_is_given_back_however_a_call_ends(omni: Omni, server: FaultServer, streamed: bool):
    client = client_of(omni, server, max_cost_usd=0.001, max_retries=0)
    server.script(*[whole(500, {})] * 3, *[whole(400, {})] * 3, *[stream(*map(delta, "abc"))] * 3)
    for _ in range(6):
        failure(lambda: ask(client, streamed=streamed, model="cheap"))
    for _ in range(3):
        left = client.chat(QUESTION, "cheap", stream=True)
        next(iter(left))
        left.close()
    assert ask(client, streamed=streamed, model="cheap").content
    assert client.raw._core.ledger.taken_usd == client.spend.cost_usd
