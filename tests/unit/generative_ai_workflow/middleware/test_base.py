from __future__ import annotations

import threading

import pytest

from chatmodels.types import ChatRequest, ChatResponse
from generative_ai_workflow import (
    AbortError,
    ConfigurationError,
    LLMStep,
    Middleware,
    MockLLMProvider,
    ProviderError,
    StepContext,
    TokenUsage,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
    WorkflowStep,
)
from unit.generative_ai_workflow.loops import run_alone


class Recorder(Middleware):
    def __init__(self, name: str, calls: list) -> None:
        self.name, self.calls = name, calls

    async def before_llm_call(self, request: ChatRequest, context: dict) -> None:
        self.calls.append((self.name, "before", context["step"]))

    async def after_llm_call(self, response: ChatResponse, context: dict) -> None:
        self.calls.append((self.name, "after", context["step"]))

    async def on_workflow_start(self, workflow_id: str, context: dict) -> None:
        self.calls.append((self.name, "start", workflow_id, context["input_data"]))

    async def on_workflow_end(self, result: object, context: dict) -> None:
        self.calls.append((self.name, "end", result.status))  # type: ignore[attr-defined]

    async def on_step_error(self, error: Exception, step_name: str, context: dict) -> None:
        self.calls.append((self.name, "error", step_name, type(error).__name__))


class BlockingRecorder(Middleware):
    """The same hooks, blocking."""

    def __init__(self, name: str, calls: list) -> None:
        self.inner = Recorder(name, calls)
        self.threads: set[int] = set()

    def before_llm_call(self, request: ChatRequest, context: dict) -> None:  # type: ignore[override]
        self.threads.add(threading.get_ident())
        self.inner.calls.append((self.inner.name, "before", context["step"]))

    def after_llm_call(self, response: ChatResponse, context: dict) -> None:  # type: ignore[override]
        self.inner.calls.append((self.inner.name, "after", context["step"]))

    def on_workflow_start(self, workflow_id: str, context: dict) -> None:  # type: ignore[override]
        self.inner.calls.append((self.inner.name, "start", workflow_id, context["input_data"]))

    def on_workflow_end(self, result: object, context: dict) -> None:  # type: ignore[override]
        self.inner.calls.append((self.inner.name, "end", result.status))  # type: ignore[attr-defined]

    def on_step_error(self, error: Exception, step_name: str, context: dict) -> None:  # type: ignore[override]
        self.inner.calls.append((self.inner.name, "error", step_name, type(error).__name__))


@pytest.mark.parametrize("kind", [Recorder, BlockingRecorder])
@pytest.mark.parametrize("blocking", [True, False])
def test_all_hooks_are_called_in_order(kind: type, blocking: bool) -> None:
    calls: list = []
    engine = WorkflowEngine().use(kind("one", calls)).use(kind("two", calls))
    workflow = Workflow([LLMStep("ask", "x", MockLLMProvider()), TransformStep("bad", lambda n: 1 / 0)])
    if blocking:
        engine.run(workflow, {"a": 1})
    else:
        run_alone(engine.run_async(workflow, {"a": 1}))
    identifier = workflow.workflow_id
    assert calls == [
        ("one", "start", identifier, {"a": 1}),
        ("two", "start", identifier, {"a": 1}),
        ("one", "before", "ask"),
        ("two", "before", "ask"),
        ("two", "after", "ask"),
        ("one", "after", "ask"),
        ("one", "error", "bad", "ZeroDivisionError"),
        ("two", "error", "bad", "ZeroDivisionError"),
        ("two", "end", WorkflowStatus.FAILED),
        ("one", "end", WorkflowStatus.FAILED),
    ]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_call_that_fails_is_told_with_what_it_was_charged(blocking: bool) -> None:
    told: list = []

    class Awaited(Middleware):
        async def on_llm_error(self, error: Exception, context: dict) -> None:
            told.append((context["step"], error.fields["usage"].total_tokens))  # type: ignore[attr-defined]

    class Blocking(Middleware):
        def on_llm_error(self, error: Exception, context: dict) -> None:  # type: ignore[override]
            told.append((context["step"], error.fields["usage"].total_tokens))  # type: ignore[attr-defined]

    paid = TokenUsage(prompt_tokens=2, completion_tokens=1, model="m", provider="p")
    failed = ProviderError("cut", op="x.complete", code="bad_reply", fields={"usage": paid})
    steps = [LLMStep("first", "x", MockLLMProvider([failed])), LLMStep("second", "x", MockLLMProvider())]
    result = WorkflowEngine().use(Blocking() if blocking else Awaited()).run(Workflow(steps))
    assert told == [("first", 3)]
    assert result.steps["first"].error_info.code == "bad_reply"


def test_requests_and_responses_can_be_replaced() -> None:
    class Change:
        async def before_llm_call(self, request: ChatRequest, context: dict) -> ChatRequest:
            return ChatRequest(prompt=request.prompt.upper())

        def after_llm_call(self, response: ChatResponse, context: dict) -> ChatResponse:
            return response.model_copy(update={"content": f"<{response.content}>"})

    model = MockLLMProvider({"QUESTION": "answer"})
    result = WorkflowEngine().use(Change()).run(Workflow([LLMStep("s", "question", model)]))
    assert result.output["s"] == "<answer>"
    assert result.metrics.token_usage_total.total_tokens == 2


