"""Pace and concurrency learnt from the replies of an endpoint, and shared by all who ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf

from chatmodels.config import Concurrency
from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.pacing.crew import Crew
from chatmodels.pacing.start_queue import WaitOverError
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from chatmodels.wrappers.gate import Gate, Place, SparePlaces, gates
from fmf_core.errors import Code
from fmf_core.logs import get_logger

_log = get_logger("chatmodels")


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
        self._gates = gates.lookup(concurrency.model_copy(update={"max_wait_s": None}))
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
        if gate.pace_changed():
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
