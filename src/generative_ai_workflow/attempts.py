"""The attempts of one step: how long each may take, and when the next one begins."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from fmf_core.errors import Code, ConfigurationError, FrameworkError
from fmf_core.retry import RetryPolicy
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.exceptions import AbortError, StepError
from generative_ai_workflow.state import StepResult, StepStatus

Work = Callable[[StepContext], Any]

# What another attempt cannot mend.
_FINAL = frozenset({Code.AUTH, Code.BUDGET, Code.CANCELLED})


def with_attempts(work: Work, retry: RetryPolicy | None, timeout: float | None) -> Work:
    """`work` with a time limit for each attempt, made again when it fails.

    Args:
        work: of a step.
        retry: `None` is one attempt.
        timeout: seconds; `None` is no limit.
    """
    if retry is None and timeout is None:
        return work
    policy = retry if retry is not None else RetryPolicy(max_attempts=1)

    async def attempts(context: StepContext) -> Any:
        attempt = 1
        while True:
            try:
                return await _once(work, context, timeout)
            except Exception as error:
                if attempt >= policy.max_attempts or _is_final(error):
                    raise
                await asyncio.sleep(policy.wait(attempt))
                await context.begin_again()
            attempt += 1

    return attempts


async def _once(work: Work, context: StepContext, timeout: float | None) -> Any:  # noqa: ASYNC109 - it makes an error of its own
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            value = work(context)
            if inspect.isawaitable(value):
                value = await value
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise StepError(f"it timed out after {timeout:g} s", op="step.attempt", code=Code.TIMEOUT) from error
    if isinstance(value, StepResult) and value.status is StepStatus.FAILED:
        raise StepError(value.error or "it reported failed", op="step.attempt")
    return value


def _is_final(error: Exception) -> bool:
    if isinstance(error, AbortError | ConfigurationError):
        return True
    return isinstance(error, FrameworkError) and error.code in _FINAL
