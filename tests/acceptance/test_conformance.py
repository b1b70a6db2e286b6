"""The names, signatures, events and messages that were promised to users, to the letter."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import json
import os
import pickle
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import chatmodels
import generative_ai_workflow
from acceptance.outside import Project
from chatmodels import (
    ChatChunk,
    ChatModel,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    Message,
    RecordingModel,
    ReplayModel,
    cost_of,
    create_chat_model,
    register_chat_model,
)
from fmf_core.logs import reset_logging
from generative_ai_workflow import (
    AbortError,
    ConditionalStep,
    CostTracker,
    ExecutionMetrics,
    FrameworkConfig,
    FrameworkError,
    LLMProvider,
    LLMRequest,
    LLMResponse,
    LLMStep,
    Middleware,
    MockLLMProvider,
    PluginRegistry,
    StepContext,
    StepResult,
    StepStatus,
    TokenUsage,
    TokenUsageTracker,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowResult,
    WorkflowStatus,
    WorkflowStep,
)
from generative_ai_workflow.observability.logging import configure_logging, get_logger
from generative_ai_workflow.observability.metrics import StepTimer
from peers.scripted_server import Reply, ScriptedServer

WORKFLOW_NAMES = """
    FrameworkConfig WorkflowEngine Workflow WorkflowConfig WorkflowStep LLMStep TransformStep ConditionalStep
    StepContext StepResult StepStatus WorkflowResult WorkflowStatus ExecutionMetrics LLMProvider LLMRequest
    LLMResponse TokenUsage MockLLMProvider PluginRegistry Middleware detect_pii redact_pii TokenUsageTracker
    CostTracker FrameworkError ConfigurationError WorkflowError StepError AbortError ProviderError ProviderAuthError
    PluginError PluginNotFoundError PluginRegistrationError ExpressionError
""".split()  # noqa: SIM905
CHAT_NAMES = """
    ChatModel MessageGenerator StreamMessageHandler ModelInfoProvider HealthChecker Runnable Message TextPart
    ImagePart ToolCall ChatRequest ChatResponse ChatChunk TokenUsage ModelInfo HealthStatus ChatModelConfig
    ChatModelError ErrorCode create_chat_model register_chat_model list_chat_models get_chat_model_metadata
    unregister_chat_model MockChatModel AdvancedMockChatModel RecordingModel ReplayModel cost_of
    LLMProvider LLMRequest LLMResponse ProviderError
