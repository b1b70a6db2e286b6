"""FR-009 to FR-013: asking models."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from generative_ai_workflow import (
    FrameworkConfig,
    FrameworkError,
    LLMProvider,
    LLMRequest,
    LLMResponse,
    LLMStep,
    MockLLMProvider,
    PluginRegistry,
    ProviderError,
    StepContext,
    TokenUsage,
    TokenUsageTracker,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
    WorkflowStep,
)
from generative_ai_workflow.providers.openai import OpenAIProvider
from peers.scripted_server import Reply
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)
PATIENT = FrameworkConfig(max_retry_attempts=3, retry_backoff_factor=1.0)


def usage(prompt: int = 3, completion: int = 2) -> TokenUsage:
    return TokenUsage(prompt_tokens=prompt, completion_tokens=completion, model="own-1", provider="own")


class SyncOnly(LLMProvider):
    def __init__(self) -> None:
        self.threads: list[int] = []

    def complete(self, request: LLMRequest) -> LLMResponse:
        self.threads.append(threading.get_ident())
        time.sleep(0.05)
        return LLMResponse(content=f"sync {request.prompt}", model="own-1", usage=usage())


class AsyncOnly(LLMProvider):
    def __init__(self) -> None:
        self.loops: list[object] = []

    async def complete_async(self, request: LLMRequest) -> LLMResponse:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
        return LLMResponse(content=f"async {request.prompt}", model="own-1", usage=usage())


class Both(SyncOnly, AsyncOnly):
    def __init__(self) -> None:
        SyncOnly.__init__(self)
        AsyncOnly.__init__(self)


@pytest.mark.requirement("FR-009", "FR-019", "FR-028")
@every_way
def test_openai_is_built_in_and_needs_a_key_in_the_environment_only(way, openai):
    openai.add("Hello.")
    result = run(way, Workflow([LLMStep("ask", "Say hello")]))
    assert result.output["ask"] == "Hello."
    [request] = openai.chats
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-specification-0123456789abcdef"
    assert request.body["model"] == "gpt-4o-mini"
    assert request.body["messages"] == [{"role": "user", "content": "Say hello"}]


@pytest.mark.requirement("FR-009")
def test_the_built_in_provider_has_a_name_and_a_class(openai):
    assert "openai" in PluginRegistry.list_providers()
    assert PluginRegistry.get_provider("openai") is OpenAIProvider
    assert issubclass(OpenAIProvider, LLMProvider)
    openai.add("one", "two")
    named = Workflow([LLMStep("ask", "x", provider="openai")]).execute()
    given = Workflow([LLMStep("ask", "x", provider=OpenAIProvider())]).execute()
    assert (named.output["ask"], given.output["ask"]) == ("one", "two")


@pytest.mark.requirement("FR-009", "FR-023")
def test_every_other_provider_comes_by_registration():
    PluginRegistry.register_provider("own", SyncOnly)
    assert Workflow([LLMStep("ask", "x", provider="own")]).execute().output["ask"] == "sync x"


@pytest.mark.requirement("FR-010", "FR-024", "SC-004")
@every_way
@pytest.mark.parametrize(
    ("kind", "half"), [(SyncOnly, "sync"), (AsyncOnly, "async"), (Both, "async")], ids=["sync", "async", "both"]
)
def test_a_provider_may_be_sync_async_or_both_in_every_mode(way, kind, half):
    result = run(way, Workflow([LLMStep("ask", "x", provider=kind())]))
    assert result.output["ask"] == f"{half} x"
    assert result.metrics.token_usage_total == usage()


@pytest.mark.requirement("FR-010")
def test_a_provider_with_both_is_asked_in_its_async_way():
    provider = Both()
    run("async", Workflow([LLMStep("ask", "x", provider=provider)]))
    assert len(provider.loops) == 1
    assert provider.threads == []


@pytest.mark.requirement("FR-010")
@pytest.mark.parametrize("kind", [SyncOnly, AsyncOnly, Both])
def test_the_missing_half_of_the_interface_is_there_for_direct_calls(kind):
    request = LLMRequest(prompt="x")
    assert kind().complete(request).content.endswith(" x")
    assert run_alone(kind().complete_async(request)).content.endswith(" x")


@pytest.mark.requirement("FR-010", "FR-024")
def test_a_provider_with_neither_is_refused_when_it_is_defined():
    with pytest.raises(TypeError, match="must define complete_async or complete"):

        class Neither(LLMProvider):
            pass


@pytest.mark.requirement("FR-010", "edge: non-blocking")
def test_a_sync_provider_does_not_block_the_loop_of_async_runs():
    provider = SyncOnly()
    workflow = Workflow([LLMStep("ask", "x", provider=provider)])

    async def go() -> int:
        mine = threading.get_ident()
        await asyncio.gather(*(workflow.execute_async() for _ in range(8)))
        return mine

    mine = run_alone(go())
    assert len(provider.threads) == 8
    assert mine not in provider.threads


@pytest.mark.requirement("FR-011", "SC-003")
@every_way
def test_tokens_are_those_that_the_provider_reports(way, openai):
    openai.add(
        Reply(text="a", usage={"prompt_tokens": 101, "completion_tokens": 13}),
        Reply(text="b", usage={"prompt_tokens": 7, "completion_tokens": 1}),
    )
    result = run(way, Workflow([LLMStep("first", "x"), LLMStep("second", "y")]))
    first, second = (result.metrics.step_token_usage[name] for name in ("first", "second"))
    assert (first.prompt_tokens, first.completion_tokens, first.total_tokens) == (101, 13, 114)
    assert (second.prompt_tokens, second.completion_tokens, second.total_tokens) == (7, 1, 8)
    assert (first.model, first.provider) == ("gpt-4o-mini", "openai")
    assert result.metrics.token_usage_total.total_tokens == 122
    assert not first.estimated


@pytest.mark.requirement("FR-011", "SC-003")
@every_way
def test_calls_of_custom_steps_and_of_failed_runs_are_counted(way, openai):
    class Twice(WorkflowStep):
        name = "twice"

        async def execute_async(self, context: StepContext) -> dict:
            for prompt in ("one", "two"):
                await context.ask(LLMRequest(prompt=prompt))
            raise ValueError("after both")

    tracker = TokenUsageTracker()
    result = run(way, Workflow([Twice()]), engine=WorkflowEngine().use(tracker))
    assert result.status is WorkflowStatus.FAILED
    assert result.metrics.token_usage_total.total_tokens == 36 == tracker.total_tokens
    assert openai.count == 2


@pytest.mark.requirement("FR-012", "edge: provider fails")
@every_way
@pytest.mark.parametrize("fault", [Reply(status=429), Reply(status=500), Reply(status=503), Reply(drop=True)], ids=str)
def test_passing_failures_are_tried_again(way, fault, openai):
    openai.add(fault, "at last")
    result = run(way, Workflow([LLMStep("ask", "x")]), engine=WorkflowEngine(PATIENT))
    assert result.output["ask"] == "at last"
    assert openai.count == 2
    assert result.steps["ask"].attempts == 2


@pytest.mark.requirement("FR-012")
def test_a_call_that_takes_too_long_is_tried_again(openai):
    openai.add(Reply(hang=True), "at last")
    provider = OpenAIProvider(timeout_s=0.2)
    result = WorkflowEngine(PATIENT).run(Workflow([LLMStep("ask", "x", provider=provider)]))
    assert result.output["ask"] == "at last"
    assert openai.count == 2


@pytest.mark.requirement("FR-012", "edge: provider fails")
def test_three_attempts_are_made_unless_set_otherwise_and_the_last_failure_tells_everything(openai, monkeypatch):
    openai.add(*[Reply(status=503)] * 5)
    assert FrameworkConfig().max_retry_attempts == 3
    result = Workflow([LLMStep("ask", "x")]).execute()
    assert openai.count == 3
    assert result.status is WorkflowStatus.FAILED
    assert "'ask'" in result.error
    assert "503" in result.error
    failed = result.steps["ask"]
    assert (failed.attempts, failed.error_info.attempts) == (3, 3)
    assert failed.error_info.code == "unavailable"
    assert failed.error_info.retryable
    monkeypatch.setenv("GENAI_WORKFLOW_MAX_RETRIES", "2")
    Workflow([LLMStep("ask", "x")]).execute()
    assert openai.count == 5


@pytest.mark.requirement("FR-012")
@every_way
@pytest.mark.parametrize("status", [400, 401, 403])
def test_final_failures_are_made_once(way, status, openai):
    openai.add(Reply(status=status), "never")
    result = run(way, Workflow([LLMStep("ask", "x")]))
    assert result.status is WorkflowStatus.FAILED
    assert openai.count == 1
    assert result.steps["ask"].error_info.code == ("invalid" if status == 400 else "auth")


@pytest.mark.requirement("FR-012")
def test_waits_grow_exponentially_by_the_factor_that_is_set():
    def longest(config: FrameworkConfig) -> list[float]:
        return [config.retry.wait(attempt, lambda: 1.0) for attempt in (1, 2, 3)]

    assert longest(FrameworkConfig()) == [0.5, 1.0, 2.0]
    assert longest(FrameworkConfig(retry_backoff_factor=3.0)) == [0.5, 1.5, 4.5]


@pytest.mark.requirement("FR-012")
def test_what_the_server_asks_to_wait_is_waited(openai):
    openai.add(Reply(status=429, headers={"Retry-After": "0.6"}), "at last")
    assert WorkflowEngine(PATIENT).run(Workflow([LLMStep("ask", "x")])).succeeded
    first, second = openai.starts
    assert second - first >= 0.59


@pytest.mark.requirement("FR-012")
def test_a_direct_caller_gets_the_final_failure_as_an_error_with_its_cause(openai):
    openai.add(Reply(status=401))
    with pytest.raises(ProviderError) as caught:
        OpenAIProvider().complete(LLMRequest(prompt="x"))
    assert caught.value.op
    assert caught.value.code == "auth"
    assert caught.value.fields["provider"] == "openai"


@pytest.mark.requirement("FR-013")
@every_way
def test_parameters_of_a_step_stand_in_the_request(way, openai):
    step = LLMStep("ask", "x", model="gpt-4o", temperature=0.0, max_tokens=5, system_prompt="Be brief.")
    run(way, Workflow([step]))
    [body] = openai.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o", 0.0, 5)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.requirement("FR-013", "FR-021")
def test_the_step_wins_over_the_workflow_and_that_over_the_framework(openai):
    config = WorkflowConfig(temperature=1.0, max_tokens=100)
    engine = WorkflowEngine(FrameworkConfig(default_model="gpt-4o", default_temperature=0.2, default_max_tokens=9))
    workflow = Workflow([LLMStep("a", "x", temperature=1.5), LLMStep("b", "x")], config=config)
    engine.run(workflow)
    engine.run(Workflow([LLMStep("c", "x", model="gpt-4o-mini")]))
    a, b, c = ((body["model"], body.get("temperature"), body.get("max_tokens")) for body in openai.bodies)
    assert a == ("gpt-4o", 1.5, 100)
    assert b == ("gpt-4o", 1.0, 100)
    assert c == ("gpt-4o-mini", 0.2, 9)


@pytest.mark.requirement("FR-013", "FR-020")
@pytest.mark.parametrize("wrong", [{"temperature": 2.1}, {"temperature": -0.1}, {"max_tokens": 0}], ids=str)
def test_parameters_out_of_range_are_refused_when_step_and_workflow_are_made(wrong):
    [name] = wrong
    with pytest.raises(FrameworkError, match=name):
        LLMStep("ask", "x", **wrong)
    with pytest.raises(FrameworkError, match=name):
        Workflow([LLMStep("ask", "x", MockLLMProvider())], config=wrong)
