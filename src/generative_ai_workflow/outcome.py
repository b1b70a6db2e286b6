"""What a step left, as a record: whatever a plugin may have returned or raised."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fmf_core.value import record
from generative_ai_workflow.charges import Charges
from generative_ai_workflow.ended import Ended
from generative_ai_workflow.exceptions import AbortError, StepError
from generative_ai_workflow.state import ErrorInfo, ExecutionMetrics, StepResult, StepStatus, reason_of, said


def output_of(plugin: str, returned: Any) -> tuple[dict[str, Any], StepResult | None]:
    """The output in what a step returned, and the record if it returned one.

    Args:
        plugin: the name of the step's class.
        returned: by the step.

    Raises:
        StepError: it returned something else, or a record that says FAILED.
    """
    if type(returned) is dict:
        # A copy: what the step goes on to do with its own is not its output.
        return returned.copy(), None
    if isinstance(returned, StepResult):
        if returned.status in (StepStatus.COMPLETED, StepStatus.SKIPPED):
            return dict(returned.output or {}), returned
        raise StepError(returned.error or f"it reported {returned.status}", op=plugin)
    if isinstance(returned, Mapping):
        return dict(returned), None
    raise StepError(
        f"it returned {'None' if returned is None else type(returned).__name__}",
        op=plugin,
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


async def is_met(decision: Any) -> bool:
    """Whether a condition holds; a function that decides may be a coroutine function."""
    return bool(await decision if inspect.isawaitable(decision) else decision)


def why_failed(error: Exception) -> str:
    """What a run says that `error` has ended."""
    if isinstance(error, AbortError):
        return f"aborted: {reason_of(error)}"
    return error.message if isinstance(error, StepError) else reason_of(error)


def task_here() -> asyncio.Task[Any] | None:
    """The task that runs now; `None` also where no event loop turns."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def record_of(end: Ended) -> StepResult:
    """The record of a step that has ended."""
    if end.result is not None:
        return end.result
    fields = {
        **_NOTHING,
        "step_id": end.part.step_id,
        "status": end.status,
        "output": end.output,
        "duration_ms": 1000 * (end.ended - end.began),
        "name": end.name,
    }
    calls, failed_calls = end.calls or (), end.failed_calls or ()
    if calls or failed_calls:
        fields["token_usage"], fields["cost_usd"], fields["attempts"] = Charges.of(calls, failed_calls)
        fields["response"] = calls[-1] if calls else None
    return record(StepResult, fields)


def kept(end: Ended, given: StepResult) -> Ended:
    """`end` with what the step itself says of it in `given`; what it asked through the engine is known better here."""
    made = record_of(end)
    update: dict[str, Any] = {"status": given.status}
    if not made.attempts:
        update |= {name: getattr(given, name) for name in ("token_usage", "cost_usd", "response", "attempts")}
    return end._replace(status=given.status, result=made.model_copy(update=update))


def failed(end: Ended, error: BaseException) -> Ended:
    """`end` with the reason of its failure; the exception itself is not kept, for it holds everything around it."""
    facts = {"status": StepStatus.FAILED, "error": reason_of(error), "error_info": ErrorInfo.of(error)}
    return end._replace(status=StepStatus.FAILED, result=record_of(end).model_copy(update=facts))


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
    "kept": False,
}


def records_of(ends: list[Ended], created: float, seconds: float) -> dict[str, Any]:
    """The fields of a `WorkflowResult` that are made when somebody looks at them.

    Args:
        ends: what is kept of the steps, in the order in which they ended.
        created: when the run began, in seconds since the epoch.
        seconds: how long it took.
    """
    steps: dict[str, StepResult] = {}
    # What a branch left stands among the outer steps as well.
    for result in map(record_of, {id(end): end for end in ends}.values()):
        earlier = steps.get(result.name)
        # The steps inside one that was tried again have left a record for each time.
        steps[result.name] = result if earlier is None or result.kept else _together(earlier, result)
    began = datetime.fromtimestamp(created, UTC)
    return {
        "metrics": ExecutionMetrics.of(steps.values(), 1000 * seconds),
        "created_at": began,
        "completed_at": began + timedelta(seconds=seconds),
        "steps": steps,
    }


def _together(earlier: StepResult, last: StepResult) -> StepResult:
    """The record `last`, with what `earlier` took as well, which the same step left before it was tried again."""
    took = [Charges(one.token_usage, one.cost_usd, one.attempts) for one in (earlier, last)]
    update = took[0].plus(took[1])._asdict() | {"duration_ms": earlier.duration_ms + last.duration_ms}
    return last.model_copy(update=update)
