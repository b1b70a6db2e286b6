"""The steps of one run that have to get ready before their work, and to put things away after it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from generative_ai_workflow.outcome import let_pass, task_here
from generative_ai_workflow.plan import PlannedStep


class Lifecycles:
    """Calls `initialize` of each step once in a run, however often its work is done, and `cleanup` at the end."""

    __slots__ = ("_due", "_ready", "_turn")

    def __init__(self) -> None:
        self._ready: set[PlannedStep] = set()
        self._due: dict[PlannedStep, None] = {}
        self._turn = asyncio.Lock()

    async def begin(self, part: PlannedStep) -> None:
        """Get `part` ready.

        What its `initialize` raises is raised; its `cleanup` is due all the same, and whoever comes next tries again.
        """
        if part in self._ready:
            return
        async with self._turn:
            if part not in self._ready:
                self._due[part] = None
                if part.initialize is not None:
                    await _called(part.initialize)
                self._ready.add(part)

    async def end(self, *, ending: Callable[[], bool]) -> list[tuple[PlannedStep, BaseException]]:
        """Let all clean up, the last that got ready first.

        Args:
            ending: whether the run is being ended from outside.

        Returns:
            The steps whose clean-up failed, and how.
        """
        failures = []
        while self._due:
            part, _ = self._due.popitem()
            task = task_here()
            try:
                if part.cleanup is not None:
                    await _called(part.cleanup)
            except BaseException as error:  # noqa: BLE001 - the result stands
                let_pass(error, task, ending=ending())
                failures.append((part, error))
        return failures


async def _called(function: Callable[[], Any]) -> None:
    answer = function()
    if inspect.isawaitable(answer):
        await answer
