"""Hooks around runs, steps and model calls, and the one place that calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chatmodels.types import ChatRequest, ChatResponse
from fmf_core.errors import FrameworkError
from fmf_core.logs import get_logger
from fmf_core.portal import in_thread
from generative_ai_workflow.exceptions import AbortError
from generative_ai_workflow.state import WorkflowResult, reason_of

T = TypeVar("T")
Hook = Callable[..., Any]

_log = get_logger("generative_ai_workflow.middleware")


class Middleware:
    """Override the hooks you need, as plain functions or coroutine functions; `engine.use(...)` puts them to work.

    Hooks run in the order of `use`, after a call in the reverse order. A plain function runs in a thread. The `context`
    that every hook gets is a dict: `workflow_id`, `workflow`, `correlation_id`, and where a step is concerned `step`,
    `step_id` and `metadata`.

    `AbortError` ends the run as FAILED with that reason. Any other exception in a hook is logged and changes nothing.

        class Shout(Middleware):
            async def after_llm_call(self, response, context):
                return response.model_copy(update={"content": response.content.upper()})
    """

    async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest | None:
        """Return a request to ask that instead."""

    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse | None:
        """Return a response to go on with that instead; the tokens of the real one are counted all the same."""

    async def on_llm_error(self, error: FrameworkError, context: dict[str, Any]) -> None:
        """A call failed, its retries included; `error.fields` tells `usage` and `cost_usd` of what was charged."""

    async def on_workflow_start(self, workflow_id: str, context: dict[str, Any]) -> None:
        """A run begins; the context also holds `input_data`."""

    async def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        """A run has ended, however it ended."""

    async def on_step_error(self, error: Exception, step_name: str, context: dict[str, Any]) -> None:
        """A step failed."""


class Hooks:
    """The hooks of some middleware, each kind in the order in which it is called.

    Args:
        middleware: `Middleware` objects, or any others that have some of its methods.
    """

    __slots__ = ("after", "before", "call_error", "end", "start", "step_error")

    def __init__(self, middleware: Sequence[Any] = ()) -> None:
        self.before = _hooks(middleware, "before_llm_call")
        self.after = _hooks(reversed(middleware), "after_llm_call")
        self.call_error = _hooks(reversed(middleware), "on_llm_error")
        self.start = _hooks(middleware, "on_workflow_start")
        self.end = _hooks(reversed(middleware), "on_workflow_end")
        self.step_error = _hooks(middleware, "on_step_error")

    async def before_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest:
        """What is to be asked once every hook has seen `request`."""
        for hook in self.before:
            request = _replaced(request, await _call(hook, request, context), hook)
        return request

    async def after_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse:
        """What is to be gone on with once every hook has seen `response`."""
        for hook in self.after:
            response = _replaced(response, await _call(hook, response, context), hook)
        return response

    async def call_failed(self, error: FrameworkError, context: dict[str, Any]) -> None:
        """Tell that a call failed."""
        for hook in self.call_error:
            await _call(hook, error, context)

    async def started(self, workflow_id: str, context: dict[str, Any]) -> None:
        """Tell that a run begins."""
        for hook in self.start:
            await _call(hook, workflow_id, context)

    async def ended(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        """Tell that a run has ended; nothing can stop it any more."""
        for hook in self.end:
            try:
                await _call(hook, result, context)
            except AbortError as error:
                _complain(hook, error)

    async def step_failed(self, error: BaseException, step_name: str, context: dict[str, Any]) -> None:
        """Tell that a step failed."""
        for hook in self.step_error:
            await _call(hook, error, step_name, context)


def _hooks(middleware: Any, name: str) -> tuple[Hook, ...]:
    found = []
    for one in middleware:
        hook = getattr(one, name, None)
        # A hook that was not overridden would only cost time.
        if hook is not None and getattr(type(one), name, None) is not getattr(Middleware, name):
            found.append(hook)
    return tuple(found)


async def _call(hook: Hook, *arguments: Any) -> Any:
    try:
        if inspect.iscoroutinefunction(hook):
            return await hook(*arguments)
        answer = await in_thread(hook, *arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except AbortError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook must never cost a result
        _complain(hook, error)
        return None


def _replaced(current: T, answer: Any, hook: Hook) -> T:
    if answer is None:
        return current
    if isinstance(answer, type(current)):
        return answer
    _complain(hook, TypeError(f"it returned {type(answer).__name__} instead of {type(current).__name__} or None"))
    return current


def _complain(hook: Hook, error: BaseException) -> None:
    owner = getattr(hook, "__self__", None)
    name = getattr(hook, "__name__", "hook")
    _log.error(
        "middleware.failed", middleware=type(owner).__name__ if owner else name, hook=name, error=reason_of(error)
    )
