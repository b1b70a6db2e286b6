"""One run as it is kept: what was finished before, and what its steps add."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from generative_ai_workflow.durable.store import DECISION, RunIdentity, RunStore
from generative_ai_workflow.ended import Ended, Place
from generative_ai_workflow.outcome import record_of
from generative_ai_workflow.state import StepResult, StepStatus, WorkflowResult, WorkflowStatus

_DECIDED = "decided"


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
        self._decided: dict[str, Any] = {}
        self._places: dict[str, float] = {}
        self._names: set[str] = set()
        self._open = False
        self.result: WorkflowResult | None = None
        """The result of a run that completed earlier."""

    async def __aenter__(self) -> Self:
        kept = await self._store.begin(self._run)
        records = {name: record for name, record in kept.steps.items() if record.status is not StepStatus.PENDING}
        self._finished = {name: record for name, record in records.items() if not name.endswith(DECISION)}
        self._decided = {
            name.removesuffix(DECISION): (record.output or {}).get(_DECIDED)
            for name, record in records.items()
            if name.endswith(DECISION)
        }
        self._names = set(records)
        self._places = {name: float(place - len(kept.steps)) for place, name in enumerate(kept.steps)}
        if kept.result is not None and kept.result.status is WorkflowStatus.COMPLETED:
            steps = {name: step.model_copy(update={"kept": True}) for name, step in kept.result.steps.items()}
            self.result = kept.result.model_copy(update={"steps": steps})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.leave(self._run.run_id)

    def found(self, part: Any, label: str) -> list[Ended]:
        """What was kept of a step that was finished before, behind what was kept of the steps inside it.

        Nothing where it was not finished: then those inside it are found when it runs.
        """
        own = self._end(part, label)
        return [] if own is None else [*self._inside(part, label), own]

    def _inside(self, part: Any, label: str) -> Iterator[Ended]:
        for inner in part.inside:
            # Those of branches have the label of the step around them; those of loops one for each item.
            loop = f"{inner.name}{label}["
            labels = [label, *(name[len(inner.name) :] for name in self._finished if name.startswith(loop))]
            yield from self._inside(inner, label)
            for one in labels:
                if (end := self._end(inner, one)) is not None:
                    yield end

    def _end(self, part: Any, label: str) -> Ended | None:
        name = f"{part.name}{label}"
        result = self._finished.get(name)
        if result is None:
            return None
        # The ids of steps are made anew in every process.
        result = result.model_copy(update={"step_id": part.step_id, "kept": True})
        # Before all that happens from now on, in the order in which they were kept.
        at = self._places[name]
        return Ended(part, label, result.status, result.output, at, at, result=result)

    async def keep(self, end: Ended) -> None:
        """Keep a step that is finished.

        Raises:
            WorkflowError: its output would not come back as it is, or holds a known secret; or the store fails.
        """
        self._names.add(end.name)
        await self._store.keep(self._run.run_id, end.name, record_of(end))

    def decided(self, name: str) -> Any:
        """What an earlier process decided for the step `name`; `None` where it did not."""
        return self._decided.get(name)

    async def keep_decision(self, name: str, decision: Any) -> None:
        """Keep what is decided for the step `name`, which has not finished.

        Raises:
            WorkflowError: it would not come back as it is, or holds a known secret; or the store fails.
        """
        key = f"{name}{DECISION}"
        self._names.add(key)
        await self._store.keep(self._run.run_id, key, StepResult(name=name, output={_DECIDED: decision}))

    async def begin_again(self, place: Place, label: str) -> None:
        """Forget what was kept inside a step, and decided for it, for all its work is done again.

        Raises:
            WorkflowError: the store fails.
        """
        own = f"{place.name}{label}"
        starts = tuple(f"{name}{label}" for name in _names_inside(place))
        for name in sorted(self._names):
            plain = name.removesuffix(DECISION)
            inside = any(plain == start or plain.startswith((f"{start}[", f"{start}#")) for start in starts)
            if not inside and not (name.endswith(DECISION) and (plain == own or plain.startswith(f"{own}#"))):
                continue
            # A record that says so: a store only ever adds and replaces.
            await self._store.keep(self._run.run_id, name, StepResult(name=plain, status=StepStatus.PENDING))
            self._names.discard(name)
            self._finished.pop(plain, None)
            self._decided.pop(plain, None)

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


def _names_inside(place: Any) -> Iterator[str]:
    for inner in getattr(place, "inside", ()):
        yield inner.name
        yield from _names_inside(inner)
