"""The writing stage of a run: takes what happened in any order, puts it down in input order, and counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from fmf.artefacts.files import ERRORS, OUTPUTS
from fmf.artefacts.folder import RunFolder
from fmf.chains.asking import NOTHING, Outcome
from fmf.chains.checkpoints import Checkpoints
from fmf.chains.position import Position
from fmf.chains.stop import Stop, StopReason
from fmf.chains.tally import Tally
from fmf.chains.window import InOrder, Window
from fmf.types import Document
from fmf_core.errors import FrameworkError
from fmf_core.portal import in_thread


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the order of the input: a document that was read, or what came of asking."""

    outcome: Outcome = NOTHING
    weight: int = 0
    """What it weighed in the window."""
    document: Document | None = None
    """The document that was read."""
    item_id: str | None = None
    """The item that was asked about."""
    after: Position | None = None
    """Where the run stands once this is written; `None` in the middle of something that belongs together."""

    @property
    def is_final(self) -> bool:
        """Whether a run that goes on need not come back to it."""
        return self.document is not None or self.outcome.state in {"ok", "skipped"}


class Scribe:
    """Writes `outputs.jsonl` and `errors.jsonl`, and counts what it has written; for use on one event loop.

    Args:
        folder: the run's folder.
        window: is left by everything that has been written.
        stop: is requested when a file can no longer be written.
        tally: counts what is written, so that it says at any time what the files hold.
        checkpoints: where it is kept how far everything is final.
    """

    def __init__(self, folder: RunFolder, window: Window, stop: Stop, tally: Tally, checkpoints: Checkpoints) -> None:
        self._outputs = folder.lines(OUTPUTS)
        self._errors = folder.lines(ERRORS)
        self._window = window
        self._stop = stop
        self._tally = tally
        self._checkpoints = checkpoints
        self._all_final = True
        self._stands: Position | None = None
        """Where the run stands with everything that was written, if that is a place to go on from."""
        self._done: InOrder[Entry] = InOrder()
        self._news = asyncio.Event()
        self._no_more = False
        self.failure: FrameworkError | None = None
        """Why nothing has been written since."""

    def put(self, number: int, entry: Entry) -> None:
        """Hand `entry` over, whose place in the order is `number`."""
        self._done.put(number, entry)
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
                for part in self._parts(batch):
                    await self._try_to_write(part)
                for entry in batch:
                    self._window.leave(entry.weight)
            if self._no_more:
                break
        await self._end()

    async def write(self, outcome: Outcome) -> None:
        """Put one outcome down at once, behind everything that was written before.

        Raises:
            FrameworkError: a file could not be written.
        """
        await in_thread(self._write, [outcome])
        self._tally.count_outcome(outcome)

    async def _try_to_write(self, batch: list[Entry]) -> None:
        if self.failure is not None:
            return
        try:
            if any(entry.outcome is not NOTHING for entry in batch):
                await in_thread(self._write, [entry.outcome for entry in batch])
        except FrameworkError as error:
            self.failure = error
            self._stop.request(StopReason.FAILED)
            return
        for entry in batch:
            if entry.document is not None:
                self._tally.count_document(entry.document)
            self._tally.count_outcome(entry.outcome, item_id=entry.item_id)
            self._all_final = self._all_final and entry.is_final
            self._stands = entry.after if self._all_final else None
        if self._stands is not None and self._checkpoints.is_due:
            self._checkpoints.take(self._stands)

    def _parts(self, batch: list[Entry]) -> Sequence[list[Entry]]:
        """`batch`, cut behind the last place to go on from where a checkpoint is due."""
        if not (self._all_final and self._checkpoints.is_due):
            return [batch]
        final = next((at for at, entry in enumerate(batch) if not entry.is_final), len(batch))
        cut = max((at for at, entry in enumerate(batch[:final], 1) if entry.after is not None), default=0)
        return [part for part in (batch[:cut], batch[cut:]) if part]

    async def _end(self) -> None:
        if self.failure is not None:
            return
        try:
            if self._stands is not None:
                self._checkpoints.take(self._stands)
            await self._checkpoints.settled()
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
