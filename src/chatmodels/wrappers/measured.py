"""Telemetry, log line and price of every logical call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from copy import copy

from chatmodels.config import Price
from chatmodels.iface import ChatModel
from chatmodels.metrics import MeasuredCall, Meter
from chatmodels.pricing import cost_of_answer
from chatmodels.spending import check_budgets, count_spending
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, TokenUsage
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import FrameworkError


class MeasuredModel(WrappedModel):
    """Records span, duration, tokens, price and a log line of every logical call, retries inside."""

    def __init__(self, inner: ChatModel, prices: Mapping[str, Price] | None = None) -> None:
        super().__init__(inner)
        self.prices = dict(prices or {})
        self._meter = Meter(
            inner.provider_name,
            lambda: self.endpoint,
            in_process=inner.in_process,
            prices=prices,
            api_type=inner.api_type,
        )

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, with `latency_ms` and `cost_usd` of the whole call."""
        with MeasuredCall(self._meter, request) as call:
            check_budgets(request.model)
            try:
                response = call.done(await self.inner.complete_async(request))
            except FrameworkError as error:
                self._count_failed(error)
                raise
        count_spending(response.usage, response.cost_usd)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        last: ChatChunk | None = None
        with MeasuredCall(self._meter, request, streamed=True) as call:
            check_budgets(request.model)
            stream = self.inner.stream_async(request)
            try:
                async for chunk in stream:
                    call.chunk(chunk)
                    if chunk.usage is not None or chunk.finish_reason is not None:
                        last = chunk
                    yield chunk
            except GeneratorExit:
                self._count(last)
                raise
            except FrameworkError as error:
                self._count_failed(error)
                raise
            finally:
                await close_stream(stream)
            self._count(last)
            call.done_streaming(last)

    def _count(self, last: ChatChunk | None) -> None:
        usage = last.usage if last else None
        count_spending(usage, cost_of_answer(usage, self._meter.prices, cached=last is not None and last.cached))

    def _count_failed(self, error: FrameworkError) -> None:
        """An answer that could not be used is paid all the same: put its cost beside its `usage`."""
        usage = error.fields.get("usage")
        if isinstance(usage, TokenUsage):
            cost = cost_of_answer(usage, self._meter.prices)
            error.fields["cost_usd"] = cost
            count_spending(usage, cost)


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
