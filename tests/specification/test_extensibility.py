"""FR-023 to FR-026: plugins and middleware."""

from __future__ import annotations

import asyncio
import inspect
import threading
from abc import ABC

import pytest

from generative_ai_workflow import (
    AbortError,
    LLMProvider,
    LLMRequest,
    LLMResponse,
    LLMStep,
    Middleware,
    MockLLMProvider,
    PluginError,
    PluginNotFoundError,
    PluginRegistrationError,
    PluginRegistry,
    StepContext,
    StepResult,
    StepStatus,
    TokenUsage,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)


class House(LLMProvider):
    def complete(self, request: LLMRequest) -> LLMResponse:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="house-1", provider="house")
        return LLMResponse(content=f"house: {request.prompt}", model="house-1", usage=usage)


class AwaitedHouse(LLMProvider):
    async def complete_async(self, request: LLMRequest) -> LLMResponse:
        return House().complete(request)


KINDS = ("sync class", "sync instance", "async class", "async instance")


@pytest.mark.requirement("FR-023", "SC-004", "story 3.1")
@every_way
@pytest.mark.parametrize("item", [House, House(), AwaitedHouse, AwaitedHouse()], ids=KINDS)
def test_a_registered_provider_stands_beside_the_built_in_ones(way, item, openai):
    PluginRegistry.register_provider("house", item)
    assert {"house", "openai", "mock"} <= set(PluginRegistry.list_providers())
    openai.add("openai: x")
    steps = [LLMStep("ours", "x", provider="house"), LLMStep("theirs", "x", provider="openai")]
    result = run(way, Workflow(steps))
    assert (result.output["ours"], result.output["theirs"]) == ("house: x", "openai: x")


@pytest.mark.requirement("FR-023")
def test_the_registry_gives_lists_replaces_and_forgets():
    PluginRegistry.register_provider("house", House)
    assert PluginRegistry.get_provider("house") is House
    with pytest.raises(PluginRegistrationError, match="house"):
        PluginRegistry.register_provider("house", AwaitedHouse)
    PluginRegistry.register_provider("house", AwaitedHouse, replace=True)
    assert PluginRegistry.get_provider("house") is AwaitedHouse
    PluginRegistry.unregister_provider("house")
    with pytest.raises(PluginNotFoundError) as caught:
        PluginRegistry.get_provider("house")
    assert "openai" in caught.value.hint
    assert "house" not in PluginRegistry.list_providers()
    PluginRegistry.register_provider("house", House)
    PluginRegistry.clear()
    assert "house" not in PluginRegistry.list_providers()
    assert "openai" in PluginRegistry.list_providers()


@pytest.mark.requirement("FR-023", "FR-024")
def test_what_is_no_provider_is_refused_at_the_door():
    with pytest.raises(PluginError, match="wrong"):
        PluginRegistry.register_provider("wrong", dict)
    with pytest.raises(PluginError, match="wrong"):
        PluginRegistry.register_step("wrong", dict)


@pytest.mark.requirement("FR-024")
def test_the_interfaces_of_plugins_are_classes_with_documented_methods():
    assert issubclass(WorkflowStep, ABC)
    for kind, methods in {
        LLMProvider: ("complete", "complete_async", "initialize", "cleanup"),
        WorkflowStep: ("execute", "execute_async", "initialize", "cleanup"),
        Middleware: ("before_llm_call", "after_llm_call", "on_workflow_start", "on_workflow_end", "on_step_error"),
    }.items():
        for method in methods:
            assert inspect.getdoc(getattr(kind, method)), f"{kind.__name__}.{method}"


class SyncStep(WorkflowStep):
    name = "own"

    def execute(self, context: StepContext) -> dict:
        return {"own": "sync"}


class AsyncStep(WorkflowStep):
    name = "own"

    async def execute_async(self, context: StepContext) -> StepResult:
        return StepResult(step_id=context.step_id, status=StepStatus.COMPLETED, output={"own": "async"})


class BothStep(SyncStep, AsyncStep):
    pass


@pytest.mark.requirement("FR-024")
@every_way
@pytest.mark.parametrize(
    ("kind", "half"), [(SyncStep, "sync"), (AsyncStep, "async"), (BothStep, "async")], ids=["sync", "async", "both"]
)
def test_a_step_may_be_sync_async_or_both_in_every_mode(way, kind, half):
    assert run(way, Workflow([kind()])).output["own"] == half


@pytest.mark.requirement("FR-024")
def test_a_step_with_neither_is_refused_when_it_is_defined():
    with pytest.raises(TypeError, match="must define execute_async or execute"):

        class Neither(WorkflowStep):
            pass


