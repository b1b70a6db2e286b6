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
