"""What is learnt of an endpoint, for all threads and event loops: a throttle behind a fair queue, and places there."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic

from chatmodels.config import Concurrency
from chatmodels.errors import server_is_well
from chatmodels.iface import ChatModel
from chatmodels.pacing.crew import Crew
from chatmodels.pacing.start_queue import StartQueue, WaitOverError
from chatmodels.pacing.throttle import Throttle
from chatmodels.types import RateLimitStatus
from chatmodels.wrappers.shared import StateLookup, StateTable
from fmf_core.errors import Code, FrameworkError


class Gate:
    """The throttle of one endpoint behind a fair queue, for all threads and event loops.

    Args:
        concurrency: how many requests may be under way.
        has_server: whether a server is known to answer.
        clock: the time in seconds.
    """

    def __init__(
        self, concurrency: Concurrency, *, has_server: bool = True, clock: Callable[[], float] = monotonic
    ) -> None:
        self.throttle = Throttle(concurrency, has_server=has_server)
        self._clock = clock
        self._queue = StartQueue(self.throttle, clock, self._held)
        self._crews: dict[AbstractEventLoop, Crew] = {}
        self._told_paced = False
        self.start_now = self._queue.start_now
        self.pass_through = self._queue.pass_through

    def crew(self) -> Crew:
        """The requests on the event loop that runs here."""
        loop = get_running_loop()
        return self._crews.get(loop) or self._new_crew(loop)

    def answered(self, started: float, crew: Crew | None = None, *, timed: bool = True) -> None:
        """End a request that was answered; `timed` says whether its time was the endpoint's alone."""
        now = self._clock()
        self._queue.update(self.throttle.succeeded, started, now, now - started if timed else None, crew)

    def answered_and_told(self, started: float, crew: Crew, limits: RateLimitStatus, tokens: int) -> None:
        """End a request that was answered, and heed what the reply said of the limits: both at one moment."""
        now = self._clock()

        def change() -> None:
            self.throttle.succeeded(started, now, now - started, crew)
            self.throttle.told(limits, started, now, tokens)

        self._queue.update(change)

    def failed(self, started: float, error: BaseException, crew: Crew | None = None) -> None:
        """End a request that failed, and learn from it what there is to learn."""
        throttle, update = self.throttle, self._queue.update
        is_well = server_is_well(error)
        if is_well is None or not isinstance(error, FrameworkError):
            update(throttle.released, crew)
            return
        if error.code is Code.RATE_LIMIT:
            update(throttle.refused, started, self._clock(), error.retry_after, crew)
        elif not is_well:
            update(throttle.overloaded, started, self._clock(), error.retry_after, crew)
        else:
            update(throttle.passed, started, self._clock(), crew)
        limits = error.fields.get("rate_limit")
        if isinstance(limits, RateLimitStatus) and error.retry_after is None:
            self.told(limits, started, 0)

    def pace_changed(self) -> bool:
        """Whether there is a learnt rate and was none, or the other way round, when this was last asked."""
        is_paced = self.throttle.rate.rate is not None
        changed, self._told_paced = is_paced != self._told_paced, is_paced
        return changed

    def release(self, crew: Crew | None = None) -> None:
        """End a request that says nothing about the endpoint."""
        self._queue.update(self.throttle.released, crew)

    def begun(self, change: int) -> None:
        """Note that a stream's first piece has come (1), or that such a stream ends (-1)."""
        self._queue.update(self.throttle.window.count_begun, change)

    def told(self, limits: RateLimitStatus, started: float, tokens: int) -> None:
        """Heed what a reply said of the limits."""
        self._queue.update(self.throttle.told, limits, started, self._clock(), tokens)

    def _new_crew(self, loop: AbstractEventLoop) -> Crew:
        found = Crew(loop)

        def add() -> None:
            self._give_back(self._clock())
            self._crews[loop] = found

        self._queue.update(add)
        return found

    def _held(self, now: float) -> bool:
        if self.throttle.window.is_stuck(now):
            raise WaitOverError(inf)
        return self._give_back(now)

    def _give_back(self, now: float) -> bool:
        """Take back the places of loops that are gone; whether there were any."""
        gone = [crew for crew in self._crews.values() if crew.is_gone(now)]
        for crew in gone:
            self.throttle.take_back(crew)
            if crew.loop.is_closed():
                del self._crews[crew.loop]
        return bool(gone)


class Place:
    """A stream's place among the requests in flight, given back when the stream ends, is closed or forgotten.

    An event loop that is gone never closes the streams that were left open on it.
    """

    __slots__ = ("_crew", "_gate", "_taken", "begun", "started")

    def __init__(self, gate: Gate, crew: Crew, started: float) -> None:
        self._gate = gate
        self._crew = crew
        self._taken = True
        self.begun = False
        """Whether its first piece has come."""
        self.started = started
        """When the request started."""

    def begin(self) -> None:
        """Note that the first piece has come."""
        self.begun = True
        self._gate.begun(1)

    def leave(self, error: BaseException | None) -> None:
        """Give the place back, once; a stream that had begun and that nobody wanted any longer was a success."""
        if not self._taken:
            return
        self._taken = False
        if self.begun:
            self._gate.begun(-1)
        if error is None or (self.begun and isinstance(error, GeneratorExit)):
            self._gate.answered(self.started, self._crew, timed=False)
        else:
            self._gate.failed(self.started, error, self._crew)

    def __del__(self) -> None:
        if self._taken:
            self.leave(GeneratorExit())


class SparePlaces:
    """Places for requests that are not needed, such as second ones: they wait for nothing and push back nobody."""

    def __init__(self, gates: StateLookup[Gate]) -> None:
        self._gates = gates

    def take(self, model: ChatModel, name: str) -> Callable[[], None] | None:
        """Take a place for a request to the model `name`, where one is free and nobody waits for it.

        Returns:
            What gives it back; `None` where there is no place.
        """
        gate = self._gates.of(model, name)
        crew = gate.crew()
        return None if gate.start_now(crew) is None else partial(gate.release, crew)


gates = StateTable(Gate, make_serverless=partial(Gate, has_server=False))
"""What is learnt in this process, one gate for each endpoint, model and setting."""
