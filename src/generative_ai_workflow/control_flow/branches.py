"""What steps that hold steps have in common: what they hold, and how several of these run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from generative_ai_workflow.ended import answer_of
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.workflow_step import WorkflowStep, check_step

Steps = tuple[WorkflowStep, ...]


def as_branch(name: str, steps: Any) -> Steps:
    """`steps`, one or several, of the step that is called `name`.

    Raises:
        DefinitionError: something among them is no step.
    """
    found = (steps,) if isinstance(steps, WorkflowStep) or not isinstance(steps, Iterable) else tuple(steps)
    for step in found:
        check_step(step, f"step {name!r}: ")
    return found


def at_least_one(name: str, steps: Steps) -> Steps:
    """`steps`, when there is one.

    Raises:
        DefinitionError: there is none.
    """
    if not steps:
        raise DefinitionError(f"step {name!r} needs at least one step inside", op="step.define")
    return steps


def positive(name: str, setting: str, value: Any) -> int:
    """`value`, when it is a whole number from 1 up.

    Raises:
        DefinitionError: it is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise DefinitionError(f"step {name!r}: {setting} must be a whole number from 1 up, got {value!r}", op="step.define")


def value_of(step: WorkflowStep, outputs: Mapping[str, dict[str, Any]]) -> Any:
    """What `${steps.NAME}` stands for, of one of the steps that left `outputs`; `None` where it left nothing."""
    output = outputs.get(step.name)
    return None if output is None else answer_of(output, step.output_key)


async def side_by_side(work: Callable[[int], Awaitable[None]], count: int, concurrency: int | None) -> None:
    """Call `work` with each number below `count`, at most `concurrency` at a time; the first failure ends the others.

    Args:
        work: the work for one number.
        count: how many there are.
        concurrency: `None` is all at once.

    Raises:
        Exception: what the first one that failed raised, once the others have ended.
        asyncio.CancelledError: one of them was cancelled.
    """
    width = min(count, concurrency or count)
    numbers = iter(range(count))
    done = 0

    async def worker() -> None:
        nonlocal done
        for number in numbers:
            await work(number)
            done += 1

    if width <= 1:
        await worker()
        return
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
    if first is not None:
        raise first
    if done < count:
        # A task group takes a member that was cancelled for one that is done.
        raise asyncio.CancelledError