def test_hooks_reach_calls_of_custom_steps() -> None:
    class Curious(WorkflowStep):
        name = "curious"

        async def execute_async(self, context: StepContext) -> dict:
            return {"a": (await context.ask(ChatRequest(prompt="x"), MockLLMProvider("quiet"))).content}

    class Shout(Middleware):
        async def after_llm_call(self, response: ChatResponse, context: dict) -> ChatResponse:
            return response.model_copy(update={"content": response.content.upper()})

    assert WorkflowEngine().use(Shout()).run(Workflow([Curious()])).output["a"] == "QUIET"


class Hook:
    """A middleware with one hook that raises."""

    def __init__(self, hook: str, error: BaseException, blocking: bool) -> None:
        async def awaited(*_: object) -> None:
            raise error

        def plain(*_: object) -> None:
            raise error

        setattr(self, hook, plain if blocking else awaited)


HOOKS = ["before_llm_call", "after_llm_call", "on_workflow_start", "on_workflow_end", "on_step_error"]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(2)], ids=["error", "exit"])
def test_a_failing_hook_never_costs_a_result(hook: str, error: BaseException, blocking: bool, log_lines) -> None:
    engine = WorkflowEngine().use(Hook(hook, error, blocking))
    steps = [LLMStep("s", "x", MockLLMProvider("fine")), TransformStep("bad", lambda n: 1 / 0, is_critical=False)]
    result = engine.run(Workflow(steps))
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["s"] == "fine"
    line = next(line for line in log_lines() if line["event"] == "middleware.failed")
    assert type(error).__name__ in line["error"]
    assert line["correlation_id"] == result.correlation_id


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("hook", ["before_llm_call", "after_llm_call", "on_workflow_start", "on_step_error"])
def test_abort_fails_the_run_with_its_reason(hook: str, critical: bool, blocking: bool) -> None:
    model = MockLLMProvider("a")
    engine = WorkflowEngine().use(Hook(hook, AbortError("over budget"), blocking))
    bad = TransformStep("bad", lambda n: 1 / 0, is_critical=False)
    steps = [LLMStep("s", "x", model, is_critical=critical), bad, TransformStep("never", lambda n: 1)]
    result = engine.run(Workflow(steps))
    assert result.status is WorkflowStatus.FAILED
    assert "over budget" in result.error
    assert str(result.steps["never"].status) == "skipped"
    asked = 0 if hook in ("before_llm_call", "on_workflow_start") else 1
    assert model.call_count == asked
    assert (result.metrics.token_usage_total is not None) is bool(asked)


def test_a_step_that_swallows_everything_does_not_undo_an_abort() -> None:
    class Swallow(WorkflowStep):
        name = "swallow"

        async def execute_async(self, context: StepContext) -> dict:
            try:
                await context.ask(ChatRequest(prompt="x"), MockLLMProvider())
            except Exception:
                return {"a": "fine"}
            return {}

    engine = WorkflowEngine().use(Hook("before_llm_call", AbortError("stop here"), False))
    result = engine.run(Workflow([Swallow(), TransformStep("never", lambda n: 1)]))
    assert result.status is WorkflowStatus.FAILED
    assert "stop here" in result.error


def test_an_abort_at_the_end_changes_nothing() -> None:
    engine = WorkflowEngine().use(Hook("on_workflow_end", AbortError("too late"), False))
    assert engine.run(Workflow([TransformStep("t", lambda n: 1)])).succeeded


def test_a_replacement_of_the_wrong_type_is_ignored(log_lines) -> None:
    class Wrong:
        async def after_llm_call(self, response: ChatResponse, context: dict) -> str:
            return "text"

    result = WorkflowEngine().use(Wrong()).run(Workflow([LLMStep("s", "x", MockLLMProvider("fine"))]))
    assert result.output["s"] == "fine"
    assert any("str instead of ChatResponse" in line.get("error", "") for line in log_lines())


def test_use_concerns_the_runs_that_begin_afterwards() -> None:
    calls: list = []
    engine = WorkflowEngine()
    workflow = Workflow([TransformStep("t", lambda n: 1)])
    engine.run(workflow)
    one = Recorder("one", calls)
    assert engine.use(one) is engine
    assert engine.middleware == (one,)
    engine.run(workflow)
    assert [call[1] for call in calls] == ["start", "end"]


@pytest.mark.parametrize("wrong", [object(), "text", Recorder])
def test_what_is_no_middleware_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError):
        WorkflowEngine().use(wrong)


def test_plain_hooks_run_off_the_loop() -> None:
    recorder = BlockingRecorder("one", [])

    async def go() -> int:
        await WorkflowEngine().use(recorder).run_async(Workflow([LLMStep("s", "x", MockLLMProvider())]))
        return threading.get_ident()

    assert run_alone(go()) not in recorder.threads
