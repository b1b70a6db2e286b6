"""SC-001 to SC-008, where no other test of the specification shows them already."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from chatmodels.pacing.learnt_concurrency import STALL_S
from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    FrameworkConfig,
    FrameworkError,
    LLMProvider,
    LLMRequest,
    LLMResponse,
    LLMStep,
    Middleware,
    MockLLMProvider,
    PluginRegistry,
    TokenUsage,
    TokenUsageTracker,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run, run_alone


@pytest.mark.requirement("SC-002")
def test_the_same_observability_safety_and_extensibility_in_every_mode(log_lines):
    class Hook(Middleware):
        def before_llm_call(self, request, context):
            return request.model_copy(update={"temperature": 0.5})

    def outcome(way: str) -> object:
        model, tracker = MockLLMProvider("{not} filled"), TokenUsageTracker()
        engine = WorkflowEngine().use(Hook()).use(tracker)
        before = len(log_lines())
        steps = [LLMStep("a", "{x}", model), LLMStep("b", "{a}", model), TransformStep("c", lambda n: 1 / 0)]
        result = run(way, Workflow(steps), {"x": "in"}, engine)
        lines = log_lines()[before:]
        return (
            result.status,
            result.error,
            result.output,
            [(step.name, step.status, step.token_usage) for step in result.steps.values()],
            result.metrics.token_usage_total,
            tracker.total_tokens,
            [request.temperature for request in model.call_log],
            [request.prompt for request in model.call_log],
            [(line["event"], line["level"]) for line in lines],
        )

    first, *others = (outcome(way) for way in WAYS)
    assert others == [first, first]


@pytest.mark.requirement("SC-002")
def test_a_sync_run_has_an_optional_limit_and_no_other():
    workflow = Workflow([TransformStep("nap", lambda names: time.sleep(names["seconds"]))])
    assert workflow.execute({"seconds": 0.2}).succeeded
    assert workflow.execute({"seconds": 0.2}, timeout=60).succeeded
    assert workflow.execute({"seconds": 2}, timeout=0.1).status is WorkflowStatus.TIMEOUT


@pytest.mark.requirement("SC-003")
@pytest.mark.parametrize("way", WAYS)
def test_all_calls_are_counted_to_the_token_retries_and_failures_of_other_calls_included(way, openai):
    dice = random.Random(way)
    counts = [(dice.randint(1, 90_000), dice.randint(1, 9_000)) for _ in range(30)]
    replies = [
        Reply(text=f"a{n}", usage={"prompt_tokens": p, "completion_tokens": c}) for n, (p, c) in enumerate(counts)
    ]
    for place in (3, 17):
        replies.insert(place, Reply(status=503))
    openai.add(*replies)
    tracker = TokenUsageTracker()
    engine = WorkflowEngine(FrameworkConfig(retry_backoff_factor=1.0)).use(tracker)
    workflow = Workflow([LLMStep(f"s{n}", "x") for n in range(10)])
    results = [run(way, workflow, engine=engine) for _ in range(3)]
    told = sum(prompt + completion for prompt, completion in counts)
    assert openai.count == 32
    assert tracker.total_tokens == told
    assert sum(result.metrics.token_usage_total.total_tokens for result in results) == told
    assert tracker.calls == 30


@pytest.mark.requirement("SC-004")
@pytest.mark.parametrize("way", WAYS)
def test_a_provider_is_added_by_user_code_alone(way):
    class Reversed(LLMProvider):
        """All that it takes."""

        def complete(self, request: LLMRequest) -> LLMResponse:
            used = TokenUsage(prompt_tokens=1, completion_tokens=1, model="r", provider="reversed")
            return LLMResponse(content=request.prompt[::-1], model="r", usage=used)

    PluginRegistry.register_provider("reversed", Reversed)
    for workflow in (
        Workflow([LLMStep("a", "abc", provider="reversed")]),
        Workflow([LLMStep("a", "abc")], config=WorkflowConfig(provider="reversed")),
        Workflow([LLMStep("a", "abc", provider=Reversed())]),
    ):
        assert run(way, workflow).output["a"] == "cba"


def from_yaml(text: str) -> object:
    from pathlib import Path

    Path("given.yaml").write_text(text, encoding="utf-8")
    return Workflow.from_yaml("given.yaml")


def settings_from_yaml(text: str) -> object:
    from pathlib import Path

    Path("given.yaml").write_text(text, encoding="utf-8")
    return FrameworkConfig.from_yaml("given.yaml")


MISTAKES = {
    "misspelt setting": (lambda: settings_from_yaml("default_modle: x"), "default_model"),
    "setting out of range": (lambda: settings_from_yaml("default_temperature: 3"), "2"),
    "wrong mode": (lambda: settings_from_yaml("default_execution_mode: fast"), "async"),
    "wrong level": (lambda: settings_from_yaml("log_level: loud"), "DEBUG"),
    "missing file": (lambda: Workflow.from_yaml("nowhere.yaml"), "nowhere.yaml"),
    "unknown key of a step": (lambda: from_yaml("name: x\nsteps: [{id: a, promt: 'inline: x'}]"), "prompt"),
    "no steps": (lambda: from_yaml("name: x\nsteps: []"), "steps"),
    "no step given": (lambda: Workflow([]), "give a list of steps"),
    "name taken": (lambda: Workflow([TransformStep("a", str), TransformStep("a", str)]), "name of its own"),
    "class instead of a step": (lambda: Workflow([LLMStep]), "LLMStep(...)"),
    "later step": (lambda: Workflow([LLMStep("a", "{x}", inputs={"x": "${steps.b}"}), LLMStep("b", "x")]), "earlier"),
    "unknown provider": (lambda: PluginRegistry.get_provider("opnai"), "openai"),
    "name of a provider taken": (lambda: PluginRegistry.register_provider("openai", MockLLMProvider), "replace=True"),
    "class instead of a middleware": (lambda: WorkflowEngine().use(Middleware), "Middleware()"),
    "no middleware": (lambda: WorkflowEngine().use(3), "before_llm_call"),
    "input that is no dict": (lambda: Workflow([TransformStep("a", str)]).execute("x"), "{'text': ...}"),
    "limit that is no number": (lambda: Workflow([TransformStep("a", str)]).execute(timeout=-1), "positive"),
    "condition that cannot be read": (lambda: ConditionalStep("if", "a >", [TransformStep("a", str)]), "a >"),
    "no function": (lambda: TransformStep("a", "upper"), "function"),
    "provider of a wrong kind": (lambda: LLMStep("a", "x", provider=MockLLMProvider), "instance"),
    "empty prompt": (lambda: LLMStep("a", " "), "non-empty"),
}


@pytest.mark.requirement("SC-005", "FR-020")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_error_of_configuration_says_what_to_do(mistake):
    make, advice = MISTAKES[mistake]
    with pytest.raises(FrameworkError) as caught:
        make()
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.op
    assert advice in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.requirement("SC-005", "edge: no provider")
@pytest.mark.parametrize("way", WAYS)
def test_without_any_provider_the_run_says_which_variable_to_set(way, monkeypatch):
    from chatmodels.testing import allow_model_requests

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with allow_model_requests():
        result = run(way, Workflow([LLMStep("ask", "x")]))
    assert result.status is WorkflowStatus.FAILED
    assert "OPENAI_API_KEY" in result.error
    assert "'ask'" in result.error
    assert result.steps["ask"].error_info.hint
    assert result.metrics.token_usage_total is None


class Together(LLMProvider):
    """Answers once so many calls are in flight, and fails if they are not soon."""

    def __init__(self, many: int) -> None:
        self.many = many
        self.waiting = 0
        self.all_here: asyncio.Event | None = None

    async def complete_async(self, request: LLMRequest) -> LLMResponse:
        self.all_here = self.all_here or asyncio.Event()
        self.waiting += 1
        if self.waiting == self.many:
            self.all_here.set()
        # Less than the time after which calls that nobody answers are joined by more of them.
        try:
            await asyncio.wait_for(self.all_here.wait(), 0.8 * STALL_S)
        except TimeoutError:
            raise AssertionError(f"only {self.waiting} calls are in flight") from None
        used = TokenUsage(prompt_tokens=1, completion_tokens=1, model="t", provider="t")
        return LLMResponse(content=request.prompt, model="t", usage=used)


@pytest.mark.requirement("SC-008", "edge: non-blocking")
def test_100_runs_have_their_calls_in_flight_at_once_on_one_thread():
    workflow = Workflow([LLMStep("a", "{n}", provider=Together(100))])
    before = threading.active_count()

    async def go() -> list:
        return await asyncio.gather(*(workflow.execute_async({"n": str(n)}) for n in range(100)))

    results = run_alone(go())
    assert [result.output["a"] for result in results] == [str(n) for n in range(100)]
    assert threading.active_count() <= before + 2


@pytest.mark.requirement("SC-008")
def test_100_runs_at_once_take_at_most_a_fifth_more_work_each_than_one():
    """Work is counted in calls of functions, less those of a plain coroutine that is run in the same way.

    Of the time that they take the benchmark of the engine tells, on a machine of its own.
    """
    steps = [TransformStep(f"s{n}", lambda names: {"x": 1}, inline=True) for n in range(5)]
    workflow, engine = Workflow(steps), WorkflowEngine(FrameworkConfig(log_level="ERROR"))

    async def plain() -> None:
        pass

    async def calls_each(make: Callable[[], Coroutine[Any, Any, object]], at_once: int) -> float:
        counted = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal counted
            counted += event in {"call", "c_call"}

        sys.setprofile(count)
        try:
            await asyncio.gather(*(make() for _ in range(at_once)))
        finally:
            sys.setprofile(None)
        return counted / at_once

    async def added(at_once: int) -> float:
        await asyncio.gather(*(engine.run_async(workflow) for _ in range(at_once)))  # what is made once is there
        return await calls_each(lambda: engine.run_async(workflow), at_once) - await calls_each(plain, at_once)

    async def go() -> tuple[float, float]:
        return await added(1), await added(100)

    gc.disable()
    try:
        alone, together = run_alone(go())
    finally:
        gc.enable()
    assert alone > len(steps), "the work was seen"
    assert together <= 1.2 * alone


@pytest.mark.requirement("SC-008", "edge: thread safety")
def test_sync_runs_in_many_threads_do_not_mix_up(openai):
    openai._function = lambda request: Reply(text=f"re {request.prompt}", latency_s=0.01)
    workflow = Workflow([TransformStep("q", lambda n: {"q": n["n"] * 2}), LLMStep("ask", "{q} of {n}")])
    tracker = TokenUsageTracker()
    engine = WorkflowEngine().use(tracker)
    barrier = threading.Barrier(32)

    def one(number: int) -> str:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(10)
        return engine.run(workflow, {"n": number}).output["ask"]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(one, range(96)))
    assert answers == [f"re {2 * n} of {n}" for n in range(96)]
    assert tracker.total_tokens == 96 * 18
