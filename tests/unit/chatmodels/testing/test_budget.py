from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatmodels import (
    ChatModel,
    ChatModelError,
    ChatResponse,
    ErrorCode,
    MockChatModel,
    RecordingModel,
    ReplayModel,
    create_chat_model,
)
from chatmodels.testing import BrokenAnswer, ModelBudget
from chatmodels.types import TokenUsage
from fmf_core.errors import ConfigurationError
from unit.chatmodels.wrappers.scripts import in_own_loop

# A call of a million words to gpt-4o-mini costs 0.15 dollars, the answer 0.60.
PRICED = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")


def priced(**settings):
    return create_chat_model("mock", usage=PRICED, **settings)


def every_way(model):
    yield lambda: model.invoke("x")
    yield lambda: list(model.stream("x"))


@pytest.mark.parametrize("way", [0, 1])
def test_the_call_after_the_one_that_spends_it_is_refused_before_it_is_made(way):
    model = priced()
    with ModelBudget(limit_usd=0.2) as budget:
        ask = list(every_way(model))[way]
        ask()
        assert (budget.spent_usd, budget.calls, budget.exceeded) == (pytest.approx(0.15), 1, False)
        ask()
        for again in every_way(model):
            with pytest.raises(ChatModelError, match=r"\$0\.300000 were spent of a budget of \$0\.200000") as caught:
                again()
            assert caught.value.code is ErrorCode.BUDGET
            assert not caught.value.retryable
    assert (model.call_count, budget.calls, budget.refused) == (2, 2, 2)
    with pytest.raises(AssertionError, match="2 calls were refused"):
        budget.assert_within_budget()
    model.invoke("x")
    assert budget.calls == 2, "it is in force inside its block only"


def test_what_was_spent_exactly_is_within_but_no_further_call():
    with ModelBudget(limit_usd=0.15) as budget:
        priced().invoke("x")
        budget.assert_within_budget()
        with pytest.raises(ChatModelError):
            priced().invoke("x")


def test_a_budget_of_nothing_refuses_the_first_call():
    with ModelBudget(limit_usd=0) as budget, pytest.raises(ChatModelError):
        priced().invoke("x")
    assert budget.calls == 0


def test_without_a_limit_it_only_counts():
    with ModelBudget() as budget:
        for _ in range(3):
            priced().invoke("x")
    assert budget.spent_usd == pytest.approx(0.45)
    budget.assert_within_budget()


def test_all_budgets_in_force_count():
    with ModelBudget() as outer:
        priced().invoke("x")
        with ModelBudget(limit_usd=0.1) as inner:
            priced().invoke("x")
            with pytest.raises(ChatModelError):
                priced().invoke("x")
    assert (outer.calls, inner.calls, outer.refused, inner.refused) == (2, 1, 0, 1)


def test_a_budget_that_is_entered_twice_counts_once_until_it_is_left_twice():
    with ModelBudget() as budget:
        with budget:
            priced().invoke("x")
        priced().invoke("x")
        assert (budget.calls, budget.spent_usd) == (2, pytest.approx(0.30))
    priced().invoke("x")
    assert budget.calls == 2


def test_a_budget_that_is_in_force_twice_sets_aside_once():
    model = create_chat_model("mock", model="gpt-4o-mini", responses="a", max_tokens=1000)
    with ModelBudget(limit_usd=0.0007) as budget, budget:
        model.invoke("x")
    assert (budget.calls, budget.refused, budget.reserved_usd) == (1, 0, 0)


def test_the_task_that_leaves_first_does_not_end_it_for_the_others():
    async def main():
        model = priced()
        budget = ModelBudget(limit_usd=0.2)
        entered, left = asyncio.Event(), asyncio.Event()

        async def short():
            with budget:
                await entered.wait()
            left.set()

        async def long():
            with budget:
                entered.set()
                await left.wait()
                results = [await asyncio.gather(model.ainvoke("x"), return_exceptions=True) for _ in range(4)]
            return [type(result).__name__ for (result,) in results]

        _, answers = await asyncio.gather(short(), long())
        assert answers == ["ChatResponse", "ChatResponse", "OverBudgetError", "OverBudgetError"]
        await model.ainvoke("x")
        assert (budget.calls, model.call_count) == (2, 3)

    in_own_loop(main())