@pytest.mark.requirement("FR-024", "story 3.2")
@every_way
def test_a_custom_step_has_a_lifecycle(way):
    calls: list[str] = []

    class Cycle(WorkflowStep):
        name = "cycle"

        def initialize(self) -> None:
            calls.append("initialize")

        async def execute_async(self, context: StepContext) -> dict:
            calls.append("execute")
            if context.input_data.get("fail"):
                raise ValueError("no")
            return {}

        async def cleanup(self) -> None:
            calls.append("cleanup")

    workflow = Workflow([Cycle(), TransformStep("after", lambda n: calls.append("after"))])
    assert run(way, workflow).succeeded
    assert calls == ["initialize", "execute", "after", "cleanup"]
    calls.clear()
    assert not run(way, workflow, {"fail": True}).succeeded
    assert calls == ["initialize", "execute", "cleanup"]


@pytest.mark.requirement("story 3.2", "FR-008")
@every_way
@pytest.mark.parametrize("end", ["completed", "failed", "timeout"])
def test_a_step_that_only_cleans_up_is_cleaned_up_once_however_the_run_ends(way, end):
    cleaned: list[str] = []

    class Holds(WorkflowStep):
        async def execute_async(self, context: StepContext) -> dict:
            if end == "failed":
                raise ValueError("no")
            await asyncio.sleep(20 if end == "timeout" else 0)
            return {}

        def cleanup(self) -> None:
            cleaned.append(self.name)

    limit = 0.2 if end == "timeout" else None
    result = run(way, Workflow([Holds("began"), TransformStep("next", lambda n: 1), Holds("last")]), timeout=limit)
    assert result.status == end
    assert cleaned == (["last", "began"] if end == "completed" else ["began"])


class Faulty(LLMProvider):
    def __init__(self, what: object) -> None:
        self.what = what

    async def complete_async(self, request: LLMRequest) -> LLMResponse:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what  # type: ignore[return-value]


@pytest.mark.requirement("FR-025")
@every_way
@pytest.mark.parametrize("what", [ValueError("boom"), SystemExit(3), None, "text", asyncio.CancelledError()], ids=repr)
def test_a_failing_provider_fails_its_step_alone(way, what):
    steps = [LLMStep("bad", "x", Faulty(what), is_critical=False), TransformStep("next", lambda n: "ran")]
    result = run(way, Workflow(steps))
    assert result.status is WorkflowStatus.COMPLETED
    assert result.steps["bad"].status is StepStatus.FAILED
    assert result.steps["bad"].error
    assert result.output["next"] == "ran"


class BadStep(WorkflowStep):
    name = "bad"
    is_critical = False

    def __init__(self, what: object) -> None:
        super().__init__()
        self.what = what

    def execute(self, context: StepContext) -> dict:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what  # type: ignore[return-value]


@pytest.mark.requirement("FR-025", "story 3.3")
@every_way
@pytest.mark.parametrize("what", [ValueError("boom"), SystemExit(3), None, 42, "text", [1]], ids=repr)
def test_a_failing_step_is_isolated_and_logged_with_the_name_of_the_plugin(way, what, log_lines):
    result = run(way, Workflow([BadStep(what), TransformStep("next", lambda n: "ran")]))
    assert result.status is WorkflowStatus.COMPLETED
    assert result.output["next"] == "ran"
    [line] = [line for line in log_lines() if line["event"] == "step.failed"]
    assert line["level"] == "error"
    assert line["plugin"].endswith("BadStep")
    assert line["step"] == "bad"
    assert run(way, Workflow([TransformStep("again", lambda n: 1)])).succeeded


@pytest.mark.requirement("FR-025")
def test_a_failing_lifecycle_method_is_isolated_too(log_lines):
    class BadStart(WorkflowStep):
        name = "start"
        is_critical = False

        def initialize(self) -> None:
            raise ValueError("no start")

        def execute(self, context: StepContext) -> dict:
            return {}

    class BadEnd(WorkflowStep):
        name = "end"

        def execute(self, context: StepContext) -> dict:
            return {"end": "kept"}

        def cleanup(self) -> None:
            raise ValueError("no end")

    result = run("sync", Workflow([BadStart(), BadEnd()]))
    assert result.status is WorkflowStatus.COMPLETED
    assert "no start" in result.steps["start"].error
    assert result.output["end"] == "kept"
    assert "no end" in str(log_lines())


class Recorder(Middleware):
    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls
        self.places: list[tuple[int, object]] = []

    def note(self, hook: str) -> None:
        self.calls.append(f"{self.name} {hook}")
        try:
            loop: object = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self.places.append((threading.get_ident(), loop))


class SyncRecorder(Recorder):
    def before_llm_call(self, request, context):
        self.note("before")

    def after_llm_call(self, response, context):
        self.note("after")

    def on_workflow_start(self, workflow_id, context):
        self.note("start")

    def on_workflow_end(self, result, context):
        self.note("end")

    def on_step_error(self, error, step_name, context):
        self.note(f"error in {step_name}")


