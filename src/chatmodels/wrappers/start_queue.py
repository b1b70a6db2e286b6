"""A fair queue before whatever limits the starts of requests, shared by all threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

LOOK_AGAIN_S = 1.0
"""How often a caller who waits for its turn looks whether those before it are still there."""


class Starts(Protocol):
    """Decides when the next request may start; told the time."""

    def delay(self, now: float) -> float:
        """Seconds until the next start; 0 or less when it may be now, infinite when something must happen first."""
        ...

    def start(self, now: float, tokens: float) -> None:
        """Take a start at `now` of a request that is expected to take `tokens`."""
        ...


class StartQueue:
    """A queue of callers before `starts`; only the caller at its head looks at the clock, and wakes the next one.

    Whoever changes what `starts` knows does it through `update`, so that the head may look again.
    """

    def __init__(self, starts: Starts, clock: Callable[[], float]) -> None:
        self._starts = starts
        self._clock = clock
        # The garbage collector may end an abandoned call, and so give a place back, in the middle of a start.
        self._lock = threading.RLock()
        self._queue: deque[Waiter] = deque()

    def start_now(self, tokens: int = 0) -> float | None:
        """Start at once and give the time, or `None` when a request of `tokens` has to wait for its turn."""
        with self._lock:
            now = self._clock()
            if self._queue or self._starts.delay(now) > 0:
                return None
            self._starts.start(now, tokens)
            return now

    async def pass_through(self, tokens: int = 0) -> float:
        """Return when the caller may start a request of `tokens`, with the time of the start."""
        started = self.start_now(tokens)
        if started is not None:
            return started
        waiter = Waiter()
        with self._lock:
            self._queue.append(waiter)
        try:
            while (delay := self._try(waiter, tokens)) > 0:
                await waiter.wait(min(delay, LOOK_AGAIN_S))
        except BaseException:
            with self._lock:
                with suppress(ValueError):
                    self._queue.remove(waiter)
                self._wake_head()
            raise
        return waiter.started

    def update(self, change: Callable[..., None], *facts: Any) -> None:
        """Call `change(*facts)`, which tells `starts` something new; the head may be due earlier now."""
        with self._lock:
            change(*facts)
            if self._queue:
                self._wake_head()

    def _try(self, waiter: Waiter, tokens: int) -> float:
        """Start if `waiter` is at the head and its time has come (0); else give the seconds to wait or be woken."""
        with self._lock:
            if self._head() is not waiter:
                return LOOK_AGAIN_S
            now = self._clock()
            delay = self._starts.delay(now)
            if delay > 0:
                return delay
            self._starts.start(now, tokens)
            waiter.started = now
            self._queue.remove(waiter)
            self._wake_head()
            return 0.0

    def _head(self) -> Waiter | None:
        """The first whose event loop runs: a loop that was stopped or closed must not hold up the others."""
        queue = self._queue
        while queue and queue[0].loop.is_closed():
            queue.popleft()
        if not queue or queue[0].loop.is_running():
            return queue[0] if queue else None
        return next((waiter for waiter in tuple(queue) if waiter.loop.is_running()), None)

    def _wake_head(self) -> None:
        head = self._head()
        if head is not None:
            head.wake()


class Waiter:
    """One caller in the queue, wherever its event loop runs."""

    __slots__ = ("_event", "loop", "started")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = 0.0
        """When it started."""
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Have the caller look again."""
        if self._is_here():
            self._event.set()
            return
        with suppress(RuntimeError):  # its loop has just been closed: whoever is next looks by itself
            self.loop.call_soon_threadsafe(self._event.set)

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    async def wait(self, seconds: float) -> None:
        """Until woken, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
