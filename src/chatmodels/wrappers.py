"""Chat models around a chat model: retrying, limiting, measuring and filling in defaults, each blind to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from time import monotonic
from typing import Any

from chatmodels.config import Price, RateLimit
from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.iface import ChatModel
from chatmodels.limits import Pace, expected_tokens, taken_tokens
from chatmodels.metrics import MeasuredCall, Meter
from chatmodels.start_queue import StartQueue
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code, FrameworkError
from fmf_core.retry import RetryPolicy, attempts


class WrappedModel(ChatModel):
    """Passes everything on to `inner`; the base of every wrapper.

    What a wrapper does not know, such as `call_count` of the mock, is looked up in the model that it wraps.
    """

    def __init__(self, inner: ChatModel) -> None:
        self.inner = inner
        self.provider_name = inner.provider_name
        self.in_process = inner.in_process

    @property
    def unwrapped(self) -> ChatModel:
        """The model inside all wrappers."""
        return self.inner.unwrapped if isinstance(self.inner, WrappedModel) else self.inner

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""
        return await self.inner.complete_async(request)

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        return self.inner.stream_async(request)

    def get_model_info(self) -> ModelInfo:
        """Name, provider, limits and capabilities of the model inside."""
        return self.inner.get_model_info()

    def check_health(self) -> HealthStatus:
        """Ask the model inside."""
        return self.inner.check_health()

    async def initialize(self) -> None:
        """Get the model inside ready."""
        await self.inner.initialize()

    async def cleanup(self) -> None:
        """Release the connections of the model inside."""
        await self.inner.cleanup()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class PresetModel(WrappedModel):
    """Fills in the settings that a request leaves open.

    Args:
        inner: the model that gets the filled request.
        presets: fields of `ChatRequest` (`model`, `temperature`, ...); `None` leaves a setting out of the request.
    """

    def __init__(self, inner: ChatModel, presets: Mapping[str, Any]) -> None:
        super().__init__(inner)
        self.presets = dict(presets)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, with the presets for what it leaves open."""
        return await self.inner.complete_async(request.filled(self.presets))

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, with the presets for what it leaves open."""
        return self.inner.stream_async(request.filled(self.presets))


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


class RetryingModel(WrappedModel):
    """Tries again while the error says that waiting helps; a stream only until its first text was handed out.

    Exceptions that are no `FrameworkError` leave as `ChatModelError`: time-outs and lost connections are tried again,
    everything else, `SystemExit` included, is a fault of the model's code (`Code.INTERNAL`) and is not.
    """

    def __init__(self, inner: ChatModel, policy: RetryPolicy) -> None:
        super().__init__(inner)
        self.policy = policy

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`; `attempts` of the answer says how many requests it took."""
        try:
            async for attempt in attempts(self.policy):
                with attempt:
                    response = await self._ask(request)
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
            except FrameworkError:
                raise
            except (Exception, SystemExit) as error:
                raise self._translate(error, request) from error
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
                    return await self._until_text(stream, request), stream
                except BaseException:
                    await close_stream(stream)
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _until_text(self, stream: AsyncIterator[ChatChunk], request: ChatRequest) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        try:
            async for chunk in stream:
                chunks.append(chunk)
                if chunk.text or chunk.tool_calls:
                    break
        except FrameworkError:
            raise
        except (Exception, SystemExit) as error:
            raise self._translate(error, request) from error
        return chunks

    async def _ask(self, request: ChatRequest) -> ChatResponse:
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError:
            raise
        except (Exception, SystemExit) as error:
            raise self._translate(error, request) from error
        if not isinstance(response, ChatResponse):
            raise ChatModelError(
                f"{type(self.unwrapped).__name__} answered with {type(response).__name__} instead of ChatResponse",
                op=f"{self.provider_name}.complete",
                code=Code.BAD_REPLY,
            )
        return response

    def _translate(self, error: BaseException, request: ChatRequest) -> ChatModelError:
        code = Code.INTERNAL
        if isinstance(error, TimeoutError):
            code = Code.TIMEOUT
        elif isinstance(error, ConnectionError):
            code = Code.UNAVAILABLE
        return chat_model_error(
            f"{type(self.unwrapped).__name__} failed on model {request.model!r}: {type(error).__name__}: {error}",
            op=f"{self.provider_name}.complete",
            code=code,
        )

    def _explain(self, error: FrameworkError, request: ChatRequest) -> None:
        error.fields.setdefault("provider", self.provider_name)
        error.fields.setdefault("model", request.model)
        count = error.fields.setdefault("attempts", 1)
        said = f" (after {count} attempts)"
        if count > 1 and not error.message.endswith(said):
            error.message += said
            error.args = (error.message,)


class LimitingModel(WrappedModel):
    """Starts requests no faster than the limit allows, first come first served, over all threads and event loops."""

    def __init__(self, inner: ChatModel, limit: RateLimit, *, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(inner)
        self.limit = limit
        self._queue = StartQueue(Pace(limit), clock)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` when its turn has come."""
        expected = expected_tokens(request)
        await self._queue.pass_through(expected)
        response = await self.inner.complete_async(request)
        self._queue.settle(expected, taken_tokens(response.usage, expected))
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece when its turn has come."""
        expected = expected_tokens(request)
        await self._queue.pass_through(expected)
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                if chunk.usage is not None:
                    self._queue.settle(expected, taken_tokens(chunk.usage, expected))
                yield chunk
        finally:
            await close_stream(stream)


class MeasuredModel(WrappedModel):
    """Records span, duration, tokens, price and a log line of every logical call, retries inside."""

    def __init__(
        self, inner: ChatModel, prices: Mapping[str, Price] | None = None, *, endpoint: str | None = None
    ) -> None:
        super().__init__(inner)
        self._subject = Meter(inner.provider_name, in_process=inner.in_process, prices=prices, endpoint=endpoint)

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, with `latency_ms` and `cost_usd` of the whole call."""
        with MeasuredCall(self._subject, request) as call:
            return call.done(await self.inner.complete_async(request))

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        last: ChatChunk | None = None
        with MeasuredCall(self._subject, request, streamed=True) as call:
            stream = self.inner.stream_async(request)
            try:
                async for chunk in stream:
                    call.chunk()
                    if chunk.usage is not None or chunk.finish_reason is not None:
                        last = chunk
                    yield chunk
            finally:
                await close_stream(stream)
            call.done_streaming(last)


async def close_stream(stream: AsyncIterator[ChatChunk]) -> None:
    """Release what `stream` holds, where it can be told to."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
