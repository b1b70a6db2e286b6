"""What happens to calls in flight when a run is to stop: they may finish for a while, then they are cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from fmf.chains.stop import Stop
from fmf_core.errors import Code, FrameworkError

T = TypeVar("T")

WIND_UP_S = 0.5
"""How long the steps of a subject may take to end once their calls were cut off."""


class CutOffError(FrameworkError):
    """The run was stopped, and the answer did not come in time."""

    default_code = Code.CANCELLED


class Grace:
    """Gives work some seconds after the stop was requested; for use on one event loop.

    Model calls are cut off first, each where it is made, so that the steps before it keep their answers. What has not
    come to an end by itself a moment later is cut off as a whole.

    Args:
        stop: begins the grace.
        seconds: how long it is.
    """

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self._calls = _Cut()
        self._subjects = _Cut()

    def watch(self) -> None:
        """Begin to listen for the stop; call it on the loop."""
        loop = asyncio.get_running_loop()

        def begin() -> None:
            loop.call_soon_threadsafe(self._begin)

        self._stop.listen(begin)

    async def allow_call(self, call: Awaitable[T]) -> T:
        """Wait for a model `call` in the current task.

        Raises:
            CutOffError: the run was stopped and the grace is over.
        """
        return await self._allow(call, self._calls)

    async def allow(self, work: Awaitable[T]) -> T:
        """Do all `work` on one subject in the current task.

        Raises:
            CutOffError: the run was stopped, the grace is over, and cutting off its calls did not end the work.
        """
        return await self._allow(work, self._subjects)

    async def _allow(self, work: Awaitable[T], cut: _Cut) -> T:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Grace.allow needs a running task")
        cut.at_work.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in cut.cancelled or task.uncancel():
                raise
            raise CutOffError(
                f"the run was stopped, and the answer did not come within {self._seconds:g} s",
                op="run.stop",
                hint="inference.cancel_grace_s says how long calls in flight may finish",
            ) from None
        finally:
            cut.at_work.discard(task)
            cut.cancelled.discard(task)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._seconds, self._calls.make)
        loop.call_later(self._seconds + WIND_UP_S, self._subjects.make)


class _Cut:
    """Tasks that are cut off together."""

    def __init__(self) -> None:
        self.at_work: set[asyncio.Task[Any]] = set()
        self.cancelled: set[asyncio.Task[Any]] = set()

    def make(self) -> None:
        """Cancel what is at work."""
        self.cancelled |= self.at_work
        for task in self.at_work:
            task.cancel()
