"""Retries: the one place where a call is made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from chatmodels.config import RetryBudget
from chatmodels.errors import ChatModelError, charges_in, requests_in, server_is_well
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, TokenUsage
from chatmodels.wrappers.base import WrappedModel, close_stream, counted, tell_charged, until_text
from chatmodels.wrappers.retry_budget import buckets
from chatmodels.wrappers.retry_lines import RetryLines
from fmf_core.errors import FrameworkError
from fmf_core.retry import RetryPolicy

SPENT = "the server fails again and again: wait until it is well, or raise retry_budget"


class RetryingModel(WrappedModel):
    """Tries again while the error says that waiting helps; a stream only until its first text was handed out.

    Every retry is a log line `llm.retry`, as far as there are not too many (`RetryLines`). What failed attempts were
    charged for is told in `failed_usage` of the answer or the error.

    Args:
        inner: the model that is asked.
        policy: how often and how patiently one call is made again.
        budget: how many retries all calls together may cost while the server fails; `None` is no such limit.
    """

    def __init__(self, inner: ChatModel, policy: RetryPolicy, budget: RetryBudget | None = None) -> None:
        super().__init__(inner)
        self.policy = policy
        self._buckets = buckets.lookup(budget) if budget is not None else None

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`; `attempts` of the answer says how many requests it took."""
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError as error:
            past = _Past()
            pause = self._pause_after(error, past, request)
            if pause is None:
                raise
        else:
            if self._buckets is not None:
                self._buckets.of(self, request.model).pay()
            return response
        # Out here, so that the errors to come are not shown as consequences of this one.
        return await self._ask_again(request, past, pause)

    async def _ask_again(self, request: ChatRequest, past: _Past, pause: float) -> ChatResponse:
        while True:
            await past.rest(pause)
            try:
                response = await self.inner.complete_async(request)
            except FrameworkError as error:
                again = self._pause_after(error, past, request)
                if again is None:
                    raise
                pause = again
            except asyncio.CancelledError as error:
                past.tell(error)
                raise
            else:
                self._pay(request)
                told = {"attempts": past.requests + response.attempts}
                if past.usages:
                    return response.model_copy(update={**told, "failed_usage": past.with_(response.failed_usage)})
                return response.model_copy(update=told)

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; `attempts` of the last piece says how many requests it took."""
        past = _Past()
        held_back, stream = await self._open(request, past)
        try:
            for chunk in held_back:
                yield counted(chunk, past.requests, past.usages)
            async for chunk in stream:
                yield counted(chunk, past.requests, past.usages)
        except FrameworkError as error:
            past.add(error)
            self._explain(error, past, request)
            raise
        finally:
            await close_stream(stream)

    async def _open(self, request: ChatRequest, past: _Past) -> tuple[list[ChatChunk], AsyncIterator[ChatChunk]]:
        """Start the stream, and hold back what comes before its first text."""
        while True:
            stream = self.inner.stream_async(request)
            try:
                held_back = await until_text(stream)
            except FrameworkError as error:
                await close_stream(stream)
                pause = self._pause_after(error, past, request)
                if pause is None:
                    raise
            except BaseException:
                await close_stream(stream)
                raise
            else:
                self._pay(request)
                return held_back, stream
            await past.rest(pause)

    def _pause_after(self, error: FrameworkError, past: _Past, request: ChatRequest) -> float | None:
        """Seconds until the next attempt after one failed with `error`; `None` when it was the last, as it says now."""
        past.add(error)
        closed_for_s = error.closed_for_s if isinstance(error, ChatModelError) else None
        if closed_for_s is not None:
            error.retry_after = max(error.retry_after or 0.0, closed_for_s)
        pause = self.policy.pause_after(past.attempts, error)
        if pause is not None and self._may_retry(error, request):
            _lines.say(past.attempts, error, pause, self.provider_name, request.model)
            return pause
        self._explain(error, past, request)
        return None

    def _may_retry(self, error: FrameworkError, request: ChatRequest) -> bool:
        """Take a retry from the budget, where there is one and `error` costs any; false when none is left."""
        if self._buckets is None or server_is_well(error) is not False:
            return True
        if self._buckets.of(self, request.model).draw():
            return True
        error.hint = f"{error.hint}; {SPENT}" if error.hint else SPENT
        error.fields["retry_budget"] = "spent"
        return False

    def _pay(self, request: ChatRequest) -> None:
        if self._buckets is not None:
            self._buckets.of(self, request.model).pay()

    def _explain(self, error: FrameworkError, past: _Past, request: ChatRequest) -> None:
        """Say on the error that is raised in the end what the whole call took."""
        error.fields.setdefault("provider", self.provider_name)
        error.fields.setdefault("model", request.model)
        error.fields["attempts"] = count = past.requests
        # The last one's own tokens stand in `usage`.
        earlier = past.usages[:-1] if isinstance(error.fields.get("usage"), TokenUsage) else past.usages
        tell_charged(error, earlier)
        if count > 1 and not error.message.endswith(_said(count)):
            error.message += _said(count)
            error.args = (error.message,)


class _Past:
    """What came of one call so far: its failed attempts, the requests in them, and what the provider charged."""

    __slots__ = ("attempts", "requests", "usages")

    def __init__(self) -> None:
        self.attempts = 0
        self.requests = 0
        self.usages: tuple[TokenUsage, ...] = ()

    def add(self, error: FrameworkError) -> None:
        """Count a failed attempt; takes off `error` what it told of the requests in it."""
        count = requests_in(error)
        error.fields.pop("attempts", None)
        # Models for tests raise one error again and again: what was said of an earlier call does not count.
        is_old = error.message.endswith(_said(count))
        if is_old:
            error.fields.pop("failed_usage", None)
        self.attempts += 1
        self.requests += 1 if is_old else count
        self.usages += charges_in(error)
        error.fields.pop("failed_usage", None)

    async def rest(self, seconds: float) -> None:
        """Wait for the next attempt; whoever gives up meanwhile is told what was charged for."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as error:
            self.tell(error)
            raise

    def tell(self, error: asyncio.CancelledError) -> None:
        """Say on `error`, which ends the call, what was charged for before it."""
        if self.usages:
            error.failed_usage = self.usages  # type: ignore[attr-defined]

    def with_(self, usages: tuple[TokenUsage, ...]) -> tuple[TokenUsage, ...]:
        """All that was charged, with `usages` of the attempt that was answered."""
        return self.usages + usages


def _said(count: int) -> str:
    return f" (after {count} attempts)"


_lines = RetryLines()
