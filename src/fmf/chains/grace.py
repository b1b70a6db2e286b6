"""What happens to calls in flight when a run is to stop: they may finish for a while, then they are cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fmf.chains.stop import Stop
from fmf_core.errors import Code, FrameworkError

T = TypeVar("T")


class CutOffError(FrameworkError):
    """The run was stopped, and the answer did not come in time."""

    default_code = Code.CANCELLED


class Grace:
    """Gives work some seconds after the stop was requested; for use on one event loop.

    Args:
        stop: begins the grace.
        seconds: how long it is.
    """

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self._over = False
        self._at_work: set[asyncio.Task[object]] = set()

    def watch(self) -> None:
        """Begin to listen for the stop; call it on the loop."""
        loop = asyncio.get_running_loop()

        def begin() -> None:
            loop.call_soon_threadsafe(self._begin)

        self._stop.listen(begin)

    async def allow(self, work: Awaitable[T]) -> T:
        """Do `work` in the current task.

        Raises:
            CutOffError: the run was stopped and the grace is over.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Grace.allow needs a running task")
        self._at_work.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._over or task.uncancel():
                raise
            raise CutOffError(
                f"the run was stopped, and the answer did not come within {self._seconds:g} s",
                op="run.stop",
                hint="inference.cancel_grace_s says how long calls in flight may finish",
            ) from None
        finally:
            self._at_work.discard(task)

    def _begin(self) -> None:
        asyncio.get_running_loop().call_later(self._seconds, self._cut_off)

    def _cut_off(self) -> None:
        self._over = True
        for task in self._at_work:
            task.cancel()
