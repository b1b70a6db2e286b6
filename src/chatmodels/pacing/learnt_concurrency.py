"""How many requests at once an endpoint bears, learnt from its answers and failures: pure arithmetic, told the time."""

from __future__ import annotations

from math import inf

CUT = 0.7
"""What a failure under load leaves of the requests in flight."""
CALM_SUCCESSES = 16
"""A failure after so many successes is an accident, and cuts nothing."""
GENTLE_GROWTH = 1 / 8
"""What a success adds above the height at which the endpoint once failed; below it a success adds 1."""
QUICK_S = 1.0
"""A failure that took longer may be one request's own; it leaves `SLOW_FLOOR` at least."""
SLOW_FLOOR = 8.0
"""How many requests may hang at once: fewer, and a thousand callers would wait for each other's time-outs for hours."""
SLOW = 3.0
"""An answer that takes so many times as long as the best round's may have waited in a queue of the endpoint's."""
GAIN = 1.1
"""A round that answered fewer than so many times as many requests a second as the one before it gained nothing."""
FORGET = 1.02
"""How much of the best round is forgotten with every round: requests may have become longer, and not the queue."""
STALL_S = 3.0
"""How long somebody waits while nothing ends, in seconds, before a window that was only a guess gives way."""
STALL_GROWTH = 1 / 16
"""By how much it then grows; by 1 at least, and by as many as are being read already: the endpoint bears those."""
HELD_S = 30.0
"""The same for a window that was learnt from failures: one request more goes, and the window stays as it is."""
STUCK_S = 600.0
"""How long somebody waits while nothing ends and no more than these are ever allowed, before it is hopeless."""


class LearntConcurrency:
    """A window of requests in flight: it grows while it is full and all goes well, and is cut when the endpoint fails.

    It doubles with every round of answers, up to `largest`. A round whose answers took much longer than the best one's,
    while no more of them came a second, stops the growth for the next round; it never shrinks the window.

    Those in flight may themselves wait for somebody who waits for them, as readers of streams who ask again. So the
    window gives way when nothing ends, but never beyond `largest`.

    Args:
        first: how many requests may be in flight at first.
        largest: how many at most.
        is_open: whether as many as `largest` may be until something is refused or fails under load. The window is then
            as large as the most that were ever in flight, `first` at least.
    """

    __slots__ = (
        "_best_s",
        "_count",
        "_cut_at",
        "_failing",
        "_full_at",
        "_height",
        "_held_since",
        "_in_a_row",
        "_is_open",
        "_largest",
        "_round_began",
        "_round_size",
        "_seconds",
        "_stalled",
        "_throughput",
        "begun",
        "in_flight",
        "is_guess",
        "size",
    )

    def __init__(self, first: int, largest: int, *, is_open: bool = False) -> None:
        self.size = float(min(first, largest))
        """How many requests may be in flight."""
        self.in_flight = 0
        self.begun = 0
        """How many of them are streams whose first piece has come."""
        self.is_guess = True
        """Whether the endpoint never refused anything, nor failed under load."""
        self._largest = float(largest)
        self._is_open = is_open
        self._height = inf
        self._cut_at = -inf
        self._failing = False
        self._in_a_row = CALM_SUCCESSES
        self._stalled = False
        self._count = 0
        self._seconds = 0.0
        self._round_size = self.size
        self._round_began = inf
        self._best_s = inf
        self._throughput = 0.0
        self._full_at = -inf
        self._held_since = inf

    @property
    def is_open(self) -> bool:
        """Whether nothing but `largest` limits the window, as nothing was refused yet, nor failed under load."""
        return self._is_open and self.is_guess

    def is_full(self, now: float) -> bool:
        """Whether somebody who asks at `now` has to wait until a request ends."""
        if self.in_flight >= self.size and self.in_flight:
            if self.is_open and self.in_flight < self._largest:
                return False
            self._full_at = now
            if self._held_since == inf:
                self._held_since = now
            elif now - self._held_since >= (STALL_S if self.is_guess else HELD_S):
                return not self._give_way(now)
            return True
        return False

    def is_stuck(self, now: float) -> bool:
        """Whether nothing has ended for so long, with somebody waiting, that nothing will."""
        return now - self._held_since >= STUCK_S

    def lent(self, now: float) -> None:
        """Note that a request started for which there was no place."""
        if self.is_open:
            self.size = float(self.in_flight)
        else:
            self._held_since = now

    def count_begun(self, change: int) -> None:
        """Note that a stream's first piece has come (1), or that such a stream ended (-1)."""
        self.begun += change

    def end(self) -> None:
        """Note that a request ended."""
        self.in_flight -= 1
        self._held_since = inf

    def succeeded(self, started: float, now: float, took_s: float | None) -> None:
        """Learn that a request was answered.

        Args:
            started: when it started.
            now: the time.
            took_s: how long the answer took in seconds; `None` when its length was somebody else's doing.
        """
        self._in_a_row += 1
        # Whether the window was in the way, and not whether it is full now: answers come in bursts.
        if self._full_at >= started and not self._stalled and self.size < self._largest:
            self._grow()
        if took_s is not None:
            self._count += 1
            self._seconds += took_s
            if self._count >= self._round_size:
                self._end_round(now)

    def failed(self, started: float, now: float) -> None:
        """Learn that a request that started at `started` failed as they do under load."""
        if started < self._cut_at:
            return
        calm = self._in_a_row >= CALM_SUCCESSES
        self._in_a_row = 0
        if calm:
            # The next one tells whether it was an accident.
            self._failing = False
            return
        if not self._failing:
            self._failing = True
            self._height = max(1.0, CUT * self.size)
        self._cut_at = now
        self.is_guess = False
        floor = 1.0 if now - started < QUICK_S else SLOW_FLOOR
        self.size = min(self.size, max(floor, CUT * min(self.in_flight, self.size)))

    def _grow(self) -> None:
        self.size = min(self._largest, self.size + (1.0 if self.size < self._height else GENTLE_GROWTH))
        if self.size > self._height / CUT:
            self._height = inf  # it bears more than it did when it failed

    def _give_way(self, now: float) -> bool:
        if self.in_flight >= self._largest:
            return False
        if self.is_guess:
            self._held_since = now
            growth = max(1.0, STALL_GROWTH * self.size, min(self.begun, self.in_flight))
            self.size = min(self._largest, self.size + growth)
        return True

    def _end_round(self, now: float) -> None:
        mean_s = self._seconds / self._count
        passed_s = now - self._round_began
        throughput = self._count / passed_s if passed_s > 0 else 0.0
        self._best_s = min(FORGET * self._best_s, mean_s)
        self._stalled = mean_s > SLOW * self._best_s and throughput < GAIN * self._throughput
        self._throughput = throughput
        self._count = 0
        self._seconds = 0.0
        self._round_began = now
        self._round_size = max(self.size, CALM_SUCCESSES)
