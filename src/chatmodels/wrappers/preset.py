"""Defaults: the settings that a request leaves open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from chatmodels.wrappers.base import WrappedModel


class PresetModel(WrappedModel):
    """Fills in the settings that a request leaves open.

    Args:
        inner: the model that gets the filled request.
        presets: fields of `ChatRequest` (`model`, `temperature`, ...); `None` leaves a setting out of the request.
        known_as: `request.model` where neither the request nor `presets` name a model. It still counts as left open,
            so that a model that has a name of its own goes by that.
        notes: whether to note on the request what was filled in, for a fallback that has settings of its own.
    """

    def __init__(
        self, inner: ChatModel, presets: Mapping[str, Any], known_as: str | None = None, *, notes: bool = False
    ) -> None:
        super().__init__(inner)
        self.presets = dict(presets)
        self.known_as = known_as
        self._notes = notes

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request`, with the presets for what it leaves open."""
        return await self.inner.complete_async(self._filled(request))

    def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece, with the presets for what it leaves open."""
        return self.inner.stream_async(self._filled(request))

    def _filled(self, request: ChatRequest) -> ChatRequest:
        request = request.filled(self.presets, note=self._notes)
        if self.known_as is None or request.named_model is not None:
            return request
        return request.standing_in(model=self.known_as)
