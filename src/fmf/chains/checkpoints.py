"""How far a run is final: written into its ledger once a second, so that the next process takes up there."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Final

from fmf.chains.position import Position
from fmf.ledger.checkpoint import Checkpoint
from fmf_core.portal import in_thread

if TYPE_CHECKING:
    from fmf.artefacts.folder import RunFolder
    from fmf.chains.tally import Tally
    from fmf.ledger.run_ledger import RunLedger

EVERY_S: Final = 1.0


class Checkpoints:
    """Keeps checkpoints of one run; for use on one event loop.

    Args:
        ledger: where they are kept.
        folder: the run's folder.
        tally: what was counted so far.
    """

    def __init__(self, ledger: RunLedger, folder: RunFolder, tally: Tally) -> None:
        self._ledger = ledger
        self._folder = folder
        self._tally = tally
        self._kept_at = monotonic()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for one, and the one before is on the disk."""
        return (self._keeping is None or self._keeping.done()) and monotonic() - self._kept_at >= EVERY_S

    def take(self, position: Position) -> None:
        """Keep, in the background, that everything before `position` is final: it is written, flushed and counted."""
        self._kept_at = monotonic()
        kept = Checkpoint(self._folder.sizes(), asdict(position), self._tally.as_state())
        self._keeping = asyncio.create_task(self._keep(kept, self._keeping))

    async def settled(self) -> None:
        """Wait for the one that is under way.

        Raises:
            FrameworkError: it could not be kept.
        """
        if self._keeping is not None:
            await self._keeping

    async def _keep(self, kept: Checkpoint, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        # The files first: a checkpoint must not promise what a power failure takes away.
        await in_thread(self._folder.sync)
        await self._ledger.keep(kept)
