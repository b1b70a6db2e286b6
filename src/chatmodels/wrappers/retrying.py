"""Retries: the one place where a call is made again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatmodels.config import RetryBudget
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream, counted
from chatmodels.wrappers.breaker import BreakerOpenError, heed_circuit
from chatmodels.wrappers.retry_budget import COSTLY, buckets
from chatmodels.wrappers.shared import Seats
from fmf_core.errors import FrameworkError
from fmf_core.retry import Attempt, RetryPolicy, attempts

SPENT = "the server fails again and again: wait until it is well, or raise retry_budget"


class RetryingModel(WrappedModel):
    """Tries again while the error says that waiting helps; a stream only until its first text was handed out.

    Args:
        inner: the model that is asked.
        policy: how often and how patiently one call is made again.
        budget: how many retries all calls together may cost while the server fails; `None` is no such limit.
    """

    def __init__(self, inner: ChatModel, policy: RetryPolicy, budget: RetryBudget | None = None) -> None:
        super().__init__(inner)
        self.policy = policy
        self._buckets = Seats(buckets, budget) if budget is not None else None

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`; `attempts` of the answer says how many requests it took."""
        failed = 0
        try:
            async for attempt in attempts(self.policy):
                with attempt:
                    try:
                        response = await self.inner.complete_async(request)
                    except FrameworkError as error:
                        failed += _requests(error)
                        self._charge(attempt, error, request)
                        raise
                    self._pay(request)
                    made = failed + response.attempts
                    return response if made == response.attempts else response.model_copy(update={"attempts": made})
        except FrameworkError as error:
            error.fields["attempts"] = failed
            self._explain(error, request)
            raise
        raise AssertionError("the last attempt returns or raises")

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece; `attempts` of the last piece says how many requests it took."""
        held_back, stream, failed = await self._open(request)
        try:
            for chunk in held_back:
                yield counted(chunk, failed)
            async for chunk in stream:
                yield counted(chunk, failed)
        except FrameworkError as error:
            error.fields["attempts"] = failed + _requests(error)
            self._explain(error, request)
            raise
        finally:
            await close_stream(stream)

    async def _open(self, request: ChatRequest) -> tuple[list[ChatChunk], AsyncIterator[ChatChunk], int]:
        """Start the stream and hold back what comes before its first text; also gives how many requests failed."""
        failed = 0
        try:
            async for attempt in attempts(self.policy):
                with attempt:
                    stream = self.inner.stream_async(request)
                    try:
                        held_back = await _until_text(stream)
                    except BaseException as error:
                        await close_stream(stream)
                        if isinstance(error, FrameworkError):
                            failed += _requests(error)
                            self._charge(attempt, error, request)
                        raise
                    self._pay(request)
                    return held_back, stream, failed
        except FrameworkError as error:
            error.fields["attempts"] = failed
            self._explain(error, request)
            raise
        raise AssertionError("the last attempt returns or raises")

    def _charge(self, attempt: Attempt, error: FrameworkError, request: ChatRequest) -> None:
        """Take the retry that would follow from the budget; without one, `attempt` is the last."""
        heed_circuit(error)
        if self._buckets is None or error.code not in COSTLY or isinstance(error, BreakerOpenError):
            return
        if attempt.is_followed_after(error) and not self._buckets.of(self, request.model).draw():
            attempt.give_up()
            error.hint = f"{error.hint}; {SPENT}" if error.hint else SPENT
            error.fields["retry_budget"] = "spent"

    def _pay(self, request: ChatRequest) -> None:
        if self._buckets is not None:
            self._buckets.of(self, request.model).pay()

    def _explain(self, error: FrameworkError, request: ChatRequest) -> None:
        error.fields.setdefault("provider", self.provider_name)
        error.fields.setdefault("model", request.model)
        count = error.fields["attempts"]
        if count > 1 and not error.message.endswith(_said(count)):
            error.message += _said(count)
            error.args = (error.message,)


async def _until_text(stream: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    chunks: list[ChatChunk] = []
    async for chunk in stream:
        chunks.append(chunk)
        if chunk.text or chunk.tool_calls:
            break
    return chunks


def _requests(error: FrameworkError) -> int:
    """How many requests failed with `error`; takes the number off it."""
    count = int(error.fields.pop("attempts", 1))
    # Models for tests raise one error again and again: what was said of an earlier call does not count.
    return 1 if error.message.endswith(_said(count)) else count


def _said(count: int) -> str:
    return f" (after {count} attempts)"