@settings(max_examples=30, deadline=None)
@given(
    limit_usd=st.floats(0, 0.004), blocks=st.lists(st.lists(st.integers(500, 2000), max_size=4), min_size=2, max_size=5)
)
def test_threads_that_share_a_budget_never_exceed_its_limit(limit_usd, blocks):
    model = create_chat_model("mock", model="gpt-4o-mini", responses="word " * 100, max_tokens=1000)
    budget, charged = ModelBudget(limit_usd=limit_usd, max_wait_s=5), []

    def work(limits):
        with budget:
            for max_tokens in limits:
                with contextlib.suppress(ChatModelError), budget:
                    charged.append(model.invoke("x", max_tokens=max_tokens).cost_usd)

    threads = [threading.Thread(target=work, args=(limits,)) for limits in blocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(charged) == pytest.approx(budget.spent_usd)
    assert (budget.spent_usd <= limit_usd, budget.reserved_usd, budget.calls) == (True, 0, len(charged))


def test_what_is_not_paid_costs_nothing(tmp_path):
    RecordingModel(MockChatModel(usage=PRICED), tmp_path / "calls.jsonl").invoke("x")
    with ModelBudget(limit_usd=0.01) as budget:
        replay = budget.watch(ReplayModel(tmp_path / "calls.jsonl"))
        for ask in every_way(replay):
            ask()
    assert (budget.spent_usd, budget.calls) == (0.0, 2)


def test_an_unknown_price_is_not_zero():
    unknown = create_chat_model("mock", usage=PRICED.model_copy(update={"model": "own-1"}))
    with ModelBudget(limit_usd=1) as budget:
        unknown.invoke("x")
        assert budget.unpriced_models == ("own-1",)
        with pytest.raises(ChatModelError, match="the price of 'own-1' is unknown") as caught:
            unknown.invoke("x")
    assert "prices=" in caught.value.hint
    for more in ({"prices": {"own-1": {"input_per_1m": 2.0, "output_per_1m": 0.0}}}, {}):
        model = create_chat_model("mock", usage=PRICED.model_copy(update={"model": "own-1"}), **more)
        prices = {} if more else {"own-1": {"input_per_1m": 2.0, "output_per_1m": 0.0}}
        with ModelBudget(limit_usd=10, prices=prices) as budget:
            for ask in every_way(model):
                ask()
        assert budget.spent_usd == pytest.approx(4.0)


def test_a_mock_of_a_model_of_ones_own_is_free():
    with ModelBudget(limit_usd=1) as budget:
        for _ in range(2):
            create_chat_model("mock", model="own-1").invoke("x")
    assert budget.spent_usd == 0.0


def test_a_stream_that_was_left_early_is_told():
    with ModelBudget(limit_usd=1) as budget:
        stream = priced(responses="a b c").stream("x")
        next(stream)
        stream.close()
        assert (budget.calls, budget.unknown, budget.spent_usd) == (1, 1, 0.0)
        priced().invoke("x")


def test_what_was_cancelled_is_told():
    model = priced(responses="a b c", latency_s=0.01, chunk_delay_s=60.0)

    async def read(asked):
        async for _ in model.astream("x"):
            asked.set()

    async def cancel(work, ready):
        task = asyncio.create_task(work)
        await ready
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def main():
        asked = asyncio.Event()
        await cancel(priced(latency_s=60.0).ainvoke("x"), asyncio.sleep(0.01))
        await cancel(read(asked), asked.wait())

    with ModelBudget(limit_usd=1) as budget:
        in_own_loop(main())
    assert (budget.calls, budget.unknown, budget.spent_usd) == (2, 2, 0.0)


@pytest.mark.parametrize("failure", [ErrorCode.UNAVAILABLE, BrokenAnswer("half")])
def test_failed_calls_are_not_counted(failure):
    model = priced(responses=[failure], retry=None)
    with ModelBudget(limit_usd=1) as budget:
        for ask in every_way(model):
            with pytest.raises(ChatModelError):
                ask()
    assert budget.calls == 0


def test_a_model_of_ones_own_can_be_watched():
    own = MockChatModel(usage=PRICED)
    with ModelBudget() as budget:
        own.invoke("x")
        assert budget.calls == 0
        watched = budget.watch(own)
        watched.invoke("x")
        assert budget.watch(watched) is watched
        assert budget.watch(create_chat_model("mock")).invoke("x")
    assert budget.calls == 2


def test_a_watched_model_that_nobody_named_has_no_price_of_another():
    class Own(ChatModel):
        def complete(self, request):
            usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model=request.model, provider="own")
            return ChatResponse(content="fine", model=request.model, usage=usage)

    with ModelBudget() as budget:
        answer = budget.watch(Own()).invoke("x")
        assert budget.watch(Own()).invoke("x", model="gpt-4o-mini").cost_usd > 0
    assert (answer.model, answer.cost_usd, budget.unpriced_models) == ("Own", None, ("Own",))


def test_calls_of_many_threads_are_all_counted():
    model = priced()

    def ask():
        for _ in range(20):
            model.invoke("x")

    with ModelBudget() as budget:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (budget.calls, budget.spent_usd) == (160, pytest.approx(24.0))
    assert "calls=160" in repr(budget)


@pytest.mark.parametrize("limit_usd", [-1, float("nan")])
def test_a_wrong_limit_is_refused(limit_usd):
    with pytest.raises(ConfigurationError, match="limit_usd"):
        ModelBudget(limit_usd)
