"""The small protocols that the interface of the chat layer is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Unpack, runtime_checkable

from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, Message, ModelInfo

if TYPE_CHECKING:
    from chatmodels.asked import RequestOptions

ChatInput = str | Sequence[Message | Mapping[str, Any]] | ChatRequest
"""What the convenience methods take: a prompt, a conversation (of messages, or of mappings such as
`{"role": "user", "content": "..."}`) or a whole request."""


@runtime_checkable
class MessageGenerator(Protocol):
    """Continues a conversation."""

    def generate_messages(self, messages: Sequence[Message], **options: Unpack[RequestOptions]) -> list[Message]:
        """The next turn of `messages`."""
        ...


@runtime_checkable
class StreamMessageHandler(Protocol):
    """Continues a conversation piece by piece."""

    def stream_messages(self, messages: Sequence[Message], **options: Unpack[RequestOptions]) -> Iterator[ChatChunk]:
        """The next turn of `messages`, in pieces."""
        ...


@runtime_checkable
class ModelInfoProvider(Protocol):
    """Describes itself."""

    def get_model_info(self) -> ModelInfo:
        """Name, provider, limits and capabilities."""
        ...


@runtime_checkable
class HealthChecker(Protocol):
    """Says whether it can be reached."""

    def check_health(self) -> HealthStatus:
        """A cheap check that spends no tokens."""
        ...


@runtime_checkable
class Runnable(Protocol):
    """Takes one input or many, blocking or awaited, whole or in pieces."""

    def invoke(self, request: ChatInput, **options: Unpack[RequestOptions]) -> ChatResponse:
        """Answer one input, blocking."""
        ...

    async def ainvoke(self, request: ChatInput, **options: Unpack[RequestOptions]) -> ChatResponse:
        """Answer one input."""
        ...
