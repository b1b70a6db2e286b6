from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generative_ai_workflow import ConfigurationError, TransformStep, Workflow, WorkflowConfig, WorkflowEngine
from unit.generative_ai_workflow.loops import run_alone


class Gauge:
    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, names: dict) -> dict:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001 * (7 - names["i"] % 7))
        self.now -= 1
        if names.get("bad"):
            raise ValueError("bad")
        return {"i": names["i"]}


def numbers(count: int, taken: list[int] | None = None) -> Iterator[dict]:
    for i in range(count):
        if taken is not None:
            taken.append(i)
        yield {"i": i}


def test_results_come_in_the_order_of_the_inputs_and_concurrency_is_bounded() -> None:
    gauge = Gauge()
    workflow = Workflow([TransformStep("t", gauge)])

    async def go() -> list:
        return await WorkflowEngine().run_many(workflow, numbers(50), concurrency=5)

    results = run_alone(go())
    assert [result.output["i"] for result in results] == list(range(50))
    assert gauge.most == 5


def test_blocking_iteration_and_the_concurrency_of_the_workflow() -> None:
    gauge = Gauge()
    workflow = Workflow([TransformStep("t", gauge)], config=WorkflowConfig(concurrency=3))
    results = list(WorkflowEngine().run_many(workflow, numbers(20)))
    assert [result.output["i"] for result in results] == list(range(20))
    assert gauge.most == 3


def test_inputs_are_taken_as_needed() -> None:
    taken: list[int] = []
    workflow = Workflow([TransformStep("t", Gauge())])

    async def go() -> None:
        async for _ in WorkflowEngine().run_many(workflow, numbers(10_000, taken), concurrency=2):
            break

    run_alone(go())
    assert len(taken) < 20


def test_one_failing_run_does_not_stop_the_others() -> None:
    inputs = [{"i": 0}, {"i": 1, "bad": True}, "no dict", {"i": 3}]
    results = list(WorkflowEngine().run_many(Workflow([TransformStep("t", Gauge())]), inputs))  # type: ignore[list-item]
    assert [str(result.status) for result in results] == ["completed", "failed", "failed", "completed"]
    assert "dict" in results[2].error


def test_unless_the_workflow_says_so() -> None:
    taken: list[int] = []
    workflow = Workflow(
        [TransformStep("t", lambda n: 1 / 0)], config=WorkflowConfig(concurrency=2, continue_on_error=False)
    )
    results = list(WorkflowEngine().run_many(workflow, numbers(1000, taken)))
    assert len(results) == len(taken) < 20


def test_no_inputs_no_results() -> None:
    engine = WorkflowEngine()
    workflow = Workflow([TransformStep("t", lambda n: 1)])
    assert list(engine.run_many(workflow, [])) == []


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "4"])
def test_a_concurrency_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="concurrency"):
        WorkflowEngine().run_many(Workflow([TransformStep("t", lambda n: 1)]), [], wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_inputs_that_fail_in_the_middle_are_the_callers_error_and_cost_no_run_that_has_begun(concurrency: int) -> None:
    def broken() -> Iterator[dict]:
        yield from numbers(3)
        raise OSError("gone")

    results = iter(WorkflowEngine().run_many(Workflow([TransformStep("t", Gauge())]), broken(), concurrency))
    assert [next(results).output["i"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(results)


@pytest.mark.parametrize("wrong", [5, None, "text", b"bytes"])
def test_inputs_that_are_no_row_of_inputs_are_refused_at_once(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WorkflowEngine().run_many(Workflow([TransformStep("t", lambda names: 1)]), wrong)
    assert type(wrong).__name__ in str(caught.value)


def test_results_are_found_by_place_and_by_key_in_blocking_code() -> None:
    seen: list[int] = []

    def double(names: dict[str, int]) -> int:
        seen.append(names["n"])
        return 2 * names["n"]

    workflow = Workflow([TransformStep("double", double)])
    engine = WorkflowEngine()
    in_order = engine.run_many(workflow, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert [in_order[place].output["double"] for place in (2, 0, -1)] == [6, 2, 6]
    by_key = engine.run_many(workflow, {"a": {"n": 4}, "b": {"n": 5}}, concurrency=1)
    assert by_key["b"].output["double"] == 10
    assert sorted(seen) == [1, 2, 3, 4, 5]


def test_inputs_by_key_give_results_by_key() -> None:
    workflow = Workflow([TransformStep("double", lambda names: 2 * names["n"])])
    engine = WorkflowEngine()

    async def awaited() -> dict[str, int]:
        results = await engine.run_many(workflow, {"a": {"n": 1}, "b": {"n": 2}})
        return {key: result.output["double"] for key, result in results.items()}

    assert run_alone(awaited()) == {"a": 2, "b": 4}
    assert [(key, result.output["double"]) for key, result in engine.run_many(workflow, {"z": {"n": 3}})] == [("z", 6)]


def test_a_workflow_that_nobody_else_holds_lives_as_long_as_its_runs() -> None:
    def made() -> Workflow:
        return Workflow([TransformStep("double", lambda names: 2 * names["n"])], input_schema={"n": "integer"})

    results = WorkflowEngine().run_many(made(), [{"n": 1}, {"n": 2}])
    gc.collect()
    assert [result.output["double"] for result in results] == [2, 4]


def test_keys_that_a_store_could_not_find_again_are_refused(tmp_path: Path) -> None:
    workflow = Workflow([TransformStep("double", lambda names: 2 * names["n"])], name="double")
    with pytest.raises(ConfigurationError, match="1 is none"):
        WorkflowEngine(store=tmp_path / "runs.sqlite").run_many(workflow, {1: {"n": 1}})


def test_no_inputs_are_taken_once_the_program_is_to_end() -> None:
    engine = WorkflowEngine()
    taken: list[int] = []
    with engine.cancelled_by_signals() as shutdown:
        workflow = Workflow([TransformStep("wait", lambda _: asyncio.sleep(30), inline=True)])

        async def go() -> list[str]:
            asyncio.get_running_loop().call_later(0.1, shutdown.request, 15)
            return [str(result.status) for result in await engine.run_many(workflow, numbers(10**9, taken), 4)]

        assert run_alone(go()) == ["cancelled"] * 4
    assert len(taken) <= 5
