from __future__ import annotations

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatmodels import Budget, ChatModel, ChatModelConfig, ChatResponse, TokenUsage
from chatmodels import ledger as ledger_module
from chatmodels.factory import wrap
from chatmodels.ledger import BlockedRequest, Ledger
from chatmodels.spending import OverBudgetError, ledger_of
from chatmodels.wrappers import reservation
from unit.chatmodels.wrappers.scripts import in_own_loop

PRICES = {"m-1": {"input_per_1m": 0.0, "output_per_1m": 1.0}}
TOKEN = 1e-6
"""What one token of an answer costs, in dollars."""


class Desk(ChatModel):
    """Answers each request when it is told to, with as many tokens as it is told."""

    provider_name = "own"

    def __init__(self):
        self.came = []
        self.under_way = []
        self.charged = 0

    async def complete_async(self, request):
        answer = asyncio.get_running_loop().create_future()
        self.came.append(request.prompt)
        self.under_way.append((request.max_tokens, answer))
        tokens = await answer
        self.charged += tokens
        usage = TokenUsage(prompt_tokens=1, completion_tokens=tokens, model="m-1", provider="own")
        return ChatResponse(content="fine", model="m-1", usage=usage)

    def answer(self, which=0, share=0.0):
        most, answer = self.under_way.pop(which)
        answer.set_result(int(most * share))


def around(desk):
    return wrap(desk, ChatModelConfig(provider="own", model="m-1", prices=PRICES))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def test_newcomers_that_would_fit_do_not_keep_out_a_large_one_that_waits():
    async def main():
        desk = Desk()
        model = around(desk)

        def ask(name, max_tokens):
            return asyncio.create_task(model.ainvoke(name, max_tokens=max_tokens))

        with Budget(limit_usd=100 * TOKEN) as budget:
            calls = [ask(f"early {number}", 15) for number in range(5)]
            await settle()
            calls.append(ask("large", 80))
            await settle()
            for number in range(10):
                calls.append(ask(f"late {number}", 15))
                await settle()
                desk.answer()
                await settle()
            assert desk.came.index("large") == 5, "nobody who came later was served before it"
            while desk.under_way:
                desk.answer()
                await settle()
            await asyncio.gather(*calls)
            assert (budget.calls, budget.refused, budget.reserved_usd) == (16, 0, 0)

    in_own_loop(main())


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(50, 400),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=15),
    answers=st.lists(
        st.none() | st.tuples(st.integers(0, 20), st.sampled_from([0.0, 0.1, 1.0])), min_size=1, max_size=15
    ),
    given_up=st.sets(st.integers(0, 14)),
)
@example(limit=100, sizes=[60, 60, 10], answers=[None], given_up=set())
def test_requests_are_served_in_the_order_in_which_they_came_and_stay_within_the_limit(limit, sizes, answers, given_up):
    async def main():
        desk = Desk()
        model = around(desk)
        calls = []
        with Budget(limit_usd=limit * TOKEN) as budget:

            def within():
                return budget.spent_usd + budget.assumed_usd + budget.reserved_usd <= budget.limit_usd + 1e-15

            async def answer(which, share):
                if desk.under_way:
                    desk.answer(which % len(desk.under_way), share)
                await settle()
                assert within()

            for number, size in enumerate(sizes):
                calls.append(asyncio.create_task(model.ainvoke(f"{number:02}", max_tokens=size)))
                await settle()
                assert within()
                if number in given_up and f"{number:02}" not in desk.came:
                    calls[-1].cancel()
                how = answers[number % len(answers)]
                if how is not None:
                    await answer(*how)
            while desk.under_way:
                await answer(0, 0.1)
            done = await asyncio.gather(*calls, return_exceptions=True)
        assert desk.came == sorted(desk.came)
        assert all(isinstance(each, ChatResponse | OverBudgetError | asyncio.CancelledError) for each in done)
        assert (desk.charged <= limit, budget.reserved_usd) == (True, 0)

    in_own_loop(main())


async def take(ledger, units):
    return ledger.take(units)


def test_who_looks_for_room_is_not_passed_over_and_who_does_not_is(monkeypatch):
    async def main():
        clock = [0.0]
        monkeypatch.setattr(ledger_module, "monotonic", lambda: clock[0])
        ledger = Ledger(100)
        assert ledger.take(60)
        called = []
        large = BlockedRequest(70, lambda: called.append("large"))
        ledger.await_room(large)
        for _ in range(10):
            clock[0] += 1
            assert (ledger.take(70), await asyncio.create_task(take(ledger, 40))) == (False, False)
        clock[0] += ledger_module.PASSED_OVER_S + 1
        assert await asyncio.create_task(take(ledger, 40))
        ledger.give_back(60)
        ledger.give_back(40)
        assert (called, ledger.take(70)) == (["large"], True)
        assert (await asyncio.create_task(take(ledger, 40)), ledger.reserved) == (False, 70)
        ledger.stop_waiting(large, served=True)
        assert await asyncio.create_task(take(ledger, 30))

    in_own_loop(main())


def test_who_waits_on_a_stopped_event_loop_holds_nobody_up(monkeypatch):
    desk = Desk()
    model = around(desk)
    with Budget(limit_usd=100 * TOKEN) as budget, asyncio.Runner() as stopped:
        assert ledger_of(budget).take(60 * 10**6)

        async def begin():
            call = asyncio.create_task(model.ainvoke("stopped", max_tokens=90))
            await settle()
            return call

        async def main():
            call = asyncio.create_task(model.ainvoke("next", max_tokens=30))
            await settle()
            desk.answer()
            await call

        call = stopped.run(begin())
        monkeypatch.setattr(ledger_module, "PASSED_OVER_S", -1.0)
        in_own_loop(main())
        ledger_of(budget).give_back(60 * 10**6)

        async def go_on():
            await settle()
            desk.answer()
            await call

        stopped.run(go_on())
    assert desk.came == ["next", "stopped"]


def test_the_time_limit_of_who_waits_begins_anew_when_a_request_ends(monkeypatch):
    async def main():
        clock = [0.0]
        for module in (ledger_module, reservation):
            monkeypatch.setattr(module, "monotonic", lambda: clock[0])
        monkeypatch.setattr(reservation, "LOOK_AGAIN_S", 0.001)
        desk = Desk()
        model = around(desk)
        with Budget(limit_usd=100 * TOKEN, max_wait_s=10):
            calls = [asyncio.create_task(model.ainvoke("early", max_tokens=20)) for _ in range(4)]
            await settle()
            calls.append(asyncio.create_task(model.ainvoke("large", max_tokens=90)))
            await settle()
            for _ in range(4):
                clock[0] += 9
                desk.answer()
                await asyncio.sleep(0.02)
            desk.answer()
            await asyncio.gather(*calls)
        assert desk.came[-1] == "large"

    in_own_loop(main())
