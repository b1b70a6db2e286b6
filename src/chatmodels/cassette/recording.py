"""Records a model's calls to a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from chatmodels.cassette.tape import TapeWriter
from chatmodels.guard import RequestForbiddenError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code, FrameworkError
from fmf_core.portal import in_thread


class RecordingModel(WrappedModel):
    """Passes calls on to `inner` and writes each of them, with its answer or its error, to a file for people to review.

    Secrets are blanked on the way to the file, pictures stand there as their hash, and what changes from time to time
    (latency, pace, rate limits) is left out. The file and its folders are made with the first call. Where it cannot be
    written, the model is not asked.

    Args:
        inner: the model that answers.
        path: the file to write: one line of JSON for each call, or, where it ends in `.yaml` or `.yml`, one YAML
            document, in which long texts read as they are.
        append: whether to keep what the file holds; without it the first call begins the file anew.
    """

    def __init__(self, inner: ChatModel, path: str | Path, *, append: bool = False) -> None:
        super().__init__(inner)
        self.path = Path(path)
        self._tape = TapeWriter(self.path, append=append)

    def around(self, inner: ChatModel) -> Self:
        """A recorder of the same file around another model."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        WrappedModel.__init__(other, inner)
        return other

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` and record the call.

        Raises:
            ConfigurationError: the file cannot be written; the model was not asked.
            FrameworkError: the file could not be written after all, or the model failed.
        """
        await in_thread(self._tape.check)
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError as error:
            if _is_an_answer(error):
                await in_thread(self._tape.write, request, error=error)
            raise
        await in_thread(self._tape.write, request, response=response)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece and record the pieces; a stream that was left early is not recorded."""
        await in_thread(self._tape.check)
        chunks: list[ChatChunk] = []
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                chunks.append(chunk)
                yield chunk
        except FrameworkError as error:
            if _is_an_answer(error):
                await in_thread(self._tape.write, request, chunks=chunks, error=error)
            raise
        finally:
            await close_stream(stream)
        await in_thread(self._tape.write, request, chunks=chunks)


def _is_an_answer(error: FrameworkError) -> bool:
    """Whether the model or its provider failed; a call that was never made says nothing about them."""
    return error.code not in (Code.BUDGET, Code.CANCELLED) and not isinstance(error, RequestForbiddenError)
