"""Errors of the house: whatever a model raises or returns, its caller meets the promised shapes only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from chatmodels.answered import checked_answer
from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import without_secrets


class TranslatingModel(WrappedModel):
    """Turns exceptions that are no `FrameworkError` into `ChatModelError`s, and refuses what is no `ChatResponse`.

    What is told by nobody, `SystemExit` included, is a fault of the model's code (`Code.INTERNAL`) and not tried again.

    Args:
        inner: the model that may raise anything.
        read: says which code fits an exception, and for how many seconds to wait.
    """

    def __init__(self, inner: ChatModel, read: Callable[[BaseException], tuple[Code, float | None]]) -> None:
        super().__init__(inner)
        self._read = read

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told by the error that is raised
            raise self._translate(error, request) from without_secrets(error)
        return checked_answer(response, type(self.unwrapped), f"{self.provider_name}.complete")

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
        code, retry_after = self._read(error)
        name = type(self.unwrapped).__name__
        return chat_model_error(
            f"{name} failed on model {request.model!r}: {type(error).__name__}: {error}",
            op=f"{self.provider_name}.complete",
            code=code,
            retry_after=retry_after,
            hint=f"where {name} knows what happened, raise ProviderError with a code: retries and fallbacks go by it",
        )
