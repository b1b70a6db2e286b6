from __future__ import annotations

import asyncio
import gc
import time

import pytest

from generative_ai_workflow import (
    LLMStep,
    MockLLMProvider,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowError,
    WorkflowStatus,
)
from unit.generative_ai_workflow.loops import run_alone


def slow(seconds: float) -> Workflow:
    return Workflow([TransformStep("t", lambda n: time.sleep(seconds) or 1)], name="slow")


def test_start_returns_at_once_and_the_result_is_kept() -> None:
    began = time.monotonic()
    handle = slow(0.3).start({"a": 1}, correlation_id="mine")
    assert time.monotonic() - began < 0.2
    assert not handle.done()
    assert handle.status in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)
    assert handle.correlation_id == "mine"
    assert "slow" in repr(handle)
    with pytest.raises(TimeoutError, match="goes on"):
        handle.result(timeout=0.01)
    result = handle.result()
    assert handle.done()
    assert handle.status is result.status is WorkflowStatus.COMPLETED
    assert handle.workflow_id == result.workflow_id
    assert handle.result(timeout=0) is result
    assert run_alone(awaited(handle)) is result


async def awaited(handle: object) -> object:
    return await handle  # type: ignore[misc]


def test_in_a_coroutine_it_runs_on_that_loop() -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        seen = []

        async def where(names: dict) -> int:
            seen.append(asyncio.get_running_loop() is loop)
            return 1

        handle = Workflow([TransformStep("t", where)]).start()
        assert (await handle).succeeded
        assert (await handle) is handle.result()
        assert seen == [True]

    run_alone(go())


def test_waiting_where_it_would_never_end_is_refused() -> None:
    async def go() -> None:
        handle = slow(0.05).start()
        with pytest.raises(WorkflowError, match="await handle"):
            handle.result(timeout=1)
        assert (await handle).succeeded

    run_alone(go())


def test_who_stops_waiting_does_not_stop_the_run() -> None:
    async def go() -> None:
        handle = slow(0.2).start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle, 0.02)
        assert (await handle).succeeded

    run_alone(go())


def test_a_dropped_handle_does_not_stop_the_run() -> None:
    model = MockLLMProvider(latency_s=0.05)
    Workflow([LLMStep("a", "x", model), LLMStep("b", "x", model)]).start()
    gc.collect()
    end = time.monotonic() + 5
    while model.call_count < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert model.call_count == 2


def test_many_handles_at_once() -> None:
    workflow = Workflow([LLMStep("a", "{i}", MockLLMProvider(latency_s=0.01))])
    engine = WorkflowEngine()
    handles = [engine.start(workflow, {"i": i}) for i in range(200)]
    assert all(handle.result(timeout=20).succeeded for handle in handles)


def test_a_loop_that_ends_first_leaves_a_cancelled_result() -> None:
    async def go() -> object:
        handle = Workflow([TransformStep("t", lambda n: asyncio.sleep(5))]).start()
        await asyncio.sleep(0.05)
        return handle

    handle = run_alone(go())
    assert handle.result(timeout=5).status is WorkflowStatus.CANCELLED  # type: ignore[attr-defined]
    assert not handle.cancel()  # type: ignore[attr-defined]


def test_a_failing_run_is_a_result_too() -> None:
    handle = Workflow([TransformStep("t", lambda n: 1 / 0)]).start()
    assert handle.result(timeout=5).status is WorkflowStatus.FAILED
