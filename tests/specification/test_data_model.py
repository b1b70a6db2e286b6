"""The tables of the data model: fields, defaults, constraints and states."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from generative_ai_workflow import (
    ExecutionMetrics,
    FrameworkConfig,
    LLMRequest,
    LLMResponse,
    LLMStep,
    MockLLMProvider,
    StepContext,
    StepResult,
    StepStatus,
    TokenUsage,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run

every_way = pytest.mark.parametrize("way", WAYS)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "model": "m", "provider": "p"}


@pytest.mark.requirement("data: TokenUsage")
def test_the_total_is_the_sum():
    assert TokenUsage(**USAGE).total_tokens == 5
    assert TokenUsage(**USAGE, total_tokens=5).total_tokens == 5
    with pytest.raises(ValidationError, match="total_tokens"):
        TokenUsage(**USAGE, total_tokens=6)
    assert TokenUsage(**{**USAGE, "prompt_tokens": 0, "completion_tokens": 0}).total_tokens == 0


@pytest.mark.requirement("data: TokenUsage")
@pytest.mark.parametrize(
    "wrong", [{"prompt_tokens": -1}, {"completion_tokens": -1}, {"model": ""}, {"provider": ""}], ids=str
)
def test_constraints_of_token_usage(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TokenUsage(**{**USAGE, **wrong})


@pytest.mark.requirement("data: LLMRequest", "FR-021")
def test_defaults_of_a_request():
    request = LLMRequest(prompt="x")
    assert request.model == "gpt-4o-mini"
    assert request.temperature == 0.7
    assert request.max_tokens == 1024
    assert request.system_prompt is None
    assert request.extra_params == {}


@pytest.mark.requirement("data: LLMRequest")
@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": ""},
        {"model": ""},
        {"temperature": -0.01},
        {"temperature": 2.01},
        {"max_tokens": 0},
        {"max_tokens": 128_001},
        {"extra_params": 3},
    ],
    ids=str,
)
def test_constraints_of_a_request(wrong):
    with pytest.raises(ValidationError):
        LLMRequest(**{"prompt": "x", **wrong})


@pytest.mark.requirement("data: LLMRequest")
@pytest.mark.parametrize(
    "right", [{"temperature": 0.0}, {"temperature": 2.0}, {"max_tokens": 1}, {"max_tokens": 128_000}], ids=str
)
def test_the_ends_of_the_ranges_of_a_request_are_allowed(right):
    assert LLMRequest(prompt="x", **right).model_dump().items() >= right.items()


@pytest.mark.requirement("data: LLMRequest")
def test_extra_parameters_are_passed_on(openai):
    class Asks(WorkflowStep):
        async def execute_async(self, context: StepContext) -> dict:
            await context.ask(LLMRequest(prompt="x", extra_params={"top_p": 0.5}))
            return {}

    assert Workflow([Asks("a")]).execute().succeeded
    assert openai.bodies[0]["top_p"] == 0.5


@pytest.mark.requirement("data: LLMResponse")
def test_fields_and_constraints_of_a_response(openai):
    given = {"content": "x", "model": "m", "usage": TokenUsage(**USAGE), "latency_ms": 1.5, "finish_reason": "length"}
    assert LLMResponse(**given).model_dump().items() >= {"content": "x", "latency_ms": 1.5}.items()
    for wrong in ({"content": ""}, {"model": ""}, {"latency_ms": -1.0}, {"usage": None}):
        with pytest.raises(ValidationError):
            LLMResponse(**{**given, "finish_reason": "stop", **wrong})
    openai.add(Reply(text="x", model="gpt-4o-mini-2026-01-01", latency_s=0.05))
    response = Workflow([LLMStep("a", "x")]).execute().steps["a"].response
    assert response.model == "gpt-4o-mini-2026-01-01"
    assert response.latency_ms >= 50
    assert response.finish_reason == "stop"


@pytest.mark.requirement("data: WorkflowStatus")
def test_states_of_a_run():
    assert {state.name for state in WorkflowStatus} == {
        "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT",
    }  # fmt: skip
    assert [state.value for state in WorkflowStatus] == [state.name.lower() for state in WorkflowStatus]
    assert {state for state in WorkflowStatus if not state.terminal} == {WorkflowStatus.PENDING, WorkflowStatus.RUNNING}


@pytest.mark.requirement("data: StepStatus")
@every_way
def test_states_of_a_step(way):
    assert {state.name for state in StepStatus} == {"PENDING", "RUNNING", "COMPLETED", "FAILED", "SKIPPED"}
    assert [state.value for state in StepStatus] == [state.name.lower() for state in StepStatus]
    steps = [TransformStep("a", lambda n: 1), TransformStep("b", lambda n: 1 / 0), TransformStep("c", lambda n: 1)]
    result = run(way, Workflow(steps))
    assert [step.status for step in result.steps.values()] == [
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.SKIPPED,
    ]


@pytest.mark.requirement("data: StepContext", "FR-003")
@every_way
def test_what_a_step_sees(way):
    seen: list[StepContext] = []

    class Looks(WorkflowStep):
        name = "looks"

        async def execute_async(self, context: StepContext) -> dict:
            seen.append(context)
            return {"looked": dict(context.previous_outputs)}

    looks = Looks()
    config = WorkflowConfig(variables={"v": 1}, temperature=0.1)
    workflow = Workflow([TransformStep("first", lambda n: {"x": 1}), looks], config=config)
    result = run(way, workflow, {"given": 2})
    [context] = seen
    assert context.workflow_id == workflow.workflow_id == result.workflow_id
    assert context.step_id == looks.step_id == result.steps["looks"].step_id
    assert context.correlation_id == result.correlation_id
    assert context.input_data == {"given": 2}
    assert context.variables == {"v": 1, "given": 2}
    assert result.steps["looks"].output["looked"] == {"first": {"x": 1, "first_output": {"x": 1}}}
    assert isinstance(context.config, WorkflowConfig)
    assert (context.config.temperature, context.config.max_tokens) == (0.1, FrameworkConfig().default_max_tokens)


@pytest.mark.requirement("data: StepResult")
@every_way
def test_what_a_step_leaves(way):
    bad = TransformStep("bad", lambda n: 1 / 0)
    result = run(way, Workflow([LLMStep("ask", "one two", MockLLMProvider("x")), bad]))
    ask, failed = result.steps["ask"], result.steps["bad"]
    assert isinstance(ask, StepResult)
    assert uuid.UUID(ask.step_id)
    assert ask.status is StepStatus.COMPLETED
    assert ask.output == {"ask": "x", "ask_output": "x", "llm_response": "x"}
    assert ask.error is None
    assert ask.duration_ms > 0
    assert ask.token_usage.total_tokens == 3
    assert (failed.status, failed.output, failed.token_usage) == (StepStatus.FAILED, None, None)
    assert "division" in failed.error
    assert failed.step_id == bad.step_id


@pytest.mark.requirement("data: ExecutionMetrics", "FR-017")
@every_way
def test_a_run_in_numbers(way):
    model = MockLLMProvider("three")
    a, b = LLMStep("a", "one two", model), LLMStep("b", "one two", model)
    bad = TransformStep("bad", lambda n: 1 / 0)
    metrics = run(way, Workflow([a, b, bad, TransformStep("never", lambda n: 1)])).metrics
    assert isinstance(metrics, ExecutionMetrics)
    assert (metrics.steps_completed, metrics.steps_failed, metrics.steps_skipped) == (2, 1, 1)
    assert list(metrics.step_durations) == [a.step_id, b.step_id, bad.step_id]
    assert all(milliseconds >= 0 for milliseconds in metrics.step_durations.values())
    assert list(metrics.step_token_usage) == [a.step_id, b.step_id]
    assert metrics.step_token_usage[a.step_id].total_tokens == 3
    assert metrics.token_usage_total.total_tokens == 6
    assert metrics.total_duration_ms >= sum(metrics.step_durations.values())
    assert run(way, Workflow([TransformStep("a", lambda n: 1)])).metrics.token_usage_total is None


@pytest.mark.requirement("data: WorkflowResult")
@every_way
def test_what_a_run_leaves(way):
    workflow = Workflow([TransformStep("a", lambda n: {"x": 1})])
    before = datetime.now(UTC)
    result = run(way, workflow)
    assert isinstance(result, WorkflowResult)
    assert result.workflow_id == workflow.workflow_id
    assert uuid.UUID(result.correlation_id)
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["x"] == 1
    assert result.error is None
    assert before <= result.created_at <= result.completed_at <= datetime.now(UTC)
    failed = run(way, Workflow([TransformStep("a", lambda n: 1 / 0)]))
    assert failed.output is None
    assert "division" in failed.error
    assert failed.completed_at is not None


@pytest.mark.requirement("data: FrameworkConfig")
def test_settings_are_checked_when_they_are_made_and_cannot_change_afterwards():
    with pytest.raises(ValidationError) as caught:
        FrameworkConfig(default_temperature=9, default_max_tokens=0, log_level="x")
    assert caught.value.error_count() == 3
    config = FrameworkConfig()
    with pytest.raises(ValidationError):
        config.default_model = "x"


@pytest.mark.requirement("data: design notes")
@every_way
def test_ids_are_uuids_and_times_are_utc(way):
    step = TransformStep("a", lambda n: 1)
    workflow = Workflow([step])
    results = [run(way, workflow) for _ in range(3)]
    assert {uuid.UUID(one).version for one in (workflow.workflow_id, step.step_id, results[0].correlation_id)} == {4}
    assert len({result.correlation_id for result in results}) == 3
    assert Workflow([TransformStep("a", lambda n: 1)]).workflow_id != workflow.workflow_id
    assert results[0].created_at.utcoffset() == results[0].completed_at.utcoffset() == timedelta(0)


@pytest.mark.requirement("data: design notes", "FR-011")
def test_counts_are_those_of_the_provider_and_not_estimated(openai):
    openai.add(Reply(text="a b c d e", usage={"prompt_tokens": 1, "completion_tokens": 999}))
    used = Workflow([LLMStep("a", "many words in this prompt")]).execute().steps["a"].token_usage
    assert (used.prompt_tokens, used.completion_tokens, used.estimated) == (1, 999, False)
