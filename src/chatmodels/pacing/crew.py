"""The requests to one endpoint that are under way on one event loop."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from math import inf

STOPPED_S = 2.0
"""How long an event loop is not seen running, in seconds, before its requests hold up nobody any longer."""


class Crew:
    """The requests to one endpoint that are under way on one event loop."""

    __slots__ = ("_stopped_at", "count", "loop", "lost")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.count = 0
        """How many of them have a place."""
        self.lost = 0
        """How many had one that was taken from them, because their loop did not run."""
        self._stopped_at = inf

    def is_gone(self, now: float) -> bool:
        """Whether the loop is closed, or has not been seen running for a while."""
        if self.loop.is_running():
            self._stopped_at = inf
            return False
        self._stopped_at = min(self._stopped_at, now)
        return self.loop.is_closed() or now - self._stopped_at >= STOPPED_S
