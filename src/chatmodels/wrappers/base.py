"""What all wrappers have in common: everything is passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo, TokenUsage
from fmf_core.errors import FrameworkError


class WrappedModel(ChatModel):
    """Passes everything on to `inner`; the base of every wrapper.

    What a wrapper does not know, such as `call_count` of the mock, is looked up in the model that it wraps.
    """

    def __init__(self, inner: ChatModel) -> None:
        self.inner = inner
        self.provider_name = inner.provider_name
        self.in_process = inner.in_process
        self.api_type = inner.api_type

    @property
    def unwrapped(self) -> ChatModel:
        """The model inside all wrappers."""
        return self.inner.unwrapped if isinstance(self.inner, WrappedModel) else self.inner

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]
        """The address of the server behind the model inside."""
        return self.inner.endpoint

    @property
    def credentials_id(self) -> int | None:  # type: ignore[override]
        """What tells the credentials of the model inside apart from others."""
        return self.inner.credentials_id

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

    def check_ready(self) -> None:
        """Look whether the model inside could be asked now."""
        self.inner.check_ready()

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


async def close_stream(stream: AsyncIterator[ChatChunk]) -> None:
    """Release what `stream` holds, where it can be told to."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


async def until_text(stream: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    """The pieces of `stream` up to the first that a consumer sees: so long another attempt may take its place."""
    chunks: list[ChatChunk] = []
    async for chunk in stream:
        chunks.append(chunk)
        if chunk.text or chunk.tool_calls:
            break
    return chunks


def counted(chunk: ChatChunk, before: int, charged: tuple[TokenUsage, ...] = ()) -> ChatChunk:
    """`chunk` as it is, but the last piece with what was done for it elsewhere.

    Args:
        chunk: a piece.
        before: how many requests more it took.
        charged: what failed attempts before it were charged for.
    """
    if not before or not chunk.is_last:
        return chunk
    told: dict[str, Any] = {"attempts": chunk.attempts + before}
    if charged:
        told["failed_usage"] = charged + chunk.failed_usage
    return chunk.model_copy(update=told)


def tell_charged(error: FrameworkError, earlier: tuple[TokenUsage, ...]) -> None:
    """Say on `error` what the requests before the one that failed with it were charged for."""
    if earlier:
        error.fields["failed_usage"] = earlier
    else:
        error.fields.pop("failed_usage", None)


def presets_of(model: ChatModel) -> Mapping[str, Any]:
    """The settings that `model` fills in where a request leaves them open: those of the outermost wrapper that has any.

    A model of one's own may say them as well, as `presets`.
    """
    presets: Mapping[str, Any] = getattr(model, "presets", {})
    return presets
