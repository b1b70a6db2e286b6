"""A blocking run with a time limit, which is kept even while a step keeps the event loop itself busy."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from fmf_core.background import LOOP_FILES
from fmf_core.logs import correlation
from fmf_core.open_files import can_open
from generative_ai_workflow.handle import WorkflowHandle
from generative_ai_workflow.run import Run
from generative_ai_workflow.state import WorkflowResult, WorkflowStatus
from generative_ai_workflow.supervision import slack_of

LATENESS = 0.12
"""How long after the limit, as a share of it, the event loop is taken to be stuck."""
LEAST_LATENESS_S = 0.01
INTERRUPT_GRACE_S = 5.0
"""How long a run may clean up after Ctrl-C, in seconds."""


def run_timed(run: Run, limit: float) -> WorkflowResult:
    """Let `run` go in the background and wait for it, `limit` seconds and a little more at most.

    Args:
        run: what to wait for.
        limit: seconds.
    """
    handle = WorkflowHandle(run).launch_in_background(limit)
    try:
        return handle.result(limit + max(LEAST_LATENESS_S, LATENESS * limit))
    except TimeoutError:
        return _give_up(run, handle, limit)
    except BaseException:
        handle.cancel(at_once=True)
        with contextlib.suppress(TimeoutError):
            handle.result(INTERRUPT_GRACE_S)
        raise


def _give_up(run: Run, handle: WorkflowHandle, limit: float) -> WorkflowResult:
    """Make the result here and now: the loop that should make it does not turn."""
    run.supervised().expire()

    def conclude() -> None:
        correlation.set(run.correlation_id)
        if not can_open(LOOP_FILES):
            return
        with asyncio.Runner() as runner:
            runner.run(run.conclude(WorkflowStatus.TIMEOUT, run.lateness(limit), slack_of(limit)))

    # In a thread of its own, for this one may have a running loop (a notebook).
    thread = threading.Thread(target=conclude, name="workflow-timeout", daemon=True)
    thread.start()
    thread.join(slack_of(limit))
    while run.result is None and thread.is_alive():
        thread.join(0.01)
    # Where no event loop can be had, such as with too many open files, nobody else is told.
    result = run.result or run.close(WorkflowStatus.TIMEOUT, run.lateness(limit))
    handle.settle(result)
    return result
