"""A limit per minute: requests start when their turn has come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic

from chatmodels.config import RateLimit
from chatmodels.iface import ChatModel
from chatmodels.pacing.pace import Pace, expected_tokens, taken_tokens
from chatmodels.pacing.start_queue import StartQueue
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream


class LimitingModel(WrappedModel):
    """Starts requests no faster than the limit allows, first come first served, over all threads and event loops."""

    def __init__(self, inner: ChatModel, limit: RateLimit) -> None:
        super().__init__(inner)
        self.limit = limit
        self._pace = Pace(limit)
        self._queue = StartQueue(self._pace, monotonic)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` when its turn has come."""
        expected = expected_tokens(request)
        await self._queue.pass_through(expected)
        response = await self.inner.complete_async(request)
        self._queue.update(self._pace.settle, expected, taken_tokens(response.usage, expected))
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece when its turn has come."""
        expected = expected_tokens(request)
        await self._queue.pass_through(expected)
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                if chunk.usage is not None:
                    self._queue.update(self._pace.settle, expected, taken_tokens(chunk.usage, expected))
                yield chunk
        finally:
            await close_stream(stream)
