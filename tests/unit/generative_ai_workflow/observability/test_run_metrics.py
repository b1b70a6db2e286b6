from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatmodels.types import ChatResponse
from generative_ai_workflow import (
    ConfigurationError,
    LLMStep,
    MockLLMProvider,
    ProviderError,
    RunMetrics,
    StepResult,
    TokenUsage,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
)
from generative_ai_workflow.observability.run_metrics import BUCKETS_S, OTHERS, UNNAMED, Durations
from generative_ai_workflow.state import ExecutionMetrics


def usage(model: str = "gpt-4o-mini", tokens: int = 1_000_000) -> TokenUsage:
    return TokenUsage(prompt_tokens=tokens, completion_tokens=tokens, model=model, provider="openai")


def ended(status: WorkflowStatus = WorkflowStatus.COMPLETED, ms: float = 100.0, **steps: StepResult) -> WorkflowResult:
    return WorkflowResult(
        workflow_id="w",
        correlation_id="c",
        status=status,
        metrics=ExecutionMetrics(total_duration_ms=ms),
        steps={name: step.model_copy(update={"name": name}) for name, step in steps.items()},
    )


class TestDurations:
    def test_quantiles_lie_in_the_bucket_of_the_true_one(self) -> None:
        took = Durations()
        assert (took.p50_s, took.p95_s) == (0.0, 0.0)
        for number in range(1, 101):
            took.add(number / 100)
        assert (took.count, took.longest_s, took.sum_s) == (100, 1.0, pytest.approx(50.5))
        assert 0.25 <= took.p50_s <= 0.5
        assert 0.5 <= took.p95_s <= 1.0
        assert took.quantile(1.0) == 1.0

    def test_one_value_is_no_longer_than_itself(self) -> None:
        took = Durations()
        took.add(0.3)
        assert took.p95_s <= 0.3
        took.add(10_000.0)
        assert took.quantile(1.0) == 10_000.0
        assert took.buckets[len(BUCKETS_S)] == 1


class TestRunMetrics:
    def test_runs_and_steps_are_counted_by_name_and_status(self) -> None:
        metrics = RunMetrics()
        engine = WorkflowEngine().use(metrics)
        model = MockLLMProvider("a b")
        good = Workflow([TransformStep("t", lambda data: {"x": 1}), LLMStep("ask", "one", model)], name="good")
        bad = Workflow([LLMStep("ask", "one", MockLLMProvider(fail_with=ValueError("no")))], name="bad")
        for _ in range(3):
            engine.run(good)
        engine.run(bad)
        engine.run(Workflow([TransformStep("t", lambda data: {})]))
        assert {name: sums.by_status for name, sums in metrics.workflows.items()} == {
            "good": {"completed": 3},
            "bad": {"failed": 1},
            UNNAMED: {"completed": 1},
        }
        assert metrics.workflows["good"].durations.count == 3
        step = metrics.steps["good", "ask"]
        assert (step.count, step.requests, step.used.total_tokens) == (3, 3, 9)
        assert metrics.workflows["good"].used.total_tokens == 9
        assert metrics.steps["bad", "ask"].by_status == {"failed": 1}
        assert sum(used.total_tokens for used in metrics.models.values()) == 9
        json.dumps(metrics.as_dict())
        assert metrics.as_dict()["workflows"]["good"]["steps"]["t"]["by_status"] == {"completed": 3}

    def test_tokens_and_cost_are_counted_by_model_with_what_failed(self) -> None:
        metrics = RunMetrics()
        lost = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": usage("gpt-4o")})
        answer = ChatResponse(content="x", model="gpt-4o-mini", usage=usage())
        unpriced = ChatResponse(content="x", model="own", usage=usage("own"))
        model = MockLLMProvider([lost, answer, unpriced])
        steps = [LLMStep(f"s{number}", "x", model, is_critical=False) for number in range(3)]
        WorkflowEngine().use(metrics).run(Workflow(steps, name="w"))
        models = metrics.models
        assert models["gpt-4o"].cost_usd == pytest.approx(12.5)
        assert (models["gpt-4o-mini"].cost_usd, models["gpt-4o-mini"].prompt_tokens) == (pytest.approx(0.75), 1_000_000)
        assert (models["own"].cost_usd, models["own"].unpriced) == (0, 1)
        assert metrics.workflows["w"].used.cost_usd == pytest.approx(13.25)
        assert metrics.workflows["w"].used.unpriced == 1

    def test_there_are_only_so_many_names(self) -> None:
        metrics = RunMetrics(max_names=3)
        for number in range(10):
            metrics.record(ended(step=StepResult(status="completed", duration_ms=5)), f"w{number}")
        assert list(metrics.workflows) == ["w0", "w1", "w2", OTHERS]
        assert metrics.workflows[OTHERS].count == 7
        assert list(metrics.steps) == [("w0", "step"), ("w1", "step"), ("w2", "step"), (OTHERS, OTHERS)]
        assert metrics.steps[OTHERS, OTHERS].count == 7

    def test_numbered_parts_of_a_step_count_as_one(self) -> None:
        metrics = RunMetrics()
        parts = {f"each[{number}]": StepResult(status="completed", duration_ms=5) for number in range(5)}
        metrics.record(ended(**parts), "w")
        assert metrics.steps["w", "each"].count == 5

    def test_skipped_steps_have_no_duration(self) -> None:
        metrics = RunMetrics()
        metrics.record(ended(a=StepResult(status="skipped")), "w")
        assert (metrics.steps["w", "a"].count, metrics.steps["w", "a"].durations.count) == (1, 0)

    def test_from_many_threads_nothing_is_lost(self) -> None:
        metrics = RunMetrics()
        result = ended(a=StepResult(status="completed", duration_ms=5, token_usage=usage(tokens=1), cost_usd=0.5))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: metrics.record(result, f"w{number % 4}"), range(2000)))
        assert {sums.count for sums in metrics.workflows.values()} == {500}
        assert metrics.workflows["w0"].used.cost_usd == 250
        metrics.reset()
        assert metrics.as_dict() == {"workflows": {}, "models": {}}

    def test_a_wrong_limit_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="max_names"):
            RunMetrics(max_names=0)
