"""Many requests at once: a few at a time, in their order, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from chatmodels.errors import ChatModelError
from chatmodels.types import ChatRequest
from fmf_core.errors import Code, FrameworkError

Ask = Callable[[ChatRequest], Awaitable[Any]]
"""Answers one request."""


async def answers_of(
    asked: Sequence[ChatRequest | Exception], ask: Ask, max_concurrency: int, *, return_exceptions: bool
) -> list[Any]:
    """What `ask` says to each request of `asked`, in their order; an exception among them stands for itself.

    Args:
        asked: the requests.
        ask: answers one of them.
        max_concurrency: how many are under way at once, at most.
        return_exceptions: whether what failed stands as its exception in the place of its answer.

    Raises:
        Exception: the first failure, with a note that says which request it was; `fields["answers"]` of a
            `FrameworkError` holds the answers so far, by number.
    """
    answers: dict[int, Any] = {}
    todo = iter(enumerate(asked))
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max_concurrency, len(asked))):
                group.create_task(_work(todo, ask, answers, return_exceptions))
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        _tell_answers(failure, answers, len(asked))
        try:
            raise failure  # out here, so that it keeps its own cause
        finally:
            del failure
    return [answers[number] for number in range(len(asked))]


async def _work(
    todo: Iterator[tuple[int, ChatRequest | Exception]], ask: Ask, answers: dict[int, Any], return_exceptions: bool
) -> None:
    for number, request in todo:
        if isinstance(request, Exception):
            answers[number] = request
            continue
        outcome = answers[number] = await _outcome(request, ask)
        if isinstance(outcome, Exception) and not return_exceptions:
            del answers[number]
            _note(outcome, f"it was requests[{number}] of the batch")
            try:
                raise outcome
            finally:
                del outcome


async def _outcome(request: ChatRequest, ask: Ask) -> Any:
    """The answer to `request`, or what it failed with."""
    try:
        return await ask(request)
    except Exception as error:  # noqa: BLE001 - the caller says what becomes of it
        return error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The model itself gave up, and nobody who asked.
        cancelled = ChatModelError("the call was cancelled", op="chatmodels.batch", code=Code.CANCELLED)
        cancelled.__cause__ = error
        return cancelled


def _tell_answers(failure: BaseException, answers: dict[int, Any], count: int) -> None:
    told = f"{len(answers)} of {count} requests were answered before"
    if isinstance(failure, FrameworkError):
        failure.fields["answers"] = answers
        told += ": fields['answers'] of this error holds them by number"
    _note(failure, f"{told}; return_exceptions=True leaves what fails in its place, and goes on")


def _note(error: BaseException, text: str) -> None:
    # Models for tests raise one error again and again.
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)
