"""One who waits on an event loop, and whom any thread may wake."""

from __future__ import annotations

import asyncio
from contextlib import suppress

LOOK_AGAIN_S = 1.0
"""How often who waits looks by itself, in seconds: those who should wake it may be gone with their event loop."""


class Waiter:
    """A caller who waits on the event loop that runs here, wherever those who wake it are."""

    __slots__ = ("_event", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Have the caller look again."""
        if self._is_here():
            self._event.set()
            return
        with suppress(RuntimeError):  # its loop has just been closed: whoever else waits looks by itself
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
