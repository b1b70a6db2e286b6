"""FR-014 to FR-018: what can be seen of runs."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid

import pytest

from generative_ai_workflow import (
    CostTracker,
    LLMStep,
    MockLLMProvider,
    StepContext,
    TokenUsageTracker,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowStep,
)
from generative_ai_workflow.observability.logging import configure_logging, get_logger
from specification.ways import WAYS, run, run_alone, states

every_way = pytest.mark.parametrize("way", WAYS)


async def nap(names: dict) -> None:
    await asyncio.sleep(20)


@pytest.mark.requirement("FR-014")
@every_way
@pytest.mark.parametrize(
    ("step", "options", "end"),
    [
        (lambda: TransformStep("a", lambda n: 1), {}, "completed"),
        (lambda: TransformStep("a", lambda n: 1 / 0), {}, "failed"),
        (lambda: TransformStep("a", nap), {"timeout": 0.1}, "timeout"),
    ],
    ids=["completed", "failed", "timeout"],
)
def test_every_change_of_state_is_logged_alike_in_all_modes(way, step, options, end, log_lines):
    result = run(way, Workflow([step()], name="w"), **options)
    lines = log_lines()
    assert states(lines) == ["pending", "started", end]
    last = next(line for line in lines if line["event"] == f"workflow.{end}")
    assert last["duration_ms"] == pytest.approx(result.metrics.total_duration_ms, abs=0.01)
    assert last["level"] == ("info" if end == "completed" else "error")
    assert last["workflow"] == "w"
    assert str(result.status) == end


@pytest.mark.requirement("FR-014", "FR-008")
def test_a_cancelled_run_is_logged_with_its_numbers(log_lines):
    model = MockLLMProvider("a b c", latency_s=0.2)

    async def go() -> object:
        handle = Workflow([LLMStep("ask", "one", model)]).start()
        while not model.call_count:
            await asyncio.sleep(0.005)
        handle.cancel()
        return await handle

    run_alone(go())
    lines = log_lines()
    assert states(lines) == ["pending", "started", "cancelled"]
    assert lines[-1]["event"] == "workflow.cancelled"
    assert lines[-1]["tokens"] == 4
    assert lines[-1]["duration_ms"] > 0


@pytest.mark.requirement("FR-014")
@every_way
def test_states_of_steps_are_logged_too(way, log_lines):
    steps = [
        TransformStep("good", lambda n: 1),
        TransformStep("bad", lambda n: 1 / 0),
        TransformStep("never", lambda n: 1),
    ]
    run(way, Workflow(steps))
    assert states(log_lines(), "step") == ["started", "completed", "started", "failed", "skipped"]


@pytest.mark.requirement("FR-014")
def test_the_state_is_there_while_a_run_goes_on():
    async def go() -> list[str]:
        began, end = asyncio.Event(), asyncio.Event()

        class Waits(WorkflowStep):
            async def execute_async(self, context: StepContext) -> dict:
                began.set()
                await end.wait()
                return {}

        handle = Workflow([Waits("w")]).start()
        seen = [str(handle.status)]
        await began.wait()
        seen.append(str(handle.status))
        end.set()
        await handle
        return [*seen, str(handle.status)]

    assert run_alone(go()) == ["pending", "running", "completed"]


@pytest.mark.requirement("FR-015")
@every_way
def test_every_line_is_one_json_object(way):
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    model = MockLLMProvider("two\nlines \x00")
    run(way, Workflow([LLMStep("ask", 'a "quoted"\n{text}', model)], name='na"me\n'), {"text": "\u2028 'quoted'"})
    written = stream.getvalue()
    assert written.endswith("\n")
    for line in written.split("\n")[:-1]:
        record = json.loads(line)
        assert {"event", "level", "timestamp", "correlation_id"} <= set(record)
        assert record["timestamp"].endswith("Z")


@pytest.mark.requirement("FR-016", "story 2.1")
@every_way
def test_tokens_are_there_for_programs_by_call_by_run_and_over_all(way):
    tracker, costs = TokenUsageTracker(), CostTracker(prices={"mock": {"input_per_1m": 1.0, "output_per_1m": 2.0}})
    engine = WorkflowEngine().use(tracker).use(costs)
    workflow = Workflow([LLMStep("a", "one two three", MockLLMProvider("four", model="mock"), model="mock")])
    results = [run(way, workflow, engine=engine) for _ in range(3)]
    for result in results:
        used = result.steps["a"].token_usage
        assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (3, 1, 4)
        assert result.metrics.token_usage_total == used
        assert result.steps["a"].response.usage == used
    assert (tracker.prompt_tokens, tracker.completion_tokens, tracker.total_tokens) == (9, 3, 12)
    assert tracker.by_model["mock"].total_tokens == 12
    assert costs.estimated_cost_usd == pytest.approx(3 * (3 * 1.0 + 1 * 2.0) / 1_000_000)


@pytest.mark.requirement("FR-017", "story 2.2")
@every_way
def test_the_time_of_every_step_is_measured(way):
    async def slow(names: dict) -> None:
        await asyncio.sleep(0.1)

    def broken(names: dict) -> None:
        time.sleep(0.05)
        raise ValueError

    steps = [TransformStep("slow", slow), TransformStep("quick", lambda n: 1), TransformStep("broken", broken)]
    result = run(way, Workflow([*steps, TransformStep("never", lambda n: 1)]))
    durations = result.metrics.step_durations
    assert durations["slow"] == result.steps["slow"].duration_ms >= 99
    assert durations[steps[0].step_id] == durations["slow"]
    assert durations["broken"] >= 49
    assert 0 <= durations["quick"] < durations["slow"]
    assert "never" not in durations
    assert result.metrics.total_duration_ms >= sum(durations.values())


@pytest.mark.requirement("FR-018")
@every_way
def test_one_correlation_id_stands_on_every_line_of_a_run(way, log_lines):
    class Talks(WorkflowStep):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.seen: list[str] = []

        def execute(self, context: StepContext) -> dict:
            get_logger("my.program").info("in.a.thread")
            self.seen.append(context.correlation_id)
            return {}

    talks = Talks("talks")
    model = MockLLMProvider()
    result = run(way, Workflow([talks, LLMStep("ask", "x", model)]))
    lines = log_lines()
    assert {line["correlation_id"] for line in lines} == {result.correlation_id} == set(talks.seen)
    assert {"in.a.thread", "llm.call", "workflow.completed"} <= {line["event"] for line in lines}
    assert uuid.UUID(result.correlation_id).version == 4


@pytest.mark.requirement("FR-018")
@every_way
def test_a_correlation_id_may_be_given_and_runs_at_once_keep_theirs(way, log_lines):
    workflow = Workflow([TransformStep("a", lambda n: 1)])
    assert run(way, workflow, correlation_id="request-7").correlation_id == "request-7"
    assert run(way, workflow).correlation_id != run(way, workflow).correlation_id

    async def many() -> list:
        ids = [f"r{number}" for number in range(20)]
        return await asyncio.gather(*(workflow.execute_async({}, correlation_id=one) for one in ids))

    assert [result.correlation_id for result in run_alone(many())] == [f"r{number}" for number in range(20)]
    counts = [sum(line["correlation_id"] == f"r{number}" for line in log_lines()) for number in range(20)]
    assert counts == [5] * 20
