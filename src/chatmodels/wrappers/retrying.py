"""Retries: the one place where a call is made again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import FrameworkError
from fmf_core.retry import RetryPolicy, attempts


class RetryingModel(WrappedModel):
    """Tries again while the error says that waiting helps; a stream only until its first text was handed out."""

    def __init__(self, inner: ChatModel, policy: RetryPolicy) -> None:
        super().__init__(inner)
        self.policy = policy

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`; `attempts` of the answer says how many requests it took."""
        try:
            async for attempt in attempts(self.policy):
                with attempt:
                    response = await self.inner.complete_async(request)
                    return response if attempt.number == 1 else response.model_copy(update={"attempts": attempt.number})
        except FrameworkError as error:
            self._explain(error, request)
            raise
        raise AssertionError("the last attempt returns or raises")

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        try:
            held_back, stream = await self._open(request)
            try:
                for chunk in held_back:
                    yield chunk
                async for chunk in stream:
                    yield chunk
            finally:
                await close_stream(stream)
        except FrameworkError as error:
            self._explain(error, request)
            raise

    async def _open(self, request: ChatRequest) -> tuple[list[ChatChunk], AsyncIterator[ChatChunk]]:
        """Start the stream and hold back what comes before its first text."""
        async for attempt in attempts(self.policy):
            with attempt:
                stream = self.inner.stream_async(request)
                try:
                    return await _until_text(stream), stream
                except BaseException:
                    await close_stream(stream)
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _explain(self, error: FrameworkError, request: ChatRequest) -> None:
        error.fields.setdefault("provider", self.provider_name)
        error.fields.setdefault("model", request.model)
        count = error.fields.setdefault("attempts", 1)
        said = f" (after {count} attempts)"
        if count > 1 and not error.message.endswith(said):
            error.message += said
            error.args = (error.message,)


async def _until_text(stream: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    chunks: list[ChatChunk] = []
    async for chunk in stream:
        chunks.append(chunk)
        if chunk.text or chunk.tool_calls:
            break
    return chunks
