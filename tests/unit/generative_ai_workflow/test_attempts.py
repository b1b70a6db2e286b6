from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chatmodels.types import ChatRequest
from fmf_core.errors import Code
from fmf_core.retry import RetryPolicy
from generative_ai_workflow import (
    AbortError,
    ConfigurationError,
    DefinitionError,
    LLMStep,
    MockLLMProvider,
    ProviderAuthError,
    StepContext,
    StepResult,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
    WorkflowStep,
)
from unit.generative_ai_workflow.loops import run_alone

AT_ONCE = RetryPolicy(max_attempts=4, first_wait_s=0)


class Flaky:
    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.left = failures
        self.error = error or OSError("away")
        self.calls = 0

    def __call__(self, names: dict[str, Any]) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize("retry", [AT_ONCE, 4, {"max_attempts": 4, "first_wait_s": 0}])
def test_a_step_is_tried_again_until_it_succeeds(retry: Any) -> None:
    flaky = Flaky(1 if retry == 4 else 3)
    result = Workflow([TransformStep("read", flaky, retry=retry)]).execute()
    assert result.succeeded
    assert result.output["read"] == "done"
    assert flaky.calls == (2 if retry == 4 else 4)


def test_the_last_failure_is_told_when_the_attempts_are_used_up() -> None:
    flaky = Flaky(9)
    result = Workflow([TransformStep("read", flaky, retry=AT_ONCE)]).execute()
    assert result.status is WorkflowStatus.FAILED
    assert "away" in result.error
    assert flaky.calls == 4


@pytest.mark.parametrize(
    "error",
    [
        AbortError("no"),
        ConfigurationError("wrong", op="x"),
        ProviderAuthError("key", op="x"),
        ProviderAuthError("over", op="x", code=Code.BUDGET),
    ],
)
def test_what_another_attempt_cannot_mend_is_final(error: Exception) -> None:
    flaky = Flaky(9, error)
    assert not Workflow([TransformStep("read", flaky, retry=AT_ONCE)]).execute().succeeded
    assert flaky.calls == 1


def test_a_record_that_says_failed_is_a_failure_to_be_tried_again() -> None:
    class Reports(WorkflowStep):
        name = "reports"
        retry = 3
        calls = 0

        async def execute_async(self, context: StepContext) -> StepResult:
            self.calls += 1
            if self.calls < 2:
                return StepResult(status=StepStatus.FAILED, error="not yet")
            return StepResult(output={"calls": self.calls})

    assert Workflow([Reports()]).execute().output == {"calls": 2}


def test_an_attempt_that_takes_too_long_has_failed_and_the_next_may_succeed() -> None:
    waits = [5.0, 0.0]

    async def slow(names: dict[str, Any]) -> str:
        await asyncio.sleep(waits.pop(0))
        return "done"

    retry = RetryPolicy(max_attempts=2, first_wait_s=0)
    assert Workflow([TransformStep("slow", slow, retry=retry, timeout=0.05)]).execute().output["slow"] == "done"


@pytest.mark.parametrize("blocking", [False, True])
def test_a_step_out_of_time_fails_and_the_run_goes_on_without_it(blocking: bool) -> None:
    let_go = threading.Event()

    async def waits(names: dict[str, Any]) -> None:
        await asyncio.sleep(30)

    def blocks(names: dict[str, Any]) -> None:
        let_go.wait(30)

    slow = TransformStep("slow", blocks if blocking else waits, False, timeout=0.05)
    result = Workflow([slow, TransformStep("after", lambda names: 1, inline=True)]).execute()
    let_go.set()
    assert result.succeeded
    assert result.steps["slow"].status is StepStatus.FAILED
    assert "it timed out after 0.05 s" in str(result.steps["slow"].error)
    assert result.steps["slow"].error_info.code == "timeout"
    assert result.output["after"] == 1


def test_a_timeout_of_the_step_itself_is_not_taken_for_the_limit() -> None:
    async def raises(names: dict[str, Any]) -> None:
        raise TimeoutError("the server's own")

    result = Workflow([TransformStep("raises", raises, timeout=30)]).execute()
    assert "the server's own" in result.error


def test_a_run_out_of_time_ends_while_a_step_waits_for_its_next_attempt() -> None:
    patient = RetryPolicy(max_attempts=9, first_wait_s=30, max_wait_s=30)
    result = Workflow([TransformStep("read", Flaky(9), retry=patient)]).execute(timeout=0.2)
    assert result.status is WorkflowStatus.TIMEOUT
    assert result.steps["read"].status is StepStatus.FAILED


def test_cancelling_does_not_make_another_attempt() -> None:
    flaky = Flaky(0)

    async def wait(names: dict[str, Any]) -> None:
        flaky.calls += 1
        await asyncio.sleep(30)

    async def go() -> WorkflowStatus:
        handle = WorkflowEngine().start(Workflow([TransformStep("wait", wait, retry=AT_ONCE)]))
        await asyncio.sleep(0.05)
        handle.cancel()
        return (await handle).status

    assert run_alone(go()) is WorkflowStatus.CANCELLED
    assert flaky.calls == 1


def test_the_calls_of_every_attempt_are_counted() -> None:
    model = MockLLMProvider(["one two three", "four"])

    class Picky(WorkflowStep):
        name = "picky"
        retry = AT_ONCE

        async def execute_async(self, context: StepContext) -> dict[str, str]:
            answer = (await context.ask(ChatRequest(prompt="say"), model)).content
            if " " in answer:
                raise ValueError("too long")
            return {"word": answer}

    result = Workflow([Picky()]).execute()
    assert result.output["word"] == "four"
    assert result.steps["picky"].attempts == 2
    assert result.metrics.token_usage_total.completion_tokens >= 4


def test_a_model_step_is_asked_again_when_its_answer_is_of_no_use() -> None:
    model = MockLLMProvider(["  ", "A summary."])
    result = Workflow([LLMStep("summary", "Sum up.", model, retry=AT_ONCE)]).execute()
    assert result.output["summary"] == "A summary."
    assert model.call_count == 2


@pytest.mark.parametrize("retry", [0, -1, True, "3", {"attempts": 3}, {"max_attempts": 0}, 2.5])
def test_a_retry_that_is_none_is_refused_when_the_step_is_made(retry: Any) -> None:
    with pytest.raises(DefinitionError, match=r"'read'.*retry"):
        TransformStep("read", Flaky(0), retry=retry)


@pytest.mark.parametrize("timeout", [0, -1, True, "3", float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_refused_when_the_step_is_made(timeout: Any) -> None:
    with pytest.raises(DefinitionError, match=r"'read'.*timeout must be a positive number"):
        TransformStep("read", Flaky(0), timeout=timeout)


def test_class_attributes_are_checked_as_well() -> None:
    class Wrong(WorkflowStep):
        name = "wrong"
        retry = 0

        def execute(self, context: StepContext) -> dict[str, Any]:
            return {}

    with pytest.raises(DefinitionError, match="retry"):
        Workflow([Wrong()]).execute()
