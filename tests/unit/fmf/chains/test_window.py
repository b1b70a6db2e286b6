from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fmf.chains.window import InOrder, Window
from fmf_core.portal import run_sync


@given(st.permutations(range(12)))
def test_any_order_becomes_the_right_one(order):
    in_order: InOrder[str] = InOrder()
    seen = []
    for number in order:
        in_order.put(number, f"value {number}")
        seen += in_order.take()
    assert seen == [f"value {number}" for number in range(12)]
    assert in_order.take() == []


def test_a_gap_holds_back_what_follows():
    in_order: InOrder[str] = InOrder()
    in_order.put(1, "b")
    assert in_order.take() == []
    in_order.put(0, "a")
    assert in_order.take() == ["a", "b"]


def run_ahead(size, weight, weights):
    async def go():
        window = Window(size, weight)
        entered = []

        async def feed():
            for each in weights:
                await window.enter(each)
                entered.append(each)

        feeder = asyncio.create_task(feed())
        waves = []
        while not feeder.done() or entered:
            for _ in range(3):
                await asyncio.sleep(0)
            waves.append(list(entered))
            if entered:
                window.leave(entered.pop(0))
        return waves

    return run_sync(go())


def test_no_more_than_its_size_is_inside():
    waves = run_ahead(3, 1000, [1] * 7)
    assert max(map(len, waves)) == 3
    assert len(waves[0]) == 3


def test_no_more_than_its_weight_is_inside():
    waves = run_ahead(10, 10, [4, 4, 4, 4])
    assert max(map(sum, waves)) == 8


def test_one_heavy_thing_alone_may_enter():
    waves = run_ahead(10, 10, [1, 50, 1])
    assert [50] in waves
    assert [1, 50] not in waves
