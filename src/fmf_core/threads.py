"""A pool of daemon threads for blocking calls: a hanging one never delays the end of the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

IDLE_S = 30.0
"""How long a thread without work is kept, in seconds."""


class ThreadPool:
    """Runs functions in at most `limit` daemon threads, in the order they were given.

    The pool of the standard library joins its threads when the interpreter ends, so one blocked call would hold up
    the whole program; these threads are simply left behind.

    Args:
        limit: the most threads at one time; further work waits for a free one.
        name: the beginning of every thread's name.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._work: deque[Callable[[], None]] = deque()
        self._change = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0
        self._made = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in one of the threads as soon as one is free."""
        with self._change:
            self._work.append(work)
            if self._idle >= len(self._work):
                self._change.notify()
                return
            if self._threads >= self._limit:
                return
            self._threads += 1
            self._made += 1
            name = f"{self._name}-{self._made}"
        try:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        except RuntimeError:
            self._not_started(work)

    def _not_started(self, work: Callable[[], None]) -> None:
        with self._change:
            self._threads -= 1
            if self._threads == 0 and work in self._work:
                self._work.remove(work)
                raise RuntimeError(f"no thread can be started for {self._name}")

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work

    def _next(self) -> Callable[[], None] | None:
        with self._change:
            while not self._work:
                self._idle += 1
                heard = self._change.wait(IDLE_S)
                self._idle -= 1
                if not heard and not self._work:
                    self._threads -= 1
                    return None
            return self._work.popleft()
