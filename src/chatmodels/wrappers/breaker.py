"""A circuit breaker: a server that fails again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from time import monotonic

from chatmodels.config import Breaker
from chatmodels.errors import ChatModelError, server_is_well
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from chatmodels.wrappers.circuit import Pass
from chatmodels.wrappers.shared_circuit import SharedCircuit, circuits
from fmf_core.errors import Code


class BreakerOpenError(ChatModelError):
    """The circuit is open, so the server was not asked; `retry_after` says how long it stays open.

    `retryable` is false where the caller is not to wait: another model stands by, or `fail_fast` was set.
    """

    was_asked = False
    waits: bool = True

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed after `retry_after`, and is to be made again."""
        return self.waits


class BreakerModel(WrappedModel):
    """Asks no more for `open_s` seconds after `failures` failures in a row, then with a single probe at first.

    It stands inside the retries: every attempt is evidence, an open circuit is waited for by `retry_after` as a busy
    server is, and a batch is slowed down by an outage and not failed by it. With a model that stands by, or with
    `fail_fast`, its error is final for the retries and the next model is asked at once. Outside of the retries it would
    see one failure where there were three, and every call of an outage would fail within a moment.

    While the probe is under way, the others wait for its outcome: a retry each would be spent on nothing.

    Args:
        inner: the model that is asked.
        breaker: when the circuit opens and for how long.
        clock: the time in seconds.
    """

    def __init__(self, inner: ChatModel, breaker: Breaker, *, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(inner)
        self.breaker = breaker
        self._clock = clock
        self._circuits = circuits.lookup((breaker.failures, breaker.open_s))

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, unless the circuit is open."""
        circuit, leave = await self._enter(request)
        try:
            response = await self.inner.complete_async(request)
        except BaseException as error:
            circuit.settle(leave, server_is_well(error), self._clock())
            self._tell(error, circuit)
            raise
        circuit.settle(leave, True, self._clock())  # noqa: FBT003 - the outcome
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, unless the circuit is open; the first piece is a success."""
        circuit, leave = await self._enter(request)
        settled = False
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                if not settled:
                    # A probe must not depend on how long its consumer takes.
                    settled = True
                    circuit.settle(leave, True, self._clock())  # noqa: FBT003 - the outcome
                yield chunk
            if not settled:
                circuit.settle(leave, True, self._clock())  # noqa: FBT003 - the outcome: an answer without a piece
        except BaseException as error:
            if not settled or server_is_well(error) is False:
                circuit.settle(leave, server_is_well(error), self._clock())
            self._tell(error, circuit)
            raise
        finally:
            await close_stream(stream)

    def _tell(self, error: BaseException, circuit: SharedCircuit) -> None:
        """Say on a failure that the circuit is open now: the next attempt would only be told so."""
        if not self.breaker.fail_fast and server_is_well(error) is False and isinstance(error, ChatModelError):
            rest = circuit.wait(self._clock())
            error.closed_for_s = rest if rest > 0 else None

    async def _enter(self, request: ChatRequest) -> tuple[SharedCircuit, Pass]:
        circuit = self._circuits.of(self, request.model)
        leave = await circuit.enter(self._clock, waits=not self.breaker.fail_fast)
        if isinstance(leave, Pass):
            return circuit, leave
        raise self._refusal(leave, request)

    def _refusal(self, open_s: float, request: ChatRequest) -> BreakerOpenError:
        where = f" at {self.endpoint}" if self.endpoint else ""
        error = BreakerOpenError(
            f"model {request.model!r} of {self.provider_name}{where} was not asked: it failed "
            f"{self.breaker.failures} times in a row, and the circuit stays open for {open_s:.3g} s",
            op="chatmodels.breaker",
            code=Code.UNAVAILABLE,
            hint="wait and try again, give another model with fallbacks=, or change breaker=",
            retry_after=open_s,
            fields={"provider": self.provider_name, "model": request.model},
        )
        error.waits = not self.breaker.fail_fast
        return error