""".split()  # noqa: SIM905
MODULES = {
    "workflow": "Workflow WorkflowConfig WorkflowResult WorkflowStatus ExecutionMetrics",
    "step": "WorkflowStep LLMStep TransformStep StepContext StepResult StepStatus",
    "engine": "WorkflowEngine",
    "config": "FrameworkConfig WorkflowConfig",
    "exceptions": (
        "FrameworkError ConfigurationError WorkflowError StepError AbortError ProviderError ProviderAuthError "
        "PluginError PluginNotFoundError PluginRegistrationError ExpressionError"
    ),
    "providers.base": "LLMProvider LLMRequest LLMResponse TokenUsage",
    "providers.mock": "MockLLMProvider",
    "providers.openai": "OpenAIProvider",
    "plugins.registry": "PluginRegistry",
    "middleware.base": "Middleware",
    "observability.logging": "configure_logging get_logger",
    "observability.metrics": "StepTimer ExecutionMetrics",
    "observability.tracker": "TokenUsageTracker CostTracker",
    "control_flow": "ConditionalStep ExpressionError",
}
SIGNATURES: dict[str, tuple[Any, str]] = {
    "Workflow": (Workflow, "steps, name='', config=None"),
    "Workflow.execute_async": (Workflow.execute_async, "input_data, *, correlation_id=None"),
    "Workflow.execute": (Workflow.execute, "input_data, *, timeout=None, correlation_id=None"),
    "Workflow.start": (Workflow.start, "input_data"),
    "Workflow.from_yaml": (Workflow.from_yaml, "path"),
    "WorkflowEngine": (WorkflowEngine, "config=None"),
    "WorkflowEngine.use": (WorkflowEngine.use, "middleware"),
    "WorkflowEngine.run_async": (WorkflowEngine.run_async, "workflow, input_data"),
    "WorkflowEngine.run": (WorkflowEngine.run, "workflow, input_data"),
    "WorkflowEngine.start": (WorkflowEngine.start, "workflow, input_data"),
    "WorkflowEngine.run_many": (WorkflowEngine.run_many, "workflow, inputs, concurrency=None"),
    "LLMStep": (
        LLMStep,
        (
            "name, prompt, provider=None, model=None, temperature=None, max_tokens=None, system_prompt=None, "
            "is_critical=True"
        ),
    ),
    "TransformStep": (TransformStep, "name, transform, is_critical=True"),
    "ConditionalStep": (ConditionalStep, "name, condition, true_steps, false_steps=None, is_critical=True"),
    "MockLLMProvider": (MockLLMProvider, "responses=None, fail_with=None"),
    "CostTracker": (CostTracker, "limit_usd=None"),
    "FrameworkConfig.from_yaml": (FrameworkConfig.from_yaml, "path"),
    "PluginRegistry.register_provider": (PluginRegistry.register_provider, "name, provider"),
    "PluginRegistry.get_provider": (PluginRegistry.get_provider, "name"),
    "PluginRegistry.list_providers": (PluginRegistry.list_providers, ""),
    "PluginRegistry.unregister_provider": (PluginRegistry.unregister_provider, "name"),
    "PluginRegistry.clear": (PluginRegistry.clear, ""),
    "PluginRegistry.register_step": (PluginRegistry.register_step, "name, step"),
    "PluginRegistry.get_step": (PluginRegistry.get_step, "name"),
    "PluginRegistry.list_steps": (PluginRegistry.list_steps, ""),
    "RecordingModel": (RecordingModel, "inner, path"),
    "ReplayModel": (ReplayModel, "path"),
    "configure_logging": (configure_logging, "level='INFO'"),
    "get_logger": (get_logger, "name"),
    "cost_of": (cost_of, "usage"),
    "LLMProvider.complete": (LLMProvider.complete, "request"),
    "LLMProvider.complete_async": (LLMProvider.complete_async, "request"),
    "Middleware.before_llm_call": (Middleware.before_llm_call, "request, context"),
    "Middleware.after_llm_call": (Middleware.after_llm_call, "response, context"),
    "Middleware.on_workflow_start": (Middleware.on_workflow_start, "workflow_id, context"),
    "Middleware.on_workflow_end": (Middleware.on_workflow_end, "result, context"),
    "Middleware.on_step_error": (Middleware.on_step_error, "error, step_name, context"),
}
EVENTS = {end: ("pending", "started", end) for end in ("completed", "failed", "cancelled", "timeout")}


@pytest.fixture(autouse=True)
def _clean_house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in tuple(os.environ):
        if name.startswith("GENAI_WORKFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    PluginRegistry.clear()
    reset_logging()


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-conformance-0123456789")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def alone(work: Any) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def logged() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def nap(names: dict[str, Any]) -> None:
    await asyncio.sleep(20)


# Names and signatures


@pytest.mark.parametrize("name", WORKFLOW_NAMES)
def test_a_name_of_the_workflow_package(name):
    assert getattr(generative_ai_workflow, name) is not None
    assert name in generative_ai_workflow.__all__


@pytest.mark.parametrize("name", CHAT_NAMES)
def test_a_name_of_the_chat_package(name):
    assert getattr(chatmodels, name) is not None
    assert name in chatmodels.__all__


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in MODULES for name in MODULES[module].split()])
def test_a_name_of_a_module(module, name):
    found = getattr(import_module(f"generative_ai_workflow.{module}"), name)
    assert found is getattr(generative_ai_workflow, name, found)


def test_names_of_both_storeys_are_one_thing():
    for ours, theirs in {
        "LLMProvider": "ChatModel", "LLMRequest": "ChatRequest", "LLMResponse": "ChatResponse",
        "MockLLMProvider": "MockChatModel", "ProviderError": "ChatModelError", "TokenUsage": "TokenUsage",
    }.items():  # fmt: skip
        assert getattr(generative_ai_workflow, ours) is getattr(chatmodels, theirs)
    assert chatmodels.AdvancedMockChatModel is chatmodels.MockChatModel


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature(name):
    """The promised parameters come first, in their order and with their defaults; further ones need not be given."""
    thing, promised = SIGNATURES[name]
    given = [one for one in inspect.signature(thing).parameters.values() if one.name != "self"]
    wanted = list(inspect.signature(eval(f"lambda {promised}: None")).parameters.values())
    for place, want in enumerate(wanted):
        if want.kind is inspect.Parameter.KEYWORD_ONLY:
            have = next(one for one in given if one.name == want.name)
            assert have.kind is inspect.Parameter.KEYWORD_ONLY
        else:
            have = given[place]
            assert (have.name, have.kind) == (want.name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if want.default is not inspect.Parameter.empty:
            assert have.default == want.default
    named = {want.name for want in wanted}
    assert all(
        one.default is not inspect.Parameter.empty or one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        for one in given
        if one.name not in named
    )


def test_the_hierarchy_of_errors():
    kinds = {name: getattr(generative_ai_workflow, name) for name in WORKFLOW_NAMES if name.endswith("Error")}
    assert len(kinds) == 11
    assert all(issubclass(kind, FrameworkError) for kind in kinds.values())
    assert issubclass(kinds["ProviderAuthError"], kinds["ProviderError"])
    assert issubclass(kinds["PluginNotFoundError"], kinds["PluginError"])
    assert issubclass(kinds["PluginRegistrationError"], kinds["PluginError"])
    assert issubclass(kinds["StepError"], kinds["WorkflowError"])
    for kind in kinds.values():
        error = kind("message")
        assert isinstance(error, Exception)
        assert "message" in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Running


def test_every_way_to_run_gives_a_workflow_result():
    workflow = Workflow([LLMStep("ask", "{x}", MockLLMProvider({"1": "one"}))], "named", WorkflowConfig())
    engine = WorkflowEngine(FrameworkConfig())

    async def awaited() -> list[WorkflowResult]:
        handle = workflow.start({"x": 1})
        return [
            await workflow.execute_async({"x": 1}),
            await workflow.execute_async({"x": 1}, correlation_id="c"),
            await engine.run_async(workflow, {"x": 1}),
            await handle,
            await engine.start(workflow, {"x": 1}),
            *await engine.run_many(workflow, [{"x": 1}], concurrency=2),
        ]

    results = [
        *alone(awaited()),
        workflow.execute({"x": 1}),
        workflow.execute(input_data={"x": 1}, timeout=5, correlation_id="c"),
        engine.run(workflow, {"x": 1}),
        workflow.start({"x": 1}).result(timeout=5),
        workflow.start({"x": 1}).result(5),
        *engine.run_many(workflow, [{"x": 1}]),
    ]
    for result in results:
        assert isinstance(result, WorkflowResult)
        assert result.status is WorkflowStatus.COMPLETED
        assert result.status == "completed"
        assert result.output["llm_response"] == "one"
    assert [results[1].correlation_id, results[7].correlation_id] == ["c", "c"]


def test_a_handle_is_awaited_asked_looked_at_and_cancelled():
    model = MockLLMProvider(latency_s=0.05)

    async def go() -> list[Any]:
        handle = Workflow([LLMStep("a", "x", model)]).start({})
        first = handle.status
        gathered = await asyncio.gather(handle, handle)
        waited = await asyncio.wait_for(handle, 5)
        other = Workflow([TransformStep("n", nap)]).start({})
        await asyncio.sleep(0.02)
        other.cancel()
        return [first, gathered[0] is gathered[1] is waited, handle.status, (await other).status, other.status]

    assert alone(go()) == ["pending", True, "completed", "cancelled", "cancelled"]


def test_start_gives_control_back_before_the_work_is_done():
    handle = Workflow([TransformStep("slow", lambda names: time.sleep(0.2))]).start({})
    assert handle.status in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)
    assert handle.result(timeout=10).status is WorkflowStatus.COMPLETED
    assert handle.status is WorkflowStatus.COMPLETED


def test_engine_use_returns_the_engine():
    engine = WorkflowEngine()
    assert engine.use(TokenUsageTracker()) is engine
    assert engine.config == FrameworkConfig()


@pytest.mark.parametrize(
    "given",
    [[{"n": n} for n in range(5)], ({"n": n} for n in range(5)), ({"n": 0},)],
    ids=["list", "generator", "tuple"],
)
def test_run_many_takes_any_iterable_and_keeps_the_order(given):
    async def back(names: dict[str, Any]) -> int:
        await asyncio.sleep(0.01 * (5 - names["n"]))
        return names["n"]

    results = alone(_awaited(WorkflowEngine().run_many(Workflow([TransformStep("a", back)]), given, concurrency=5)))
    assert [result.output["a"] for result in results] == list(range(len(results)))


def test_run_many_gives_results_by_key_where_inputs_have_keys():
    workflow = Workflow([TransformStep("a", lambda names: names["n"])])
    inputs = {"one": {"n": 1}, "two": {"n": 2}}
    results = alone(_awaited(WorkflowEngine().run_many(workflow, inputs, concurrency=2)))
    assert {key: result.output["a"] for key, result in results.items()} == {"one": 1, "two": 2}


async def _awaited(work: Any) -> Any:
    return await work


# Steps


def test_keys_of_outputs():
    steps = [
        TransformStep("value", lambda names: 7),
        TransformStep("mapping", lambda names: {"x": 1, "y": 2}),
        LLMStep("first", "a", MockLLMProvider("A")),
        LLMStep("last", "b", MockLLMProvider("B")),
        TransformStep("nothing", lambda names: None),
        TransformStep("listed", lambda names: [1, 2]),
    ]
    result = Workflow(steps).execute({"given": 1})
    assert result.output == {
        "value": 7, "value_output": 7,
        "x": 1, "y": 2, "mapping_output": {"x": 1, "y": 2},
        "first": "A", "first_output": "A",
        "last": "B", "last_output": "B", "llm_response": "B",
        "nothing": None, "nothing_output": None,
        "listed": [1, 2], "listed_output": [1, 2],
    }  # fmt: skip
    assert result.steps["first"].output == {"first": "A", "first_output": "A", "llm_response": "A"}
    assert result.steps["mapping"].output == {"x": 1, "y": 2, "mapping_output": {"x": 1, "y": 2}}


def test_later_templates_know_every_key():
    model = MockLLMProvider(lambda request: request.prompt)
    steps = [
        TransformStep("t", lambda names: {"k": "K"}),
        LLMStep("a", "A", model),
        LLMStep("b", "{k} {a} {a_output} {llm_response} {given}", model),
    ]
    assert Workflow(steps).execute({"given": "G"}).output["b"] == "K A A A G"


@pytest.mark.parametrize("function", ["lambda", "async", "method", "callable object", "async callable object"])
def test_any_function_transforms(function):
    class Counts:
        def method(self, names: dict[str, Any]) -> int:
            return len(names["text"])

        def __call__(self, names: dict[str, Any]) -> int:
            return len(names["text"])

    class Awaits:
        async def __call__(self, names: dict[str, Any]) -> int:
            return len(names["text"])

    async def awaited(names: dict[str, Any]) -> int:
        return len(names["text"])

    functions = {
        "lambda": lambda names: len(names["text"]),
        "async": awaited,
        "method": Counts().method,
        "callable object": Counts(),
        "async callable object": Awaits(),
    }
    assert Workflow([TransformStep("n", functions[function])]).execute({"text": "four"}).output["n"] == 4


class SyncDict(WorkflowStep):
    name = "own"

    def execute(self, context: StepContext) -> dict[str, Any]:
        return {"seen": context.input_data["x"]}


class SyncResult(WorkflowStep):
    name = "own"

    def execute(self, context: StepContext) -> StepResult:
        return StepResult(
            step_id=context.step_id, status=StepStatus.COMPLETED, output={"seen": context.input_data["x"]}
        )


class AsyncDict(WorkflowStep):
    name = "own"

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        return {"seen": context.input_data["x"]}


class AsyncResult(WorkflowStep):
    async def execute_async(self, context: StepContext) -> StepResult:
        return StepResult(
            step_id=context.step_id, status=StepStatus.COMPLETED, output={"seen": context.input_data["x"]},
            duration_ms=1.0, token_usage=None, error=None,
        )  # fmt: skip


class AsyncExecute(WorkflowStep):
    """Its `execute` is a coroutine function."""

    name = "own"

    async def execute(self, context: StepContext) -> dict[str, Any]:  # type: ignore[override]
        return {"seen": context.input_data["x"]}


class OwnConstructor(WorkflowStep):
    """It never calls the constructor of its base."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key

    async def execute_async(self, context: StepContext) -> dict[str, Any]:
        return {"seen": context.variables[self.key]}


