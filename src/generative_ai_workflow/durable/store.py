"""What a durable run needs of the place where it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Final, Protocol

from fmf_core.value import Value
from generative_ai_workflow.exceptions import ConfigurationError
from generative_ai_workflow.state import StepResult, WorkflowResult, WorkflowStatus

DECISION: Final = "\ndecision"
"""What the name of a record ends with that says how a step decided, and not that it is finished."""
RESUMABLE: Final = (
    WorkflowStatus.RUNNING,
    WorkflowStatus.FAILED,
    WorkflowStatus.TIMEOUT,
    WorkflowStatus.CANCELLED,
)
"""The statuses of runs that can go on."""
KNOWN: Final = (*RESUMABLE, WorkflowStatus.COMPLETED)
"""The statuses that a run has in a store."""


class RunIdentity(Value):
    """Which run it is: a run goes on only with what it was begun with."""

    run_id: str
    workflow: str
    """The workflow's name."""
    fingerprint: str
    """Of the workflow's steps, see `fingerprint_of`."""
    input_data: dict[str, Any]
    """What the caller gave; JSON values."""


class KeptRun(Value):
    """What is kept of a run."""

    steps: dict[str, StepResult]
    """The records of the finished steps by name, in the order in which they were kept."""
    result: WorkflowResult | None = None
    """How the run ended last, if it did. Where it completed, it is over, and nothing more can be kept of it."""


class StoredRun(Value):
    """A run as a store lists it."""

    run_id: str
    workflow: str
    """The workflow's name."""
    fingerprint: str
    input_data: dict[str, Any]
    status: WorkflowStatus
    """How it ended; RUNNING where it has no end: it is being run right now, or was interrupted."""
    reason: str | None
    """Why it did not complete."""
    steps_kept: int
    """How many steps are finished, those inside others included."""
    begun_at: datetime
    changed_at: datetime
    """When something of it was kept last."""
    ended_at: datetime | None
    pid: int | None
    """The process that is running it right now; `None` where none is."""


class RunStore(Protocol):
    """Keeps runs, so that one that was interrupted goes on after its last finished step.

    Every method may be called from any thread and any event loop. What cannot be done is a `WorkflowError` that says
    why; then nothing was changed.
    """

    async def begin(self, run: RunIdentity) -> KeptRun:
        """Begin `run`, or take up what is kept of it; from now on nobody else can, until it ends, is left, or dies.

        Raises:
            WorkflowError: it is being run already, or the id belongs to a run of another workflow or another input.
        """
        ...

    async def keep(self, run_id: str, name: str, result: StepResult) -> None:
        """Keep the record of a finished step under `name`; it is safe once this returns.

        What a step decided before the steps inside it ran is kept so as well, under a name that no step has.

        Raises:
            WorkflowError: its output would not come back as it is, or holds a known secret; or the run is not begun.
        """
        ...

    async def end(self, run_id: str, result: WorkflowResult) -> None:
        """Keep the end of a run and leave it.

        Raises:
            WorkflowError: the output would not come back as it is, or holds a known secret; or the run is not begun.
        """
        ...

    async def leave(self, run_id: str) -> None:
        """Let others take the run up as far as it is kept; nothing happens where it is not begun here."""
        ...

    def runs(self, workflow: str | None = None, status: str | Iterable[str] | None = None) -> AsyncIterator[StoredRun]:
        """The runs that are kept, read as they are needed, by status, then workflow, the oldest first.

        Args:
            workflow: the name of theirs; `None` is any.
            status: one of `WorkflowStatus`, or several; `None` is any. RUNNING is those without an end.

        Raises:
            ConfigurationError: no run in a store has such a status.
        """
        ...

    async def forget(self, run_id: str) -> bool:
        """Forget a run and all that is kept of it; whether there was one.

        Raises:
            WorkflowError: it is being run.
        """
        ...

    async def forget_ended(self, older_than_s: float = 0.0) -> int:
        """Forget the runs that ended at least so many seconds ago; how many there were."""
        ...


def as_statuses(
    status: str | Iterable[str] | None, *, op: str, known: Iterable[WorkflowStatus] = KNOWN
) -> list[WorkflowStatus]:
    """`status`, one or several, each once; `None` is all that are known.

    Raises:
        ConfigurationError: one is none of `known`.
    """
    if status is None:
        return list(known)
    given: list[Any] = [status] if isinstance(status, str) or not isinstance(status, Iterable) else list(status)
    for one in given:
        if one not in list(known):
            raise ConfigurationError(
                f"status must be one of {', '.join(known)}, got {one!r}", op=op, hint="give one, or a list of them"
            )
    return [WorkflowStatus(one) for one in dict.fromkeys(given)]
