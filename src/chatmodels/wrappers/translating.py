"""Errors of the house: whatever a model raises or returns, its caller meets the promised shapes only."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatmodels.errors import ChatModelError, chat_model_error, without_secrets
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code, FrameworkError


class TranslatingModel(WrappedModel):
    """Turns exceptions that are no `FrameworkError` into `ChatModelError`s, and refuses what is no `ChatResponse`.

    Time-outs and lost connections may be tried again; everything else, `SystemExit` included, is a fault of the model's
    code (`Code.INTERNAL`) and may not.
    """

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told by the error that is raised
            raise self._translate(error, request) from without_secrets(error)
        if not isinstance(response, ChatResponse):
            raise ChatModelError(
                f"{type(self.unwrapped).__name__} answered with {type(response).__name__} instead of ChatResponse",
                op=f"{self.provider_name}.complete",
                code=Code.BAD_REPLY,
            )
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        try:
            stream = self.inner.stream_async(request)
            try:
                async for chunk in stream:
                    yield chunk
            finally:
                await close_stream(stream)
        except FrameworkError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told by the error that is raised
            raise self._translate(error, request) from without_secrets(error)

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
