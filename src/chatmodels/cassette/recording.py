"""Records a model's calls to a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from chatmodels.guard import RequestForbiddenError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code, ConfigurationError, FrameworkError
from fmf_core.logs import get_logger
from fmf_core.portal import in_thread

_log = get_logger("chatmodels")


class RecordingModel(WrappedModel):
    """Passes calls on to `inner` and writes each of them, with its answer or its error, to a file for people to review.

    A call stands there as it is sent, with what `inner` fills in where a request leaves it open (`presets`). Secrets
    are blanked on the way to the file, pictures stand there as their hash, and what changes from time to time (latency,
    pace, rate limits) is left out. The file and its folders are made with the first call. Where it cannot be
    written, the model is not asked. Where that turns out only afterwards (the disk is full), an error carries the
    answer, the file keeps the calls before, and no more calls are made.

    Args:
        inner: the model that answers.
        path: the file to write: one line of JSON for each call, or, where it ends in `.yaml` or `.yml`, one YAML
            document, in which long texts read as they are.
        append: whether to keep what the file holds; without it the first call begins the file anew.

    Raises:
        ConfigurationError: `inner` is no chat model, or `path` no path.
    """

    def __init__(self, inner: ChatModel, path: str | Path, *, append: bool = False) -> None:
        from chatmodels.cassette.tape import TapeWriter  # with it comes much that only recordings need

        _check_order(inner, path)
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
            FrameworkError: the file could not be written after all (the answer stands in `fields["response"]`), or the
                model failed.
        """
        asked = await in_thread(self._tape.begin, self._as_sent(request))
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError as error:
            await self._record_failure(asked, error)
            raise
        await in_thread(self._tape.write, asked, response=response)
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece and record the pieces; a stream that was left early is not recorded."""
        asked = await in_thread(self._tape.begin, self._as_sent(request))
        chunks: list[ChatChunk] = []
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                chunks.append(chunk)
                yield chunk
        except FrameworkError as error:
            await self._record_failure(asked, error, chunks)
            raise
        finally:
            await close_stream(stream)
        await in_thread(self._tape.write, asked, chunks=chunks)

    def _as_sent(self, request: ChatRequest) -> ChatRequest:
        return request.filled(getattr(self.inner, "presets", {}))

    async def _record_failure(
        self, asked: Mapping[str, Any], error: FrameworkError, chunks: Sequence[ChatChunk] | None = None
    ) -> None:
        """Record that the model failed; the caller gets its error, also where it cannot be written."""
        if not self._keeps(error):
            return
        try:
            await in_thread(self._tape.write, asked, chunks=chunks, error=error)
        except FrameworkError as failure:
            error.add_note(failure.message)
            _log.error("recording.failed", path=str(self.path), error=failure.message)

    def _keeps(self, error: FrameworkError) -> bool:
        """Whether the model or its provider failed; a call that was never made says nothing about them."""
        return error.code not in (Code.BUDGET, Code.CANCELLED) and not isinstance(error, RequestForbiddenError)


def _check_order(inner: Any, path: Any) -> None:
    if isinstance(inner, ChatModel) and isinstance(path, str | Path):
        return
    raise ConfigurationError(
        f"RecordingModel got {type(inner).__name__} as model and {type(path).__name__} as path",
        op="recording.create",
        hint="give the model first, and then the file: RecordingModel(model, path)",
    )
