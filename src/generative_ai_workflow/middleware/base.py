"""Hooks around runs, steps and model calls, and the one place that calls them."""
# ruff: noqa: ARG002 - a hook that is not overridden does nothing with what it is told

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeVar

from chatmodels.types import ChatRequest, ChatResponse
from fmf_core.errors import ConfigurationError, FrameworkError
from fmf_core.logs import get_logger
from fmf_core.portal import in_thread
from generative_ai_workflow.exceptions import AbortError
from generative_ai_workflow.state import StepResult, StepStatus, WorkflowResult, WorkflowStatus, reason_of

T = TypeVar("T")
_log = get_logger("generative_ai_workflow.middleware")


class _Given:
    """What the hooks return that are not overridden: awaited or not, things stay as they are."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self._value


_NOTHING: Awaitable[None] = _Given(None)


class Middleware:
    """Override the hooks you need, as plain functions or coroutine functions; `engine.use(...)` puts them to work.

    Hooks run in the order of `use`, after a call, a step or a run in the reverse order. A plain function runs in a
    thread. The `context` that every hook gets is a dict: `workflow_id`, `workflow`, `correlation_id`, and where a step
    is concerned `step`, `step_id` and `metadata`.

    `AbortError` ends the run as FAILED with that reason. Any other exception in a hook is logged and changes nothing.

        class Shout(Middleware):
            async def after_llm_call(self, response, context):
                return response.model_copy(update={"content": response.content.upper()})
    """

    inline: bool = False
    """Whether plain functions run on the event loop instead of in a thread, which saves some 50 microseconds; only for
    hooks that return at once."""
    is_critical: bool = False
    """Whether a failure of one of its hooks ends the run as `AbortError` does, for one that must never be passed by."""
    accounting: bool = False
    """Whether it only counts: it hears of each answer before all others, as the model gave it."""
    failures_only: bool = False
    """Whether `on_step_end` is told only of steps that failed, and `on_workflow_end` of runs that did not complete."""

    def before_llm_call(
        self, request: ChatRequest, context: dict[str, Any]
    ) -> Awaitable[ChatRequest | None] | ChatRequest | None:
        """Return a request to ask that instead."""
        return _Given(request)

    def after_llm_call(
        self, response: ChatResponse, context: dict[str, Any]
    ) -> Awaitable[ChatResponse | None] | ChatResponse | None:
        """Return a response to go on with that instead; the tokens of the real one are counted all the same."""
        return _Given(response)

    def on_llm_error(self, error: FrameworkError, context: dict[str, Any]) -> Awaitable[None] | None:
        """A call failed, its retries included; `error.fields` tells `usage` and `cost_usd` of what was charged."""
        return _NOTHING

    def on_workflow_start(self, workflow_id: str, context: dict[str, Any]) -> Awaitable[None] | None:
        """A run begins; the context also holds `input_data`."""
        return _NOTHING

    def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> Awaitable[None] | None:
        """A run has ended, however it ended."""
        return _NOTHING

    def on_step_start(self, step_name: str, context: dict[str, Any]) -> Awaitable[None] | None:
        """A step begins."""
        return _NOTHING

    def on_step_end(self, result: StepResult, context: dict[str, Any]) -> Awaitable[None] | None:
        """A step has ended: it completed, was skipped, or failed."""
        return _NOTHING

    def on_step_error(self, error: Exception, step_name: str, context: dict[str, Any]) -> Awaitable[None] | None:
        """A step failed."""
        return _NOTHING


HOOKS = (
    "before_llm_call",
    "after_llm_call",
    "on_llm_error",
    "on_workflow_start",
    "on_workflow_end",
    "on_step_start",
    "on_step_end",
    "on_step_error",
)


def check_middleware(middleware: Any) -> None:
    """Refuse what is no middleware.

    Raises:
        ConfigurationError: it is a class, has no hook at all, or has a hook that is misspelt or takes something else.
    """
    kind = type(middleware).__name__
    if isinstance(middleware, type):
        raise ConfigurationError(
            f"middleware {middleware.__name__} is a class", op="engine.use", hint=f"use {middleware.__name__}()"
        )
    for name in dir(type(middleware)) if isinstance(middleware, Middleware) else ():
        meant = get_close_matches(name, HOOKS, n=1, cutoff=0.9)
        if meant and name not in HOOKS and not name.startswith("_"):
            raise ConfigurationError(f"{kind} has no hook {name!r}", op="engine.use", hint=f"did you mean {meant[0]}?")
    given = [name for name in HOOKS if callable(getattr(middleware, name, None))]
    if not given:
        raise ConfigurationError(
            f"{middleware!r} is no middleware", op="engine.use", hint=f"it needs one of {', '.join(HOOKS)}"
        )
    for name in given:
        _check_arguments(kind, name, getattr(middleware, name))


def _check_arguments(kind: str, name: str, hook: Any) -> None:
    takes = [parameter for parameter in inspect.signature(getattr(Middleware, name)).parameters if parameter != "self"]
    try:
        inspect.signature(hook).bind(*takes)
    except ValueError:  # written in C
        return
    except TypeError as error:
        raise ConfigurationError(
            f"{kind}.{name} cannot be called with ({', '.join(takes)}): {error}",
            op="engine.use",
            hint=f"write def {name}(self, {', '.join(takes)})",
        ) from None


class Hook(NamedTuple):
    """One hook of one middleware."""

    function: Callable[..., Any]
    way: Literal["await", "call", "thread"]
    """How it is called."""
    is_critical: bool
    """Whether its failure ends the run."""
    accounting: bool
    """Whether it only counts."""


class Hooks:
    """The hooks of some middleware, each kind in the order in which it is called.

    Args:
        middleware: `Middleware` objects, or any others that have some of its methods.
    """

    __slots__ = (
        "after",
        "before",
        "call_error",
        "end",
        "failed_end",
        "failed_step_end",
        "start",
        "step_end",
        "step_error",
        "step_start",
    )

    def __init__(self, middleware: Sequence[Any] = ()) -> None:
        backwards = tuple(reversed(middleware))
        self.before = _hooks(middleware, "before_llm_call")
        # Those that count come first: another one may replace the answer, or end the run because of it.
        counting_first = sorted(backwards, key=lambda one: not getattr(one, "accounting", False))
        self.after = _hooks(counting_first, "after_llm_call")
        self.call_error = _hooks(counting_first, "on_llm_error")
        self.start = _hooks(middleware, "on_workflow_start")
        told_of_all = tuple(one for one in backwards if not getattr(one, "failures_only", False))
        self.end = _hooks(told_of_all, "on_workflow_end")
        self.failed_end = _hooks(backwards, "on_workflow_end")
        self.step_start = _hooks(middleware, "on_step_start")
        self.step_end = _hooks(told_of_all, "on_step_end")
        self.failed_step_end = _hooks(backwards, "on_step_end")
        self.step_error = _hooks(middleware, "on_step_error")

    async def before_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest:
        """What is to be asked once every hook has seen `request`."""
        for hook in self.before:
            request = _replaced(request, await _call(hook, request, context), hook)
        return request

    async def after_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse:
        """What is to be gone on with once every hook has seen `response`; all that count see it in any case."""
        abort: AbortError | None = None
        for hook in self.after:
            if abort is not None and not hook.accounting:
                break
            try:
                response = _replaced(response, await _call(hook, response, context), hook)
            except AbortError as raised:
                abort = abort or raised
        if abort is not None:
            raise abort
        return response

    async def call_failed(self, error: FrameworkError, context: dict[str, Any]) -> None:
        """Tell that a call failed; all hear of it, also where the first of them ends the run."""
        abort: AbortError | None = None
        for hook in self.call_error:
            try:
                await _call(hook, error, context)
            except AbortError as raised:
                abort = abort or raised
        if abort is not None:
            raise abort

    async def started(self, workflow_id: str, context: dict[str, Any]) -> None:
        """Tell that a run begins."""
        for hook in self.start:
            await _call(hook, workflow_id, context)

    def ends(self, status: WorkflowStatus) -> tuple[Hook, ...]:
        """The hooks that are to be told of a run that ended with `status`."""
        return self.end if status is WorkflowStatus.COMPLETED else self.failed_end

    async def ended(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        """Tell that a run has ended; nothing can stop it any more."""
        for hook in self.ends(result.status):
            try:
                await _call(hook, result, context)
            except AbortError as error:
                _complain(hook, error)

    async def step_began(self, step_name: str, context: dict[str, Any]) -> None:
        """Tell that a step begins."""
        for hook in self.step_start:
            await _call(hook, step_name, context)

    async def step_ended(self, result: StepResult, context: dict[str, Any], *, over: bool = False) -> None:
        """Tell that a step has ended.

        Args:
            result: what it left.
            context: where it was.
            over: whether the run has ended as well, so that nothing can stop it any more.
        """
        for hook in self.failed_step_end if result.status is StepStatus.FAILED else self.step_end:
            try:
                await _call(hook, result, context)
            except AbortError as error:
                if not over:
                    raise
                _complain(hook, error)

    async def step_failed(self, error: BaseException, step_name: str, context: dict[str, Any]) -> None:
        """Tell that a step failed."""
        for hook in self.step_error:
            await _call(hook, error, step_name, context)


def _hooks(middleware: Sequence[Any], name: str) -> tuple[Hook, ...]:
    found = []
    for one in middleware:
        function = getattr(one, name, None)
        # A hook that was not overridden would only cost time.
        inherited = getattr(type(one), name, None) is getattr(Middleware, name) and name not in getattr(
            one, "__dict__", {}
        )
        if function is not None and not inherited:
            inline = getattr(one, "inline", False)
            awaited = inspect.iscoroutinefunction(function)
            way: Literal["await", "call", "thread"] = "await" if awaited else "call" if inline else "thread"
            flags = (bool(getattr(one, "is_critical", False)), bool(getattr(one, "accounting", False)))
            found.append(Hook(function, way, *flags))
    return tuple(found)


async def _call(hook: Hook, *arguments: Any) -> Any:
    try:
        if hook.way == "await":
            return await hook.function(*arguments)
        if hook.way == "call":
            answer = hook.function(*arguments)
        else:
            answer = await in_thread(hook.function, *arguments)
        return await answer if answer is not None and inspect.isawaitable(answer) else answer
    except AbortError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | GeneratorExit) or _is_being_cancelled():
            raise
        _complain(hook, error)
        if hook.is_critical:
            raise AbortError(f"{_owner(hook)} failed: {reason_of(error)}", op="middleware.call") from error
        return None


def _is_being_cancelled() -> bool:
    """Whether it is this very task that is to end, and not something that a hook waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _replaced(current: T, answer: Any, hook: Hook) -> T:
    if answer is None:
        return current
    if isinstance(answer, type(current)):
        return answer
    _complain(hook, TypeError(f"it returned {type(answer).__name__} instead of {type(current).__name__} or None"))
    return current


def _complain(hook: Hook, error: BaseException) -> None:
    name = getattr(hook.function, "__name__", "hook")
    _log.error("middleware.failed", middleware=_owner(hook), hook=name, error=reason_of(error))


def _owner(hook: Hook) -> str:
    owner = getattr(hook.function, "__self__", None)
    return type(owner).__name__ if owner is not None else getattr(hook.function, "__name__", "hook")
