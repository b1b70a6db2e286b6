"""Capabilities: a request for what the model cannot do is refused before anybody is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from chatmodels.capabilities import check_lacking, is_openai, lacking_beside, lacking_by_table, listed
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, ModelInfo
from chatmodels.wrappers.base import WrappedModel

MOST_KEPT = 1024
"""How many names of models are remembered by one wrapper."""


class CheckedModel(WrappedModel):
    """Refuses requests that the model certainly cannot answer, with `Code.UNSUPPORTED`; costs next to nothing else.

    What the shipped table does not know is never refused, and neither is a server of one's own behind `openai`.

    Args:
        inner: the model that answers.
        capabilities: what it can do, in place of the table.
        model: the model that `capabilities` speak of; `None` means every one.
    """

    def __init__(self, inner: ChatModel, capabilities: Collection[str] | None = None, model: str | None = None) -> None:
        super().__init__(inner)
        self._given = None if capabilities is None else frozenset(capabilities)
        self._model = model
        self._lacking: dict[str | None, frozenset[str]] = {}

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`."""
        if self._lacking_for(request):
            self._check(request, stream=False)
        return await self.inner.complete_async(request)

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece."""
        if self._lacking_for(request):
            self._check(request, stream=True)
        return self.inner.stream_async(request)

    def get_model_info(self) -> ModelInfo:
        """Name, provider, limits and capabilities of the model inside."""
        info = self.inner.get_model_info()
        return info if self._given is None else info.model_copy(update={"capabilities": listed(self._given)})

    def _lacking_for(self, request: ChatRequest) -> frozenset[str]:
        name = request.named_model
        lacking = self._lacking.get(name)
        if lacking is None:
            if self._given is not None and self._is_given(name):
                lacking = lacking_beside(self.provider_name, self._given)
            else:
                lacking = lacking_by_table(self.provider_name, name or self.inner.get_model_info().name)
            if len(self._lacking) < MOST_KEPT:
                self._lacking[name] = lacking
        return lacking

    def _check(self, request: ChatRequest, *, stream: bool) -> None:
        name = request.named_model
        by_table = self._given is None or not self._is_given(name)
        if by_table and self.provider_name == "openai" and not is_openai(self.endpoint):
            return
        shown = name or self.inner.get_model_info().name
        check_lacking(self.provider_name, shown, request, self._lacking_for(request), stream=stream)

    def _is_given(self, name: str | None) -> bool:
        return name is None or self._model is None or name == self._model
