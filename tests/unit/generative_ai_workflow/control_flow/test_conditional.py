from __future__ import annotations

import pytest

from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ExpressionError,
    LLMStep,
    MockLLMProvider,
    StepContext,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowStatus,
)
from unit.generative_ai_workflow.loops import run_alone


def mark(name: str) -> TransformStep:
    return TransformStep(name, lambda names: f"{name} saw {names['text']}")


def test_only_the_branch_that_is_taken_runs() -> None:
    workflow = Workflow([ConditionalStep("size", "len(text) > 3", [mark("long")], [mark("short")])])
    long, short = workflow.execute({"text": "abcdef"}), workflow.execute({"text": "a"})
    assert long.output["long"] == "long saw abcdef"
    assert "short" not in long.output
    assert long.output["size"] is True
    assert short.output["short"] == "short saw a"
    assert set(short.steps) == {"size", "short"}
    assert short.metrics.steps_completed == 2


def test_without_a_second_branch_nothing_runs() -> None:
    result = Workflow([ConditionalStep("c", "false", mark("never"))]).execute({"text": "x"})
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output == {"c": False, "c_output": False}


def test_conditions_reach_input_and_earlier_steps() -> None:
    workflow = Workflow(
        [
            TransformStep("score", lambda names: {"value": 7}),
            ConditionalStep("high", "steps.score.value > 5 and input.strict == true", [mark("hit")]),
        ]
    )
    assert "hit" in workflow.execute({"text": "x", "strict": True}).steps
    assert "hit" not in workflow.execute({"text": "x", "strict": False}).steps


def test_steps_inside_see_each_other_and_are_seen_afterwards() -> None:
    workflow = Workflow(
        [
            ConditionalStep("c", "true", [TransformStep("a", lambda n: 1), TransformStep("b", lambda n: n["a"] + 1)]),
            TransformStep("after", lambda n: n["b"] + 1),
        ]
    )
    assert workflow.execute().output["after"] == 3


def test_a_function_may_decide() -> None:
    workflow = Workflow([ConditionalStep("c", lambda names: names["input"]["n"] > 1, [mark("yes")])])
    assert "yes" in workflow.execute({"n": 2, "text": ""}).steps


def test_tokens_of_steps_inside_are_counted_once() -> None:
    model = MockLLMProvider("a b")
    workflow = Workflow([ConditionalStep("c", "true", LLMStep("ask", "one two", provider=model))])
    metrics = workflow.execute().metrics
    assert metrics.token_usage_total.total_tokens == 4
    assert metrics.step_token_usage["ask"].total_tokens == 4


def test_a_failure_inside_names_both_steps() -> None:
    workflow = Workflow([ConditionalStep("outer", "true", TransformStep("inner", lambda n: 1 / 0)), mark("later")])
    result = workflow.execute({"text": "x"})
    assert result.status is WorkflowStatus.FAILED
    assert "'outer'" in result.error
    assert "'inner'" in result.error
    assert "division by zero" in result.error
    assert result.steps["inner"].status is StepStatus.FAILED
    assert result.steps["later"].status is StepStatus.SKIPPED


def test_a_non_critical_conditional_lets_the_run_go_on() -> None:
    step = ConditionalStep("outer", "true", TransformStep("inner", lambda n: 1 / 0), is_critical=False)
    result = Workflow([step, mark("later")]).execute({"text": "x"})
    assert result.status is WorkflowStatus.COMPLETED
    assert result.steps["later"].status is StepStatus.COMPLETED


def test_a_condition_that_cannot_be_decided_fails_the_step() -> None:
    result = Workflow([ConditionalStep("c", "nope > 1", mark("x"))]).execute({"text": "x"})
    assert result.status is WorkflowStatus.FAILED
    assert "'nope'" in result.error


def test_what_is_refused_when_it_is_defined() -> None:
    with pytest.raises(ExpressionError):
        ConditionalStep("c", "1 +", mark("x"))
    with pytest.raises(ConfigurationError):
        ConditionalStep("c", "true", [])
    with pytest.raises(ConfigurationError):
        ConditionalStep("c", "true", ["no step"])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="Duplicate step name 'a'"):
        Workflow([mark("a"), ConditionalStep("c", "true", mark("a"))])
    with pytest.raises(ConfigurationError, match="only later"):
        Workflow([ConditionalStep("c", "steps.b == 1", mark("a")), mark("b")])


def test_a_conditional_can_be_tried_out_alone() -> None:
    step = ConditionalStep("c", "n > 1", [TransformStep("a", lambda n: n["n"]), TransformStep("b", lambda n: n["a"])])
    result = run_alone(step.execute_async(StepContext(input_data={"n": 2})))
    assert result.output == {"c": True, "c_output": True}
