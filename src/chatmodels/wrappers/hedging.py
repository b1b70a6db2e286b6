"""Hedging: a second, equal request when the first one takes unusually long; the first good answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream, counted
from chatmodels.wrappers.hedge_budget import HedgeBudget
from fmf_core.errors import FrameworkError

T = TypeVar("T")


class HedgingModel(WrappedModel):
    """Asks a second time when no answer has come within `after_s` seconds (of a stream: no first piece).

    The first good answer is given; the other request is cancelled and its connection given up. When one fails, the
    other is waited for, and when both fail, the error is that of the first. The provider may charge for both: what the
    cancelled one took is not known, and not in `usage`; `attempts` of the answer counts it.

    It stands inside the retries, so that the waits between them are not taken for slowness, and there is at most one
    second request for each attempt.

    Args:
        inner: the model that is asked.
        after_s: how long the first request may take, in seconds; what 95 of 100 calls need is a good value.
        share: the largest share of requests that may be sent a second time.
    """

    def __init__(self, inner: ChatModel, after_s: float, share: float = 0.1) -> None:
        super().__init__(inner)
        self.after_s = after_s
        self._budget = HedgeBudget(share)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""

        async def ask() -> ChatResponse:
            return await self.inner.complete_async(request)

        response, asked = await self._race(ask)
        return response if asked == 1 else response.model_copy(update={"attempts": response.attempts + 1})

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; the first piece decides which of two streams is read on."""
        streams: list[AsyncIterator[ChatChunk]] = []

        async def begin() -> tuple[AsyncIterator[ChatChunk], ChatChunk | None]:
            stream = self.inner.stream_async(request)
            streams.append(stream)
            return stream, await anext(stream, None)

        try:
            (winner, chunk), asked = await self._race(begin)
            for stream in streams:
                if stream is not winner:
                    await close_stream(stream)
            while chunk is not None:
                yield counted(chunk, asked - 1)
                try:
                    chunk = await anext(winner, None)
                except FrameworkError as error:
                    error.fields["attempts"] = asked
                    raise
        finally:
            for stream in streams:
                await close_stream(stream)

    async def _race(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, int]:
        """The first good answer, and how many requests were sent."""
        self._budget.begin()
        tasks = [asyncio.create_task(ask())]
        hedged = False
        try:
            await asyncio.wait(tasks, timeout=self.after_s)
            if not tasks[0].done() and self._budget.take():
                hedged = True
                tasks.append(asyncio.create_task(ask()))
            return await _first_good(tasks), len(tasks)
        except FrameworkError as error:
            if hedged:
                error.fields["attempts"] = len(tasks)
            raise
        finally:
            # First what needs no waiting: a second cancellation may end the wait.
            self._budget.end()
            if hedged:
                self._budget.give_back()
            await _give_up(tasks)


async def _first_good(tasks: list[asyncio.Task[T]]) -> T:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.cancelled() and task.exception() is None:
                return task.result()
    return tasks[0].result()


async def _give_up(tasks: list[asyncio.Task[T]]) -> None:
    """Cancel what is still under way, and wait until it has let go of its connection."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
