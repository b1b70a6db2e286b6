"""How a run ended, in one word and as the exit status of `fmf`."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from fmf.chains.stop import StopReason
from fmf.chains.tally import Tally
from fmf.errors import DONE, INTERRUPTED, PARTIAL, UNEXPECTED, BudgetError, exit_status

Status = Literal["completed", "partial", "failed", "cancelled", "interrupted"]


class Verdict(NamedTuple):
    """How a run ended."""

    status: Status
    exit_status: int


_STOPPED: Final = {
    StopReason.INTERRUPTED: Verdict("interrupted", INTERRUPTED),
    StopReason.CANCELLED: Verdict("cancelled", INTERRUPTED),
    StopReason.BUDGET: Verdict("partial", exit_status(BudgetError(""))),
}


def verdict(tally: Tally, reason: StopReason | None, error: BaseException | None = None) -> Verdict:
    """Judge a run.

    Args:
        tally: what became of documents, items and steps.
        reason: why it stopped before its end; `None` when it did not.
        error: what ended it, when it was no failure of a document or an item.
    """
    if error is not None:
        return Verdict("failed", exit_status(error))
    if reason in _STOPPED:
        return _STOPPED[reason]
    if not tally.failures:
        return Verdict("completed", DONE)
    if reason is StopReason.FAILED or not _any_good(tally):
        # Where items were asked about, what became of them counts, not how many files could not be read.
        asking = tally.asking_kinds if reason is None else None
        kind = (asking or tally.exit_kinds).most_common(1)
        return Verdict("failed", kind[0][0] if kind else UNEXPECTED)
    return Verdict("partial", PARTIAL)


def _any_good(tally: Tally) -> bool:
    """Whether anything came out well: an item where there were items, else a document, now or in an earlier run."""
    return tally.items.ok > 0 if tally.items.total else tally.documents.ok + tally.unchanged > 0
