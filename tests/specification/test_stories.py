"""The acceptance scenarios of the three user stories, where no other test of the specification shows them already."""

from __future__ import annotations

import asyncio
import time

import pytest

from generative_ai_workflow import (
    CostTracker,
    LLMStep,
    RunMetrics,
    StepContext,
    TokenUsageTracker,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
    WorkflowStep,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)


@pytest.mark.requirement("story 1.1")
@every_way
def test_prompt_model_and_parsing_run_in_a_row_and_give_the_answer(way, openai):
    openai.add('{"sum": 4}')
    steps = [
        TransformStep("prompt", lambda names: {"question": f"What is {names['a']} + {names['b']}?"}),
        LLMStep("answer", '{question} Answer as {"sum": number}.'),
    ]
    result = run(way, Workflow(steps), {"a": 2, "b": 2})
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["llm_response"] == '{"sum": 4}'
    assert openai.chats[0].prompt == 'What is 2 + 2? Answer as {"sum": number}.'


@pytest.mark.requirement("story 1.2")
@every_way
def test_input_is_filled_into_prompt_and_system_prompt(way, openai):
    step = LLMStep("answer", "Translate {text} into {language}", system_prompt="You speak {language}.")
    run(way, Workflow([step]), {"text": "Haus", "language": "English"})
    system, user = openai.bodies[0]["messages"]
    assert system["content"] == "You speak English."
    assert user["content"] == "Translate Haus into English"


@pytest.mark.requirement("story 1.3")
@every_way
def test_a_step_of_several_that_fails_is_named_with_the_reason(way, openai):
    openai.add("fine", Reply(status=400, body={"error": {"message": "context length exceeded"}}))
    result = run(way, Workflow([LLMStep("outline", "x"), LLMStep("draft", "y"), LLMStep("polish", "z")]))
    assert result.status is WorkflowStatus.FAILED
    assert "'draft'" in result.error
    assert "context length exceeded" in result.error
    assert result.output["outline"] == "fine"
    assert openai.count == 2


@pytest.mark.requirement("story 1.4")
def test_an_async_run_leaves_its_caller_free_and_its_result_can_be_awaited_or_asked_for(openai):
    openai.add(Reply(text="later", latency_s=0.3), Reply(text="later", latency_s=0.3))
    workflow = Workflow([LLMStep("ask", "x")])

    async def go() -> str:
        handle = workflow.start()
        worked = 0
        while not handle.done():
            worked += 1
            await asyncio.sleep(0.01)
        assert worked > 3
        return (await handle).output["ask"]

    assert run_alone(go()) == "later"
    handle = workflow.start()
    assert not handle.done()
    assert handle.result(timeout=30).output["ask"] == "later"


@pytest.mark.requirement("story 1.5")
def test_a_sync_run_within_its_limit_returns_when_it_is_done():
    began = time.monotonic()
    result = Workflow([TransformStep("work", lambda names: time.sleep(0.2))]).execute(timeout=30)
    assert result.succeeded
    assert 0.2 <= time.monotonic() - began < 10


@pytest.mark.requirement("story 1.6")
def test_a_sync_run_beyond_its_limit_returns_after_it_with_the_state_of_that_moment():
    steps = [TransformStep("done", lambda names: "kept"), TransformStep("slow", lambda names: time.sleep(3))]
    began = time.monotonic()
    result = Workflow([*steps, TransformStep("never", lambda names: 1)]).execute(timeout=0.4)
    assert 0.4 <= time.monotonic() - began < 2.5
    assert result.status is WorkflowStatus.TIMEOUT
    assert "timed out after 0.4 s in step 'slow'" in result.error
    assert [str(step.status) for step in result.steps.values()] == ["completed", "failed", "skipped"]
    assert result.output["done"] == "kept"


@pytest.mark.requirement("story 2.2")
@every_way
def test_metrics_of_a_completed_run_are_structured_data(way):
    steps = [TransformStep("good", lambda n: 1), TransformStep("bad", lambda n: 1 / 0, is_critical=False)]
    result = run(way, Workflow(steps))
    told = result.model_dump(mode="json")
    metrics = told["metrics"]
    assert (metrics["steps_completed"], metrics["steps_failed"], metrics["steps_skipped"]) == (1, 1, 0)
    assert set(metrics["step_durations"]) == {step.step_id for step in steps}
    assert metrics["total_duration_ms"] > 0
    assert {name: step["status"] for name, step in told["steps"].items()} == {"good": "completed", "bad": "failed"}


@pytest.mark.requirement("story 2.3")
@every_way
def test_tokens_and_costs_over_many_runs(way, openai):
    openai.add(*[Reply(text="x", usage={"prompt_tokens": 100_000, "completion_tokens": 50_000})] * 6)
    tokens, costs = TokenUsageTracker(), CostTracker()
    engine = WorkflowEngine().use(tokens).use(costs)
    for _ in range(3):
        assert run(way, Workflow([LLMStep("a", "x"), LLMStep("b", "y")]), engine=engine).succeeded
    assert (tokens.prompt_tokens, tokens.completion_tokens, tokens.calls) == (600_000, 300_000, 6)
    assert tokens.by_model["gpt-4o-mini"].total_tokens == 900_000
    assert costs.estimated_cost_usd == pytest.approx(0.6 * 0.15 + 0.3 * 0.60)


@pytest.mark.requirement("story 3.2")
@every_way
def test_a_custom_step_takes_part_in_a_workflow_file(way, tmp_path):
    from generative_ai_workflow import PluginRegistry

    class Count(WorkflowStep):
        """Counts words."""

        def __init__(self, name: str, least: int = 0) -> None:
            super().__init__(name)
            self.least = least

        def execute(self, context: StepContext) -> dict:
            return {"words": max(self.least, len(context.names["text"].split()))}

    PluginRegistry.register_step("count", Count)
    path = tmp_path / "flow.yaml"
    path.write_text("name: f\nsteps:\n  - {id: words, type: count, options: {least: 2}}\n")
    assert run(way, Workflow.from_yaml(path), {"text": "one two three"}).output["words"] == 3
    assert run(way, Workflow.from_yaml(path), {"text": "one"}).output["words"] == 2


@pytest.mark.requirement("story 2.3", "FR-016", "FR-017")
@every_way
def test_runs_steps_and_models_over_many_runs(way, openai):
    openai.add(*[Reply(text="x", usage={"prompt_tokens": 1_000_000, "completion_tokens": 0})] * 3, Reply(status=400))
    metrics = RunMetrics()
    engine = WorkflowEngine().use(metrics)
    workflow = Workflow([LLMStep("ask", "x"), TransformStep("after", lambda names: 1)], name="asks")
    statuses = [str(run(way, workflow, engine=engine).status) for _ in range(4)]
    assert statuses == ["completed"] * 3 + ["failed"]
    runs, step, model = metrics.workflows["asks"], metrics.steps["asks", "ask"], metrics.models["gpt-4o-mini"]
    assert (runs.count, runs.by_status["completed"], runs.by_status["failed"]) == (4, 3, 1)
    assert runs.durations.count == 4
    assert 0 < runs.durations.p50_s <= runs.durations.longest_s
    assert (step.by_status["completed"], step.by_status["failed"]) == (3, 1)
    assert model.prompt_tokens == 3_000_000
    assert model.cost_usd == pytest.approx(0.45)