class AsyncRecorder(Recorder):
    async def before_llm_call(self, request, context):
        self.note("before")

    async def after_llm_call(self, response, context):
        self.note("after")

    async def on_workflow_start(self, workflow_id, context):
        self.note("start")

    async def on_workflow_end(self, result, context):
        self.note("end")

    async def on_step_error(self, error, step_name, context):
        self.note(f"error in {step_name}")


@pytest.mark.requirement("FR-026")
@every_way
@pytest.mark.parametrize("kind", [SyncRecorder, AsyncRecorder])
def test_every_hook_is_called_in_its_order(way, kind):
    calls: list[str] = []
    engine = WorkflowEngine().use(kind("one", calls)).use(kind("two", calls))
    steps = [LLMStep("ask", "x", MockLLMProvider()), TransformStep("bad", lambda n: 1 / 0)]
    run(way, Workflow(steps), engine=engine)
    assert calls == [
        "one start", "two start", "one before", "two before", "two after", "one after",
        "one error in bad", "two error in bad", "two end", "one end",
    ]  # fmt: skip


@pytest.mark.requirement("FR-026")
def test_async_hooks_run_on_the_loop_of_an_async_run():
    recorder = AsyncRecorder("m", [])
    engine = WorkflowEngine().use(recorder)

    async def go() -> object:
        await engine.run_async(Workflow([LLMStep("ask", "x", MockLLMProvider())]))
        return asyncio.get_running_loop()

    loop = run_alone(go())
    assert {place for _, place in recorder.places} == {loop}


@pytest.mark.requirement("FR-026")
@every_way
@pytest.mark.parametrize("blocking", [True, False])
def test_hooks_may_change_what_passes_and_stop_a_call(way, blocking):
    class Change(Middleware):
        async def before_llm_call(self, request, context):
            if "secret" in request.prompt:
                raise AbortError("not to be asked")
            return request.model_copy(update={"temperature": 0.0})

        async def after_llm_call(self, response, context):
            return response.model_copy(update={"content": response.content.upper()})

    class Blocking(Middleware):
        def before_llm_call(self, request, context):
            if "secret" in request.prompt:
                raise AbortError("not to be asked")
            return request.model_copy(update={"temperature": 0.0})

        def after_llm_call(self, response, context):
            return response.model_copy(update={"content": response.content.upper()})

    model = MockLLMProvider("answer")
    engine = WorkflowEngine().use(Blocking() if blocking else Change())
    workflow = Workflow([LLMStep("ask", "{text}", model)])
    result = run(way, workflow, {"text": "plain"}, engine=engine)
    assert result.output["ask"] == "ANSWER"
    assert model.call_log[0].temperature == 0.0
    stopped = run(way, workflow, {"text": "secret"}, engine=engine)
    assert stopped.status is WorkflowStatus.FAILED
    assert "not to be asked" in stopped.error
    assert model.call_count == 1


@pytest.mark.requirement("FR-026", "FR-025")
@every_way
def test_a_failing_hook_costs_no_result_and_is_logged_by_its_name(way, log_lines):
    class Broken(Middleware):
        def before_llm_call(self, request, context):
            raise ValueError("hook broke")

        async def on_workflow_end(self, result: WorkflowResult, context):
            raise ValueError("end broke")

    engine = WorkflowEngine().use(Broken())
    result = run(way, Workflow([LLMStep("ask", "x", MockLLMProvider("fine"))]), engine=engine)
    assert result.output["ask"] == "fine"
    told = [line for line in log_lines() if line["event"] == "middleware.failed"]
    assert [line["hook"] for line in told] == ["before_llm_call", "on_workflow_end"]
    assert {line["middleware"] for line in told} == {"Broken"}


@pytest.mark.requirement("FR-026")
@every_way
@pytest.mark.parametrize("blocking", [True, False])
def test_hooks_around_steps_and_failed_calls(way, blocking):
    told: list[str] = []

    class Blocking(Middleware):
        def on_step_start(self, step_name, context):
            told.append(f"start {step_name}")

        def on_step_end(self, result, context):
            told.append(f"end {result.name} {result.status}")

        def on_llm_error(self, error, context):
            told.append(f"call failed in {context['step']}: {error.code}")

    class Awaited(Middleware):
        async def on_step_start(self, step_name, context):
            told.append(f"start {step_name}")

        async def on_step_end(self, result, context):
            told.append(f"end {result.name} {result.status}")

        async def on_llm_error(self, error, context):
            told.append(f"call failed in {context['step']}: {error.code}")

    engine = WorkflowEngine().use(Blocking() if blocking else Awaited())
    steps = [TransformStep("a", lambda n: 1), LLMStep("b", "x", MockLLMProvider(fail_with="auth"))]
    run(way, Workflow(steps), engine=engine)
    assert told == ["start a", "end a completed", "start b", "call failed in b: auth", "end b failed"]
