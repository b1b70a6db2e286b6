"""A fair queue before whatever limits the starts of requests, shared by all threads and event loops."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Protocol

from chatmodels.pacing.waiter import LOOK_AGAIN_S, Waiter
from fmf_core.forks import in_forked_child

LATE_S = 0.25
"""Who does not come for so long when it is due, because its event loop is busy or gone, is passed over."""


class Starts(Protocol):
    """Decides when the next request may start; told the time."""

    def delay(self, now: float) -> float:
        """Seconds until the next start; 0 or less when it may be now, infinite when something must happen first."""
        ...

    def start(self, now: float, what: Any) -> None:
        """Take a start at `now` of `what` the caller gave."""
        ...


class WaitOverError(Exception):
    """The turn of a caller does not come in time.

    Args:
        delay_s: for how long nobody may start, in seconds; infinite where that is unknown.
    """

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s


class StartQueue:
    """A queue of callers before `starts`; only the caller at its head looks at the clock, and wakes the next one.

    A caller whose event loop is busy, stopped or closed is passed over when it is due; it has its turn when it comes.
    Whoever changes what `starts` knows does it through `update`, so that the head may look again. A forked child begins
    with an empty queue.

    Args:
        starts: decides.
        clock: the time in seconds.
        held: called with the time while the head has to wait; whether it changed something, so that the head looks
            again. What it raises ends the head's wait.
    """

    def __init__(
        self, starts: Starts, clock: Callable[[], float], held: Callable[[float], bool] = lambda _: False
    ) -> None:
        self._starts = starts
        self._clock = clock
        self._held = held
        self.renew()
        in_forked_child(self.renew)

    def renew(self) -> None:
        """Begin anew: those who wait, and whoever holds the lock, are of another process."""
        # The garbage collector may end an abandoned call, and so give a place back, in the middle of a start.
        self._lock = threading.RLock()
        self._queue: deque[_Turn] = deque()
        self._number = 0

    def start_now(self, what: Any = None) -> float | None:
        """Start `what` at once and give the time, or `None` when it has to wait for its turn."""
        with self._lock:
            now = self._clock()
            if self._queue or self._starts.delay(now) > 0:
                return None
            self._starts.start(now, what)
            return now

    async def pass_through(self, what: Any = None, *, max_wait_s: float | None = None) -> float:
        """Return when the caller may start `what`, with the time of the start.

        Raises:
            WaitOverError: its turn does not come within `max_wait_s` seconds.
        """
        started = self.start_now(what)
        if started is not None:
            return started
        with self._lock:
            self._number += 1
            turn = _Turn(self._number, self._clock(), max_wait_s)
            self._queue.append(turn)
        try:
            while (delay := self._try(turn, what)) > 0:
                await turn.wait(delay)
        except BaseException:
            with self._lock:
                with suppress(ValueError):
                    self._queue.remove(turn)
                self._wake_head(self._clock())
            raise
        return turn.started

    def update(self, change: Callable[..., None], *facts: Any) -> None:
        """Call `change(*facts)`, which tells `starts` something new; the head may be due earlier now."""
        with self._lock:
            change(*facts)
            if self._queue:
                self._wake_head(self._clock())

    def _try(self, turn: _Turn, what: Any) -> float:
        """Start if `turn` is at the head and its time has come (0); else give the seconds to wait or be woken."""
        with self._lock:
            now = self._clock()
            self._come(turn, now)
            delay = self._starts.delay(now)
            if self._head(now) is turn:
                if delay > 0 and self._held(now):
                    delay = self._starts.delay(now)
                if delay <= 0:
                    self._starts.start(now, what)
                    turn.started = now
                    self._queue.popleft()
                    self._wake_head(now)
                    return 0.0
                wait_s = min(delay, LOOK_AGAIN_S)
            else:
                wait_s = LOOK_AGAIN_S
            left_s = turn.until - now
            # A pause that ends too late for this caller need not be waited for.
            if left_s <= 0 or left_s < delay < inf:
                raise WaitOverError(delay)
            wait_s = min(wait_s, left_s)
            turn.due = now + wait_s
            return wait_s

    def _come(self, turn: _Turn, now: float) -> None:
        """Note that `turn` is here; who was passed over goes back to where it stood."""
        turn.due = now
        if turn.is_passed_over:
            turn.is_passed_over = False
            place = next((place for place, other in enumerate(self._queue) if other.number > turn.number), None)
            self._queue.insert(len(self._queue) if place is None else place, turn)

    def _head(self, now: float) -> _Turn | None:
        """The first who is not late."""
        queue, passed = self._queue, False
        while queue and queue[0].is_late(now):
            queue.popleft().is_passed_over = passed = True
        if not queue:
            return None
        if passed:
            queue[0].call(now)
        return queue[0]

    def _wake_head(self, now: float) -> None:
        head = self._head(now)
        if head is not None:
            head.call(now)


class _Turn(Waiter):
    """A caller's turn in a queue."""

    __slots__ = ("due", "is_passed_over", "number", "started", "until")

    def __init__(self, number: int, now: float, max_wait_s: float | None) -> None:
        super().__init__()
        self.number = number
        self.started = 0.0
        """When it started."""
        self.until = inf if max_wait_s is None else now + max_wait_s
        self.due = now
        """When it will look again at the latest."""
        self.is_passed_over = False

    def call(self, now: float) -> None:
        """Have it look now."""
        self.due = min(self.due, now)
        self.wake()

    def is_late(self, now: float) -> bool:
        """Whether it does not come although it is due."""
        return now > self.due + LATE_S or not self.loop.is_running()
