from __future__ import annotations

import uuid

import pytest

from generative_ai_workflow import (
    ConfigurationError,
    LLMStep,
    MockLLMProvider,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowError,
    WorkflowStatus,
)
from generative_ai_workflow.handle import WorkflowHandle
from generative_ai_workflow.state import WorkflowResult
from unit.generative_ai_workflow.loops import run_alone


def step(name: str) -> TransformStep:
    return TransformStep(name, lambda names: 1)


@pytest.mark.parametrize("steps", [[], (), iter([])])
def test_a_workflow_needs_at_least_one_step(steps: object) -> None:
    for kind in (WorkflowError, ConfigurationError, ValueError):
        with pytest.raises(kind, match="at least one step"):
            Workflow(steps if not hasattr(steps, "__next__") else iter([]))  # type: ignore[arg-type]


def test_a_name_may_be_taken_once() -> None:
    with pytest.raises(ValueError, match="Duplicate step name 'a'"):
        Workflow([step("a"), step("b"), step("a")])


@pytest.mark.parametrize("wrong", ["text", 3, TransformStep, lambda n: n, None])
def test_what_is_no_step_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="no step"):
        Workflow([step("a"), wrong])  # type: ignore[list-item]


def test_references_to_later_steps_are_refused() -> None:
    later = LLMStep("early", "{x}", inputs={"x": "${steps.late}"})
    own = LLMStep("own", "{x}", inputs={"x": "${steps.own}"})
    for steps in ([later, step("late")], [own], [LLMStep("a", "{x}", inputs={"x": "${steps.b}"}, output="b")]):
        with pytest.raises(ConfigurationError):
            Workflow(steps)
    Workflow([step("late"), later])


def test_references_to_unknown_steps_are_left_to_the_input() -> None:
    workflow = Workflow([LLMStep("s", "{x}", MockLLMProvider({"v": "ok"}), inputs={"x": "${steps.before}"})])
    assert workflow.execute({"steps": {"before": "v"}}).output["s"] == "ok"
    assert "before" in workflow.execute().error


def test_config_may_be_a_mapping_and_is_checked() -> None:
    assert Workflow([step("a")], config={"model": "m"}).config.model == "m"
    for wrong in ({"modle": "m"}, {"temperature": 9}, 3):
        with pytest.raises(ConfigurationError, match="config"):
            Workflow([step("a")], config=wrong)  # type: ignore[arg-type]


def test_positional_arguments() -> None:
    workflow = Workflow([step("a")], "named", WorkflowConfig(model="m"))
    assert (workflow.name, workflow.config.model) == ("named", "m")
    assert uuid.UUID(workflow.workflow_id)
    assert repr(workflow) == "Workflow('named', ['a'])"


def test_execute_and_execute_async() -> None:
    workflow = Workflow([step("a")])
    assert workflow.execute({"x": 1}, timeout=5, correlation_id="c").correlation_id == "c"
    assert run_alone(workflow.execute_async({"x": 1}, correlation_id="d")).correlation_id == "d"
    assert workflow.start({"x": 1}).result(timeout=5).status is WorkflowStatus.COMPLETED


def test_calling_a_workflow_follows_the_default_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = Workflow([step("a")])
    handle = workflow({"x": 1})
    assert isinstance(handle, WorkflowHandle)
    assert handle.result(timeout=5).succeeded
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODE", "sync")
    assert isinstance(workflow({"x": 1}), WorkflowResult)


def test_three_steps_in_ten_lines() -> None:
    workflow = Workflow(
        [
            TransformStep("clean", lambda names: {"text": names["text"].strip()}),
            LLMStep("summary", "Sum up: {text}", provider="mock"),
            TransformStep("length", lambda names: len(names["summary"])),
        ]
    )
    assert workflow.execute({"text": " long text "}).output["length"] == len("Mock response")
