"""Equal questions that are under way at the same time are asked once, over all threads and event loops."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from chatmodels.wrappers.start_queue import Waiter

T = TypeVar("T")
LOOK_AGAIN_S = 1.0
"""How often a caller who waits for an answer looks whether the one who asks is still there."""


class SingleFlight(Generic[T]):
    """Lets one caller ask for each key; those who come meanwhile get the same answer."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight[T]] = {}

    async def fetch(self, key: str, ask: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The answer for `key`, and whether this call asked for it itself.

        When the one who asks fails or is cancelled, one of those who wait asks next; its error stays its own.

        Args:
            key: what makes two questions equal.
            ask: asks.
        """
        if self._process != os.getpid():
            self._renew()  # the askers of the parent are not here
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if flight is None or flight.is_lost:
                    flight = self._flights[key] = _Flight()
                    waiter = None
                else:
                    waiter = Waiter()
                    flight.waiting[waiter] = None
            if waiter is None:
                return await self._lead(key, flight, ask), True
            await self._follow(flight, waiter)
            if flight.answer is not None:
                return flight.answer[0], False

    async def _lead(self, key: str, flight: _Flight[T], ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
            flight.answer = (answer,)
            return answer
        finally:
            with self._lock:
                flight.ended = True
                if self._flights.get(key) is flight:
                    del self._flights[key]
                for waiter in flight.waiting:
                    waiter.wake()

    async def _follow(self, flight: _Flight[T], waiter: Waiter) -> None:
        try:
            while not (flight.ended or flight.is_lost):
                await waiter.wait(LOOK_AGAIN_S)
        finally:
            with self._lock:
                flight.waiting.pop(waiter, None)


class _Flight(Generic[T]):
    """One question under way."""

    __slots__ = ("_leader", "answer", "ended", "waiting")

    def __init__(self) -> None:
        self._leader = Waiter()
        self.waiting: dict[Waiter, None] = {}  # in the order in which they came
        self.answer: tuple[T] | None = None
        self.ended = False

    @property
    def is_lost(self) -> bool:
        """Whether the event loop of the one who asks was stopped, so that no answer will come."""
        return not self.ended and not self._leader.loop.is_running()
