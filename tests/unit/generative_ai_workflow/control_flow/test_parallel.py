from __future__ import annotations

import asyncio
from typing import Any

import pytest

from generative_ai_workflow import (
    AbortError,
    ConditionalStep,
    ConfigurationError,
    LLMRequest,
    LLMResponse,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ParallelStep,
    StepContext,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
)
from unit.generative_ai_workflow.loops import run_alone


def slow(name: str, seconds: float, value: object = None, ended: list[str] | None = None) -> TransformStep:
    async def work(names: dict[str, Any]) -> object:
        await asyncio.sleep(seconds)
        if ended is not None:
            ended.append(name)
        return name if value is None else value

    return TransformStep(name, work)


def failing(name: str, seconds: float = 0.0) -> TransformStep:
    async def work(names: dict[str, Any]) -> object:
        await asyncio.sleep(seconds)
        raise ValueError(f"{name} broke")

    return TransformStep(name, work)


def test_steps_run_at_the_same_time_and_are_put_together_as_they_are_written() -> None:
    here = asyncio.Barrier(3)

    async def meet(names: dict[str, Any]) -> str:
        # Each waits for the other two: one after the other they would never end.
        async with asyncio.timeout(20):
            await here.wait()
        return "met"

    steps = [TransformStep(name, meet) for name in "cab"]
    result = Workflow([ParallelStep("all", steps)]).execute()
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["all"] == {"c": "met", "a": "met", "b": "met"}
    assert list(result.output["all"]) == ["c", "a", "b"]


def test_the_order_of_outputs_is_that_of_the_definition_whichever_ends_first() -> None:
    ended: list[str] = []
    steps = [slow("late", 0.05, ended=ended), slow("soon", 0.0, ended=ended)]
    result = Workflow([ParallelStep("all", steps), TransformStep("after", lambda n: [n["late"], n["soon"]])]).execute()
    assert ended == ["soon", "late"]
    assert list(result.output["all"]) == ["late", "soon"]
    assert result.output["after"] == ["late", "soon"]
    assert list(result.output).index("late") < list(result.output).index("soon")


def test_branches_see_what_came_before_and_not_each_other() -> None:
    seen: dict[str, set[str]] = {}

    def look(name: str) -> TransformStep:
        def note(names: dict[str, Any]) -> int:
            seen[name] = set(names)
            return 1

        return TransformStep(name, note, inline=True)

    workflow = Workflow(
        [TransformStep("before", lambda n: 0), ParallelStep("all", [[look("a"), look("b")], look("c")])]
    )
    assert workflow.execute({"x": 1}).output["all"] == {"a": 1, "b": 1, "c": 1}
    assert all({"x", "before"} <= names for names in seen.values())
    assert "a" in seen["b"]
    assert not seen["c"] & {"a", "b"}
    assert not seen["a"] & {"b", "c"}


def test_concurrency_bounds_how_many_run() -> None:
    running = most = 0

    async def count(names: dict[str, Any]) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return 1

    steps = [TransformStep(f"s{number}", count) for number in range(9)]
    result = Workflow([ParallelStep("all", steps, concurrency=2)]).execute()
    assert len(result.output["all"]) == 9
    assert most == 2


def test_the_first_failure_cancels_the_others_and_fails_the_step() -> None:
    ended: list[str] = []
    steps = [slow("long", 30, ended=ended), failing("bad", 0.01)]
    result = Workflow([ParallelStep("all", steps), slow("after", 0)]).execute()
    assert result.status is WorkflowStatus.FAILED
    assert "'all'" in result.error
    assert "'bad'" in result.error
    assert "bad broke" in result.error
    assert ended == []
    assert result.steps["bad"].status is StepStatus.FAILED
    assert result.steps["long"].status is StepStatus.FAILED
    assert result.steps["all"].status is StepStatus.FAILED
    assert result.steps["after"].status is StepStatus.SKIPPED
    assert result.metrics.total_duration_ms < 20_000


def test_a_run_goes_on_after_a_parallel_step_that_is_not_critical() -> None:
    parallel = ParallelStep("all", [slow("long", 30), failing("bad", 0.01)], is_critical=False)
    result = Workflow([parallel, slow("after", 0)]).execute()
    assert result.status is WorkflowStatus.COMPLETED
    assert result.steps["long"].status is StepStatus.FAILED
    assert result.output["after"] == "after"


def test_an_inner_failure_that_is_not_critical_leaves_the_others_alone() -> None:
    bad = failing("bad")
    bad.is_critical = False
    result = Workflow([ParallelStep("all", [bad, slow("good", 0.01)])]).execute()
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["all"] == {"good": "good"}
    assert result.steps["bad"].status is StepStatus.FAILED


def test_tokens_durations_and_counts_add_up() -> None:
    model = MockLLMProvider("one two")
    steps = [LLMStep(name, "say three words", provider=model) for name in ("a", "b", "c")]
    metrics = Workflow([ParallelStep("all", steps)]).execute().metrics
    assert metrics.token_usage_total.total_tokens == 15
    assert {name: metrics.step_token_usage[name].total_tokens for name in "abc"} == {"a": 5, "b": 5, "c": 5}
    assert metrics.steps_completed == 4


