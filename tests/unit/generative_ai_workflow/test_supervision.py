from __future__ import annotations

import asyncio
import time

import pytest

from generative_ai_workflow.supervision import Interruption, Supervision, at_most, slack_of
from unit.generative_ai_workflow.loops import run_alone


async def walk(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def test_a_walk_comes_to_its_own_end() -> None:
    assert run_alone(Supervision[str]().watch(walk(0), 5)) == "done"
    assert run_alone(Supervision[str]().watch(walk(0), None)) == "done"


def test_a_walk_that_fails_is_raised() -> None:
    async def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_alone(Supervision[str]().watch(fail(), None))


def test_a_late_walk() -> None:
    assert run_alone(Supervision[str]().watch(walk(5), 0.02)) is Interruption.LATE


def test_a_clock_elsewhere_makes_it_late_too() -> None:
    async def go() -> object:
        supervision = Supervision[str]()
        asyncio.get_running_loop().call_later(0.01, supervision.expire)
        return await supervision.watch(walk(5), 0.05)

    assert run_alone(go()) is Interruption.LATE


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_stopping_waits_for_steps_with_calls_in_flight_within_the_grace(grace: float) -> None:
    async def go() -> tuple[object, float]:
        supervision = Supervision[str]()
        supervision.take_off("step")
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, supervision.stop, grace)
        loop.call_later(0.3, supervision.land, "step")
        loop.call_later(0.6, supervision.ended, "step")
        began = time.monotonic()
        return await supervision.watch(walk(30), None), time.monotonic() - began

    ending, elapsed = run_alone(go())
    assert ending is Interruption.STOPPED
    assert elapsed < 4
    assert (elapsed > 0.55) is (grace > 0)


def test_stopped_before_it_began() -> None:
    async def go() -> object:
        supervision = Supervision[str]()
        supervision.stop(5)
        supervision.stop(5)
        return await supervision.watch(walk(5), None)

    assert run_alone(go()) is Interruption.STOPPED


def test_at_most_leaves_what_takes_longer_alone() -> None:
    ended = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        ended.append(1)
        raise ValueError("nobody's business")

    async def go() -> None:
        await at_most(slow(), 0.01)
        assert not ended
        await asyncio.sleep(0.08)

    run_alone(go())
    assert ended


def test_slack() -> None:
    assert slack_of(None) is None
    assert slack_of(1.0) == 0.05
    assert slack_of(1000.0) == 0.5
