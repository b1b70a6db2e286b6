"""A circuit for all threads and event loops that ask one endpoint, and for those who wait for its probe."""

from __future__ import annotations

import threading
from collections.abc import Callable

from chatmodels.pacing.waiter import LOOK_AGAIN_S, Waiter
from chatmodels.wrappers.circuit import Circuit, Pass
from chatmodels.wrappers.shared import StateTable


class SharedCircuit:
    """A circuit for all threads and event loops."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        # The garbage collector may end an abandoned call, and so give its leave back, while this thread has the lock.
        self._lock = threading.RLock()
        self._waiting: set[Waiter] = set()

    async def enter(self, clock: Callable[[], float], *, waits: bool) -> Pass | float:
        """Leave to ask, or the seconds for which the circuit stays open.

        Args:
            clock: the time in seconds.
            waits: whether to wait for the outcome of a probe that is under way.
        """
        waiter: Waiter | None = None
        try:
            while True:
                with self._lock:
                    now = clock()
                    leave = self._circuit.enter(now)
                    if leave is not None:
                        return leave
                    rest = self._circuit.wait(now)
                    if not (waits and self._circuit.probing):
                        return rest
                    waiter = waiter or Waiter()
                    self._waiting.add(waiter)
                await waiter.wait(min(rest, LOOK_AGAIN_S))
        finally:
            if waiter is not None:
                with self._lock:
                    self._waiting.discard(waiter)

    def wait(self, now: float) -> float:
        """Seconds for which nobody is asked; 0 or less when somebody may be."""
        with self._lock:
            return self._circuit.wait(now)

    def settle(self, leave: Pass, good: bool | None, now: float) -> None:
        """Count the outcome of a call, and wake those who wait for it."""
        with self._lock:
            if self._circuit.settle(leave, good, now):
                for waiter in tuple(self._waiting):
                    waiter.wake()


def _new(settings: tuple[int, float]) -> SharedCircuit:
    return SharedCircuit(Circuit(*settings))


circuits = StateTable(_new)
"""The circuits of this process, one for each endpoint, model and setting."""
