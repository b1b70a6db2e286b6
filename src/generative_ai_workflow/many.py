"""One workflow over many inputs: bounded, in order, and taking its inputs only as they are needed."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, TypeVar

from fmf_core.errors import FrameworkError
from fmf_core.portal import iterate_sync, need_loop, run_sync
from generative_ai_workflow.durable.store import RunStore
from generative_ai_workflow.exceptions import ConfigurationError
from generative_ai_workflow.plan import WorkflowPlan
from generative_ai_workflow.run import Run
from generative_ai_workflow.state import ExecutionMetrics, WorkflowResult, WorkflowStatus, new_id, reason_of

AHEAD = 4
"""How many finished results, as a multiple of the concurrency, may wait behind a slow one."""

Item = TypeVar("Item")
All = TypeVar("All")


class Due(NamedTuple):
    """A run that is to be made."""

    key: Any
    input_data: Any
    correlation_id: str | None = None


class RunMany(ABC, Generic[Item, All]):
    """The results of many runs: await it for all of them, or iterate over it, in a coroutine or in blocking code.

    Made by `WorkflowEngine.run_many`. Every iteration takes what is left of the inputs. In blocking code, `results[0]`
    or `results["key"]` waits for all runs and keeps their results.
    """

    def __init__(
        self,
        plan: WorkflowPlan,
        due: Iterator[Due] | AsyncIterator[Due],
        concurrency: int,
        limit: float | None,
        *,
        workflow: object,
    ) -> None:
        self._plan = plan
        # Whoever made it may have let go of it, and its plan lives no longer than it does.
        self._workflow = workflow
        self._due = due
        self._concurrency = concurrency
        self._limit = limit
        self._broken: Exception | None = None
        self._kept: All | None = None

    @abstractmethod
    def _item(self, key: Any, result: WorkflowResult) -> Item:
        """What an iteration gives for one run."""

    @abstractmethod
    def _together(self, items: list[Item]) -> All:
        """What is given to who awaits."""

    def __await__(self) -> Generator[Any, None, All]:
        self._need_loop()
        return self._all().__await__()

    def __iter__(self) -> Iterator[Item]:
        return iterate_sync(self._results())

    def __aiter__(self) -> AsyncIterator[Item]:
        self._need_loop()
        return self._results()

    def __getitem__(self, place: Any) -> WorkflowResult:
        if self._kept is None:
            self._kept = run_sync(self._all())
        kept: Any = self._kept
        result: WorkflowResult = kept[place]
        return result

    def _need_loop(self) -> None:
        need_loop("engine.run_many", "await trio.to_thread.run_sync(list, engine.run_many(workflow, inputs))")

    async def _all(self) -> All:
        async with aclosing(self._results()) as results:
            return self._together([result async for result in results])

    async def _results(self) -> AsyncGenerator[Item, None]:
        turn = asyncio.Semaphore(self._concurrency)
        pending: deque[tuple[Any, asyncio.Task[WorkflowResult]]] = deque()
        try:
            more = True
            while more or pending:
                while more and len(pending) < AHEAD * self._concurrency:
                    await turn.acquire()
                    more = await self._begin_one(pending, turn)
                    if pending and pending[0][1].done():
                        break
                if pending:
                    key, task = pending.popleft()
                    result = await self._result_of(task)
                    more = more and (result.succeeded or self._plan.config.continue_on_error)
                    yield self._item(key, result)
            if self._broken is not None:
                raise self._broken
        finally:
            tasks = [task for _, task in pending]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _result_of(self, task: asyncio.Task[WorkflowResult]) -> WorkflowResult:
        await asyncio.wait({task})
        return self._lost(None, "the run cancelled its own task") if task.cancelled() else task.result()

    async def _begin_one(
        self, pending: deque[tuple[Any, asyncio.Task[WorkflowResult]]], turn: asyncio.Semaphore
    ) -> bool:
        shutdown = self._plan.shutdown.current
        if shutdown is not None and shutdown.requested:
            turn.release()
            return False
        try:
            due = await anext(self._due) if isinstance(self._due, AsyncIterator) else next(self._due)
        except (StopIteration, StopAsyncIteration):
            turn.release()
            return False
        except Exception as error:  # noqa: BLE001 - raised once the runs that have begun are told of
            self._broken = error
            turn.release()
            return False
        task = asyncio.get_running_loop().create_task(self._one(due))
        task.add_done_callback(lambda _: turn.release())
        pending.append((due.key, task))
        return True

    async def _one(self, due: Due) -> WorkflowResult:
        try:
            return await Run(self._plan, due.input_data, due.correlation_id).go(self._limit)
        except FrameworkError as error:
            return self._lost(due.correlation_id, reason_of(error))

    def _lost(self, correlation_id: str | None, reason: str) -> WorkflowResult:
        return WorkflowResult(
            workflow_id=self._plan.workflow_id,
            correlation_id=correlation_id or new_id(),
            status=WorkflowStatus.FAILED,
            error=reason,
            metrics=ExecutionMetrics(),
        )


class RunInOrder(RunMany[WorkflowResult, list[WorkflowResult]]):
    """Results in the order of their inputs."""

    def _item(self, key: Any, result: WorkflowResult) -> WorkflowResult:  # noqa: ARG002 - the order says which it is
        return result

    def _together(self, items: list[WorkflowResult]) -> list[WorkflowResult]:
        return items


class RunByKey(RunMany[tuple[Any, WorkflowResult], dict[Any, WorkflowResult]]):
    """Results by the keys of their inputs."""

    def _item(self, key: Any, result: WorkflowResult) -> tuple[Any, WorkflowResult]:
        return key, result

    def _together(self, items: list[tuple[Any, WorkflowResult]]) -> dict[Any, WorkflowResult]:
        return dict(items)


def in_order(inputs: Any) -> Iterator[Due]:
    """The runs for an iterable of inputs.

    Raises:
        ConfigurationError: it is no iterable, or a text.
    """
    if isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes):
        return (Due(None, input_data) for input_data in inputs)
    raise _wrong(inputs, "read it into a list first" if hasattr(inputs, "__aiter__") else "")


def keyed(inputs: Mapping[Any, Any], *, kept: bool) -> Iterator[Due]:
    """The runs for a mapping of inputs.

    Args:
        inputs: one for each run, by key.
        kept: whether the runs are kept in a store, which finds them by their keys.

    Raises:
        ConfigurationError: its values are no mappings, as those of a single input; or a store could not find a run
            again, for its key is no text.
    """
    numbers = [key for key in inputs if not isinstance(key, str)] if kept else []
    if numbers:
        raise ConfigurationError(
            f"a store finds runs by keys that are texts, and {numbers[0]!r} is none",
            op="engine.run_many",
            hint=f"write {str(numbers[0])!r}, or give a list of inputs for runs that nobody looks for again",
        )
    strange = [value for value in inputs.values() if not isinstance(value, Mapping)]
    if strange:
        raise _wrong(inputs, "one input alone goes to run_async or run")
    return (Due(key, input_data, key if isinstance(key, str) else None) for key, input_data in inputs.items())


async def resumable(store: RunStore, workflow: str, statuses: Sequence[WorkflowStatus]) -> AsyncIterator[Due]:
    """The runs of `workflow` with one of `statuses` that nobody is running, each once."""
    given: set[str] = set()  # one that is resumed may get a status that is still to be listed
    async for run in store.runs(workflow, statuses):
        if run.pid is None and run.run_id not in given:
            given.add(run.run_id)
            yield Due(run.run_id, run.input_data, run.run_id)


def _wrong(inputs: Any, hint: str) -> ConfigurationError:
    return ConfigurationError(
        f"inputs must be an iterable of dicts, or a mapping of them, got {type(inputs).__name__}",
        op="engine.run_many",
        hint=hint or "give a list of dicts, one for each run, or a mapping of them by key",
    )
