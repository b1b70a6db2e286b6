"""Budgets around every request: the most that it can cost is set aside before, and settled after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from chatmodels.config import Price
from chatmodels.iface import ChatModel
from chatmodels.spending import any_in_force
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream

if TYPE_CHECKING:
    from chatmodels.wrappers.reservation import Answered, Reservation


class BudgetedModel(WrappedModel):
    """Keeps requests to the budgets in force; see `chatmodels.spending.Budget`.

    It stands inside the retries and the hedging, so that each request counts for itself.

    Args:
        inner: the model that is asked.
        prices: model name to price, besides the shipped table.
    """

    def __init__(self, inner: ChatModel, prices: Mapping[str, Price] | None = None) -> None:
        super().__init__(inner)
        self._prices = dict(prices or {})
        self._answered: Answered | None = None

    # No coroutine of its own where there is no budget: every request comes through here.
    def complete_async(self, request: ChatRequest) -> Coroutine[Any, Any, ChatResponse]:
        """Answer `request`.

        Raises:
            OverBudgetError: a budget has no room for it.
        """
        return self._kept(request) if any_in_force() else self.inner.complete_async(request)

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        return self._kept_stream(request) if any_in_force() else self.inner.stream_async(request)

    async def _kept(self, request: ChatRequest) -> ChatResponse:
        reservation = await self._reserve(request)
        try:
            response = await self.inner.complete_async(request)
        except BaseException as error:
            reservation.fail(error, begun=False)
            raise
        reservation.settle((*response.failed_usage, response.usage), response.cost_usd, cached=response.cached)
        return response

    async def _kept_stream(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        reservation = await self._reserve(request)
        last: ChatChunk | None = None
        begun = False
        stream = self.inner.stream_async(request)
        try:
            try:
                async for chunk in stream:
                    begun = True
                    if chunk.is_last:
                        last = chunk
                        if chunk.usage is not None:  # settled at once: its reader may take all the time in the world
                            usages = (*chunk.failed_usage, chunk.usage)
                            reservation.settle(usages, None, cached=chunk.cached)
                    yield chunk
            finally:
                await close_stream(stream)
        except BaseException as error:
            reservation.fail(error, begun=begun)
            raise
        if last is not None and last.cached:
            reservation.settle((), 0.0, cached=True)
        reservation.lose()

    async def _reserve(self, request: ChatRequest) -> Reservation:
        # Only where there is a budget: most programs need none of it.
        from chatmodels.wrappers.reservation import Answered, reserve

        self._answered = self._answered or Answered()
        return await reserve(request, self.inner, self._prices, self._answered)
