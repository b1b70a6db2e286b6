"""One workflow over many inputs: bounded, in order, and taking its inputs only as they are needed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from fmf_core.errors import FrameworkError
from fmf_core.portal import iterate_sync
from generative_ai_workflow.plan import WorkflowPlan
from generative_ai_workflow.run import Run
from generative_ai_workflow.state import ExecutionMetrics, WorkflowResult, WorkflowStatus, new_id, reason_of

AHEAD = 4
"""How many finished results, as a multiple of the concurrency, may wait behind a slow one."""


class RunMany:
    """The results of many runs: await it for a list, or iterate over it, in a coroutine or in blocking code.

    Made by `WorkflowEngine.run_many`. Every iteration takes what is left of the inputs.
    """

    def __init__(
        self, plan: WorkflowPlan, inputs: Iterable[Mapping[str, Any]], concurrency: int, limit: float | None
    ) -> None:
        self._plan = plan
        self._inputs = iter(inputs)
        self._concurrency = concurrency
        self._limit = limit

    def __await__(self) -> Generator[Any, None, list[WorkflowResult]]:
        return self._all().__await__()

    def __iter__(self) -> Iterator[WorkflowResult]:
        return iterate_sync(self._results())

    def __aiter__(self) -> AsyncIterator[WorkflowResult]:
        return self._results()

    async def _all(self) -> list[WorkflowResult]:
        async with aclosing(self._results()) as results:
            return [result async for result in results]

    async def _results(self) -> AsyncGenerator[WorkflowResult, None]:
        turn = asyncio.Semaphore(self._concurrency)
        pending: deque[asyncio.Task[WorkflowResult]] = deque()
        try:
            more = True
            while more or pending:
                while more and len(pending) < AHEAD * self._concurrency:
                    await turn.acquire()
                    more = self._begin_one(pending, turn)
                    if pending and pending[0].done():
                        break
                if pending:
                    result = await pending.popleft()
                    more = more and (result.succeeded or self._plan.config.continue_on_error)
                    yield result
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _begin_one(self, pending: deque[asyncio.Task[WorkflowResult]], turn: asyncio.Semaphore) -> bool:
        try:
            input_data = next(self._inputs)
        except StopIteration:
            turn.release()
            return False
        task = asyncio.get_running_loop().create_task(self._one(input_data))
        task.add_done_callback(lambda _: turn.release())
        pending.append(task)
        return True

    async def _one(self, input_data: Mapping[str, Any]) -> WorkflowResult:
        try:
            run = Run(self._plan, input_data)
        except FrameworkError as error:
            return WorkflowResult(
                workflow_id=self._plan.workflow_id,
                correlation_id=new_id(),
                status=WorkflowStatus.FAILED,
                error=reason_of(error),
                metrics=ExecutionMetrics(),
            )
        return await run.go(self._limit)
