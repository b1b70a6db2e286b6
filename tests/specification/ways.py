"""The ways to run a workflow, and the states that its log tells."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from generative_ai_workflow import Workflow, WorkflowEngine, WorkflowResult

T = TypeVar("T")
WAYS = ("sync", "async", "handle")


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, on a new event loop of this thread, as in a user's program."""
    with asyncio.Runner() as runner:
        return runner.run(work)


def run(
    way: str,
    workflow: Workflow,
    data: Mapping[str, Any] | None = None,
    engine: WorkflowEngine | None = None,
    **options: Any,
) -> WorkflowResult:
    """The result of `workflow`, run in one of the ways."""
    runner = engine or WorkflowEngine()
    if way == "sync":
        return runner.run(workflow, data, **options)
    if way == "async":
        return run_alone(runner.run_async(workflow, data, **options))

    async def go() -> WorkflowResult:
        return await runner.start(workflow, data, **options)

    return run_alone(go())


def states(lines: Iterable[Mapping[str, Any]], of: str = "workflow") -> list[str]:
    """The states of the run (or of its steps) in the order of the log."""
    return [line["event"].partition(".")[2] for line in lines if line["event"].startswith(f"{of}.")]