@pytest.mark.parametrize(
    "step",
    [
        SyncDict(), SyncDict("own"), SyncDict(name="own"), SyncResult(), AsyncDict(), AsyncDict("own", False),
        AsyncResult("own"), AsyncResult(name="own", is_critical=True), AsyncExecute(), OwnConstructor("own", "x"),
    ],
    ids=lambda step: type(step).__name__,
)  # fmt: skip
def test_custom_steps_as_people_write_them(step):
    result = Workflow([step]).execute({"x": 5})
    assert result.output == {"seen": 5}
    assert result.steps["own"].status is StepStatus.COMPLETED
    assert result.steps["own"].step_id == step.step_id
    assert alone(Workflow([step]).execute_async({"x": 6})).output == {"seen": 6}


def test_a_step_without_a_name_is_called_by_its_class():
    class Unnamed(WorkflowStep):
        def execute(self, context: StepContext) -> dict[str, Any]:
            return {}

    assert list(Workflow([Unnamed()]).execute({}).steps) == ["Unnamed"]


def test_class_attributes_of_a_step():
    class Optional(WorkflowStep):
        name = "optional"
        is_critical = False

        def execute(self, context: StepContext) -> dict[str, Any]:
            raise ValueError("no")

    result = Workflow([Optional(), TransformStep("next", lambda names: 1)]).execute({})
    assert result.status is WorkflowStatus.COMPLETED
    assert result.steps["optional"].status is StepStatus.FAILED


