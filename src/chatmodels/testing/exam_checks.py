"""What the exam asks with, and how it judges the answers."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.providers.foreign_errors import reading_of
from chatmodels.types import ChatChunk, ChatResponse, Message, Tool, ToolCall
from fmf_core.errors import Code, FrameworkError

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)
"""A red square of 8 x 8 pixels, as PNG."""
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}
TOOL = Tool(
    name="clock",
    description="Tells the time in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CONVERSATION = (
    Message(role="system", content="You answer in one short sentence."),
    Message(role="user", content="Hello."),
    Message(role="assistant", content="Hello, how can I help?"),
    Message(role="user", content="What time is it?"),
    Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="clock", arguments={"city": "Ulm"}),)),
    Message(role="tool", content="12:00", tool_call_id="call_1"),
    Message(role="user", content="Thank you. And is that before or after lunch?"),
)
"""A turn of every role."""


def check_response(response: object) -> None:
    """Whether it is a whole answer."""
    if not isinstance(response, ChatResponse):
        raise AssertionError(f"expected a ChatResponse, got {response!r}") from (  # noqa: TRY004 - an exam's verdict
            response if isinstance(response, BaseException) else None
        )
    expect(bool(response.content or response.tool_calls), f"the answer is empty: {response!r}")
    expect(bool(response.model and response.finish_reason), f"model or finish reason is missing: {response!r}")
    expect(response.message.role == "assistant", f"the answer is no turn of the assistant: {response!r}")


def check_chunks(chunks: Sequence[ChatChunk]) -> None:
    """Whether they are the pieces of a whole answer."""
    expect(bool(chunks), "the stream is empty")
    expect(all(isinstance(chunk, ChatChunk) for chunk in chunks), f"not all pieces are ChatChunks: {chunks!r}")
    expect(bool("".join(chunk.text for chunk in chunks)), "the pieces join to an empty text")
    last = chunks[-1]
    expect(last.finish_reason is not None, f"the last piece has no finish reason: {last!r}")
    expect(last.usage is not None, f"the last piece has no usage: {last!r}")
    early = [chunk for chunk in chunks[:-1] if chunk.finish_reason is not None or chunk.usage is not None]
    expect(not early, f"pieces before the last one carry finish reason or usage: {early!r}")


def failure_of(call: Callable[[], Any]) -> ChatModelError:
    """The error that `call` fails with: a `ChatModelError`, or what `create_chat_model` makes of a known exception."""
    try:
        answer = call()
    except ChatModelError as error:
        return error
    except Exception as error:
        reading = reading_of(error)
        if isinstance(error, FrameworkError) or reading.code is Code.INTERNAL:
            raise AssertionError(
                f"expected a ChatModelError, got {type(error).__name__}: raise ProviderError with a code"
            ) from error
        text = f"{type(error).__name__}: {error}"
        return chat_model_error(text, op="exam.complete", code=reading.code, retry_after=reading.retry_after)
    raise AssertionError(f"the failing model answered: {answer!r}")


def check_error(error: ChatModelError) -> None:
    """Whether the error says where, what and why."""
    expect(bool(error.op), f"the error does not say where it happened: {error!r}")
    expect(isinstance(error.code, Code), f"the error has no code: {error!r}")
    expect(bool(error.message), "the error has no message")
    expect(error.retry_after is None or error.retry_after >= 0, f"retry_after is no time: {error.retry_after!r}")


def check_pickling(error: ChatModelError) -> None:
    """Whether the error arrives whole in another process."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was pickled right here
    except Exception as failure:
        raise AssertionError(f"the error cannot be pickled: {error!r}") from failure
    facts = [(each.code, each.op, each.message, each.hint, each.retry_after) for each in (copy, error)]
    expect(facts[0] == facts[1], f"the error changes when it is pickled: {error!r} became {copy!r}")


def expect(condition: bool, complaint: str) -> None:
    """Fail with `complaint` unless `condition`."""
    if not condition:
        raise AssertionError(complaint)
