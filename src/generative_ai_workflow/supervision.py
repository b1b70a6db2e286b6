"""Time limits and cancellation of a run: its walk in a task of its own, and its model calls in flight."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SLACK = 0.05
"""The share of a time limit that a late walk gets to clean up, and what comes after a late run as well."""
LONGEST_SLACK_S = 0.5
ABANDON_S = 1.0
"""How long a cancelled walk may take to end before it is left alone, in seconds."""

_left_alone: set[asyncio.Future[Any]] = set()


class Interruption(Enum):
    """How a watched walk ended when it did not come to its own end."""

    STOPPED = "stopped"
    LATE = "late"


class Supervision(Generic[T]):
    """Watches one walk; nothing is paid for it until `watch` or `stop` is called."""

    __slots__ = ("_calls", "_finishing", "_given_up", "_late", "_loop", "_task", "conclusion", "grace_s", "stopping")

    def __init__(self) -> None:
        self.conclusion = threading.Lock()
        """Held by who makes the result: two may want to when the event loop is stuck."""
        self.stopping = False
        """Whether the walk is to end: nothing new may begin."""
        self.grace_s = 0.0
        """How long calls in flight may take, once it is stopping."""
        self._late = False
        self._calls: dict[object, int] = {}
        self._finishing: set[object] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._given_up: asyncio.Future[None] | None = None

    def take_off(self, step: object) -> None:
        """Say that a model call of `step` begins."""
        self._calls[step] = self._calls.get(step, 0) + 1

    def land(self, step: object) -> None:
        """Say that a model call of `step` has ended and is counted; what is left of the grace is for the step."""
        left = self._calls.pop(step, 1) - 1
        if left:
            self._calls[step] = left
        if self.stopping:
            self._finishing.add(step)

    def ended(self, step: object) -> None:
        """Say that `step` has ended, while the walk is to end."""
        self._calls.pop(step, None)
        self._finishing.discard(step)
        if not self._calls and not self._finishing and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nothing waits there any more
                self._loop.call_soon_threadsafe(self._cancel)

    def stop(self, grace_s: float) -> None:
        """End the walk once the steps have ended whose calls are in flight; to be called on its loop.

        Args:
            grace_s: how long they may take, in seconds; asked for again, it may only get shorter.
        """
        if self.stopping:
            if grace_s < self.grace_s and self._loop is not None:
                self.grace_s = grace_s
                self._loop.call_later(grace_s, self._cancel)
            return
        self.stopping = True
        self.grace_s = grace_s
        if self._loop is None:
            return
        if self._calls:
            self._loop.call_later(grace_s, self._cancel)
        else:
            self._cancel()

    def expire(self) -> None:
        """Say that the time is over, for who watches the clock elsewhere."""
        self._late = True
        self.stopping = True

    async def watch(self, walk: Coroutine[Any, Any, T], limit: float | None) -> T | Interruption:
        """What `walk` returns, or how it was ended; a step that will not end is left behind.

        Args:
            walk: what is watched.
            limit: seconds; `None` is no limit.
        """
        self._loop = loop = asyncio.get_running_loop()
        if self.stopping:
            walk.close()
            return Interruption.STOPPED
        self._given_up = loop.create_future()
        self._task = task = loop.create_task(walk)
        try:
            either: set[asyncio.Future[Any]] = {task, self._given_up}
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if self._stopped():
                if task.done() and not task.cancelled():
                    task.exception()
                return Interruption.LATE if self._late else Interruption.STOPPED
            if task.done():
                return Interruption.STOPPED if task.cancelled() else task.result()
            self.expire()
            task.cancel()
            await asyncio.wait({task}, timeout=slack_of(limit))
            return Interruption.LATE
        finally:
            self._given_up.cancel()
            if not task.done():
                task.cancel()
                leave_alone(task)

    def _stopped(self) -> bool:
        return self.stopping

    def _cancel(self) -> None:
        if self._task is not None and self._loop is not None and not self._task.done():
            self._task.cancel()
            self._loop.call_later(ABANDON_S, self._give_up)

    def _give_up(self) -> None:
        if self._given_up is not None and not self._given_up.done():
            self._given_up.set_result(None)


def slack_of(limit: float | None) -> float | None:
    """How long what follows a time limit of `limit` seconds may take, in seconds."""
    return None if limit is None else min(LONGEST_SLACK_S, SLACK * limit)


async def at_most(work: Coroutine[Any, Any, Any], seconds: float | None) -> None:
    """Await `work` for `seconds`; then it goes on by itself."""
    if seconds is None:
        await work
        return
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        leave_alone(task)


def leave_alone(task: asyncio.Future[Any]) -> None:
    """Let `task` go on with nobody waiting for it; whatever becomes of it is nobody's business."""
    _left_alone.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Future[Any]) -> None:
    _left_alone.discard(task)
    if not task.cancelled():
        task.exception()