def test_a_time_limit_ends_all_branches() -> None:
    ended: list[str] = []
    workflow = Workflow([ParallelStep("all", [slow("a", 30, ended=ended), slow("b", 30, ended=ended)])])
    result = workflow.execute(timeout=0.1)
    assert result.status is WorkflowStatus.TIMEOUT
    assert {name: step.status for name, step in result.steps.items()} == dict.fromkeys(
        ["all", "a", "b"], StepStatus.FAILED
    )
    assert ended == []


def test_cancelling_lets_calls_in_flight_finish_and_counts_them() -> None:
    class Slow(MockLLMProvider):
        async def complete_async(self, request: LLMRequest) -> LLMResponse:
            await asyncio.sleep(0.2)
            return await super().complete_async(request)

    model = Slow("done")

    async def main() -> Any:
        steps = [LLMStep(name, "hello", provider=model) for name in "ab"]
        handle = Workflow([ParallelStep("all", steps), slow("after", 0)]).start()
        await asyncio.sleep(0.05)
        handle.cancel()
        return await handle

    result = run_alone(main())
    assert result.status is WorkflowStatus.CANCELLED
    assert model.call_count == 2
    assert result.metrics.token_usage_total.total_tokens == 4
    assert result.steps["after"].status is StepStatus.SKIPPED


def test_an_abort_in_one_branch_ends_the_run() -> None:
    class Stop(Middleware):
        def before_llm_call(self, request: LLMRequest, context: StepContext) -> LLMRequest:
            raise AbortError("enough")

    steps = [LLMStep("ask", "hello", provider=MockLLMProvider("x")), slow("long", 30)]
    result = WorkflowEngine().use(Stop()).run(Workflow([ParallelStep("all", steps, is_critical=False)]))
    assert result.status is WorkflowStatus.FAILED
    assert "enough" in result.error


def test_a_branch_that_wants_to_end_the_process_fails_alone() -> None:
    def leave(names: dict[str, Any]) -> None:
        raise SystemExit(3)

    for inline in (True, False):
        step = TransformStep("leave", leave, is_critical=False, inline=inline)
        result = Workflow([ParallelStep("all", [step, slow("good", 0.01)])]).execute()
        assert result.status is WorkflowStatus.COMPLETED
        assert result.output["all"] == {"good": "good"}


def test_many_runs_at_once_do_not_mix() -> None:
    async def late(names: dict[str, Any]) -> int:
        await asyncio.sleep(0.001 * (names["n"] % 7))
        return int(names["n"]) * 10

    workflow = Workflow([ParallelStep("all", [TransformStep("a", late), TransformStep("b", lambda n: -n["n"])])])

    async def main() -> list[Any]:
        results = await asyncio.gather(*(workflow.execute_async({"n": number}) for number in range(200)))
        return [result.output["all"] for result in results]

    assert run_alone(main()) == [{"a": number * 10, "b": -number} for number in range(200)]


def test_parallel_steps_nest() -> None:
    inner = ParallelStep("inner", [slow("a", 0.01), slow("b", 0)])
    workflow = Workflow(
        [
            ParallelStep("outer", [[inner, TransformStep("sum", lambda n: n["a"] + n["b"])], slow("c", 0)]),
            TransformStep("after", lambda n: n["a"] + n["c"]),
        ]
    )
    result = workflow.execute()
    assert result.output["outer"] == {"inner": {"a": "a", "b": "b"}, "sum": "ab", "c": "c"}
    assert result.output["after"] == "ac"
    assert set(result.steps) == {"outer", "inner", "a", "b", "sum", "c", "after"}


def test_a_parallel_step_can_be_tried_out_alone() -> None:
    step = ParallelStep("all", [TransformStep("a", lambda n: n["x"]), TransformStep("b", lambda n: 2)])
    result = run_alone(step.execute_async(StepContext(input_data={"x": 1})))
    assert result.output["all"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ParallelStep("p", []),
        lambda: ParallelStep("p", [[]]),
        lambda: ParallelStep("p", ["text"]),  # type: ignore[list-item]
        lambda: ParallelStep("p", [TransformStep]),  # type: ignore[list-item]
        lambda: ParallelStep("p", [slow("a", 0)], concurrency=0),
        lambda: ParallelStep("p", [slow("a", 0)], concurrency=True),
        lambda: ParallelStep("", [slow("a", 0)]),
        lambda: Workflow([ParallelStep("p", [slow("a", 0), slow("a", 0)])]),
        lambda: Workflow([ParallelStep("p", [slow("a", 0), LLMStep("b", "{a}")])]),
        lambda: Workflow([ParallelStep("p", [slow("a", 0), LLMStep("b", "{x}", inputs={"x": "${steps.a}"})])]),
        lambda: Workflow([ParallelStep("p", [slow("a", 0), ConditionalStep("c", "steps.a == 1", slow("d", 0))])]),
        lambda: Workflow([ParallelStep("p", [LLMStep("a", "x", output="k"), LLMStep("b", "x", output="k")])]),
    ],
)
def test_what_is_refused_when_it_is_defined(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()
