"""The wish to stop: spoken from a signal handler, a failed item or a full disk, heard by every stage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum


class StopReason(StrEnum):
    """Why a run starts no more calls."""

    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    FAILED = "failed"
    BUDGET = "budget"


class Stop:
    """Says once, for good and from any thread, that no new calls may start; the first reason stays."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self.reason is not None

    def request(self, reason: StopReason) -> None:
        """Ask every stage to stop; asking again changes nothing."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            listeners = list(self._listeners)
        for listener in listeners:
            with suppress(RuntimeError):  # the loop that listened has ended: nobody is left to stop
                listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the stop is requested, at once if it was: from the thread that requests it."""
        with self._lock:
            self._listeners.append(listener)
            late = self.reason is not None
        if late:
            listener()
