from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chatmodels.types import ChatRequest, ChatResponse
from generative_ai_workflow import (
    ConditionalStep,
    FrameworkConfig,
    LLMStep,
    MockLLMProvider,
    StepContext,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from generative_ai_workflow.condition import Condition
from unit.generative_ai_workflow.loops import run_alone


class Ended:
    """Remembers the results that `on_workflow_end` was given."""

    def __init__(self) -> None:
        self.results: list[WorkflowResult] = []

    async def on_workflow_end(self, result: WorkflowResult, context: dict) -> None:
        self.results.append(result)


class BlocksTheLoop(WorkflowStep):
    name = "stuck"

    async def execute_async(self, context: StepContext) -> dict:
        time.sleep(0.8)
        return {}


class Stubborn(WorkflowStep):
    name = "stubborn"

    async def execute_async(self, context: StepContext) -> dict:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
        return {}


async def nap(names: dict) -> None:
    await asyncio.sleep(5)


SLOW = {
    "blocking function": lambda: TransformStep("slow", lambda n: time.sleep(3)),
    "coroutine function": lambda: TransformStep("slow", nap),
    "model": lambda: LLMStep("slow", "x", MockLLMProvider(latency_s=5)),
    "stubborn step": Stubborn,
}


def timed(mode: str, engine: WorkflowEngine, workflow: Workflow, limit: float) -> tuple[WorkflowResult, float]:
    """The result, and how many seconds the caller waited for it."""

    async def go() -> tuple[WorkflowResult, float]:
        began = time.monotonic()
        return await engine.run_async(workflow, timeout=limit), time.monotonic() - began

    if mode == "async":
        return run_alone(go())
    began = time.monotonic()
    if mode == "handle":
        result = engine.start(workflow, timeout=limit).result(timeout=10)
    else:
        result = engine.run(workflow, timeout=limit)
    return result, time.monotonic() - began


class TestTimeout:
    @pytest.mark.parametrize("mode", ["sync", "async", "handle"])
    @pytest.mark.parametrize("kind", SLOW)
    def test_it_returns_on_time_with_what_was_done(self, mode: str, kind: str) -> None:
        ended = Ended()
        engine = WorkflowEngine().use(ended)
        steps = [LLMStep("first", "one two", MockLLMProvider("a")), SLOW[kind](), TransformStep("never", lambda n: 1)]
        workflow = Workflow(steps, name="w")
        engine.run(Workflow([LLMStep("warm", "x", MockLLMProvider())]))
        ended.results.clear()
        result, elapsed = timed(mode, engine, workflow, 0.5)
        assert 0.5 <= elapsed < 2.0  # 0.6 is the aim; the machine may be busy
        assert result.status is WorkflowStatus.TIMEOUT
        assert "timed out after 0.5 s" in result.error
        assert f"'{steps[1].name}'" in result.error
        assert result.output == {"first": "a", "first_output": "a", "llm_response": "a"}
        assert [step.status for step in result.steps.values()] == [
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.SKIPPED,
        ]
        assert result.metrics.token_usage_total.total_tokens == 3
        assert ended.results == [result]

    def test_a_blocking_run_is_on_time_even_when_a_step_blocks_the_loop(self) -> None:
        ended = Ended()
        engine = WorkflowEngine().use(ended)
        workflow = Workflow([TransformStep("a", lambda n: 1), BlocksTheLoop(), TransformStep("b", lambda n: 1)])
        began = time.monotonic()
        result = engine.run(workflow, timeout=0.4)
        assert time.monotonic() - began < 0.6  # 0.48 is the aim; the machine may be busy
        assert result.status is WorkflowStatus.TIMEOUT
        assert "'stuck'" in result.error
        assert result.output == {"a": 1, "a_output": 1}
        # Nobody waits for hooks beyond the limit: on a busy machine they are told a little later.
        while not ended.results and time.monotonic() - began < 10:
            time.sleep(0.01)
        assert ended.results == [result]
        assert engine.run(Workflow([TransformStep("again", lambda n: 1)])).succeeded
        assert ended.results[0] is result
        assert len(ended.results) == 2

    def test_a_run_within_its_limit_is_not_touched(self) -> None:
        result = WorkflowEngine().run(Workflow([TransformStep("a", lambda n: 1)]), timeout=20)
        assert result.succeeded
        assert result.metrics.total_duration_ms < 5_000

    def test_tokens_of_an_unfinished_step_count(self) -> None:
        class Two(WorkflowStep):
            name = "two"

            async def execute_async(self, context: StepContext) -> dict:
                await context.ask(ChatRequest(prompt="one two three"), MockLLMProvider("a"))
                await asyncio.sleep(5)
                return {}

        result = WorkflowEngine().run(Workflow([Two()]), timeout=0.2)
        assert result.metrics.token_usage_total.total_tokens == 4
        assert result.steps["two"].token_usage.total_tokens == 4

    def test_a_thread_that_is_left_behind_asks_no_more(self) -> None:
        model = MockLLMProvider()
        asked = threading.Event()
        errors = []

        class Late(WorkflowStep):
            name = "late"

            def execute(self, context: StepContext) -> dict:
                time.sleep(0.4)
                try:
                    context.ask_blocking(ChatRequest(prompt="x"), model)
                except BaseException as error:
                    errors.append(error)
                asked.set()
                return {}

        assert WorkflowEngine().run(Workflow([Late()]), timeout=0.1).status is WorkflowStatus.TIMEOUT
        assert asked.wait(5)
        assert model.call_count == 0
        assert errors

    def test_slow_end_hooks_do_not_hold_a_late_run_up(self) -> None:
        class Slow:
            async def on_workflow_end(self, result: WorkflowResult, context: dict) -> None:
                await asyncio.sleep(2)

        began = time.monotonic()
        WorkflowEngine().use(Slow()).run(Workflow([TransformStep("a", nap)]), timeout=0.5)
        assert time.monotonic() - began < 0.8


class TestCancellation:
    def test_a_call_in_flight_may_finish_and_is_counted(self, log_lines) -> None:
        model = MockLLMProvider("a b c", latency_s=0.4)
        workflow = Workflow([LLMStep("ask", "one", model), TransformStep("never", lambda n: 1)])
        handle = workflow.start()
        while not model.call_count:
            time.sleep(0.005)
        assert handle.status is WorkflowStatus.RUNNING
        assert handle.cancel()
        result = handle.result(timeout=5)
        assert result.status is WorkflowStatus.CANCELLED
        assert result.metrics.token_usage_total.total_tokens == 4
        assert result.metrics.total_duration_ms > 300
        assert result.steps["never"].status is StepStatus.SKIPPED
        assert not handle.cancel()
        events = [line["event"] for line in log_lines()]
        assert "workflow.cancelled" in events
        assert "llm.call" in events

    def test_the_grace_is_bounded(self) -> None:
        model = MockLLMProvider(latency_s=30)
        handle = Workflow([LLMStep("ask", "x", model)], config=WorkflowConfig(cancel_grace_s=0.2)).start()
        while not model.call_count:
            time.sleep(0.005)
        began = time.monotonic()
        handle.cancel()
        assert handle.result(timeout=5).status is WorkflowStatus.CANCELLED
        assert 0.15 < time.monotonic() - began < 2

    @pytest.mark.parametrize("kind", ["blocking function", "coroutine function", "stubborn step"])
    def test_without_a_call_in_flight_it_ends_at_once(self, kind: str) -> None:
        handle = Workflow([SLOW[kind]()]).start()
        time.sleep(0.1)
        began = time.monotonic()
        handle.cancel()
        result = handle.result(timeout=5)
        assert result.status is WorkflowStatus.CANCELLED
        assert time.monotonic() - began < 1.4
        assert "cancelled" in result.error

    def test_cancelled_before_it_began(self) -> None:
        async def go() -> WorkflowResult:
            handle = Workflow([TransformStep("a", lambda n: 1)]).start()
            assert handle.status is WorkflowStatus.PENDING
            assert handle.cancel()
            return await handle

        result = run_alone(go())
        assert result.status is WorkflowStatus.CANCELLED
        assert result.output is None
        assert result.metrics.steps_skipped == 1

    def test_several_calls_in_flight_are_all_awaited(self) -> None:
        model = MockLLMProvider("a", latency_s=0.3)

        class Many(WorkflowStep):
            name = "many"

            async def execute_async(self, context: StepContext) -> dict:
                await asyncio.gather(*(context.ask(ChatRequest(prompt="x"), model) for _ in range(5)))
                return {}

        handle = Workflow([Many()]).start()
        while model.call_count < 5:
            time.sleep(0.005)
        handle.cancel()
        assert handle.result(timeout=5).metrics.token_usage_total.total_tokens == 10

    def test_the_awaiting_task_can_be_cancelled_as_usual(self) -> None:
        ended = Ended()

        async def go() -> None:
            engine = WorkflowEngine().use(ended)
            task = asyncio.create_task(engine.run_async(Workflow([TransformStep("a", nap)])))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_alone(go())
        assert [result.status for result in ended.results] == [WorkflowStatus.CANCELLED]

    def test_an_outer_time_limit_works_as_usual(self) -> None:
        async def go() -> None:
            for limit in (None, 20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await WorkflowEngine().run_async(Workflow([TransformStep("a", nap)]), timeout=limit)

        run_alone(go())


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Drastic(BaseException):
    pass


class Raises(WorkflowStep):
    def __init__(self, error: BaseException) -> None:
        super().__init__("bad", is_critical=False)
        self.error = error

    def execute(self, context: StepContext) -> dict:
        raise self.error


class RaisesLater(Raises):
    async def execute_async(self, context: StepContext) -> dict:
        await asyncio.sleep(0)
        raise self.error


class BadModel(MockLLMProvider):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        raise self.error


def raising(error: BaseException) -> Callable[[dict], None]:
    def transform(names: dict) -> None:
        raise error

    return transform


BAD_STEPS = {
    "transform": lambda error: TransformStep("bad", raising(error), is_critical=False),
    "inline transform": lambda error: TransformStep("bad", raising(error), is_critical=False, inline=True),
    "blocking step": Raises,
    "coroutine step": RaisesLater,
    "model": lambda error: LLMStep("bad", "x", BadModel(error), is_critical=False),
    "nested": lambda error: ConditionalStep("if", lambda names: True, Raises(error)),
}
DRASTIC = {
    "mute": Mute(),
    "exit": SystemExit(3),
    "generator exit": GeneratorExit(),
    "base": Drastic("x"),
    "group": BaseExceptionGroup("g", [Drastic("x"), ValueError("y")]),
}


class TestWhateverAStepRaises:
    @pytest.mark.parametrize("limit", [None, 20])
    @pytest.mark.parametrize("error", DRASTIC)
    @pytest.mark.parametrize("kind", BAD_STEPS)
    def test_it_fails_the_step_and_nothing_else(self, kind: str, error: str, limit: float | None) -> None:
        steps = [BAD_STEPS[kind](DRASTIC[error]), TransformStep("next", lambda n: 1)]
        result = WorkflowEngine().run(Workflow(steps), timeout=limit)
        assert result.succeeded, result.error
        assert result.steps["bad"].status is StepStatus.FAILED
        assert result.steps["bad"].error
        assert result.output["next"] == 1

    def test_the_error_of_a_critical_step_names_it(self) -> None:
        for error in DRASTIC.values():
            result = WorkflowEngine().run(Workflow([TransformStep("bad", raising(error))]))
            assert result.status is WorkflowStatus.FAILED
            assert "'bad'" in result.error

    def test_ctrl_c_passes_through(self) -> None:
        for error in (KeyboardInterrupt(), BaseExceptionGroup("g", [KeyboardInterrupt()])):
            with pytest.raises(type(error)):
                run_alone(WorkflowEngine().run_async(Workflow([RaisesLater(error)])))

    def test_a_cancelled_run_is_cancelled_whatever_its_step_makes_of_it(self) -> None:
        class Groups(WorkflowStep):
            async def execute_async(self, context: StepContext) -> dict:
                try:
                    await asyncio.sleep(5)
                except asyncio.CancelledError as error:
                    raise BaseExceptionGroup("g", [error]) from None
                return {}

        async def go() -> None:
            task = asyncio.create_task(WorkflowEngine().run_async(Workflow([Groups(is_critical=False), Stubborn()])))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_alone(go())

    def test_a_run_that_is_thrown_away_tells_of_no_failed_step(self) -> None:
        told = []

        class Listens:
            async def on_step_error(self, *facts: object) -> None:
                told.append(facts)

        loop = asyncio.new_event_loop()
        work = WorkflowEngine().use(Listens()).run_async(Workflow([TransformStep("a", nap)]))
        task = loop.create_task(work)
        task._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0.05))
        work.close()
        loop.close()
        assert not told

    def test_a_clean_up_costs_no_result(self) -> None:
        class Dirty(WorkflowStep):
            def execute(self, context: StepContext) -> dict:
                return {"a": 1}

            def cleanup(self) -> None:
                raise Drastic

        assert WorkflowEngine().run(Workflow([Dirty()])).output == {"a": 1}


