"""Hooks, clean-ups and stores that misbehave, and what the result is all the same."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from chatmodels.iface import ChatModel
from chatmodels.types import ChatRequest, ChatResponse, TokenUsage
from fmf_core.errors import Code
from generative_ai_workflow import (
    AbortError,
    ConditionalStep,
    ConfigurationError,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ParallelStep,
    ProviderError,
    StepContext,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowError,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from unit.generative_ai_workflow.loops import run_alone


def two() -> Workflow:
    return Workflow([TransformStep("a", lambda _: {"x": 1}, inline=True), TransformStep("b", lambda _: 2, inline=True)])


class Recorder(Middleware):
    def __init__(self) -> None:
        self.told: list[str] = []

    async def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        self.told.append(str(result.status))


class TestHooks:
    @pytest.mark.parametrize("way", ["run", "timeout", "start", "many"])
    def test_an_abort_when_a_step_has_ended_fails_the_run_and_nobody_is_forgotten(self, way: str) -> None:
        class Stop(Middleware):
            async def on_step_end(self, result: Any, context: dict[str, Any]) -> None:
                raise AbortError("enough")

        recorder = Recorder()
        engine = WorkflowEngine().use(recorder).use(Stop())
        if way == "many":
            [result] = list(engine.run_many(two(), [{}]))
        elif way == "start":
            result = engine.start(two()).result(10)
        else:
            result = engine.run(two(), timeout=30 if way == "timeout" else None)
        assert result.status is WorkflowStatus.FAILED
        assert "enough" in str(result.error)
        assert result.steps["b"].status is StepStatus.SKIPPED
        assert recorder.told == ["failed"]

    @pytest.mark.parametrize("hook", ["on_workflow_start", "on_step_start", "on_step_end", "on_workflow_end"])
    def test_a_hook_whose_own_wait_was_cancelled_costs_nothing(self, hook: str) -> None:
        async def waits(self: Any, *_: Any) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        engine = WorkflowEngine().use(type("Waits", (Middleware,), {hook: waits})())
        assert engine.run(two()).succeeded
        assert engine.run(two(), timeout=30).succeeded
        assert engine.start(two()).result(10).succeeded
        assert [result.succeeded for result in engine.run_many(two(), [{}, {}])] == [True, True]

    def test_a_hanging_hook_keeps_nobody_waiting_beyond_the_limit(self) -> None:
        class Hangs(Middleware):
            async def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
                await asyncio.sleep(60)

        engine = WorkflowEngine().use(Hangs())
        began = time.monotonic()
        assert engine.run(two(), timeout=0.5).succeeded
        handle = engine.start(Workflow([TransformStep("wait", lambda _: asyncio.sleep(60), inline=True)]))
        handle.cancel(at_once=True)
        assert handle.result(20).status is WorkflowStatus.CANCELLED
        assert time.monotonic() - began < 15

    def test_an_abort_told_of_a_failed_call_is_not_undone_by_a_step_that_catches_it(self) -> None:
        class Stop(Middleware):
            async def on_llm_error(self, error: Any, context: dict[str, Any]) -> None:
                raise AbortError("no more")

        class Catches(WorkflowStep):
            name = "catches"

            async def execute_async(self, context: StepContext) -> dict[str, Any]:
                try:
                    await context.ask(ChatRequest(prompt="x"), MockLLMProvider(fail_with=Code.INVALID))
                except Exception:
                    return {"caught": True}
                return {}

        result = WorkflowEngine().use(Stop()).run(Workflow([Catches(), TransformStep("after", lambda _: 1)]))
        assert result.status is WorkflowStatus.FAILED
        assert result.steps["after"].status is StepStatus.SKIPPED

    def test_a_critical_middleware_that_fails_ends_the_run_before_anything_is_sent(self) -> None:
        model = MockLLMProvider({"default": "x"})

        class Hides(Middleware):
            is_critical = True

            def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest:
                raise KeyError("pattern")

        result = WorkflowEngine().use(Hides()).run(Workflow([LLMStep("ask", "ann@example.org", model)]))
        assert result.status is WorkflowStatus.FAILED
        assert "Hides failed: KeyError: 'pattern'" in str(result.error)
        assert model.call_count == 0

    def test_a_hook_that_takes_other_arguments_is_refused_when_it_is_put_to_use(self) -> None:
        class Forgets(Middleware):
            def before_llm_call(self, request: ChatRequest) -> ChatRequest:  # type: ignore[override]
                return request

        with pytest.raises(ConfigurationError, match=r"Forgets\.before_llm_call") as caught:
            WorkflowEngine().use(Forgets())
        assert "(self, request, context)" in caught.value.hint

    def test_a_misspelt_hook_is_refused(self) -> None:
        class Misspelt(Middleware):
            def before_llm_cal(self, request: ChatRequest, context: dict[str, Any]) -> None: ...

        with pytest.raises(ConfigurationError, match="before_llm_cal") as caught:
            WorkflowEngine().use(Misspelt())
        assert "before_llm_call" in caught.value.hint

    def test_what_a_hook_does_to_its_context_stays_there(self) -> None:
        seen: list[Any] = []

        class Marks(Middleware):
            async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> None:
                seen.append(dict(context["metadata"]))
                context["metadata"]["mark"] = True

        workflow = Workflow([LLMStep("ask", "x", MockLLMProvider({"default": "y"}), metadata={"prompt_id": "p"})])
        engine = WorkflowEngine().use(Marks())
        engine.run(workflow)
        engine.run(workflow)
        assert seen == [{"prompt_id": "p"}] * 2


class TestStores:
    def test_a_store_whose_end_raises_anything_costs_no_result(self, tmp_path: Any) -> None:
        from generative_ai_workflow import SQLiteRunStore

        class Broken(SQLiteRunStore):
            async def end(self, run_id: str, result: WorkflowResult) -> None:
                raise ZeroDivisionError

        recorder = Recorder()
        engine = WorkflowEngine(store=Broken(tmp_path / "runs.sqlite")).use(recorder)
        assert engine.run(two()).succeeded
        assert recorder.told == ["completed"]

    def test_a_refused_durable_run_fails_its_handle_and_says_so(self, tmp_path: Any) -> None:
        engine = WorkflowEngine(store=tmp_path / "runs.sqlite")
        assert engine.run(two(), {"n": 1}, correlation_id="one").succeeded
        handle = engine.start(two(), {"n": 2}, correlation_id="one")
        with pytest.raises(WorkflowError):
            handle.result(10)
        assert handle.status is WorkflowStatus.FAILED


class TestModels:
    def test_nobody_asks_a_model_before_it_is_ready(self) -> None:
        class Slow(ChatModel):
            ready = False
            seen: list[bool]

            async def initialize(self) -> None:
                await asyncio.sleep(0.05)
                self.ready = True

            async def complete_async(self, request: ChatRequest) -> ChatResponse:
                self.seen.append(self.ready)
                usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
                return ChatResponse(content="x", model="m", usage=usage)

        model = Slow()
        model.seen = []
        workflow = Workflow([ParallelStep("both", [LLMStep("a", "x", model), LLMStep("b", "y", model)])])
        assert workflow.execute().succeeded
        assert model.seen == [True, True]

    def test_a_model_that_does_not_get_ready_is_not_asked(self) -> None:
        class Never(ChatModel):
            calls = 0

            async def initialize(self) -> None:
                raise ProviderError("no start", op="never.initialize", code=Code.UNAVAILABLE)

            async def complete_async(self, request: ChatRequest) -> ChatResponse:
                self.calls += 1
                raise AssertionError

        model = Never()
        steps = [LLMStep("a", "x", model, is_critical=False), LLMStep("b", "y", model, is_critical=False)]
        result = Workflow(steps).execute()
        assert [result.steps[name].status for name in "ab"] == [StepStatus.FAILED] * 2
        assert model.calls == 0

    def test_a_thread_that_was_left_behind_by_its_step_asks_no_more(self) -> None:
        model = MockLLMProvider({"default": "x"})
        ended, asked = threading.Event(), threading.Event()
        errors: list[BaseException] = []

        class Late(WorkflowStep):
            name = "late"
            is_critical = False
            timeout = 0.1

            def execute(self, context: StepContext) -> dict[str, Any]:
                ended.wait(10)
                try:
                    context.ask_blocking(ChatRequest(prompt="x"), model)
                except BaseException as error:
                    errors.append(error)
                asked.set()
                return {}

        def let_go(_: Any) -> int:
            ended.set()
            return int(asked.wait(10))

        result = Workflow([Late(), TransformStep("after", let_go)]).execute()
        assert result.output["after"] == 1
        assert len(errors) == 1
        assert model.call_count == 0


class TestSmallThings:
    @pytest.mark.parametrize("met", [True, False])
    def test_conditions_may_be_coroutine_functions(self, met: bool) -> None:
        async def decides(_: Any) -> bool:
            await asyncio.sleep(0)
            return met

        step = TransformStep("maybe", lambda _: 1, inline=True)
        step.when = decides
        inner = [TransformStep("yes", lambda _: 1, inline=True)], [TransformStep("no", lambda _: 1, inline=True)]
        result = Workflow([step, ConditionalStep("branch", decides, *inner)]).execute()
        assert (result.steps["maybe"].status is StepStatus.COMPLETED) is met
        assert result.output["branch"] is met

    @pytest.mark.parametrize("timeout", [float("inf"), float("nan"), 0, -1, "5", True])
    def test_a_limit_that_is_none_is_refused(self, timeout: Any) -> None:
        with pytest.raises(ConfigurationError, match="timeout must be a positive number"):
            two().execute(timeout=timeout)

    def test_a_limit_of_centuries_is_none(self) -> None:
        assert two().execute(timeout=1e12).succeeded

    @pytest.mark.parametrize("correlation_id", [7, ["a"], "\ud800", "a\nb"])
    def test_an_id_that_cannot_stand_in_a_log_line_is_refused(self, correlation_id: Any) -> None:
        with pytest.raises(ConfigurationError, match="correlation_id"):
            two().execute(correlation_id=correlation_id)

    def test_what_a_step_does_to_its_output_afterwards_changes_no_record(self) -> None:
        shared: dict[str, int] = {}

        class Counts(WorkflowStep):
            name = "counts"

            async def execute_async(self, context: StepContext) -> dict[str, int]:
                shared["n"] = shared.get("n", 0) + 1
                return shared

        workflow = Workflow([Counts()])
        first = workflow.execute()
        workflow.execute()
        assert first.output == {"n": 1}
        assert first.steps["counts"].output == {"n": 1}

    def test_a_run_of_many_that_cancels_its_own_task_costs_the_others_nothing(self) -> None:
        async def cancels(names: dict[str, Any]) -> int:
            if names["n"] == 1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return int(names["n"])

        async def go() -> list[WorkflowStatus]:
            runs = WorkflowEngine().run_many(Workflow([TransformStep("n", cancels)]), [{"n": n} for n in range(3)])
            return [result.status for result in await runs]

        assert run_alone(go()) == [WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.COMPLETED]

    def test_raise_for_status_gives_the_result_or_says_why_there_is_none(self) -> None:
        assert two().execute().raise_for_status().output["b"] == 2
        with pytest.raises(WorkflowError, match="timed out") as caught:
            Workflow([TransformStep("wait", lambda _: time.sleep(1))]).execute(timeout=0.05).raise_for_status()
        assert caught.value.code is Code.TIMEOUT

    def test_a_failure_tells_the_line_of_the_program_that_raised_it(self) -> None:
        def fails(names: dict[str, Any]) -> Any:
            return names["tetx"]

        result = Workflow([TransformStep("fails", fails)]).execute()
        assert result.steps["fails"].error_info.where.startswith("test_odd_hooks.py:")


class TestTwice:
    def test_the_same_middleware_is_refused_a_second_time(self) -> None:
        recorder = Recorder()
        engine = WorkflowEngine().use(recorder)
        with pytest.raises(ConfigurationError, match="in use already"):
            engine.use(recorder)
        assert WorkflowEngine().use(recorder).run(two()).succeeded

    def test_a_second_cancel_may_shorten_the_grace(self) -> None:
        class Slow(ChatModel):
            async def complete_async(self, request: ChatRequest) -> ChatResponse:
                await asyncio.sleep(60)
                raise AssertionError

        async def go() -> tuple[WorkflowStatus, float]:
            handle = WorkflowEngine().start(Workflow([LLMStep("ask", "x", Slow())]))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            handle.cancel()
            handle.cancel(at_once=True)
            return (await handle).status, time.monotonic() - began

        status, seconds = run_alone(go())
        assert status is WorkflowStatus.CANCELLED
        assert seconds < 4

    def test_steps_that_a_failure_beside_them_cancels_are_told_of(self) -> None:
        told: list[tuple[str, str]] = []

        class Tells(Middleware):
            async def on_step_end(self, result: Any, context: dict[str, Any]) -> None:
                told.append((result.name, str(result.status)))

        async def waits(_: Any) -> None:
            await asyncio.sleep(30)

        async def fails(_: Any) -> None:
            await asyncio.sleep(0.05)
            raise ValueError("no")

        both = ParallelStep("both", [TransformStep("fails", fails), TransformStep("waits", waits)])
        WorkflowEngine().use(Tells()).run(Workflow([both]))
        assert sorted(told) == [("both", "failed"), ("fails", "failed"), ("waits", "failed")]

    def test_a_hook_that_counts_hears_of_an_answer_that_another_one_fails_at(self) -> None:
        seen: list[str] = []

        class Fails(Middleware):
            accounting = True
            is_critical = True

            async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:
                raise KeyError("x")

        class Counts(Middleware):
            accounting = True

            async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:
                seen.append(response.content)

        workflow = Workflow([LLMStep("ask", "x", MockLLMProvider({"default": "y"}))])
        for order in ([Fails(), Counts()], [Counts(), Fails()]):
            engine = WorkflowEngine()
            for one in order:
                engine.use(one)
            assert engine.run(workflow).status is WorkflowStatus.FAILED
        assert seen == ["y", "y"]

    def test_hooks_of_one_call_share_their_context(self) -> None:
        class Timed(Middleware):
            seen: list[float]

            async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> None:
                context["began"] = 1.5

            async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:
                self.seen.append(context["began"])

        timed = Timed()
        timed.seen = []
        WorkflowEngine().use(timed).run(Workflow([LLMStep("ask", "x", MockLLMProvider({"default": "y"}))]))
        assert timed.seen == [1.5]
