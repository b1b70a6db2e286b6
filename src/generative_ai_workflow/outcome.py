"""What a step left, as a record: whatever a plugin may have returned or raised."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from generative_ai_workflow.charges import Charges
from generative_ai_workflow.exceptions import StepError
from generative_ai_workflow.plan import PlannedStep
from generative_ai_workflow.state import ErrorInfo, StepContext, StepResult, StepStatus, reason_of, record, said


async def called(function: Callable[[], Any]) -> None:
    """Call a hook of a step that may or may not be a coroutine function."""
    answer = function()
    if inspect.isawaitable(answer):
        await answer


def output_of(part: PlannedStep, returned: Any) -> tuple[dict[str, Any], StepResult | None]:
    """The output in what a step returned, and the record if it returned one.

    Raises:
        StepError: it returned something else, or a record that says FAILED.
    """
    if type(returned) is dict:
        return returned, None
    if isinstance(returned, StepResult):
        if returned.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            return dict(returned.output or {}), returned
        raise StepError(returned.error or f"it reported {returned.status}", op=part.plugin)
    if isinstance(returned, Mapping):
        return dict(returned), None
    raise StepError(
        f"it returned {'None' if returned is None else type(returned).__name__}",
        op=part.plugin,
        hint="return a StepResult, or a dict with the step's output",
    )


def as_error(raised: BaseException) -> Exception:
    """What a step raised, as an exception that ends nothing but the step."""
    if isinstance(raised, SystemExit):
        error = StepError(f"it tried to end the process (SystemExit: {said(raised)})")
    elif isinstance(raised, asyncio.CancelledError):
        error = StepError("something that it waited for was cancelled")
    else:
        if isinstance(raised, Exception):
            return raised
        error = StepError(reason_of(raised))
    error.__cause__ = raised
    return error


def let_pass(raised: BaseException, task: asyncio.Task[Any] | None, *, ending: bool) -> None:
    """Raise `raised` again unless it is the doing of a step: Ctrl-C, a cancelled run, and the end of the task pass.

    Args:
        raised: what came out of a step.
        task: the task that the step ran in.
        ending: whether the run is being ended from outside.
    """
    if _holds(raised, KeyboardInterrupt):
        raise raised
    if ending and _holds(raised, asyncio.CancelledError):
        raise raised if isinstance(raised, asyncio.CancelledError) else asyncio.CancelledError from raised
    # A coroutine that is thrown away gets a GeneratorExit, but not from within its own task.
    if isinstance(raised, GeneratorExit) and task_here() is not task:
        raise raised


def _holds(raised: BaseException, kind: type[BaseException]) -> bool:
    return isinstance(raised, kind) or (isinstance(raised, BaseExceptionGroup) and raised.subgroup(kind) is not None)


def task_here() -> asyncio.Task[Any] | None:
    """The task that runs now; `None` also where no event loop turns."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def completed(
    part: PlannedStep, context: StepContext, duration_ms: float, output: dict[str, Any], given: StepResult | None
) -> StepResult:
    """The record of a step that went well."""
    fields = _facts(part, context, duration_ms)
    fields["status"] = StepStatus.COMPLETED
    fields["output"] = output
    if given is not None:
        fields["status"] = given.status
        if not fields["attempts"]:
            fields["token_usage"] = given.token_usage
            fields["cost_usd"] = given.cost_usd
            fields["response"] = given.response
            fields["attempts"] = given.attempts
    return record(StepResult, fields)


def failed(part: PlannedStep, context: StepContext, duration_ms: float, error: BaseException) -> StepResult:
    """The record of a step that did not."""
    fields = _facts(part, context, duration_ms)
    fields["status"] = StepStatus.FAILED
    fields["error"] = reason_of(error)
    fields["error_info"] = ErrorInfo.of(error)
    return record(StepResult, fields)


def skipped(part: PlannedStep) -> StepResult:
    """The record of a step that did not run."""
    return record(StepResult, {**_NOTHING, "step_id": part.step_id, "status": StepStatus.SKIPPED, "name": part.name})


_NOTHING: Mapping[str, Any] = {
    "step_id": "",
    "status": StepStatus.PENDING,
    "output": None,
    "error": None,
    "duration_ms": 0.0,
    "token_usage": None,
    "name": "",
    "response": None,
    "attempts": 0,
    "cost_usd": None,
    "error_info": None,
}


def _facts(part: PlannedStep, context: StepContext, duration_ms: float) -> dict[str, Any]:
    fields = {**_NOTHING, "step_id": part.step_id, "name": part.name, "duration_ms": duration_ms}
    calls = context.calls
    if calls or context.failed_calls:
        fields["token_usage"], fields["cost_usd"], fields["attempts"] = Charges.of(calls, context.failed_calls)
        fields["response"] = calls[-1] if calls else None
    return fields