class TestLog:
    def events(self, lines: list[dict]) -> list[str]:
        return [line["event"] for line in lines if line["event"].partition(".")[0] in {"workflow", "step"}]

    def test_every_transition_is_one_line_with_the_correlation_id(self, log_lines) -> None:
        steps = [LLMStep("ask", "x", MockLLMProvider()), TransformStep("t", lambda n: 1)]
        result = WorkflowEngine().run(Workflow(steps, name="demo"))
        lines = log_lines()
        assert self.events(lines) == [
            "workflow.pending",
            "workflow.started",
            "step.started",
            "step.completed",
            "step.started",
            "step.completed",
            "workflow.completed",
        ]
        assert "llm.call" in [line["event"] for line in lines]
        assert {line["correlation_id"] for line in lines} == {result.correlation_id}
        assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
        assert {line["workflow"] for line in lines if line["event"] != "llm.call"} == {"demo"}

    def test_failures_are_errors_with_the_reason(self, log_lines) -> None:
        WorkflowEngine().run(Workflow([TransformStep("bad", lambda n: 1 / 0), TransformStep("next", lambda n: 1)]))
        lines = log_lines()
        assert self.events(lines)[-3:] == ["step.failed", "step.skipped", "workflow.failed"]
        for line in lines:
            if line["event"].endswith("failed"):
                assert line["level"] == "error"
                assert "division by zero" in line["error"]

    def test_timeout_and_cancellation_are_logged(self, log_lines) -> None:
        WorkflowEngine().run(Workflow([TransformStep("a", nap)]), timeout=0.05)
        handle = Workflow([TransformStep("a", nap)]).start()
        time.sleep(0.05)
        handle.cancel()
        handle.result(timeout=5)
        by_event = {line["event"]: line for line in log_lines()}
        assert by_event["workflow.timeout"]["level"] == "error"
        assert "timed out" in by_event["workflow.timeout"]["error"]
        assert by_event["workflow.cancelled"]["level"] == "warning"

    def test_the_level_of_the_settings_is_the_least(self, log_lines) -> None:
        engine = WorkflowEngine(FrameworkConfig(log_level="ERROR"))
        engine.run(Workflow([TransformStep("a", lambda n: 1)]))
        assert self.events(log_lines()) == []
        engine.run(Workflow([TransformStep("a", lambda n: 1 / 0)]))
        assert self.events(log_lines()) == ["step.failed", "workflow.failed"]
        WorkflowEngine(FrameworkConfig(log_level="CRITICAL")).run(Workflow([TransformStep("a", lambda n: 1 / 0)]))
        assert len(self.events(log_lines())) == 2

    def test_runs_at_once_keep_their_ids_apart(self, log_lines) -> None:
        async def go() -> list:
            engine = WorkflowEngine()
            workflow = Workflow([TransformStep("a", lambda n: 1), LLMStep("s", "x", MockLLMProvider(latency_s=0.01))])
            return await asyncio.gather(*(engine.run_async(workflow, correlation_id=f"c{i}") for i in range(10)))

        run_alone(go())
        for number in range(10):
            assert len([line for line in log_lines() if line["correlation_id"] == f"c{number}"]) == 8


