"""The books of one budget: what was spent, what is set aside, and who waits for room; in whole units of money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from fmf_core.forks import Lock, in_forked_child

UNITS_PER_USD = 10**12
"""Money is counted in whole units: sums of fractions would drift, and a limit is to hold to the last one."""
PASSED_OVER_S = 5.0
"""How long room is kept for who waits and does not look for it, in seconds: its event loop may have stopped."""


class BlockedRequest(NamedTuple):
    """A request that has to wait until others have been settled."""

    units: int
    wake: Callable[[], None]


class Place:
    """The place of a request in the queue."""

    __slots__ = ("blocked", "looked_at")

    def __init__(self, blocked: BlockedRequest) -> None:
        self.blocked = blocked
        self.looked_at = monotonic()

    def kept(self, now: float) -> int:
        """How many units those who come after it must leave to it."""
        return self.blocked.units if now - self.looked_at <= PASSED_OVER_S else 0


class Ledger:
    """Counts money and requests, from any thread.

    Requests for which there is no room queue up: first come, first served, so that small ones, of which one always
    fits, do not keep a large one out. A task waits for one thing at a time, so it is known by itself in the queue.

    Args:
        limit: how many units may be spent; `None` only counts.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.spent = self.assumed = self.reserved = 0
        self.calls = self.refused = self.unknown = 0
        self._unpriced: set[str] = set()
        self._lock = Lock()
        self._queue: dict[asyncio.Task[Any] | None, Place] = {}
        self._most = 0
        self.freed_at = 0.0
        """When a request last ended while others waited, on the monotonic clock."""
        in_forked_child(self._let_go)

    def _let_go(self) -> None:
        """In a forked child: what is under way is under way in the parent, and is settled there."""
        self.reserved = 0
        self._queue = {}

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models that answered and have no known price."""
        with self._lock():
            return tuple(sorted(self._unpriced))

    def take(self, units: int) -> bool | None:
        """Set `units` aside for a request, where there is room for them besides what those may take who came before.

        Returns:
            False when there is no room now, and `None` when there would be none if all others cost nothing.
        """
        with self._lock():
            if self.limit is None:
                return True
            free = self.limit - self.spent - self.assumed
            if self._unpriced or (units and units > free):
                return None
            if units and not self._has_turn(units, free - self.reserved):
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
            if self._queue:
                self.freed_at = monotonic()
        self._wake()

    def put_back(self, units: int) -> None:
        """Undo a `take`: nothing was asked."""
        with self._lock():
            if self.limit is not None:
                self.reserved -= units
        self._wake()

    def _wake(self) -> None:
        if not self._queue:
            return
        with self._lock():
            wakes = self._to_wake()
        for wake in wakes:
            wake()

    def _has_turn(self, units: int, room: int) -> bool:
        """Whether `room` holds `units` for the running task, and what those may take who queue before it."""
        if not self._queue:
            return units <= room
        now = monotonic()
        own = self._queue.get(_running())
        if own is not None:
            own.looked_at = now
        for place in self._queue.values():
            if place is own or units > room:
                break
            room -= place.kept(now)
        return units <= room

    def await_room(self, blocked: BlockedRequest) -> None:
        """Call `blocked.wake` as soon as `take` may have another answer, until it is told to `stop_waiting`.

        It queues for the running task.
        """
        with self._lock():
            if not self._queue:
                self._most = 0
            self._queue[_running()] = Place(blocked)
            self._most = max(self._most, blocked.units)

    def stop_waiting(self, blocked: BlockedRequest, *, served: bool) -> None:
        """No longer call it; unless it was served, whoever comes after it may have room now."""
        with self._lock():
            who = _running()
            if who not in self._queue or self._queue[who].blocked is not blocked:
                # Where the garbage collector ends what an event loop has left behind, no task runs.
                who = next((who for who, place in self._queue.items() if place.blocked is blocked), None)
            if who is not None:
                del self._queue[who]
        if not served:
            self._wake()

    def _to_wake(self) -> Sequence[Callable[[], None]]:
        """The first in the queue for whom there is room, and all for whom there never will be."""
        ever = (self.limit or 0) - self.spent - self.assumed
        room = ever - self.reserved
        all_may_fit = self._most <= ever and not self._unpriced
        now = monotonic()
        woken: list[Callable[[], None]] = []
        for place in self._queue.values():
            units, wake = place.blocked
            if units > ever or self._unpriced:
                woken.append(wake)
            elif units <= room:
                room -= place.kept(now)
                woken.append(wake)
            elif place.kept(now):
                if all_may_fit:
                    break  # with many who wait, to look at each after every request would take longer than the requests
                room = 0
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


def _running() -> asyncio.Task[Any] | None:
    """The running task."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
