"""What the mock may be told to answer, and how each of these becomes a response or an error."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.types import ChatRequest, ChatResponse, TokenUsage, ToolCall
from fmf_core.errors import Code, ConfigurationError, FrameworkError
from fmf_core.nearest import known_hint

if TYPE_CHECKING:
    from random import Random

Failure = Code | BaseException | type[BaseException]
"""What a call may fail with; a code stands for the chat model error that has it."""


@dataclass(frozen=True, slots=True)
class BrokenAnswer:
    """An answer that breaks off: a stream hands out `text` and then fails, a whole call fails at once."""

    text: str
    failure: Failure = Code.UNAVAILABLE


FixedAnswer = (
    str | ChatResponse | ToolCall | Sequence[ToolCall] | Mapping[str, Any] | BaseModel | BrokenAnswer | Failure
)
ScriptedAnswer = FixedAnswer | Callable[[ChatRequest], FixedAnswer | Awaitable[FixedAnswer]]
"""One scripted answer: a text; a whole response; one tool call or several; a mapping or a pydantic model, answered as
JSON; a code or an exception to fail with; a `BrokenAnswer`; or a function of the request,
blocking or async, that gives one of these."""

Span = float | tuple[float, float] | Callable[["Random"], float]
"""Seconds: a number, the two ends of a range, or a function that draws from a `random.Random`."""


def scripted_error(code: Code, *, retry_after: float | None = None, message: str = "") -> ChatModelError:
    """An error for the script of a mock, as a provider would raise it.

        MockChatModel([scripted_error(ErrorCode.RATE_LIMIT, retry_after=2.0), "the answer"])

    Args:
        code: what kind of failure it is.
        retry_after: the seconds that the provider asks to wait.
        message: what the provider says; a plain sentence by default.
    """
    said = message or f"the mock was told to fail with {code.value}"
    return chat_model_error(said, op="mock.complete", code=code, retry_after=retry_after, fields={"provider": "mock"})


def as_failure(setting: str, given: Failure | str) -> Failure:
    """The failure that `given` names; configuration files can only write a code as a text."""
    if not isinstance(given, str) or isinstance(given, Code):
        return given
    try:
        return Code(given)
    except ValueError:
        raise ConfigurationError(
            f"{setting} of the mock: {given!r} is no code",
            op="mock.create",
            hint=known_hint(given, [code.value for code in Code]),
        ) from None


def exception_of(failure: Failure) -> BaseException:
    """What is raised for `failure`."""
    if isinstance(failure, Code):
        return scripted_error(failure)
    if isinstance(failure, type):
        # The house's own errors have to say something.
        told: Callable[..., BaseException] = failure
        return told("the mock was told to fail") if issubclass(failure, FrameworkError) else failure()
    # One object for all calls would keep the frames of every call that it was raised in.
    failure.__traceback__ = failure.__context__ = None
    return failure


async def resolve(
    answer: ScriptedAnswer, request: ChatRequest
) -> str | ChatResponse | tuple[ToolCall, ...] | BrokenAnswer:
    """What `answer` says to `request`; raises when it is a failure."""
    given: Any = answer
    if callable(answer) and not _fails(answer):
        given = answer(request)
        if inspect.isawaitable(given):
            given = await given
    if _fails(given):
        raise exception_of(given)
    match given:
        case str() | ChatResponse() | BrokenAnswer():
            return given
        case ToolCall():
            return (given,)
        case BaseModel():
            return given.model_dump_json()
        case Mapping():
            return json.dumps(given, ensure_ascii=False)
        case _:
            return _calls(given)


def count_words(text: str) -> int:
    """The mock's token count: how many words, separated by white space, `text` has."""
    return len(text.split())


def respond(
    content: str | tuple[ToolCall, ...], request: ChatRequest, *, model: str, provider: str, count: Callable[[str], int]
) -> ChatResponse:
    """The whole response that says `content`, with its tokens counted by `count`."""
    calls = () if isinstance(content, str) else content
    text = content if isinstance(content, str) else ""
    usage = TokenUsage(
        prompt_tokens=sum(count(message.text) for message in request.messages),
        completion_tokens=count(text) + len(calls),
        model=model,
        provider=provider,
    )
    finish_reason = "tool_calls" if calls else "stop" if text else "length"
    return ChatResponse(content=text, model=model, usage=usage, finish_reason=finish_reason, tool_calls=calls)


def cut_text(text: str, chunk_chars: int | None = None) -> list[str]:
    """Cut `text` behind every run of white space, or every `chunk_chars` characters; the pieces join to the whole."""
    if chunk_chars is not None:
        return [text[start : start + chunk_chars] for start in range(0, len(text), chunk_chars)]
    pieces: list[str] = []
    start = 0
    for index in range(1, len(text)):
        if text[index - 1].isspace() and not text[index].isspace():
            pieces.append(text[start:index])
            start = index
    return [*pieces, text[start:]] if text else []


def draw(span: Span, random: Random) -> float:
    """The seconds that `span` stands for this time, never negative."""
    if callable(span):
        return max(0.0, span(random))
    return random.uniform(*span) if isinstance(span, tuple) else span


def check_span(name: str, span: Span) -> None:
    """Raise `ConfigurationError` when `span` is no time."""
    if callable(span):
        return
    low, high = span if isinstance(span, tuple) else (span, span)
    if not 0 <= low <= high:
        raise ConfigurationError(
            f"{name} of the mock must be 0 or more, or a range such as (0.1, 0.5), got {span!r}", op="mock.create"
        )


def _fails(answer: object) -> bool:
    kind = isinstance(answer, type) and issubclass(answer, BaseException)
    return kind or isinstance(answer, Code | BaseException)


def _calls(given: object) -> tuple[ToolCall, ...]:
    if isinstance(given, list | tuple) and given and all(isinstance(call, ToolCall) for call in given):
        return tuple(given)
    raise ConfigurationError(
        f"the mock cannot answer with {given!r}",
        op="mock.complete",
        hint="script a text, ChatResponse, ToolCall or several, a mapping, a pydantic model, a code or an exception",
    )
