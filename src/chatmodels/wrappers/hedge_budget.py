"""How many requests may be sent a second time: a share of all, so that a slow server is not asked twice as much."""

from __future__ import annotations

from chatmodels.wrappers.shared import StateTable
from fmf_core.forks import Lock

MOST_SAVED = 10.0
"""How many second requests may follow each other at once, after a long time without any."""


class HedgeBudget:
    """Counts calls and second requests; for all threads.

    Every call adds its share to what may be sent a second time, beginning with one; a second request takes one.
    Besides, no more of them are under way than the share of the calls that are, or a single one.

    Args:
        share: the share of calls, above 0 and at most 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        # The garbage collector may end an abandoned call while this thread has the lock.
        self._lock = Lock(reentrant=True)
        self._saved = 1.0
        self._calls = 0
        self._seconds = 0

    def begin(self) -> None:
        """A call begins."""
        with self._lock():
            self._calls += 1
            self._saved = min(MOST_SAVED, self._saved + self.share)

    def end(self) -> None:
        """A call has ended."""
        with self._lock():
            self._calls -= 1

    def take(self) -> bool:
        """Whether a second request may be sent now; then it counts until `give_back`."""
        with self._lock():
            if self._saved < 1.0 or self._seconds + 1 > max(1.0, self.share * self._calls):
                return False
            self._saved -= 1.0
            self._seconds += 1
            return True

    def give_back(self, *, sent: bool = True) -> None:
        """A second request has ended, or could not be `sent` after all."""
        with self._lock():
            self._seconds -= 1
            self._saved += not sent


budgets = StateTable(HedgeBudget)
"""The budgets of this process, one for each endpoint, model and share: many objects ask a slow server no more often."""
