"""What a model handed back, and whether it is an answer at all."""

from __future__ import annotations

import inspect
from typing import Any

from chatmodels.errors import ChatModelError
from chatmodels.types import ChatResponse
from fmf_core.errors import Code

_ANSWER = 'return ChatResponse(content="...", model="...", usage=TokenUsage(...))'


def checked_answer(answer: Any, kind: type, op: str = "chatmodels.invoke") -> ChatResponse:
    """`answer` of a model of class `kind`.

    Raises:
        ChatModelError: it is no `ChatResponse`.
    """
    if isinstance(answer, ChatResponse):
        return answer
    hint = _ANSWER
    if inspect.iscoroutine(answer):
        answer.close()  # nobody will await it
        hint = f"await it, and {_ANSWER}"
    raise ChatModelError(
        f"{kind.__name__} answered with {type(answer).__name__} instead of ChatResponse",
        op=op, code=Code.BAD_REPLY, hint=hint,
    )  # fmt: skip


def check_methods(kind: type) -> None:
    """Raise `TypeError` where a method of a chat model is async and must not be, or the other way round."""
    if inspect.iscoroutinefunction(getattr(kind, "complete", None)):
        raise TypeError(f"{kind.__name__}.complete is async: call it complete_async, or write it with `def`")
    if inspect.iscoroutinefunction(getattr(kind, "stream_async", None)):
        raise TypeError(f"{kind.__name__}.stream_async gives no pieces: write `yield ChatChunk(...)` in it")
