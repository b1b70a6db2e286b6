"""The writing stage of a run: takes outcomes in any order and puts their records down in input order."""

from __future__ import annotations

import asyncio

from fmf.artefacts.folder import RunFolder
from fmf.chains.asking import Outcome
from fmf.chains.stop import Stop, StopReason
from fmf.chains.window import InOrder, Window
from fmf_core.errors import FrameworkError
from fmf_core.portal import in_thread

OUTPUTS, ERRORS = "outputs.jsonl", "errors.jsonl"


class Scribe:
    """Writes `outputs.jsonl` and `errors.jsonl`; for use on one event loop.

    Args:
        folder: the run's folder.
        window: is left by everything that has been written.
        stop: is requested when a file can no longer be written.
    """

    def __init__(self, folder: RunFolder, window: Window, stop: Stop) -> None:
        self._outputs = folder.lines(OUTPUTS)
        self._errors = folder.lines(ERRORS)
        self._window = window
        self._stop = stop
        self._done: InOrder[tuple[Outcome, int]] = InOrder()
        self._news = asyncio.Event()
        self._no_more = False
        self.failure: FrameworkError | None = None
        """Why nothing has been written since."""

    def put(self, number: int, outcome: Outcome, weight: int) -> None:
        """Hand over the outcome of a unit.

        Args:
            number: its place in the output.
            outcome: what came of it.
            weight: what it weighed in the window.
        """
        self._done.put(number, (outcome, weight))
        self._news.set()

    def end(self) -> None:
        """Say that no more outcomes will come."""
        self._no_more = True
        self._news.set()

    async def run(self) -> None:
        """Write until the end; after a failure what comes is counted as gone, so that nobody waits for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while batch := self._done.take():
                await self._try_to_write([outcome for outcome, _ in batch])
                for _, weight in batch:
                    self._window.leave(weight)
            if self._no_more:
                return

    async def write(self, outcome: Outcome) -> None:
        """Put one outcome down at once, behind everything that was written before.

        Raises:
            FrameworkError: a file could not be written.
        """
        await in_thread(self._write, [outcome])

    async def _try_to_write(self, outcomes: list[Outcome]) -> None:
        if self.failure is not None:
            return
        try:
            await in_thread(self._write, outcomes)
        except FrameworkError as error:
            self.failure = error
            self._stop.request(StopReason.FAILED)

    def _write(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            for row in outcome.rows:
                self._outputs.write(row)
            for failure in outcome.failures:
                self._errors.write(failure.row)
        self._outputs.flush()
        self._errors.flush()
