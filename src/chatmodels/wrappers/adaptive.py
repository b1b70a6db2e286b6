"""Pace and concurrency learnt from the replies of an endpoint, and shared by all who ask it."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator, Callable
from functools import partial
from math import inf
from time import monotonic

from chatmodels.config import Concurrency
from chatmodels.errors import ChatModelError, server_is_well
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, RateLimitStatus
from chatmodels.wrappers.base import WrappedModel, close_stream
from chatmodels.wrappers.shared import StateLookup, StateTable
from chatmodels.wrappers.start_queue import StartQueue, WaitOverError
from chatmodels.wrappers.throttle import Throttle
from fmf_core.errors import Code, FrameworkError
from fmf_core.logs import get_logger

_log = get_logger("chatmodels")

STOPPED_S = 2.0
"""How long an event loop is not seen running, in seconds, before its requests hold up nobody any longer."""


class NoTurnError(ChatModelError):
    """The turn of a request did not come in time, so the server was not asked; `retry_after` says what is left to wait.

    The caller does not want to wait longer, and so the call is not made again.
    """

    was_asked = False

    @property
    def retryable(self) -> bool:
        """Never: what may be waited for was waited for."""
        return False


class AdaptiveModel(WrappedModel):
    """Starts requests as the endpoint bears them: as many at once, as fast, and not before it wants to be asked again.

    It stands directly inside the retries, so that every attempt waits for its turn and every reply is learnt from. All
    wrappers around models of one endpoint, in all threads and event loops, share what is learnt.

    Args:
        inner: the model that is asked.
        concurrency: how many requests may be under way.
    """

    def __init__(self, inner: ChatModel, concurrency: Concurrency) -> None:
        super().__init__(inner)
        self.concurrency = concurrency
        # Who waits longer and who does not learn together.
        self._gates = _gates.lookup(concurrency.model_copy(update={"max_wait_s": None}))
        self.spare_places = SparePlaces(self._gates)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` when its turn has come.

        Raises:
            NoTurnError: its turn did not come in time.
        """
        gate = self._gates.of(self, request.model)
        crew = gate.crew()
        started = gate.start_now(crew)
        if started is None:
            started = await self._turn(gate, crew, request)
        try:
            response = await self.inner.complete_async(request)
        except BaseException as error:
            gate.failed(started, error, crew)
            self._say_pace(gate, request)
            raise
        if response.rate_limit is None:
            gate.answered(started, crew)
        else:
            gate.answered_and_told(started, crew, response.rate_limit, response.usage.total_tokens)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece when its turn has come.

        Its place is free again when the last piece is there, or the stream is closed.
        """
        gate = self._gates.of(self, request.model)
        crew = gate.crew()
        place = Place(gate, crew, await self._turn(gate, crew, request))
        stream = self.inner.stream_async(request)
        try:
            try:
                async for chunk in stream:
                    if not place.begun:
                        place.begin()
                    if chunk.is_last:
                        place.leave(None)
                        if chunk.rate_limit is not None:
                            tokens = chunk.usage.total_tokens if chunk.usage else 0
                            gate.told(chunk.rate_limit, place.started, tokens)
                    yield chunk
            finally:
                await close_stream(stream)
        except BaseException as error:
            place.leave(error)
            self._say_pace(gate, request)
            raise
        place.leave(None)

    def _say_pace(self, gate: Gate, request: ChatRequest) -> None:
        """Tell once that requests wait for their turn from now on, or that they do so no longer."""
        if gate.paced_anew():
            rate = gate.throttle.rate.rate
            _log.info(
                "llm.pace",
                provider=self.provider_name,
                model=request.model,
                starts_per_s=None if rate is None else round(rate, 2),
                reason="refusals have nothing to do with the pace" if rate is None else "the endpoint refused requests",
            )

    async def _turn(self, gate: Gate, crew: Crew, request: ChatRequest) -> float:
        """When `request` started, after its turn has come."""
        try:
            return await gate.pass_through(crew, max_wait_s=self.concurrency.max_wait_s)
        except WaitOverError as error:
            raise self._late(error.delay_s, request) from None

    def _late(self, delay_s: float, request: ChatRequest) -> NoTurnError:
        if 0 < delay_s < inf:
            said = f"the server asked everybody to wait {delay_s:.1f} s more"
            hint = "ask later, or raise concurrency.max_wait_s"
        else:
            said = "as many as may be are under way, and too few of them ended"
            hint = "close streams before you ask again, or raise concurrency.max_wait_s or concurrency.max"
        return NoTurnError(
            f"model {request.model!r}: the turn of the request did not come in time: {said}",
            op="chatmodels.concurrency",
            code=Code.RATE_LIMIT,
            retry_after=delay_s if 0 < delay_s < inf else None,
            hint=hint,
            fields={"provider": self.provider_name, "model": request.model},
        )


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


class Gate:
    """The throttle of one endpoint behind a fair queue, for all threads and event loops.

    Args:
        concurrency: how many requests may be under way.
        clock: the time in seconds.
    """

    def __init__(self, concurrency: Concurrency, *, clock: Callable[[], float] = monotonic) -> None:
        self.throttle = Throttle(concurrency)
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

    def paced_anew(self) -> bool:
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


_gates = StateTable(Gate)
"""What is learnt in this process, one gate for each endpoint, model and setting."""
