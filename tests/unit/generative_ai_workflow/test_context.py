from __future__ import annotations

import asyncio
from typing import Any

import pytest

from generative_ai_workflow import (
    LLMStep,
    MockLLMProvider,
    StepContext,
    StepError,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowStep,
)
from unit.generative_ai_workflow.loops import run_alone


class Holder(WorkflowStep):
    """A step of somebody else that runs others."""

    def __init__(self, name: str, way: str, *steps: WorkflowStep) -> None:
        super().__init__(name)
        self.way = way
        self.held = steps

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        return self.held

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        if self.way == "here":
            return {self.name: await context.run_steps(self.held)}
        inner = context.inner({"extra": "seen"}, "[7]" if self.way == "labelled" else "")
        outputs = await inner.run_steps(self.held)
        if self.way == "adopted":
            context.adopt(inner)
        return {self.name: outputs}


def step(name: str, key: str) -> TransformStep:
    return TransformStep(name, lambda names: {f"made_{name}": names.get(key, "nothing")}, inline=True)


def look() -> TransformStep:
    return TransformStep("look", lambda names: {"saw": names.get("made_inner", "nothing")}, inline=True)


@pytest.mark.parametrize(
    ("way", "saw", "extra", "record"),
    [
        ("here", "nothing", "nothing", "inner"),
        ("apart", "nothing", "seen", "inner"),
        ("labelled", "nothing", "seen", "inner[7]"),
        ("adopted", "seen", "seen", "inner"),
    ],
)
def test_what_inner_steps_see_and_leave(way: str, saw: str, extra: str, record: str) -> None:
    result = Workflow([Holder("holder", way, step("inner", "extra")), look()]).execute()
    assert result.succeeded, result.error
    made = {"made_inner": extra, "inner_output": {"made_inner": extra}}
    assert result.output["holder"] == {"inner": made}
    assert result.output["saw"] == (extra if way in {"here", "adopted"} else "nothing")
    assert (saw == "seen") is (way == "adopted")
    assert result.steps[record].output == made
    assert ("made_inner" in result.output) is (way in {"here", "adopted"})
    assert result.metrics.steps_completed == 3


def test_labels_of_nested_scopes_stand_behind_each_other() -> None:
    inner = Holder("inside", "labelled", step("deep", "extra"))
    result = Workflow([Holder("outside", "labelled", inner)]).execute()
    assert set(result.steps) == {"outside", "inside[7]", "deep[7][7]"}


def test_a_failing_inner_step_fails_the_step_around_it_and_both_are_recorded() -> None:
    def fail(names: dict[str, Any]) -> None:
        raise ValueError("no")

    result = Workflow([Holder("holder", "here", TransformStep("inner", fail, inline=True))]).execute()
    assert result.steps["inner"].status is StepStatus.FAILED
    assert result.steps["holder"].status is StepStatus.FAILED
    assert "'holder'" in result.error
    assert "'inner'" in result.error


@pytest.mark.parametrize("way", ["here", "apart", "labelled", "adopted"])
def test_inner_steps_run_without_an_engine_as_well(way: str) -> None:
    context = StepContext(input_data={"text": "t"})
    holder = Holder("holder", way, step("inner", "text"), step("second", "made_inner"))
    output = run_alone(holder.execute_async(context))["holder"]
    assert output["inner"]["made_inner"] == "t"
    assert output["second"]["made_second"] == "t"
    assert ("made_second" in context.names) is (way in {"here", "adopted"})


def test_an_inner_step_that_reports_failure_raises_without_an_engine() -> None:
    class Reports(WorkflowStep):
        name = "reports"

        async def execute_async(self, context: StepContext) -> Any:
            from generative_ai_workflow import StepResult

            return StepResult(status=StepStatus.FAILED, error="not so")

    with pytest.raises(StepError, match="'reports' failed: not so"):
        run_alone(StepContext().run_steps([Reports()]))


def test_calls_of_inner_steps_are_counted_once() -> None:
    model = MockLLMProvider({"default": "one two"})
    holder = Holder("holder", "labelled", LLMStep("ask", "{extra}?", model))
    result = Workflow([holder]).execute()
    assert model.call_count == 1
    assert result.steps["holder"].token_usage is None
    assert result.metrics.token_usage_total == result.steps["ask[7]"].token_usage


def test_scopes_at_the_same_time_do_not_see_each_other() -> None:
    class Both(WorkflowStep):
        name = "both"

        async def execute_async(self, context: StepContext) -> dict[str, Any]:
            async def one(number: int) -> Any:
                inner = context.inner({"number": number}, f"[{number}]")
                return await inner.run_steps([TransformStep("take", lambda names: names["number"])])

            return {"both": await asyncio.gather(*map(one, range(20)))}

    result = Workflow([Both()]).execute()
    assert [made["take"]["take"] for made in result.output["both"]] == list(range(20))
    assert len(result.steps) == 21
