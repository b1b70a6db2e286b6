"""How far a stage may run ahead of the one behind it, and how what finishes in any order gets back into its own."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Window:
    """Bounds what is under way between reading and writing, by number and by characters of text.

    For use on one event loop by one task that enters.

    Args:
        size: how many things may be inside at once.
        weight: how much all that is inside may weigh together; one thing alone may weigh more.
    """

    def __init__(self, size: int, weight: int) -> None:
        self._size = size
        self._weight = weight
        self._inside = 0
        self._heavy = 0
        self._room = asyncio.Event()

    async def enter(self, weight: int) -> None:
        """Wait until there is room for one more thing of that weight."""
        while self._inside and (self._inside >= self._size or self._heavy + weight > self._weight):
            self._room.clear()
            await self._room.wait()
        self._inside += 1
        self._heavy += weight

    def leave(self, weight: int) -> None:
        """Make room for what weighed `weight`."""
        self._inside -= 1
        self._heavy -= weight
        self._room.set()


class InOrder(Generic[T]):
    """Takes numbered values in any order and gives them back in the order of their numbers, from 0 without a gap."""

    def __init__(self) -> None:
        self._next = 0
        self._waiting: dict[int, T] = {}

    def put(self, number: int, value: T) -> None:
        """Keep `value` until all smaller numbers are there."""
        self._waiting[number] = value

    def take(self) -> list[T]:
        """Everything whose turn has come."""
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready
