"""How many retries a failing server may still cost: a bucket that failures empty and successes fill."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import cast

from chatmodels.config import RetryBudget
from chatmodels.wrappers.shared import SharedState
from fmf_core.errors import Code

COSTLY = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})
"""Failures whose retries are charged: those of a server that has too much to do, or is not there."""


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


def _new(settings: Hashable) -> RetryBucket:
    return RetryBucket(cast("RetryBudget", settings))


buckets: SharedState[RetryBucket] = SharedState(_new)
"""The buckets of this process, one for each endpoint, model and budget."""
