"""The end of a program while runs go on: a signal cancels them, and calls in flight may finish."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a program to end: SIGHUP comes when its terminal is closed."""


class Interruptible(Protocol):
    """A run that can be ended from outside, on its event loop."""

    def interrupt(self) -> None:
        """End it; model calls in flight may finish."""
        ...


class Shutdown:
    """Whether a signal has asked the program to end, and which; made by `WorkflowEngine.cancelled_by_signals`."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first signal; `None` before it."""
        # Only ever changed as a whole or by one operation: a handler runs between any two of them.
        self._runs: dict[Interruptible, asyncio.AbstractEventLoop] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def begin(self, run: Interruptible) -> None:
        """Let `run`, which begins on this event loop, be ended by a signal; at once where it has come already."""
        self._runs[run] = asyncio.get_running_loop()
        if self.requested:
            run.interrupt()

    def end(self, run: Interruptible) -> None:
        """Say that `run` has ended."""
        self._runs.pop(run, None)

    def request(self, number: int) -> None:
        """End all runs; a second request raises.

        Args:
            number: of the signal.

        Raises:
            KeyboardInterrupt: it was requested before.
        """
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number
        for run, loop in list(self._runs.items()):
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(run.interrupt)


class ShutdownSlot:
    """What ends the runs of an engine when the program is asked to end, while somebody wants that."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current: Shutdown | None = None


class _Handler:
    """Requests a shutdown, and those of the blocks around it: other engines may run in them."""

    def __init__(self, shutdown: Shutdown, outer: _Handler | None) -> None:
        self.shutdown = shutdown
        self._outer = outer

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._outer is not None and not self._outer.shutdown.requested:
            self._outer(number, frame)
        self.shutdown.request(number)


@contextmanager
def on_signals(shutdown: Shutdown) -> Iterator[None]:
    """Let the signals request `shutdown` within the block; in other threads than the main one nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in heard}
    for number, outer in before.items():
        signal.signal(number, _Handler(shutdown, outer if isinstance(outer, _Handler) else None))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
