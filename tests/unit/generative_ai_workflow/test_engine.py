from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chatmodels.iface import ChatModel
from chatmodels.testing import allow_model_requests
from chatmodels.types import ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel
from generative_ai_workflow import (
    ConfigurationError,
    FrameworkConfig,
    LLMProvider,
    LLMRequest,
    LLMResponse,
    LLMStep,
    MockLLMProvider,
    PluginRegistry,
    ProviderError,
    StepContext,
    StepResult,
    StepStatus,
    TokenUsage,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from generative_ai_workflow.engine import default_engine
from unit.generative_ai_workflow.loops import run_alone

MODES = ["sync", "async", "handle"]


def run(
    mode: str, workflow: Workflow, data: dict | None = None, engine: WorkflowEngine | None = None, **options
) -> WorkflowResult:
    runner = engine or WorkflowEngine()
    if mode == "sync":
        return runner.run(workflow, data, **options)
    if mode == "handle":
        return runner.start(workflow, data, **options).result(timeout=30)
    return run_alone(runner.run_async(workflow, data, **options))


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def failing(names: dict) -> None:
    raise ValueError("went wrong")


class TestRuns:
    def test_steps_run_in_order_and_pass_data_on(self, mode: str) -> None:
        model = MockLLMProvider({"Say hello": "HELLO"})
        steps = [
            TransformStep("lower", lambda n: {"word": n["word"].lower()}),
            LLMStep("ask", "Say {word}", model),
            TransformStep("length", lambda n: len(n["ask"])),
        ]
        before = datetime.now(UTC)
        result = run(mode, Workflow(steps, name="demo"), {"word": "Hello"})
        assert result.status is WorkflowStatus.COMPLETED
        assert result.error is None
        assert result.output["length"] == 5
        assert list(result.steps) == ["lower", "ask", "length"]
        assert before <= result.created_at <= result.completed_at <= datetime.now(UTC)
        assert uuid.UUID(result.correlation_id) != uuid.UUID(result.workflow_id)
        assert result.metrics.steps_completed == 3
        assert result.metrics.token_usage_total.total_tokens == 3
        assert set(result.metrics.step_durations) == {step.step_id for step in steps}
        assert result.metrics.total_duration_ms >= sum(result.metrics.step_durations.values()) > 0

    def test_the_input_is_optional_and_the_correlation_id_can_be_given(self, mode: str) -> None:
        result = run(mode, Workflow([TransformStep("a", lambda n: n)]), correlation_id="mine")
        assert result.correlation_id == "mine"
        assert result.output == {"a_output": {}}

    def test_a_failing_critical_step_ends_the_run_and_is_named(self, mode: str) -> None:
        steps = [
            TransformStep("first", lambda n: 1),
            TransformStep("second", failing),
            TransformStep("third", lambda n: 3),
        ]
        result = run(mode, Workflow(steps))
        assert result.status is WorkflowStatus.FAILED
        assert result.error == "step 'second' failed: ValueError: went wrong"
        assert result.output == {"first": 1, "first_output": 1}
        assert [step.status for step in result.steps.values()] == [
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.SKIPPED,
        ]
        assert result.steps["second"].error_info.kind == "ValueError"
        metrics = result.metrics
        assert (metrics.steps_completed, metrics.steps_failed, metrics.steps_skipped) == (1, 1, 1)

    def test_a_failing_step_that_is_not_critical_lets_the_run_go_on(self, mode: str) -> None:
        steps = [TransformStep("a", failing, is_critical=False), TransformStep("b", lambda n: 2)]
        result = run(mode, Workflow(steps))
        assert result.status is WorkflowStatus.COMPLETED
        assert result.steps["a"].status is StepStatus.FAILED
        assert result.steps["a"].error == "ValueError: went wrong"
        assert result.output == {"b": 2, "b_output": 2}

    def test_an_input_that_is_no_dict_is_a_configuration_error(self, mode: str) -> None:
        workflow = Workflow([TransformStep("a", lambda n: 1)])
        for wrong in ("text", [1], {1: 2}):
            with pytest.raises(ConfigurationError, match="dict"):
                run(mode, workflow, wrong)  # type: ignore[arg-type]

    @pytest.mark.parametrize("limit", [0, -1, "5", True, float("nan")])
    def test_a_limit_that_makes_no_sense_is_refused(self, mode: str, limit: object) -> None:
        with pytest.raises(ConfigurationError, match="timeout"):
            run(mode, Workflow([TransformStep("a", lambda n: 1)]), timeout=limit)

    def test_the_callers_input_is_left_alone(self, mode: str) -> None:
        data = {"x": 1}
        run(mode, Workflow([TransformStep("a", lambda n: {"x": 2})]), data)
        assert data == {"x": 1}


class Misbehaved(WorkflowStep):
    name = "plugin"

    def __init__(self, what: object, critical: bool = True) -> None:
        super().__init__(is_critical=critical)
        self.what = what

    async def execute_async(self, context: StepContext) -> object:  # type: ignore[override]
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


class MisbehavedBlocking(Misbehaved):
    execute_async = WorkflowStep.execute_async  # type: ignore[assignment]

    def execute(self, context: StepContext) -> object:  # type: ignore[override]
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


@pytest.mark.parametrize("kind", [Misbehaved, MisbehavedBlocking])
@pytest.mark.parametrize(
    ("what", "says"),
    [
        (ValueError("boom"), "boom"),
        (SystemExit(3), "SystemExit"),
        (asyncio.CancelledError(), "cancelled"),
        (StopIteration(), "StopIteration"),
        (None, "None"),
        (42, "int"),
        ("text", "str"),
        (StepResult(step_id="x", status=StepStatus.FAILED, error="own words"), "own words"),
        (StepResult(step_id="x", status=StepStatus.RUNNING), "running"),
    ],
    ids=str,
)
class TestPluginsThatMisbehave:
    def test_they_fail_that_step_alone(
        self, mode: str, kind: type[Misbehaved], what: object, says: str, log_lines
    ) -> None:
        result = run(mode, Workflow([kind(what, critical=False), TransformStep("after", lambda n: 1)]))
        assert result.status is WorkflowStatus.COMPLETED
        assert result.steps["plugin"].status is StepStatus.FAILED
        assert says in result.steps["plugin"].error
        assert result.output["after"] == 1
        line = next(line for line in log_lines() if line["event"] == "step.failed")
        assert line["level"] == "error"
        assert line["plugin"].endswith(kind.__name__)
        assert says in line["error"]

    def test_a_critical_one_fails_the_run(self, mode: str, kind: type[Misbehaved], what: object, says: str) -> None:
        result = run(mode, Workflow([kind(what)]))
        assert result.status is WorkflowStatus.FAILED
        assert "'plugin'" in result.error
        assert says in result.error


def test_a_skipped_result_leaves_no_output() -> None:
    skipped = StepResult(step_id="x", status=StepStatus.SKIPPED, output={"a": 1})
    result = WorkflowEngine().run(Workflow([Misbehaved(skipped)]))
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output == {}
    assert result.metrics.steps_skipped == 1


class TestModels:
    def test_without_a_key_the_failure_names_the_variable(self, mode: str) -> None:
        with allow_model_requests():
            result = run(mode, Workflow([LLMStep("s", "x")]))
        assert result.status is WorkflowStatus.FAILED
        assert "OPENAI_API_KEY" in result.error
        assert result.steps["s"].error_info.code == "auth"

    def test_the_engines_model_wins_over_the_workflows_and_the_steps_over_both(self) -> None:
        of_engine, of_workflow, of_step = MockLLMProvider("e"), MockLLMProvider("w"), MockLLMProvider("s")
        workflow = Workflow(
            [LLMStep("a", "x"), LLMStep("b", "x", of_step)], config=WorkflowConfig(provider=of_workflow)
        )
        assert WorkflowEngine(model=of_engine).run(workflow).output["a"] == "e"
        result = WorkflowEngine().run(workflow)
        assert (result.output["a"], result.output["b"]) == ("w", "s")

    def test_a_registered_name_can_be_registered_anew(self) -> None:
        workflow = Workflow([LLMStep("a", "x", "house")])
        for answer in ("one", "two"):
            PluginRegistry.register_provider("house", MockLLMProvider(answer))
            assert workflow.execute().output["a"] == answer
            PluginRegistry.unregister_provider("house")
        result = workflow.execute()
        assert "'house'" in result.error
        assert "mock" in result.error

    def test_a_registered_class_is_built_once_for_each_model(self) -> None:
        built = []

        class House(LLMProvider):
            def __init__(self, model: str = "none") -> None:
                built.append(model)
                self.model = model

            def complete(self, request: ChatRequest) -> ChatResponse:
                return MockLLMProvider(self.model).complete(request)

        PluginRegistry.register_provider("house", House)
        workflow = Workflow([LLMStep("a", "x", "house", "big"), LLMStep("b", "x", "house", "small")])
        engine = WorkflowEngine()
        results = [engine.run(workflow) for _ in range(3)]
        assert (results[2].output["a"], results[2].output["b"]) == ("big", "small")
        assert sorted(built) == ["big", "small"]

    def test_attempts_follow_the_settings_and_are_counted(self) -> None:
        busy = ProviderError("busy", op="x.complete", code="unavailable", retry_after=0.0)
        model = MockLLMProvider([busy, busy, "ok"])
        config = FrameworkConfig(max_retry_attempts=2)
        result = WorkflowEngine(config).run(Workflow([LLMStep("s", "x", model)]))
        assert model.call_count == 2
        assert result.status is WorkflowStatus.FAILED
        assert result.steps["s"].attempts == 2
        assert result.steps["s"].error_info.attempts == 2
        model.reset()
        result = WorkflowEngine(FrameworkConfig(max_retry_attempts=3)).run(Workflow([LLMStep("s", "x", model)]))
        assert result.steps["s"].attempts == 3
        assert result.output["s"] == "ok"

    def test_attempts_of_calls_that_failed_count_beside_those_that_did_not(self) -> None:
        busy = ProviderError("busy", op="x.complete", code="unavailable", retry_after=0.0)
        model = MockLLMProvider(["no json", busy])
        config = FrameworkConfig(max_retry_attempts=2)
        result = WorkflowEngine(config).run(Workflow([LLMStep("s", "x", model, output={"expects": "json"})]))
        assert result.steps["s"].attempts == model.call_count == 3
        assert result.steps["s"].token_usage.completion_tokens == 2

    def test_a_step_is_charged_for_calls_that_failed(self) -> None:
        paid = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")
        withheld = ProviderError("no", op="x.complete", code="refused", fields={"usage": paid})
        model = MockLLMProvider([withheld])
        step = WorkflowEngine().run(Workflow([LLMStep("s", "x", model)])).steps["s"]
        assert step.status is StepStatus.FAILED
        assert (step.token_usage, step.cost_usd, step.attempts) == (paid, pytest.approx(0.15), 1)

    def test_calls_that_failed_are_charged_beside_those_that_did_not(self) -> None:
        price = {"model": "gpt-4o-mini", "provider": "openai"}
        paid = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, **price)
        answer = LLMResponse(content="no json", model="gpt-4o-mini", usage=paid)
        cut = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": paid})
        model = MockLLMProvider([answer, cut])
        engine = WorkflowEngine()
        result = engine.run(Workflow([LLMStep("s", "x", model, output={"expects": "json"})]))
        step = result.steps["s"]
        assert (step.token_usage.prompt_tokens, step.cost_usd) == (2_000_000, pytest.approx(0.30))
        assert result.metrics.token_usage_total == step.token_usage

    def test_a_failed_call_of_unknown_price_leaves_the_cost_unknown(self) -> None:
        paid = TokenUsage(prompt_tokens=1, completion_tokens=0, model="mystery", provider="house")
        cut = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": paid})

        class Stubborn(WorkflowStep):
            async def execute_async(self, context):
                for _ in range(2):
                    try:
                        answer = await context.ask(LLMRequest(prompt="x"), model)
                    except ProviderError:
                        continue
                return {"text": answer.content}

        known = LLMResponse(content="a", model="gpt-4o-mini", usage=paid.model_copy(update={"model": "gpt-4o-mini"}))
        model = MockLLMProvider([cut, known])
        step = WorkflowEngine().run(Workflow([Stubborn("s")])).steps["s"]
        assert (step.status, step.cost_usd) == (StepStatus.COMPLETED, None)
        assert (step.token_usage.prompt_tokens, step.attempts) == (2, 2)

    def test_a_failed_call_that_took_nothing_costs_nothing(self) -> None:
        refused = ProviderError("who?", op="x.complete", code="auth")
        step = WorkflowEngine().run(Workflow([LLMStep("s", "x", MockLLMProvider([refused]))])).steps["s"]
        assert (step.token_usage, step.cost_usd, step.attempts) == (None, None, 1)

    def test_initialize_runs_before_the_first_request_of_a_run(self) -> None:
        calls = []

        class Careful(LLMProvider):
            async def initialize(self) -> None:
                calls.append("initialize")

            def complete(self, request: ChatRequest) -> ChatResponse:
                calls.append("complete")
                return MockLLMProvider().complete(request)

        workflow = Workflow([LLMStep("a", "x"), LLMStep("b", "x")], config=WorkflowConfig(provider=Careful()))
        engine = WorkflowEngine()
        engine.run(workflow)
        engine.run(workflow)
        assert calls == ["initialize", "complete", "complete"] * 2

    def test_a_model_whose_outermost_wrapper_needs_nothing_is_not_made_ready(self) -> None:
        calls = []

        class Careful(LLMProvider):
            async def initialize(self) -> None:
                calls.append("initialize")

            def complete(self, request: ChatRequest) -> ChatResponse:
                return MockLLMProvider().complete(request)

        class Ready(WrappedModel):
            initialize = ChatModel.initialize

        result = WorkflowEngine(model=Ready(Careful())).run(Workflow([LLMStep("a", "x")]))
        assert result.succeeded
        assert calls == []

    def test_prompts_stand_in_the_log_only_when_asked_for(self, log_lines) -> None:
        workflow = Workflow([LLMStep("s", "the words", MockLLMProvider())])
        WorkflowEngine().run(workflow)
        assert "the words" not in str(log_lines())
        WorkflowEngine(FrameworkConfig(log_prompts=True)).run(workflow)
        assert [line["prompt"] for line in log_lines() if line["event"] == "llm.prompt"] == ["the words"]


