"""A whole answer and its pieces: either made from the other."""

from __future__ import annotations

from collections.abc import Sequence

from chatmodels.types import ChatChunk, ChatResponse


def pieces_of(response: ChatResponse) -> list[ChatChunk]:
    """The answer as a stream would have given it: its text as one piece, then the end."""
    text = [ChatChunk(text=response.content)] if response.content else []
    end = ChatChunk(
        text="",
        finish_reason=response.finish_reason,
        usage=response.usage,
        tool_calls=response.tool_calls,
        cached=response.cached,
        fell_back_from=response.fell_back_from,
        response_id=response.response_id,
        attempts=response.attempts,
    )
    return [*text, end]


def joined(chunks: Sequence[ChatChunk]) -> ChatResponse | None:
    """The answer that `chunks` are the pieces of; `None` when they have no end, so that it may be cut.

    Raises:
        ValueError: the pieces say that the answer ended normally, and there is nothing in them.
    """
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
    finish_reason = next((chunk.finish_reason for chunk in reversed(chunks) if chunk.finish_reason), None)
    if usage is None or finish_reason is None:
        return None
    return ChatResponse(
        content="".join(chunk.text for chunk in chunks),
        model=usage.model,
        usage=usage,
        finish_reason=finish_reason,
        tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
        response_id=next((chunk.response_id for chunk in reversed(chunks) if chunk.response_id), None),
        cached=any(chunk.cached for chunk in chunks),
        fell_back_from=next((chunk.fell_back_from for chunk in reversed(chunks) if chunk.fell_back_from), ()),
        attempts=max(chunk.attempts for chunk in chunks),
    )
