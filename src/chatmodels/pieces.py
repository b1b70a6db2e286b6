"""A whole answer and its pieces: either made from the other, and copies of both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from chatmodels.types import ChatChunk, ChatResponse, TokenUsage

Said = TypeVar("Said", ChatChunk, ChatResponse)


def text_piece(text: str) -> ChatChunk:
    """A piece that is a text and nothing else."""
    return _empty().model_copy(update={"text": text})  # half as dear as a new one, and streams have thousands


@cache
def _empty() -> ChatChunk:
    return ChatChunk(text="")


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
        rate_limit=response.rate_limit,
        failed_usage=response.failed_usage,
        response_id=response.response_id,
        attempts=response.attempts,
    )
    return [*text, end]


def joined(chunks: Sequence[ChatChunk]) -> ChatResponse | None:
    """The answer that `chunks` are the pieces of; `None` when they have no end, so that it may be cut.

    Raises:
        ValueError: the pieces say that the answer ended normally, and there is nothing in them.
    """
    usage, finish_reason = _last("usage", chunks), _last("finish_reason", chunks)
    return _joined(chunks, usage, finish_reason) if usage and finish_reason else None


def joined_anyway(chunks: Sequence[ChatChunk], uncounted: TokenUsage) -> ChatResponse:
    """The answer that `chunks` are the pieces of, also when they have no end.

    An answer whose end is not told counts as finished, and one with nothing in it as cut.

    Args:
        chunks: all pieces, in order.
        uncounted: the usage where no piece tells it.
    """
    said = any(chunk.text or chunk.tool_calls for chunk in chunks)
    finish_reason = _last("finish_reason", chunks) or "stop"
    return _joined(
        chunks, _last("usage", chunks) or uncounted, finish_reason if said or finish_reason != "stop" else "length"
    )


def _joined(chunks: Sequence[ChatChunk], usage: TokenUsage, finish_reason: str) -> ChatResponse:
    return ChatResponse(
        content="".join(chunk.text for chunk in chunks),
        model=usage.model,
        usage=usage,
        finish_reason=finish_reason,
        tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
        response_id=_last("response_id", chunks),
        cached=any(chunk.cached for chunk in chunks),
        fell_back_from=_last("fell_back_from", chunks) or (),
        rate_limit=_last("rate_limit", chunks),
        failed_usage=_last("failed_usage", chunks) or (),
        attempts=max((chunk.attempts for chunk in chunks), default=1),
    )


def _last(fact: str, chunks: Sequence[ChatChunk]) -> Any:
    return next((value for chunk in reversed(chunks) if (value := getattr(chunk, fact))), None)


def unshared(said: Said) -> Said:
    """`said` with tool calls of its own: whoever changes their arguments changes nobody else's."""
    if not said.tool_calls:
        return said
    return said.model_copy(update={"tool_calls": tuple(call.model_copy(deep=True) for call in said.tool_calls)})
