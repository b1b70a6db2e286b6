"""The books of one budget: what was spent, what is set aside, and who waits for room; in whole units of money."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fmf_core.forks import Lock, in_forked_child

UNITS_PER_USD = 10**12
"""Money is counted in whole units: sums of fractions would drift, and a limit is to hold to the last one."""


class BlockedRequest(NamedTuple):
    """A request that has to wait until others have been settled."""

    units: int
    wake: Callable[[], None]


class Ledger:
    """Counts money and requests, from any thread.

    Args:
        limit: how many units may be spent; `None` only counts.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.spent = self.assumed = self.reserved = 0
        self.calls = self.refused = self.unknown = 0
        self._unpriced: set[str] = set()
        self._lock = Lock()
        self._waiting: dict[int, BlockedRequest] = {}
        self._least, self._most = math.inf, 0
        in_forked_child(self._let_go)

    def _let_go(self) -> None:
        """In a forked child: what is under way is under way in the parent, and is settled there."""
        self.reserved = 0
        self._waiting = {}

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that answered and have no known price."""
        with self._lock():
            return tuple(sorted(self._unpriced))

    def take(self, units: int) -> bool | None:
        """Set `units` aside for a request, where there is room for them.

        Returns:
            False when there is no room now, and `None` when there would be none if all others cost nothing.
        """
        with self._lock():
            if self.limit is None:
                return True
            free = self.limit - self.spent - self.assumed
            if self._unpriced or (units and units > free):
                return None
            if units and units > free - self.reserved:
                return False
            self.reserved += units
            return True

    def give_back(self, units: int, *, spent: int = 0, assumed: int = 0, unpriced: str | None = None) -> None:
        """Settle a request for which `units` were set aside.

        Args:
            units: what `take` got.
            spent: what it cost.
            assumed: what it may have cost besides.
            unpriced: the model that answered, where its price is unknown.
        """
        with self._lock():
            self.spent += spent
            if self.limit is not None:
                self.reserved -= units
                self.assumed += assumed
            if unpriced is not None:
                self._unpriced.add(unpriced)
            wakes = self._to_wake() if self._waiting else ()
        for wake in wakes:
            wake()

    def await_room(self, blocked: BlockedRequest) -> None:
        """Call `blocked.wake` as soon as `take` may have another answer, until it is told to `stop_waiting`."""
        with self._lock():
            if not self._waiting:
                self._least, self._most = math.inf, 0
            self._waiting[id(blocked)] = blocked
            self._least, self._most = min(self._least, blocked.units), max(self._most, blocked.units)

    def stop_waiting(self, blocked: BlockedRequest, *, served: bool) -> None:
        """No longer call it; unless it was served, whoever comes after it may have room now."""
        with self._lock():
            self._waiting.pop(id(blocked), None)
            wakes = () if served else self._to_wake()
        for wake in wakes:
            wake()

    def _to_wake(self) -> Sequence[Callable[[], None]]:
        """Those for whom there is room, first come first served, and those for whom there never will be."""
        ever = (self.limit or 0) - self.spent - self.assumed
        now = ever - self.reserved
        all_may_fit = self._most <= ever and not self._unpriced
        woken: list[Callable[[], None]] = []
        for units, wake in self._waiting.values():
            if all_may_fit and now < self._least:
                break  # with many who wait, looking at each after every request would take longer than the requests
            if units <= now:
                now -= units
                woken.append(wake)
            elif units > ever or self._unpriced:
                woken.append(wake)
        return woken

    def count_call(self, *, unknown: bool = False) -> None:
        """Count one call, whatever it cost; `unknown` where nobody will ever know."""
        with self._lock():
            self.calls += 1
            self.unknown += unknown

    def count_refusal(self) -> None:
        """Count a request that was refused."""
        with self._lock():
            self.refused += 1


def units_of(usd: float) -> int:
    """US dollars in units."""
    return round(usd * UNITS_PER_USD)
