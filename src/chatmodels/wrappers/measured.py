"""Telemetry, log line and price of every logical call."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Mapping
from copy import copy

from chatmodels.config import Price
from chatmodels.errors import charges_in
from chatmodels.iface import ChatModel
from chatmodels.metrics import MeasuredCall, Meter
from chatmodels.pricing import cost_of_answer
from chatmodels.spending import count_call
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import FrameworkError


class MeasuredModel(WrappedModel):
    """Records span, duration, tokens, price and a log line of every logical call, retries inside."""

    def __init__(
        self, inner: ChatModel, prices: Mapping[str, Price] | None = None, *, capture_content: bool = False
    ) -> None:
        super().__init__(inner)
        self.prices = dict(prices or {})
        self._meter = Meter(
            inner.provider_name,
            lambda: self.endpoint,
            in_process=inner.in_process,
            prices=prices,
            api_type=inner.api_type,
            capture_content=capture_content,
        )

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, with `latency_ms` and `cost_usd` of the whole call."""
        with MeasuredCall(self._meter, request) as call:
            try:
                response = call.done(await self.inner.complete_async(request))
            except FrameworkError as error:
                self._count_failed(error)
                raise
            except (CancelledError, GeneratorExit) as left:
                _count_left(left)
                raise
        count_call()
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        last: ChatChunk | None = None
        with MeasuredCall(self._meter, request, streamed=True) as call:
            stream = self.inner.stream_async(request)
            try:
                async for chunk in stream:
                    call.chunk(chunk)
                    if chunk.is_last:
                        last = chunk
                    yield chunk
            except (CancelledError, GeneratorExit) as left:
                if last is None:
                    _count_left(left)
                else:
                    count_call(unknown=last.usage is None)
                raise
            except FrameworkError as error:
                if last is not None and last.usage is not None and not last.cached:
                    error.fields.setdefault("usage", last.usage)  # it was told before the connection broke
                self._count_failed(error)
                raise
            finally:
                await close_stream(stream)
            call.done_streaming(last)
            count_call(unknown=last is None or last.usage is None)

    def _count_failed(self, error: FrameworkError) -> None:
        """Answers that could not be used are charged all the same: put their cost beside their tokens."""
        if charges_in(error):
            *earlier, last = charges_in(error)
            error.fields["cost_usd"] = cost_of_answer(last, self._meter.prices, failed=earlier)
            count_call()


def _count_left(left: BaseException) -> None:
    """Nobody knows what a call took that was given up, unless that was between two attempts."""
    count_call(unknown=not charges_in(left))


def measured_in(model: ChatModel) -> MeasuredModel | None:
    """The wrapper that measures the calls of `model`; `None` when there is none yet."""
    while isinstance(model, WrappedModel):
        if isinstance(model, MeasuredModel):
            return model
        model = model.inner
    return None


def unmeasured(model: ChatModel) -> ChatModel:
    """`model` without its own measurements, for use inside another that measures: a call counts once."""
    if isinstance(model, MeasuredModel):
        return unmeasured(model.inner)
    if isinstance(model, WrappedModel):
        inner = unmeasured(model.inner)
        if inner is not model.inner:
            model = copy(model)
            model.inner = inner
    return model
