"""How many retries a failing server may still cost: a bucket that failures empty and successes fill."""

from __future__ import annotations

import threading

from chatmodels.config import RetryBudget
from chatmodels.wrappers.shared import StateTable


class RetryBucket:
    """The retries that are left, for all threads: `budget.reserve` at first and at most."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.left = float(budget.reserve)
        """How many retries are left."""

    def draw(self) -> bool:
        """Take one retry; false when there is none."""
        with self._lock:
            if self.left < 1:
                return False
            self.left -= 1
            return True

    def pay(self) -> None:
        """Add the share of a retry that a success is worth."""
        if self.left < self._budget.reserve:
            with self._lock:
                self.left = min(self._budget.reserve, self.left + self._budget.share)


buckets = StateTable(RetryBucket)
"""The buckets of this process, one for each endpoint, model and budget."""