def test_a_conditional_runs_one_branch():
    model = MockLLMProvider("short")
    for given, ran in (({"n": 3}, {"yes": 1}), ({"n": 1}, {"no": 2})):
        steps = [
            ConditionalStep(
                "if",
                "n > 2",
                [TransformStep("yes", lambda names: 1)],
                [TransformStep("no", lambda names: 2), LLMStep("ask", "x", model)],
            )
        ]
        output = Workflow(steps).execute(given).output
        assert ran.items() <= output.items()
        assert ("yes" in output) is (given["n"] > 2)
    assert Workflow([ConditionalStep("if", "n > 2", [TransformStep("yes", lambda n: 1)])]).execute({"n": 0}).succeeded
    assert ConditionalStep("a", "true", [TransformStep("b", lambda n: 1)], None, False).is_critical is False


@pytest.mark.parametrize("condition", ["n >", "n.__class__", "import os", "f(n)", ""])
def test_a_condition_that_cannot_be_read_is_an_expression_error(condition):
    with pytest.raises(generative_ai_workflow.ExpressionError):
        ConditionalStep("if", condition, [TransformStep("a", lambda names: 1)])


# Providers


def usage(model: str = "own-1", provider: str = "own") -> TokenUsage:
    return TokenUsage(prompt_tokens=2, completion_tokens=1, total_tokens=3, model=model, provider=provider)


