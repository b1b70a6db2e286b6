"""Steps that have to get ready before their work and put things away after it, shared by the runs under way."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from generative_ai_workflow.outcome import let_pass, task_here


class Readiness:
    """Whether one step is ready on one event loop, and how many runs there need it."""

    __slots__ = ("cleanup", "initialize", "is_ready", "runs", "turn")

    def __init__(self, initialize: Callable[[], Any] | None, cleanup: Callable[[], Any] | None) -> None:
        self.initialize = initialize
        self.cleanup = cleanup
        self.is_ready = False
        self.runs = 0
        self.turn = asyncio.Lock()


class Lifecycle:
    """Calls `initialize` of one step before the first of the runs that overlap, and `cleanup` after the last of them.

    Each event loop has runs of its own: what was made on one can seldom be used on another.

    Args:
        initialize: of the step, where it has one.
        cleanup: of the step, where it has one.
    """

    __slots__ = ("_by_loop", "_cleanup", "_initialize")

    def __init__(self, initialize: Callable[[], Any] | None, cleanup: Callable[[], Any] | None) -> None:
        self._initialize = initialize
        self._cleanup = cleanup
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Readiness] = WeakKeyDictionary()

    async def begin(self, due: dict[Lifecycle, Readiness]) -> None:
        """Get the step ready for a run.

        What `initialize` raises is raised; its `cleanup` is due all the same, and whoever comes next tries again.

        Args:
            due: what the run has to end; this one is put in.
        """
        readiness = due.get(self)
        if readiness is not None and readiness.is_ready:
            return
        readiness = self._by_loop.setdefault(
            asyncio.get_running_loop(), readiness or Readiness(self._initialize, self._cleanup)
        )
        async with readiness.turn:
            if self not in due:
                due[self] = readiness
                readiness.runs += 1
            if not readiness.is_ready:
                if readiness.initialize is not None:
                    await _called(readiness.initialize)
                readiness.is_ready = True


async def end_all(
    due: dict[Lifecycle, Readiness], *, ending: Callable[[], bool]
) -> list[tuple[Lifecycle, BaseException]]:
    """Let a run end what it began, the last first.

    Args:
        due: what it has begun.
        ending: whether the run is being ended from outside.

    Returns:
        Whose clean-up failed, and how.
    """
    failures = []
    passed: BaseException | None = None
    while due:
        lifecycle, readiness = due.popitem()
        task = task_here()
        try:
            async with readiness.turn:
                readiness.runs -= 1
                if readiness.runs == 0:
                    readiness.is_ready = False
                    if readiness.cleanup is not None:
                        await _called(readiness.cleanup)
        except BaseException as error:  # noqa: BLE001 - the result stands, and the others have to be released as well
            try:
                let_pass(error, task, ending=ending())
            except BaseException as ended:  # noqa: BLE001 - raised below
                passed = ended
            else:
                failures.append((lifecycle, error))
    if passed is not None:
        raise passed
    return failures


async def _called(function: Callable[[], Any]) -> None:
    answer = function()
    if inspect.isawaitable(answer):
        await answer
