"""A time limit for one attempt, around models that keep none of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code


class TimedModel(WrappedModel):
    """Gives one attempt, a stream from its start to its end, `timeout_s` seconds; for models that keep no time."""

    def __init__(self, inner: ChatModel, timeout_s: float) -> None:
        super().__init__(inner)
        self.timeout_s = timeout_s

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` in time."""
        limit = asyncio.timeout(self.timeout_s)
        try:
            async with limit:
                return await self.inner.complete_async(request)
        except TimeoutError as error:
            self._raise_late(limit, error)
            raise

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, all of them in time."""
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        stream = self.inner.stream_async(request)
        try:
            while True:
                # Not around the yield: nobody may interrupt what the consumer does with a piece.
                limit = asyncio.timeout_at(deadline)
                try:
                    async with limit:
                        chunk = await anext(stream, None)
                except TimeoutError as error:
                    self._raise_late(limit, error)
                    raise
                if chunk is None:
                    return
                yield chunk
        finally:
            await close_stream(stream)

    def _raise_late(self, limit: asyncio.Timeout, error: TimeoutError) -> None:
        if limit.expired():
            raise ChatModelError(
                f"{type(self.unwrapped).__name__} gave no complete answer within {self.timeout_s:g} s",
                op=f"{self.provider_name}.complete",
                code=Code.TIMEOUT,
                hint="raise timeout_s, or ask for less",
            ) from error
