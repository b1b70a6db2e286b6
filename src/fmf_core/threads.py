"""Daemon threads for blocking calls: a hanging one never delays the end of the process."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

IDLE_S = 30.0
"""How long a thread without work is kept, in seconds."""


def available_cpus() -> int:
    """The processors that this process may use: its affinity, and its share where a container limits it."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cpus


class _Seat:
    """Where one idle thread waits for work."""

    __slots__ = ("ready", "work")

    def __init__(self) -> None:
        self.work: Callable[[], None] | None = None
        self.ready = threading.Lock()
        self.ready.acquire()


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
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        # The thread that became idle last works first, so that the others get old and end.
        self._idle: list[_Seat] = []
        self._threads = 0
        self._made = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in one of the threads as soon as one is free.

        Raises:
            RuntimeError: there is no thread, and the system cannot start one.
        """
        with self._lock:
            if self._idle:
                seat = self._idle.pop()
                seat.work = work
                seat.ready.release()
                return
            if self._threads >= self._limit:
                self._waiting.append(work)
                return
            self._threads += 1
            self._made += 1
            name = f"{self._name}-{self._made}"
        try:
            threading.Thread(target=self._serve, args=([work],), name=name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    raise
                self._waiting.append(work)

    def _serve(self, first: list[Callable[[], None]]) -> None:
        # In a list, because the thread keeps what it was given for as long as it lives.
        work: Callable[[], None] | None = first.pop()
        while work is not None:
            work()
            work = None  # let go of it while waiting
            work = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            seat = _Seat()
            self._idle.append(seat)
        if not seat.ready.acquire(timeout=IDLE_S):
            with self._lock:
                if seat in self._idle:
                    self._idle.remove(seat)
                    self._threads -= 1
                    return None
        return seat.work
