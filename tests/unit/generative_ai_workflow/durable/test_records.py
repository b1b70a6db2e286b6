from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chatmodels import ChatResponse, TokenUsage, ToolCall
from fmf_core.redact import add_secret
from generative_ai_workflow import (
    ExecutionMetrics,
    StepError,
    StepResult,
    StepStatus,
    WorkflowError,
    WorkflowResult,
    WorkflowStatus,
)
from generative_ai_workflow.durable.records import dump_result, dump_step, load_result, load_step
from generative_ai_workflow.state import ErrorInfo

USAGE = TokenUsage(prompt_tokens=3, completion_tokens=4, model="m", provider="p", cached_tokens=1)
ANSWER = ChatResponse(
    content="ü",
    model="m",
    usage=USAGE,
    latency_ms=1.5,
    tool_calls=(ToolCall(id="1", name="t", arguments={"a": [1]}),),
    attempts=2,
    cost_usd=0.25,
    fell_back_from=("p/m: timeout",),
)
ASKED = StepResult(
    step_id="s",
    name="ask",
    output={"ask": "ü", "n": 2**70},
    duration_ms=0.1,
    token_usage=USAGE,
    response=ANSWER,
    attempts=2,
    cost_usd=0.25,
)
FAILED = StepResult(
    step_id="t",
    name="fail",
    status=StepStatus.FAILED,
    error="StepError: no",
    error_info=ErrorInfo.of(StepError("no", op="x", hint="y")),
)
SKIPPED = StepResult(step_id="u", name="skip", status=StepStatus.SKIPPED)


@pytest.mark.parametrize("record", [ASKED, FAILED, SKIPPED, StepResult()])
def test_the_record_of_a_step_comes_back_as_it_was(record):
    assert load_step("s", dump_step("s", record)) == record


def test_the_end_of_a_run_comes_back_as_it_was_and_kept_steps_are_not_written_twice():
    steps = {"ask": ASKED, "fail": FAILED, "skip": SKIPPED}
    result = WorkflowResult(
        workflow_id="w",
        correlation_id="r",
        status=WorkflowStatus.FAILED,
        output={"ask": "ü"},
        error="no",
        metrics=ExecutionMetrics.of(steps.values(), 12.5),
        completed_at=datetime.now(UTC),
        steps=steps,
    )
    kept = {"ask": dump_step("ask", ASKED), "skip": dump_step("skip", SKIPPED)}
    text = dump_result(result).text(kept)
    assert "fell_back_from" not in text
    back = load_result(text, {name: load_step(name, record) for name, record in kept.items()})
    assert back == result
    assert list(back.steps) == list(steps)
    assert back.metrics.step_durations["ask"] == back.metrics.step_durations["s"]


def test_a_step_that_did_something_else_than_what_is_kept_keeps_its_own_record():
    other = ASKED.model_copy(update={"duration_ms": 9.0})
    result = WorkflowResult(
        workflow_id="w",
        correlation_id="r",
        status=WorkflowStatus.COMPLETED,
        metrics=ExecutionMetrics.of([other]),
        steps={"ask": other},
    )
    assert load_result(dump_result(result).text({"ask": dump_step("ask", ASKED)}), {"ask": ASKED}) == result


def test_a_step_that_was_taken_up_is_written_once_and_never_as_taken_up():
    taken_up = ASKED.model_copy(update={"kept": True, "step_id": "another"})
    assert load_step("ask", dump_step("ask", taken_up)).kept is False
    result = WorkflowResult(
        workflow_id="w", correlation_id="r", status=WorkflowStatus.COMPLETED, steps={"ask": taken_up}
    )
    text = dump_result(result).text({"ask": dump_step("ask", ASKED)})
    assert "fell_back_from" not in text
    assert load_result(text, {"ask": ASKED}).steps == {"ask": ASKED}


def test_an_output_that_is_no_json_is_refused_by_the_name_of_its_step():
    with pytest.raises(WorkflowError, match=r"the output of step 'a'\.x\[0\] is a tuple"):
        dump_step("a", StepResult(name="a", output={"x": [()]}))


def test_a_secret_in_an_answer_is_refused():
    add_secret("hunter2hunter2")
    response = ANSWER.model_copy(update={"content": "hunter2hunter2"})
    with pytest.raises(WorkflowError, match=r"the record of step 'a'\.response\.content holds a known secret"):
        dump_step("a", StepResult(name="a", output={}, response=response))


def test_a_record_of_another_version_is_refused():
    text = dump_step("a", ASKED).replace('"attempts"', '"tries"', 1)
    with pytest.raises(WorkflowError, match="kept by another version") as caught:
        load_step("a", text)
    assert caught.value.code == "unsupported"