class TestThreadsAndLoops:
    def test_64_threads_share_one_workflow(self) -> None:
        model = MockLLMProvider({f"n{i}": f"answer {i}" for i in range(64)}, latency_s=0.01)
        workflow = Workflow([TransformStep("t", lambda n: {"q": f"n{n['i']}"}), LLMStep("s", "{q}", model)])
        barrier = threading.Barrier(64)

        def one(number: int) -> str:
            barrier.wait()
            return workflow.execute({"i": number}).output["s"]

        with ThreadPoolExecutor(64) as pool:
            assert list(pool.map(one, range(64))) == [f"answer {i}" for i in range(64)]

    def test_a_blocking_call_inside_a_running_loop_works(self) -> None:
        workflow = Workflow([LLMStep("s", "x", MockLLMProvider("hi"))])

        async def notebook() -> list:
            return [workflow.execute().output["s"], workflow.execute(timeout=5).output["s"]]

        assert run_alone(notebook()) == ["hi", "hi"]

    def test_a_workflow_may_run_inside_a_step(self) -> None:
        inner = Workflow([LLMStep("s", "x", MockLLMProvider("deep"))])
        workflow = Workflow([TransformStep("t", lambda n: inner.execute(timeout=5).output["s"])])
        assert workflow.execute().output["t"] == "deep"

    def test_1000_at_once_do_not_mix_up(self) -> None:
        async def echo(names: dict) -> dict:
            await asyncio.sleep(0.001 * (names["i"] % 7))
            return {"e": names["i"]}

        workflow = Workflow([TransformStep("a", echo), TransformStep("b", lambda n: n["e"], inline=True)])

        async def go() -> list:
            engine = WorkflowEngine()
            return await asyncio.gather(*(engine.run_async(workflow, {"i": i}) for i in range(1000)))

        assert [result.output["b"] for result in run_alone(go())] == list(range(1000))

    def test_an_engine_does_not_keep_workflows_alive(self) -> None:
        import gc
        import weakref

        engine = WorkflowEngine()
        workflow = Workflow([TransformStep("a", lambda n: 1)])
        engine.run(workflow)
        gone = weakref.ref(workflow)
        del workflow
        gc.collect()
        assert gone() is None

    @pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
    def test_ctrl_c_is_raised_and_the_run_cancelled(self) -> None:
        import signal

        ended = []

        class Watch:
            async def on_workflow_end(self, result: WorkflowResult, context: dict) -> None:
                ended.append(result.status)

        engine = WorkflowEngine().use(Watch())
        workflow = Workflow([LLMStep("s", "x", MockLLMProvider(latency_s=20))])
        for timeout in (None, 30):
            timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
            timer.start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                engine.run(workflow, timeout=timeout)
            assert time.monotonic() - began < 3
        assert ended == [WorkflowStatus.CANCELLED] * 2


class TestDefaults:
    def test_the_default_engine_follows_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = default_engine()
        assert default_engine() is first
        monkeypatch.setenv("GENAI_WORKFLOW_MAX_RETRIES", "7")
        assert default_engine().config.max_retry_attempts == 7
        monkeypatch.delenv("GENAI_WORKFLOW_MAX_RETRIES")
        assert default_engine() is first

    def test_default_timeouts(self, mode: str) -> None:
        workflow = Workflow([TransformStep("nap", lambda n: time.sleep(1))])
        engine = WorkflowEngine(FrameworkConfig(default_timeout_seconds=0.1))
        assert run(mode, workflow, engine=engine).status is WorkflowStatus.TIMEOUT
        assert run(mode, workflow, engine=engine, timeout=20).status is WorkflowStatus.COMPLETED

    def test_the_workflows_limit_wins_over_the_engines(self, mode: str) -> None:
        workflow = Workflow([TransformStep("nap", lambda n: time.sleep(0.5))], config=WorkflowConfig(timeout=0.1))
        engine = WorkflowEngine(FrameworkConfig(default_timeout_seconds=20))
        assert run(mode, workflow, engine=engine).status is WorkflowStatus.TIMEOUT
