"""Pace and concurrency learnt from the replies of an endpoint, and shared by all who ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from time import monotonic
from typing import cast

from chatmodels.config import Concurrency
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, RateLimitStatus
from chatmodels.wrappers.base import WrappedModel, close_stream
from chatmodels.wrappers.breaker import BreakerOpenError
from chatmodels.wrappers.shared import Seats, SharedState
from chatmodels.wrappers.start_queue import StartQueue
from chatmodels.wrappers.throttle import Throttle
from fmf_core.errors import Code, FrameworkError

OVERLOAD = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})
"""Failures of a server that has too much to do."""

OURS = frozenset({Code.CANCELLED, Code.BUDGET, Code.INTERNAL, Code.UNSUPPORTED})
"""Failures from this side: they say nothing about the server."""


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
        self._gates = Seats(_gates, concurrency)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` when its turn has come."""
        gate = self._gates.of(self, request.model)
        started = gate.start_now()
        if started is None:
            started = await gate.pass_through()
        try:
            response = await self.inner.complete_async(request)
        except BaseException as error:
            gate.failed(started, error)
            raise
        gate.answered(started)
        if response.rate_limit is not None:
            gate.told(response.rate_limit, started, response.usage.total_tokens)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece when its turn has come; its place is free again when the stream is closed."""
        gate = self._gates.of(self, request.model)
        place = Place(gate, await gate.pass_through())
        stream = self.inner.stream_async(request)
        last: ChatChunk | None = None
        try:
            try:
                async for last in stream:
                    yield last
            finally:
                await close_stream(stream)
        except BaseException as error:
            place.leave(error, begun=last is not None)
            raise
        place.leave(None)
        if last is not None and last.rate_limit is not None:
            gate.told(last.rate_limit, place.started, last.usage.total_tokens if last.usage else 0)


class Gate:
    """The throttle of one endpoint behind a fair queue, for all threads and event loops.

    Args:
        concurrency: how many requests may be under way.
        clock: the time in seconds.
    """

    def __init__(self, concurrency: Concurrency, *, clock: Callable[[], float] = monotonic) -> None:
        self.throttle = Throttle(concurrency)
        self._clock = clock
        self._queue = StartQueue(self.throttle, clock)
        self.start_now = self._queue.start_now
        self.pass_through = self._queue.pass_through

    def answered(self, started: float, *, timed: bool = True) -> None:
        """End a request that was answered; `timed` says whether its time was the endpoint's alone."""
        now = self._clock()
        self._queue.update(self.throttle.succeeded, started, now, now - started if timed else None)

    def failed(self, started: float, error: BaseException) -> None:
        """End a request that failed, and learn from it what there is to learn."""
        throttle, update = self.throttle, self._queue.update
        if not isinstance(error, FrameworkError) or isinstance(error, BreakerOpenError):
            update(throttle.released)
            return
        if error.code is Code.RATE_LIMIT:
            update(throttle.refused, started, self._clock(), error.retry_after)
        elif error.code in OVERLOAD:
            update(throttle.overloaded, started, self._clock(), error.retry_after)
        elif error.code in OURS:
            update(throttle.released)
        else:
            update(throttle.passed, started, self._clock())
        limits = error.fields.get("rate_limit")
        if limits and error.retry_after is None:
            self.told(RateLimitStatus.model_validate(limits), started, 0)

    def told(self, limits: RateLimitStatus, started: float, tokens: int) -> None:
        """Heed what a reply said of the limits."""
        self._queue.update(self.throttle.told, limits, started, self._clock(), tokens)


class Place:
    """A stream's place among the requests in flight, given back when the stream is closed or forgotten.

    An event loop that is gone never closes the streams that were left open on it.
    """

    __slots__ = ("_gate", "_taken", "started")

    def __init__(self, gate: Gate, started: float) -> None:
        self._gate = gate
        self._taken = True
        self.started = started
        """When the request started."""

    def leave(self, error: BaseException | None, *, begun: bool = False) -> None:
        """Give the place back; a stream that had begun and that nobody wanted any longer was a success."""
        self._taken = False
        if error is None or (begun and isinstance(error, GeneratorExit)):
            self._gate.answered(self.started, timed=False)
        else:
            self._gate.failed(self.started, error)

    def __del__(self) -> None:
        if self._taken:
            self._gate.failed(self.started, GeneratorExit())


def _new(settings: Hashable) -> Gate:
    return Gate(cast("Concurrency", settings))


_gates: SharedState[Gate] = SharedState(_new)
