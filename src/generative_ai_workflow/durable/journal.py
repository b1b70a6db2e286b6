"""One run as it is kept: what was finished before, and what its steps add."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from generative_ai_workflow.durable.store import RunIdentity, RunStore
from generative_ai_workflow.ended import Ended
from generative_ai_workflow.outcome import record_of
from generative_ai_workflow.state import StepResult, WorkflowResult, WorkflowStatus


class Journal:
    """What is kept of one run, from taking it up until it is left.

    Args:
        store: where it is kept.
        run: which run it is.
    """

    def __init__(self, store: RunStore, run: RunIdentity) -> None:
        self._store = store
        self._run = run
        self._finished: dict[str, StepResult] = {}
        self._open = False
        self.result: WorkflowResult | None = None
        """The result of a run that completed earlier."""

    async def __aenter__(self) -> Self:
        kept = await self._store.begin(self._run)
        self._finished = kept.steps
        if kept.result is not None and kept.result.status is WorkflowStatus.COMPLETED:
            self.result = kept.result
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.leave(self._run.run_id)

    def found(self, part: Any, label: str) -> Ended | None:
        """What was kept of a step, where it was finished before."""
        result = self._finished.get(f"{part.name}{label}")
        if result is None:
            return None
        # The ids of steps are made anew in every process.
        result = result.model_copy(update={"step_id": part.step_id})
        return Ended(part, label, result.status, result.output, 0.0, 0.0, result=result)

    async def keep(self, end: Ended) -> None:
        """Keep a step that is finished.

        Raises:
            WorkflowError: its output would not come back as it is, or holds a known secret; or the store fails.
        """
        await self._store.keep(self._run.run_id, end.name, record_of(end))

    def leave_open(self) -> None:
        """Let the run have no end here, so that it counts as interrupted."""
        self._open = True

    async def end(self, result: WorkflowResult) -> None:
        """Keep how the run ended.

        Raises:
            WorkflowError: the store fails.
        """
        if not self._open:
            await self._store.end(self._run.run_id, result)
