"""A run that goes on by itself: its handle waits for it, looks at it and cancels it, from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import Future
from functools import partial
from typing import Any

from fmf_core.portal import need_loop, run_sync
from generative_ai_workflow.exceptions import Code, WorkflowError
from generative_ai_workflow.run import Run
from generative_ai_workflow.state import WorkflowResult, WorkflowStatus

_running: set[asyncio.Task[None]] = set()


class WorkflowHandle:
    """A started run. Its result is kept for as long as the handle is.

    handle = workflow.start({"text": "..."})
    result = await handle             # in a coroutine
    result = handle.result(timeout=5)  # in blocking code
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._future: Future[WorkflowResult] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None

    @property
    def status(self) -> WorkflowStatus:
        """Where the run is now."""
        return self._run.status

    @property
    def correlation_id(self) -> str:
        """The id on every log line of the run."""
        return self._run.correlation_id

    @property
    def workflow_id(self) -> str:
        """The id of the workflow."""
        return self._run.plan.workflow_id

    def done(self) -> bool:
        """Whether there is a result."""
        return self._future.done()

    def cancel(self, *, at_once: bool = False) -> bool:
        """Ask the run to end; model calls in flight may finish within the workflow's `cancel_grace_s` and are counted.

        Args:
            at_once: give calls in flight no time to finish.

        Returns:
            Whether it was still running; it then ends as CANCELLED.
        """
        if self.done() or self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(partial(self._run.stop, at_once=at_once))
        except RuntimeError:
            return False
        return True

    def result(self, timeout: float | None = None) -> WorkflowResult:
        """Wait for the result, blocking.

        Args:
            timeout: how long to wait, in seconds; the run goes on when it is over.

        Raises:
            TimeoutError: there is no result yet.
            WorkflowError: called on the event loop that the run needs to go on; await the handle there.
        """
        if not self.done() and self._thread == threading.get_ident():
            raise WorkflowError(
                "result() would wait for a run that needs this very thread to go on",
                op="workflow.handle",
                code=Code.UNSUPPORTED,
                hint="write `await handle`",
            )
        try:
            return self._future.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"the run has no result after {timeout:g} s; it goes on") from None

    def __await__(self) -> Generator[Any, None, WorkflowResult]:
        need_loop("workflow.handle", "await trio.to_thread.run_sync(handle.result)")
        # Shielded: whoever stops waiting does not stop the run.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    def __repr__(self) -> str:
        return f"WorkflowHandle({self._run.plan.name!r}, {self.status})"

    def launch(self, limit: float | None) -> WorkflowHandle:
        """Let the run go on the running loop, or in the background where there is none; done by the engine."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.launch_in_background(limit)
        self._schedule(limit)
        return self

    def launch_in_background(self, limit: float | None) -> WorkflowHandle:
        """Let the run go on the loop that all blocking calls share; done by the engine."""
        run_sync(self._begin(limit))
        return self

    async def _begin(self, limit: float | None) -> None:
        self._schedule(limit)

    def _schedule(self, limit: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        task = self._loop.create_task(self._go(limit))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _go(self, limit: float | None) -> None:
        try:
            self.settle(await self._run.go(limit, stoppable=True))
        except BaseException as error:
            if self._run.result is not None:
                self.settle(self._run.result)
            elif not self._future.done():
                self._run.status = WorkflowStatus.FAILED
                self._future.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def settle(self, result: WorkflowResult) -> None:
        """Give the waiting ones their result; done by the engine."""
        with contextlib.suppress(Exception):
            self._future.set_result(result)