class TestWhen:
    def step(self, when: str, **options: object) -> TransformStep:
        step = TransformStep("maybe", lambda n: 1, **options)  # type: ignore[arg-type]
        step.when = Condition(when)
        return step

    def test_a_condition_that_is_not_met_skips_the_step(self, log_lines) -> None:
        result = WorkflowEngine().run(Workflow([self.step("input.n > 1"), TransformStep("b", lambda n: 2)]), {"n": 1})
        assert result.status is WorkflowStatus.COMPLETED
        assert result.steps["maybe"].status is StepStatus.SKIPPED
        assert result.output == {"b": 2, "b_output": 2}
        assert [line["step"] for line in log_lines() if line["event"] == "step.skipped"] == ["maybe"]
        assert WorkflowEngine().run(Workflow([self.step("input.n > 1")]), {"n": 2}).output["maybe"] == 1

    def test_a_condition_that_cannot_be_decided_fails_the_step(self) -> None:
        assert "'nope'" in WorkflowEngine().run(Workflow([self.step("nope")])).error
        assert WorkflowEngine().run(Workflow([self.step("nope", is_critical=False)])).succeeded


def test_spans_of_run_step_and_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from fmf_core.telemetry import host

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(host, "tracer", lambda: tracer)
    steps = [LLMStep("ask", "x", MockLLMProvider()), TransformStep("bad", lambda n: 1 / 0)]
    WorkflowEngine().run(Workflow(steps, name="demo"))
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert {"invoke_workflow demo", "step ask", "step bad"} <= set(spans)
    run = spans["invoke_workflow demo"]
    assert run.attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert run.attributes["gen_ai.workflow.name"] == "demo"
    assert run.attributes["fmf.workflow.status"] == "failed"
    assert not run.status.is_ok
    assert spans["step ask"].parent.span_id == run.context.span_id
    assert not spans["step bad"].status.is_ok
    call = next(span for span in exporter.get_finished_spans() if span.name.startswith("chat"))
    assert call.parent.span_id == spans["step ask"].context.span_id