class OwnSync(LLMProvider):
    def complete(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(
            content=request.prompt.upper(), model="own-1", usage=usage(), latency_ms=1.0, finish_reason="stop"
        )


class OwnAsync(LLMProvider):
    name = "own"

    async def complete_async(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(content=request.prompt.upper(), model=request.model, usage=usage(request.model))


@pytest.mark.parametrize("registry", [PluginRegistry, PluginRegistry()], ids=["class", "instance"])
@pytest.mark.parametrize(
    "item",
    [OwnSync, OwnSync(), OwnAsync, OwnAsync()],
    ids=["sync class", "sync instance", "async class", "async instance"],
)
def test_a_provider_is_registered_by_class_or_instance(registry, item):
    registry.register_provider("own", item)
    assert registry.get_provider("own") is item
    assert "own" in registry.list_providers()
    for steps, config in (
        ([LLMStep("a", "x", provider="own")], None),
        ([LLMStep("a", "x")], WorkflowConfig(provider="own")),
        ([LLMStep("a", "x")], {"provider": "own"}),
    ):
        assert Workflow(steps, config=config).execute({}).output["a"] == "X"
    registry.unregister_provider("own")
    assert "own" not in registry.list_providers()


def test_steps_are_registered_likewise():
    PluginRegistry.register_step("own", SyncDict)
    assert PluginRegistry.get_step("own") is SyncDict
    assert "own" in PluginRegistry.list_steps()
    PluginRegistry.clear()
    assert "own" not in PluginRegistry.list_steps()


@pytest.mark.parametrize("kind", [OwnSync, OwnAsync])
def test_what_a_base_class_derives(kind):
    model = kind()
    request = LLMRequest(prompt="x")
    said = [Message(role="user", content="x")]

    async def awaited() -> list[Any]:
        return [
            (await model.complete_async(request)).content,
            (await model.ainvoke("x")).content,
            [answer.content for answer in await model.abatch(["x", "y"])],
            "".join([chunk.text async for chunk in model.astream("x")]),
            "".join([chunk.text async for chunk in model.stream_async(request)]),
        ]

    assert alone(awaited()) == ["X", "X", ["X", "Y"], "X", "X"]
    assert model.complete(request).content == model.invoke("x").content == "X"
    assert [answer.content for answer in model.batch(["x", "y"])] == ["X", "Y"]
    chunks = list(model.stream("x"))
    assert "".join(chunk.text for chunk in chunks) == "X"
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 3
    assert [message.content for message in model.generate_messages(said)] == ["X"]
    assert model.stream_messages(said) is not None
    assert model.get_model_info().name
    assert model.check_health().status in ("healthy", "unhealthy", "unknown")
    alone(_both(model))


async def _both(model: ChatModel) -> None:
    await model.initialize()
    await model.cleanup()


def test_a_model_may_stream_itself():
    class Streams(OwnAsync):
        async def stream_async(self, request: ChatRequest):
            yield ChatChunk(text="a ")
            yield ChatChunk("b ")
            yield ChatChunk("c", "stop", usage())

    chunks = list(Streams().stream("x"))
    assert [chunk.text for chunk in chunks] == ["a ", "b ", "c"]
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", usage())
    assert ChatChunk("c", finish_reason="stop") == ChatChunk(text="c", finish_reason="stop")
    assert pickle.loads(pickle.dumps(chunks[-1])) == chunks[-1]
    assert ChatChunk.model_validate_json(chunks[-1].model_dump_json()) == chunks[-1]
    for wrong in ((), ("a", "stop", None, ())):
        with pytest.raises((TypeError, ValidationError)):
            ChatChunk(*wrong)


def test_the_mock():
    model = MockLLMProvider({"What is 2+2?": "4", "default": "unknown"})
    assert model.complete(LLMRequest(prompt="What is 2+2?")).content == "4"
    assert model.complete(LLMRequest(prompt="What is 2+2? ")).content == "unknown"
    assert model.call_count == 2
    assert model.call_log[0].prompt == "What is 2+2?"
    assert len(model.call_log) == 2
    model.reset()
    assert model.call_count == 0
    assert not model.call_log
    for given in (MockLLMProvider(), MockLLMProvider({}), MockLLMProvider(responses=None, fail_with=None)):
        assert given.complete(LLMRequest(prompt="x")).content
    failing = MockLLMProvider(fail_with=ValueError("scripted"))
    with pytest.raises(ValueError, match="scripted"):
        failing.complete(LLMRequest(prompt="x"))
    assert failing.call_count == 1
    auth = ChatModelError("no", op="x", code=ErrorCode.AUTH)
    for fail_with in (auth, ErrorCode.AUTH, "auth", generative_ai_workflow.ProviderAuthError):
        with pytest.raises(ChatModelError) as caught:
            MockLLMProvider(fail_with=fail_with).complete(LLMRequest(prompt="x"))
        assert caught.value.code is ErrorCode.AUTH


def test_an_error_of_a_chat_model():
    error = ChatModelError(
        "busy", op="openai.complete", code=ErrorCode.RATE_LIMIT, retry_after=2.0, fields={"model": "m"}
    )
    assert (error.op, error.code, error.retry_after, error.fields) == (
        "openai.complete",
        "rate_limit",
        2.0,
        {"model": "m"},
    )
    assert error.retryable
    assert not ChatModelError("x", op="o", code=ErrorCode.INVALID).retryable
    assert ChatModelError("x", op="o", code=ErrorCode.INVALID).fields == {}
    assert {"RATE_LIMIT", "TIMEOUT", "AUTH", "INVALID", "NOT_FOUND", "UNAVAILABLE", "CANCELLED", "INTERNAL"} <= set(
        ErrorCode.__members__
    )


def test_a_model_is_created_with_the_promised_settings(openai):
    openai.add(Reply(status=503), "ok")
    model = create_chat_model(
        "openai", model="m-1", api_key="k-1", base_url=openai.base_url, temperature=0.0, timeout_s=5,
        retry={"max_attempts": 2, "first_wait_s": 0.01}, rate_limit={"requests_per_minute": 6000},
    )  # fmt: skip
    assert isinstance(model, ChatModel)
    answer = model.invoke("x")
    assert (answer.content, answer.attempts) == ("ok", 2)
    assert openai.bodies[-1]["temperature"] == 0.0
    assert openai.chats[-1].headers["authorization"] == "Bearer k-1"
    assert "openai" in chatmodels.list_chat_models()
    metadata = chatmodels.get_chat_model_metadata("openai")
    assert {"name", "description", "capabilities"} <= set(metadata)


def test_the_built_in_provider_is_configured_when_it_is_used(openai, monkeypatch):
    from generative_ai_workflow.providers.openai import OpenAIProvider

    provider = OpenAIProvider()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-later-0123456789")
    assert Workflow([LLMStep("a", "x", provider=OpenAIProvider())]).execute({}).succeeded
    assert openai.chats[0].headers["authorization"] == "Bearer sk-later-0123456789"
    assert isinstance(provider, LLMProvider)


def test_a_recording_is_replayed_and_what_is_not_on_it_is_told():
    recorder = RecordingModel(MockLLMProvider({"a": "A"}), "tape.jsonl")
    assert recorder.complete(ChatRequest(prompt="a")).content == "A"
    assert ReplayModel(Path("tape.jsonl")).complete(ChatRequest(prompt="a")).content == "A"
    with pytest.raises(FrameworkError, match="another prompt"):
        ReplayModel("tape.jsonl").complete(ChatRequest(prompt="another prompt"))


def test_costs():
    priced = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")
    assert cost_of(priced) == pytest.approx(0.15)
    assert cost_of(usage("nobody-knows-this", "x")) is None
    tracker = CostTracker(0.1)
    tracker.record(priced)
    assert tracker.estimated_cost_usd == pytest.approx(0.15)
    with pytest.raises(AssertionError):
        tracker.assert_within_budget()
    CostTracker(limit_usd=1.0).assert_within_budget()


# Middleware


class SyncHooks:
    """No `Middleware` at all, and plain functions."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def before_llm_call(self, request: LLMRequest, context: dict[str, Any]) -> LLMRequest:
        self.calls.append("before")
        return request

    def after_llm_call(self, response: LLMResponse, context: dict[str, Any]) -> LLMResponse:
        self.calls.append("after")
        return response

    def on_workflow_start(self, workflow_id: str, context: dict[str, Any]) -> None:
        self.calls.append("start")

    def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        self.calls.append(f"end {result.status}")

    def on_step_error(self, error: Exception, step_name: str, context: dict[str, Any]) -> None:
        self.calls.append(f"error {step_name}")


class AsyncHooks(Middleware):
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def before_llm_call(self, request, context):
        self.calls.append("before")
        return request

    async def after_llm_call(self, response, context):
        self.calls.append("after")
        return response

    async def on_workflow_start(self, workflow_id, context):
        self.calls.append("start")

    async def on_workflow_end(self, result, context):
        self.calls.append(f"end {result.status}")

    async def on_step_error(self, error, step_name, context):
        self.calls.append(f"error {step_name}")


@pytest.mark.parametrize("kind", [SyncHooks, AsyncHooks])
@pytest.mark.parametrize("blocking", [True, False])
def test_hooks_as_people_write_them(kind, blocking):
    hooks = kind()
    engine = WorkflowEngine().use(hooks)
    good = Workflow([LLMStep("ask", "x", MockLLMProvider())])
    bad = Workflow([TransformStep("bad", lambda names: 1 / 0)])
    for workflow in (good, bad):
        engine.run(workflow, {}) if blocking else alone(engine.run_async(workflow, {}))
    assert hooks.calls == ["start", "before", "after", "end completed", "start", "error bad", "end failed"]


def test_a_hook_may_call_that_of_its_base():
    class Calls(Middleware):
        async def before_llm_call(self, request, context):
            request = await super().before_llm_call(request, context)
            return request.model_copy(update={"temperature": 0.0})

        async def after_llm_call(self, response, context):
            response = await super().after_llm_call(response, context)
            return response.model_copy(update={"content": "changed"})

        async def on_workflow_start(self, workflow_id, context):
            await super().on_workflow_start(workflow_id, context)

        def on_workflow_end(self, result, context):
            return super().on_workflow_end(result, context)

    model = MockLLMProvider()
    result = WorkflowEngine().use(Calls()).run(Workflow([LLMStep("ask", "x", model)]), {})
    assert result.output["ask"] == "changed"
    assert model.call_log[0].temperature == 0.0


@pytest.mark.parametrize("hook", ["before_llm_call", "after_llm_call", "on_workflow_start"])
def test_an_abort_in_a_hook_ends_the_run_with_its_reason(hook):
    class Stops(Middleware):
        pass

    async def stop(self: Any, thing: Any, context: dict[str, Any]) -> None:
        raise AbortError("policy forbids it")

    setattr(Stops, hook, stop)
    result = WorkflowEngine().use(Stops()).run(Workflow([LLMStep("ask", "x", MockLLMProvider())]), {})
    assert result.status is WorkflowStatus.FAILED
    assert "policy forbids it" in result.error


# Log lines and messages


@pytest.mark.parametrize("end", EVENTS)
@pytest.mark.parametrize("blocking", [True, False])
def test_events_of_a_run(end, blocking):
    stream = logged()
    step = {
        "completed": TransformStep("a", lambda names: 1),
        "failed": TransformStep("a", lambda names: 1 / 0),
        "cancelled": TransformStep("a", nap),
        "timeout": TransformStep("a", nap),
    }[end]
    engine = WorkflowEngine()
    workflow = Workflow([step, TransformStep("b", lambda names: 1)])

    async def cancelled() -> WorkflowResult:
        handle = engine.start(workflow, {})
        await asyncio.sleep(0.05)
        handle.cancel()
        return await handle

    if end == "cancelled":
        result = alone(cancelled())
    elif blocking:
        result = engine.run(workflow, {}, timeout=0.1 if end == "timeout" else None)
    else:
        result = alone(engine.run_async(workflow, {}, timeout=0.1 if end == "timeout" else None))
    told = lines(stream)
    events = [line["event"] for line in told]
    assert result.status == end
    assert [event for event in events if event.startswith("workflow.")] == [f"workflow.{e}" for e in EVENTS[end]]
    steps = [event for event in events if event.startswith("step.")]
    assert set(steps) <= {"step.started", "step.completed", "step.failed", "step.skipped"}
    if end == "completed":
        assert steps == ["step.started", "step.completed"] * 2
    else:
        assert "step.skipped" in steps
    for line in told:
        assert {"event", "level", "timestamp", "correlation_id"} <= set(line)
        assert line["correlation_id"] == result.correlation_id
    if end == "failed":
        [failed] = [line for line in told if line["event"] == "workflow.failed"]
        assert failed["level"] == "error"
        assert "division" in failed["error"]


@pytest.mark.parametrize("level", ["DEBUG", "info", "WARNING", "Error"])
def test_logging_is_configured_by_level(level, capsys):
    configure_logging(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(get_logger("program"), name)(f"event.{name}", number=1)
    printed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    names = ["debug", "info", "warning", "error"]
    assert [line["level"] for line in printed] == names[names.index(level.lower()) :]
    assert all({"event", "level", "timestamp"} <= set(line) for line in printed)


def test_logging_leaves_the_host_program_alone():
    import logging

    before = (logging.getLogger().handlers[:], logging.getLogger().level)
    configure_logging("DEBUG", stream=io.StringIO())
    Workflow([TransformStep("a", lambda names: 1)]).execute({})
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


def test_messages_that_tools_match():
    with pytest.raises(FrameworkError, match="at least one step"):
        Workflow([])
    with pytest.raises(FrameworkError, match="Duplicate step name"):
        Workflow([TransformStep("a", lambda n: 1), TransformStep("a", lambda n: 1)])
    with pytest.raises(ValidationError, match="Invalid execution mode"):
        FrameworkConfig(default_execution_mode="parallel")
    with pytest.raises(ValidationError, match="Invalid log level"):
        FrameworkConfig(log_level="LOUD")
    with pytest.raises(FrameworkError, match="Invalid log level"):
        configure_logging("LOUD")
    assert "timed out" in Workflow([TransformStep("a", nap)]).execute({}, timeout=0.05).error
    missing = Workflow([LLMStep("greet", "Hello {name}", MockLLMProvider())]).execute({})
    assert "name" in missing.error
    assert "greet" in missing.error
    failing = Workflow([TransformStep("explodes", lambda n: 1 / 0)]).execute({})
    assert "explodes" in failing.error


@pytest.mark.parametrize("kind", [ValueError, FrameworkError])
def test_errors_of_settings_are_value_errors(kind):
    """Whoever catches `ValueError` catches all of them; those of workflows are framework errors as well."""
    with pytest.raises(ValueError, match="at least one step"):
        Workflow([])
    with pytest.raises(ValueError, match="log level"):
        FrameworkConfig(log_level="LOUD")
    with pytest.raises(kind, match="Duplicate"):
        Workflow([TransformStep("a", lambda n: 1), TransformStep("a", lambda n: 1)])


# Results


def a_result() -> WorkflowResult:
    steps = [LLMStep("ask", "x y", MockLLMProvider("z")), TransformStep("bad", lambda n: 1 / 0)]
    return Workflow(steps).execute({})


def test_keys_of_metrics():
    workflow = Workflow([LLMStep("ask", "x y", MockLLMProvider("z")), TransformStep("t", lambda n: 1)])
    metrics = workflow.execute({}).metrics
    assert isinstance(metrics, ExecutionMetrics)
    ids = [step.step_id for step in workflow.steps]
    assert list(metrics.step_durations) == ids
    assert list(metrics.step_durations.keys()) == ids
    assert len(metrics.step_durations) == 2
    assert metrics.step_durations["ask"] == metrics.step_durations[ids[0]] == metrics.step_durations.get("ask")
    assert "t" in metrics.step_durations
    assert "nobody" not in metrics.step_durations
    assert metrics.step_token_usage["ask"].total_tokens == 3
    assert metrics.step_token_usage.get("t") is None
    assert sum(metrics.step_durations.values()) <= metrics.total_duration_ms


def test_results_are_values():
    result = a_result()
    assert copy.copy(result) == copy.deepcopy(result) == result
    assert pickle.loads(pickle.dumps(result)) == result
    assert result != a_result()
    assert isinstance(result.steps["ask"], StepResult)
    with pytest.raises(ValidationError):
        result.status = WorkflowStatus.COMPLETED
    for part in (result, result.metrics, result.steps["ask"]):
        assert type(part).model_validate(part.model_dump()) == part
        assert type(part).model_validate_json(part.model_dump_json()) == part
        assert json.loads(part.model_dump_json())
        assert type(part).__name__ in repr(part)


def test_what_a_result_dumps():
    told = json.loads(a_result().model_dump_json())
    assert {
        "workflow_id", "correlation_id", "status", "output", "error", "metrics", "created_at", "completed_at",
    } <= set(told)  # fmt: skip
    assert told["status"] == "failed"
    assert told["metrics"]["token_usage_total"]["total_tokens"] == 3
    assert told["output"] == {"ask": "z", "ask_output": "z", "llm_response": "z"}


def test_states_compare_with_their_text():
    assert WorkflowStatus.COMPLETED == "completed"
    assert WorkflowStatus("timeout") is WorkflowStatus.TIMEOUT
    assert StepStatus("skipped") is StepStatus.SKIPPED
    assert str(WorkflowStatus.FAILED) == f"{WorkflowStatus.FAILED}" == WorkflowStatus.FAILED.value == "failed"


def test_a_timer_and_a_tracker():
    with StepTimer() as timer:
        time.sleep(0.01)
    assert timer.duration_ms >= 10
    tracker = TokenUsageTracker()
    tracker.record(usage())
    tracker.record(usage("other"))
    assert (tracker.total_tokens, tracker.prompt_tokens, tracker.completion_tokens) == (6, 4, 2)
    assert set(tracker.by_model) == {"own-1", "other"}


# Settings


@pytest.mark.parametrize("kind", [str, Path])
def test_files_are_given_as_text_or_path(kind):
    Path("flow.yaml").write_text("name: f\nsteps:\n  - {id: a, prompt: 'inline: {{ x }}'}\n")
    Path("settings.yaml").write_text("default_model: m\n")
    assert Workflow.from_yaml(kind("flow.yaml")).name == "f"
    assert FrameworkConfig.from_yaml(kind("settings.yaml")).default_model == "m"


def test_a_change_of_the_environment_is_seen_by_the_next_plain_run(openai, monkeypatch):
    workflow = Workflow([LLMStep("a", "x")])
    seen = []
    for model in ("m-1", "m-2", "m-1"):
        monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", model)
        workflow.execute({})
        alone(workflow.execute_async({}))
    seen = [body["model"] for body in openai.bodies]
    assert seen == ["m-1", "m-1", "m-2", "m-2", "m-1", "m-1"]


def test_personal_data():
    text = "Ann <ann@example.org>, 4111 1111 1111 1111"
    found = generative_ai_workflow.detect_pii(text)
    assert found["email"] == ["ann@example.org"]
    assert "4111 1111 1111 1111" in found["credit_card"]
    assert "ann@example.org" not in generative_ai_workflow.redact_pii(text)


CLEANUP = """
import json, sys
from chatmodels import create_chat_model, register_chat_model
from generative_ai_workflow import *
cleaned = []

class House(LLMProvider):
    def __init__(self, label="by class"): self.label = label
    def complete(self, request): return MockLLMProvider("x").complete(request)
    async def cleanup(self): print("cleaned", self.label, flush=True)

class Blocking(House):
    def cleanup(self): print("cleaned", self.label, flush=True)

PluginRegistry.register_provider("class", House)
PluginRegistry.register_provider("instance", House("by instance"))
PluginRegistry.register_provider("unused", House("never used"))
steps = [LLMStep("a", "x", provider="class"), LLMStep("b", "x", provider="instance"),
         LLMStep("c", "x", provider=House("given")), LLMStep("d", "x", provider=Blocking("blocking"))]
assert Workflow(steps).execute({}).succeeded
if len(sys.argv) > 1:
    raise SystemExit(3)
print(json.dumps("end"))
"""


@pytest.mark.parametrize("ends", ["well", "by SystemExit"])
def test_cleanup_of_every_provider_used_has_run_by_the_end_of_the_process(ends, tmp_path):
    import subprocess
    import sys

    arguments = ["now"] if ends == "by SystemExit" else []
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLEANUP, *arguments],
        cwd=Project(tmp_path).root, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    cleaned = sorted(line for line in done.stdout.splitlines() if line.startswith("cleaned"))
    assert cleaned == ["cleaned blocking", "cleaned by class", "cleaned by instance", "cleaned given"], done.stderr
    assert done.returncode == (3 if arguments else 0)
    assert done.stderr == ""


def test_a_registered_chat_model_is_a_provider_and_the_other_way_round():
    register_chat_model("house", OwnSync)
    assert PluginRegistry.get_provider("house") is OwnSync
    chatmodels.unregister_chat_model("house")
    PluginRegistry.register_provider("house", OwnAsync)
    assert isinstance(create_chat_model("house"), ChatModel)
    assert create_chat_model("house").invoke("x").content == "X"
    assert isinstance(ChatResponse(content="x", model="m", usage=usage()), LLMResponse)
