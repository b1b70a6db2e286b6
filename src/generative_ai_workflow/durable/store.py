"""What a durable run needs of the place where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from fmf_core.value import Value
from generative_ai_workflow.state import StepResult, WorkflowResult


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


class UnfinishedRun(Value):
    """A run that was begun and has no end."""

    run_id: str
    workflow: str
    fingerprint: str
    input_data: dict[str, Any]
    steps_kept: int
    begun_at: datetime
    changed_at: datetime
    """When something of it was kept last."""
    pid: int | None
    """The process that is running it right now; `None` where none is, so that it can be resumed."""


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

    async def unfinished(self, workflow: str | None = None) -> list[UnfinishedRun]:
        """The runs that have no end, of one workflow or of all, the oldest first."""
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


def parts_that_differ(kept: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The names under which two inputs do not hold the same; 1, 1.0 and True are not the same."""
    names = sorted({*kept, *given})
    return [name for name in names if name not in kept or name not in given or not _same(kept[name], given[name])]


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
