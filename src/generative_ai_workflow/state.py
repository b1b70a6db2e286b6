"""What a run leaves behind: statuses, reasons, and the records of steps and of the whole."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import Any, Self, TypeGuard

from pydantic import Field

from chatmodels.types import ChatResponse, TokenUsage
from fmf_core.errors import FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.redact import redact
from fmf_core.value import LateValue, Value, record
from generative_ai_workflow.by_step import ByStep
from generative_ai_workflow.exceptions import Code, StepError, WorkflowError


class WorkflowStatus(StrEnum):
    """Where a run is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class StepStatus(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class _Ids:
    """Where the ids of this process come from: a random start, counted on; a thousand runs at once ask for one each."""

    start: str
    next: Callable[[], int]

    @classmethod
    def renew(cls) -> None:
        # Not the global generator: the program around us may have seeded it.
        digits = f"{random.SystemRandom().getrandbits(120):030x}"
        cls.start = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{'89ab'[int(digits[15], 16) % 4]}{digits[16:19]}-"
        cls.next = count(int(digits[19:], 16)).__next__


_Ids.renew()
in_forked_child(_Ids.renew)


def new_id() -> str:
    """A UUID (version 4) as text, unlike any other; unique, not secret: the ids of one process follow each other."""
    return f"{_Ids.start}{_Ids.next():012x}"


def said(thing: object) -> str:
    """The text of an exception, or of what it holds; empty where it cannot give one."""
    try:
        return str(thing)
    except Exception:  # noqa: BLE001 - what a plugin raises may be broken itself
        return ""


def _is_whole(error: BaseException) -> TypeGuard[FrameworkError]:
    """Whether it has the facts of a `FrameworkError`: a subclass may have forgotten to call our constructor."""
    return isinstance(error, FrameworkError) and "fields" in error.__dict__


class ErrorInfo(Value):
    """Why something failed, as facts."""

    kind: str
    """The class of the exception."""
    message: str
    code: str = "internal"
    op: str = ""
    hint: str = ""
    retryable: bool = False
    attempts: int | None = None
    """How many requests were made before the failure was final, where it was a model call."""
    where: str = ""
    """The file and the line that raised it, where that was code of the program."""

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """The facts of `error`, every known secret blanked."""
        kind = type(error).__name__
        if not _is_whole(error):
            return cls(kind=kind, message=redact(said(error) or kind), where=_place_of(error))
        attempts = error.fields.get("attempts")
        return cls(
            kind=kind,
            message=redact(said(error.message) or kind),
            code=str(error.code),
            op=error.op,
            hint=redact(said(error.hint)),
            retryable=error.retryable,
            attempts=attempts if isinstance(attempts, int) else None,
        )


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119 - no path is looked up


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line for people, every known secret blanked."""
    kind = type(error).__name__
    if _is_whole(error):
        brief = isinstance(error, StepError) and not error.op and not error.hint
        return redact((not brief and said(error)) or said(error.message) or kind)
    text = "" if isinstance(error, FrameworkError) else said(error)
    return redact(f"{kind}: {text}" if text else kind)


class StepResult(Value):
    """What a step leaves behind.

    A custom step returns one of these, or simply a dict, which stands for a completed step with that output.
    """

    step_id: str = ""
    """Filled in by the engine."""
    status: StepStatus = StepStatus.COMPLETED
    output: dict[str, Any] | None = None
    error: str | None = None
    duration_ms: float = 0.0
    """Measured by the engine."""
    token_usage: TokenUsage | None = None
    """The sum over the step's model calls, with what failed ones were charged for."""
    name: str = ""
    """The step's name; filled in by the engine."""
    response: ChatResponse | None = None
    """The last answer of a model, where the step asked one."""
    attempts: int = 0
    """How many requests its model calls took, retries included."""
    cost_usd: float | None = None
    """What its model calls cost together, failed ones included, in US dollars; `None` where a price is unknown."""
    error_info: ErrorInfo | None = None
    kept: bool = False
    """Whether an earlier process had finished it, so that a durable run only took it up."""


class ExecutionMetrics(Value):
    """A run in numbers; what is kept by step is found by its id, summed over all items of a loop, and by each name."""

    total_duration_ms: float = 0.0
    step_durations: dict[str, float] = Field(default_factory=ByStep)
    """Milliseconds by step."""
    token_usage_total: TokenUsage | None = None
    step_token_usage: dict[str, TokenUsage] = Field(default_factory=ByStep)
    cost_usd: float | None = None
    """What all model calls cost together, in US dollars; `None` where one price is unknown, and without any call."""
    steps_completed: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0

    @classmethod
    def of(cls, results: Iterable[StepResult], total_duration_ms: float = 0.0) -> ExecutionMetrics:
        """Add up `results`; of several under one name, the last says how the step ended."""
        durations, usages = ByStep(), ByStep()
        statuses: dict[str, StepStatus] = {}
        total: TokenUsage | None = None
        costs: list[float | None] = []
        for result in results:
            usage = result.token_usage
            statuses[result.name] = result.status
            if result.status is not StepStatus.SKIPPED:
                durations.add(result.step_id, result.name, result.duration_ms)
            if usage is not None:
                usages.add(result.step_id, result.name, usage)
                total = usage if total is None else total + usage
            if usage is not None or result.cost_usd is not None:
                costs.append(result.cost_usd)
        known = [cost for cost in costs if cost is not None]
        counts = Counter(statuses.values())
        return record(
            cls,
            {
                "total_duration_ms": total_duration_ms,
                "step_durations": durations,
                "token_usage_total": total,
                "step_token_usage": usages,
                "cost_usd": sum(known) if known and len(known) == len(costs) else None,
                "steps_completed": counts[StepStatus.COMPLETED],
                "steps_failed": counts[StepStatus.FAILED],
                "steps_skipped": counts[StepStatus.SKIPPED],
            },
        )


class WorkflowResult(LateValue):
    """What a run leaves behind, however it ended."""

    late = frozenset({"metrics", "created_at", "completed_at", "steps"})

    workflow_id: str
    correlation_id: str
    status: WorkflowStatus
    output: dict[str, Any] | None = None
    """The outputs of all finished steps by key: a step's own keys, `{name}_output`, and `llm_response`."""
    error: str | None = None
    """Why the run did not complete; names the step."""
    metrics: ExecutionMetrics = Field(default_factory=ExecutionMetrics)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None
    steps: dict[str, StepResult] = Field(default_factory=dict)
    """What every step left, by step name; steps that never began are SKIPPED."""

    @property
    def succeeded(self) -> bool:
        """Whether the run completed."""
        return self.status is WorkflowStatus.COMPLETED

    def raise_for_status(self) -> Self:
        """This result, when the run completed.

        Raises:
            WorkflowError: it did not; says how it ended and why.
        """
        if self.succeeded:
            return self
        raise WorkflowError(
            self.error or f"the run ended as {self.status}",
            op="workflow.result",
            code=_CODES.get(self.status, Code.INTERNAL),
            fields={"status": str(self.status), "correlation_id": self.correlation_id},
        )


_CODES = {WorkflowStatus.TIMEOUT: Code.TIMEOUT, WorkflowStatus.CANCELLED: Code.CANCELLED}
