"""The last door before a model call: closed as soon as the run is to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel
from fmf.chains.grace import Grace
from fmf.chains.stop import Stop
from fmf_core.errors import Code

OP = "run.stopping"
"""The `op` of the error that a closed gate raises: what it refused was never asked."""


class RunStoppingError(ChatModelError):
    """The run is to stop, so this was not asked."""

    default_code = Code.CANCELLED
    was_asked = False
    was_sent = False

    def __init__(self) -> None:
        super().__init__("the run is stopping, so this was not asked", op=OP)


class GatedModel(WrappedModel):
    """Lets no new call through once `stop` is requested; calls in flight may finish within the `grace`."""

    def __init__(self, inner: ChatModel, stop: Stop, grace: Grace) -> None:
        super().__init__(inner)
        self._stop = stop
        self._grace = grace

    initialize = ChatModel.initialize
    """Nothing: a run gets its model ready once, before it begins, and not again for each item."""

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, unless the run is stopping."""
        self._check()
        return await self._grace.allow_call(self.inner.complete_async(request))

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, unless the run is stopping."""
        self._check()
        return self.inner.stream_async(request)

    def _check(self) -> None:
        if self._stop.requested:
            raise RunStoppingError
