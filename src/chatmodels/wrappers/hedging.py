"""Hedging: a second, equal request when the first one takes unusually long; the first good answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, Protocol, TypeVar

from chatmodels.errors import charges_in
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, TokenUsage
from chatmodels.wrappers.base import WrappedModel, close_stream, counted, tell_charged
from chatmodels.wrappers.hedge_budget import HedgeBudget, budgets
from fmf_core.errors import FrameworkError

T = TypeVar("T")


class Places(Protocol):
    """Bounds how many requests are under way."""

    def take(self, model: ChatModel, name: str) -> Callable[[], None] | None:
        """Take a place for a request to the model `name`; gives what gives it back, or `None` where none is free."""
        ...


class HedgingModel(WrappedModel):
    """Asks a second time when no answer has come within `after_s` seconds (of a stream: no first piece).

    The first good answer is given; the other request is cancelled and its connection given up. When one fails, the
    other is waited for, and when both fail, the error is that of the first. The provider may charge for both: what the
    cancelled one took is not known, and not in `usage`; `attempts` of the answer counts it. What was charged for one
    that failed is in `failed_usage`.

    It stands inside the retries, so that the waits between them are not taken for slowness, and there is at most one
    second request for each attempt. It is not sent while as many requests are under way as may be (`hedge_in`).

    Args:
        inner: the model that is asked.
        after_s: how long the first request may take, in seconds; what 95 of 100 calls need is a good value.
        share: the largest share of requests that may be sent a second time, over all models that ask the same model at
            the same endpoint with the same share.
    """

    def __init__(self, inner: ChatModel, after_s: float, share: float = 0.1) -> None:
        super().__init__(inner)
        self.after_s = after_s
        self._places: Places | None = None
        self._budgets = budgets.lookup(share)

    def hedge_in(self, places: Places) -> None:
        """Send second requests only where `places` have one for them."""
        self._places = places

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""

        async def ask() -> ChatResponse:
            return await self.inner.complete_async(request)

        with ExitStack() as held:
            response, asked, charged = await self._race(ask, request, held)
        if asked == 1:
            return response
        told = {"attempts": response.attempts + 1, "failed_usage": charged + response.failed_usage}
        return response.model_copy(update=told)

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; the first piece decides which of two streams is read on."""
        streams: list[AsyncIterator[ChatChunk]] = []

        async def begin() -> tuple[AsyncIterator[ChatChunk], ChatChunk | None]:
            stream = self.inner.stream_async(request)
            streams.append(stream)
            return stream, await anext(stream, None)

        held = ExitStack()
        try:
            (winner, chunk), asked, charged = await self._race(begin, request, held)
            for stream in streams:
                if stream is not winner:
                    await close_stream(stream)
            held.close()
            while chunk is not None:
                yield counted(chunk, asked - 1, charged)
                try:
                    chunk = await anext(winner, None)
                except FrameworkError as error:
                    error.fields["attempts"] = asked
                    tell_charged(error, charged)
                    raise
        finally:
            for stream in streams:
                with suppress(RuntimeError):  # its request was given up, and is still leaving it: that closes it
                    await close_stream(stream)
            held.close()

    async def _race(
        self, ask: Callable[[], Coroutine[Any, Any, T]], request: ChatRequest, held: ExitStack
    ) -> tuple[T, int, tuple[TokenUsage, ...]]:
        """The first good answer, how many requests were sent, and what those that failed were charged for.

        The place of a second request is given back by `held`.
        """
        budget = self._budgets.of(self, request.model)
        budget.begin()
        tasks = [asyncio.create_task(ask())]
        hedged = False
        try:
            await asyncio.wait(tasks, timeout=self.after_s)
            if not tasks[0].done() and self._may_ask_again(budget, request, held):
                hedged = True
                tasks.append(asyncio.create_task(ask()))
            return await _first_good(tasks), len(tasks), _charged(tasks)
        except FrameworkError as error:
            if hedged:
                error.fields["attempts"] = len(tasks)
                # Models for tests raise one error again and again: what it told of an earlier call does not count.
                error.fields.pop("failed_usage", None)
                tell_charged(error, _charged(tasks[1:]))
            raise
        finally:
            # First what needs no waiting: a second cancellation may end the wait.
            budget.end()
            if hedged:
                budget.give_back()
            await _give_up(tasks)

    def _may_ask_again(self, budget: HedgeBudget, request: ChatRequest, held: ExitStack) -> bool:
        if not budget.take():
            return False
        if self._places is None:
            return True
        give_back = self._places.take(self, request.model)
        if give_back is None:
            budget.give_back(sent=False)
            return False
        held.callback(give_back)
        return True


async def _first_good(tasks: list[asyncio.Task[T]]) -> T:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.cancelled() and task.exception() is None:
                return task.result()
    return tasks[0].result()


def _charged(tasks: list[asyncio.Task[T]]) -> tuple[TokenUsage, ...]:
    errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return tuple(usage for error in errors if error is not None for usage in charges_in(error))


async def _give_up(tasks: list[asyncio.Task[T]]) -> None:
    """Cancel what is still under way, and wait until it has let go of its connection."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
