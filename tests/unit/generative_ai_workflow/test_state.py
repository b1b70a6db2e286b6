from __future__ import annotations

import os
import random
import uuid

import pytest

from chatmodels.types import ChatRequest
from fmf_core.errors import Code, FrameworkError
from fmf_core.value import record
from generative_ai_workflow import (
    ExecutionMetrics,
    MockLLMProvider,
    PluginRegistry,
    StepContext,
    StepResult,
    StepStatus,
    TokenUsage,
    WorkflowResult,
    WorkflowStatus,
)
from generative_ai_workflow.state import ErrorInfo, new_id, reason_of
from unit.generative_ai_workflow.loops import run_alone

USAGE = TokenUsage(prompt_tokens=2, completion_tokens=3, model="m", provider="p")


def test_ids_are_version_4_uuids_whatever_the_global_seed() -> None:
    random.seed(1)
    first = new_id()
    random.seed(1)
    assert new_id() != first
    for _ in range(200):
        identifier = uuid.UUID(new_id())
        assert identifier.version == 4
        assert identifier.variant == uuid.RFC_4122


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_other_ids() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != new_id()
    os.close(reader)
    os.close(writer)


def test_a_record_is_as_good_as_a_validated_one() -> None:
    made = record(TokenUsage, dict(USAGE.__dict__))
    assert made == USAGE
    assert made.model_dump() == USAGE.model_dump()
    assert made.model_copy(update={"model": "x"}).model == "x"
    assert (made + USAGE).total_tokens == 10


def test_the_names_of_a_context_made_by_hand() -> None:
    context = StepContext(
        input_data={"a": 1, "b": 1}, variables={"b": 2, "c": 2}, previous_outputs={"one": {"c": 3, "d": 3}, "two": 4}
    )
    assert context.names == {"a": 1, "b": 2, "c": 3, "d": 3, "one": {"c": 3, "d": 3}, "two": 4}
    assert context.roots["input"] == {"a": 1, "b": 1}
    assert context.roots["steps"]["two"] == 4


def test_a_context_made_by_hand_can_ask() -> None:
    model = MockLLMProvider("hi")
    context = StepContext()
    assert run_alone(context.ask(ChatRequest(prompt="x"), model)).content == "hi"
    PluginRegistry.register_provider("house", model)
    assert context.ask_blocking(ChatRequest(prompt="x"), "house").content == "hi"
    assert len(context.calls) == 2
    assert model.call_count == 2


def test_previous_outputs_are_a_copy() -> None:
    outputs = {"a": {}}
    context = StepContext(previous_outputs=outputs)
    context.previous_outputs["b"] = {}
    assert outputs == {"a": {}}
    assert context.previous_outputs is context.previous_outputs


def test_metrics_are_found_by_id_and_by_name() -> None:
    metrics = ExecutionMetrics.of(
        [
            StepResult(step_id="1", name="a", duration_ms=5.0, token_usage=USAGE),
            StepResult(step_id="2", name="b", status=StepStatus.FAILED, duration_ms=7.0, token_usage=USAGE),
            StepResult(step_id="3", name="c", status=StepStatus.SKIPPED),
        ],
        20.0,
    )
    assert metrics.step_durations == {"1": 5.0, "2": 7.0}
    assert metrics.step_durations["a"] == metrics.step_durations["1"] == metrics.step_durations.get("a") == 5.0
    assert "b" in metrics.step_durations
    assert "c" not in metrics.step_durations
    assert metrics.step_durations.get("nobody", 1.5) == 1.5
    with pytest.raises(KeyError):
        metrics.step_durations["nobody"]
    assert metrics.step_token_usage["b"] == USAGE
    assert metrics.token_usage_total.total_tokens == 10
    assert (metrics.steps_completed, metrics.steps_failed, metrics.steps_skipped) == (1, 1, 1)


def test_without_calls_there_is_no_token_usage() -> None:
    assert ExecutionMetrics.of([StepResult(step_id="1")]).token_usage_total is None


def test_results_turn_into_json_and_back() -> None:
    result = WorkflowResult(workflow_id="w", correlation_id="c", status=WorkflowStatus.COMPLETED, output={"a": 1})
    assert WorkflowResult.model_validate_json(result.model_dump_json()) == result
    assert result.succeeded
    assert WorkflowStatus.TIMEOUT.terminal
    assert not WorkflowStatus.RUNNING.terminal


def test_error_facts() -> None:
    error = FrameworkError("no", op="x.y", code=Code.RATE_LIMIT, hint="wait", fields={"attempts": 3})
    info = ErrorInfo.of(error)
    assert (info.kind, info.message, info.code, info.op, info.hint) == (
        "FrameworkError",
        "no",
        "rate_limit",
        "x.y",
        "wait",
    )
    assert info.retryable
    assert info.attempts == 3
    assert ErrorInfo.of(KeyError()).message == "KeyError"
    assert reason_of(ValueError("bad")) == "ValueError: bad"
    assert reason_of(ValueError()) == "ValueError"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Unmade(FrameworkError):
    def __init__(self) -> None:
        pass


class Odd(FrameworkError):
    __str__ = Mute.__str__


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (Mute(), "Mute", "Mute"),
        (Unmade(), "Unmade", "Unmade"),
        (Odd("said"), "said", "said"),
        (FrameworkError(Mute()), "FrameworkError", "FrameworkError"),  # type: ignore[arg-type]
        (BaseExceptionGroup("both", [Mute()]), "ExceptionGroup: both (1 sub-exception)", "both (1 sub-exception)"),
    ],
)
def test_an_error_that_cannot_tell_its_text_has_a_reason(error: BaseException, reason: str, message: str) -> None:
    assert reason_of(error) == reason
    assert ErrorInfo.of(error).message == message


def test_secrets_do_not_stand_in_reasons() -> None:
    error = ValueError("key sk-proj-abcdefghijklmnopqrstuvwxyz123456 is wrong")
    assert "abcdefghij" not in reason_of(error) + ErrorInfo.of(error).message
