from __future__ import annotations

import asyncio
import time

from generative_ai_workflow.observability.metrics import StepTimer
from unit.generative_ai_workflow.loops import run_alone


def test_a_timer_measures_milliseconds() -> None:
    with StepTimer("nap") as timer:
        assert timer.duration_ms >= 0
        time.sleep(0.02)
    assert 20 <= timer.duration_ms < 1000
    assert timer.duration_ms == timer.duration_ms
    assert timer.name == "nap"


def test_a_timer_by_hand_and_in_a_coroutine() -> None:
    timer = StepTimer()
    assert timer.duration_ms == 0.0
    timer.start()
    assert timer.stop() == timer.duration_ms > 0

    async def go() -> float:
        async with StepTimer() as timer:
            await asyncio.sleep(0.01)
        return timer.duration_ms

    assert run_alone(go()) >= 9
