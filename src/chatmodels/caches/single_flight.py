"""Equal questions that are under way at the same time are asked once, over all threads and event loops."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from time import monotonic
from typing import Generic, TypeVar

from chatmodels.pacing.waiter import LOOK_AGAIN_S, Waiter
from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import in_forked_child

T = TypeVar("T")
BLOCKED_S = 2.0
"""After how long without a sign of life the event loop of the one who asks counts as blocked."""
SHARED_FAILURES = frozenset(
    {Code.TIMEOUT, Code.UNAVAILABLE, Code.RATE_LIMIT, Code.AUTH, Code.INVALID, Code.NOT_FOUND, Code.UNSUPPORTED}
)
"""What the next one who asks would be told as well."""
_ASKERS_OWN = ("attempts", "usage", "failed_usage", "cost_usd")


class SingleFlight(Generic[T]):
    """Lets one caller ask for each key; those who come meanwhile get the same answer."""

    def __init__(self) -> None:
        self._renew()
        in_forked_child(self._renew)  # the askers of the parent are not there

    def _renew(self) -> None:
        # The garbage collector may end an abandoned call, and so its flight, while this thread has the lock.
        self._lock = threading.RLock()
        self._flights: dict[str, _Flight[T]] = {}

    async def fetch(self, key: str, ask: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The answer for `key`, and whether this call asked for it itself.

        When the one who asks is told that nobody gets an answer now (`SHARED_FAILURES`), those who wait are told the
        same, instead of waiting for the same failure one after the other. After another failure they all ask for
        themselves. When the one who asks is cancelled or its event loop is blocked or stopped, one of them asks next.

        Args:
            key: what makes two questions equal.
            ask: asks.

        Raises:
            FrameworkError: what `ask` raised, here or where it was asked.
        """
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
            if flight.failure is not None:
                raise _told_on(flight.failure)
            if flight.failed:
                return await ask(), True

    async def _lead(self, key: str, flight: _Flight[T], ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
        except Exception as error:
            flight.failed = True
            if isinstance(error, FrameworkError) and error.code in SHARED_FAILURES:
                flight.failure = _told_on(error)
            raise
        else:
            flight.answer = (answer,)
            return answer
        finally:
            with self._lock:
                flight.ended = True
                if self._flights.get(key) is flight:
                    del self._flights[key]
                for waiter in tuple(flight.waiting):
                    waiter.wake()

    async def _follow(self, flight: _Flight[T], waiter: Waiter) -> None:
        try:
            while not (flight.ended or flight.is_lost):
                flight.ask_for_a_sign()
                await waiter.wait(LOOK_AGAIN_S)
        finally:
            with self._lock:
                flight.waiting.pop(waiter, None)


class _Flight(Generic[T]):
    """One question under way."""

    __slots__ = ("_asked_at", "_leader", "answer", "ended", "failed", "failure", "waiting")

    def __init__(self) -> None:
        self._leader = Waiter()
        self.waiting: dict[Waiter, None] = {}  # in the order in which they came
        self.answer: tuple[T] | None = None
        self.failed = False
        self.failure: FrameworkError | None = None
        self.ended = False
        self._asked_at = 0.0  # since when the event loop of the one who asks owes a sign of life

    def ask_for_a_sign(self) -> None:
        """Have the event loop of the one who asks show that it is not blocked."""
        if not self._asked_at:
            self._asked_at = monotonic()
            with suppress(RuntimeError):  # it has just been closed
                self._leader.loop.call_soon_threadsafe(self._sign)

    def _sign(self) -> None:
        self._asked_at = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the event loop of the one who asks was stopped or is blocked, so that no answer will come in time."""
        asked_at = self._asked_at
        blocked = bool(asked_at) and monotonic() - asked_at > BLOCKED_S
        return not self.ended and (blocked or not self._leader.loop.is_running())


def _told_on(error: FrameworkError) -> FrameworkError:
    """`error` for somebody who asked nothing: without what it took."""
    twin = copy(error)
    twin.fields = {name: value for name, value in error.fields.items() if name not in _ASKERS_OWN}
    twin.__cause__ = error.__cause__
    return twin
