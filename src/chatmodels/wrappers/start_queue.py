"""A fair queue before a limited model, shared by all threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from chatmodels.wrappers.pace import Pace

LOOK_AGAIN_S = 1.0
"""How often a caller who waits for its turn looks whether those before it are still there."""


class StartQueue:
    """A queue of callers before a `Pace`; only the caller at its head looks at the clock, and wakes the next one."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[Waiter] = deque()

    async def pass_through(self, tokens: int) -> None:
        """Return when the caller may start a request of `tokens`."""
        with self._lock:
            now = self._clock()
            if not self._queue and self._pace.delay(now) <= 0:
                self._pace.start(now, tokens)
                return
            waiter = Waiter()
            self._queue.append(waiter)
        try:
            while (delay := self._try(waiter, tokens)) != 0:
                await waiter.wait(delay)
        except BaseException:
            with self._lock:
                with suppress(ValueError):
                    self._queue.remove(waiter)
                self._wake_head()
            raise

    def settle(self, expected: int, taken: int) -> None:
        """Correct what was expected of a start; the head may be due earlier now."""
        with self._lock:
            self._pace.settle(expected, taken)
            self._wake_head()

    def _try(self, waiter: Waiter, tokens: int) -> float:
        """Start if `waiter` is at the head and its time has come (0); else give the seconds to wait or be woken."""
        with self._lock:
            if self._head() is not waiter:
                return LOOK_AGAIN_S
            now = self._clock()
            delay = self._pace.delay(now)
            if delay > 0:
                return delay
            self._pace.start(now, tokens)
            self._queue.remove(waiter)
            self._wake_head()
            return 0.0

    def _head(self) -> Waiter | None:
        """The first whose event loop runs: a loop that was stopped or closed must not hold up the others."""
        while self._queue and self._queue[0].loop.is_closed():
            self._queue.popleft()
        return next((waiter for waiter in self._queue if waiter.loop.is_running()), None)

    def _wake_head(self) -> None:
        head = self._head()
        if head is not None:
            head.wake()


class Waiter:
    """One caller in the queue, wherever its event loop runs."""

    __slots__ = ("_event", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Have the caller look again."""
        with suppress(RuntimeError):  # its loop has just been closed: whoever is next looks by itself
            self.loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> None:
        """Until woken, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
