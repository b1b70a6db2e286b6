"""The interface of a step: write `execute_async` or `execute`; everything else has a default."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from fmf_core.faults import faults_text
from fmf_core.portal import in_thread, run_sync
from fmf_core.retry import RetryPolicy
from generative_ai_workflow.charges import Charges
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.reference import Path
from generative_ai_workflow.state import StepResult, StepStatus, new_id

Retry = RetryPolicy | Mapping[str, Any] | int
"""A policy, its keys, or the most attempts."""
Decision = Callable[[Mapping[str, Any]], Any]
"""Decides from all names (see `StepContext.roots`); what it returns counts as true or false."""


class WorkflowStep(ABC):  # noqa: B024 - one of two methods has to be written, not a certain one
    """One named operation of a workflow.

    A custom step writes `execute_async`, or a blocking `execute`, which runs in a thread; a class with neither is
    refused when it is defined. It returns a `StepResult`, or a dict, which stands for a completed step with that
    output; anything it raises fails the step and nothing else. `name` and `is_critical` may be class attributes.

        class Count(WorkflowStep):
            name = "count"

            def execute(self, context):
                return {"words": len(context.names["text"].split())}

    Args:
        name: how the step is called in its workflow; default is the class's `name`, or the class's own name.
        is_critical: whether its failure ends the run.
        retry: how often and how patiently the step is tried again when it fails: the most attempts, or the keys of a
            `RetryPolicy`. Default is once only. Model calls have retries of their own (see `FrameworkConfig`).
        timeout: the longest that one attempt may take, in seconds; default is no limit.

    Raises:
        DefinitionError: `retry` or `timeout` is out of its range.
    """

    name: str = ""
    is_critical: bool = True
    retry: Retry | None = None
    timeout: float | None = None
    when: Decision | None = None
    """Decides whether the step runs; where it says no, the step is SKIPPED."""
    output_key: str | None = None
    """The key of its output that `${steps.NAME}` stands for; `None` is the whole output."""

    def __init__(
        self,
        name: str | None = None,
        is_critical: bool | None = None,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        if name is not None:
            self.name = name
        if is_critical is not None:
            self.is_critical = is_critical
        if retry is not None:
            self.retry = as_retry(self.name, retry)
        if timeout is not None:
            self.timeout = as_timeout(self.name, timeout)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        written = cls.execute is not WorkflowStep.execute or cls.execute_async is not WorkflowStep.execute_async
        if not written and ABC not in cls.__bases__:
            raise TypeError(f"{cls.__name__} must define execute_async or execute")

    @property
    def step_id(self) -> str:
        """The step's id: a UUID."""
        found: str = self.__dict__.get("_step_id") or self.__dict__.setdefault("_step_id", new_id())
        return found

    @step_id.setter
    def step_id(self, value: str) -> None:
        self.__dict__["_step_id"] = value

    @property
    def references(self) -> tuple[Path, ...]:
        """The `${...}` paths that the step mentions."""
        return ()

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        """The steps inside this one."""
        return ()

    async def execute_async(self, context: StepContext) -> StepResult | dict[str, Any]:
        """Do the work."""
        return await in_thread(self.execute, context)

    def execute(self, context: StepContext) -> StepResult | dict[str, Any]:
        """Do the work, blocking."""
        return run_sync(self.execute_async(context))

    def initialize(self) -> Any:  # noqa: B027 - nothing to do unless it is written
        """Get ready: called before the step's work; may be a coroutine function.

        One step serves all runs of its workflow. Of those that are under way at the same time, only the first calls it.
        """

    def cleanup(self) -> Any:  # noqa: B027 - nothing to do unless it is written
        """Put away what `initialize` got ready, at the end of the last run that used it; may be a coroutine function.

        Called also where `initialize` failed, and where the run was cancelled or ran out of time; a blocking `execute`
        may then still be at work in its thread.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class BuiltInStep(WorkflowStep, ABC):
    """A step that only says which outputs it makes; the record around them is made here or by the engine."""

    @abstractmethod
    def perform(self, context: StepContext) -> Any:
        """Do the work: what `outputs` is given, or an awaitable of it."""

    def outputs(self, value: Any) -> dict[str, Any]:
        """The outputs of the step, from what `perform` came to."""
        made: dict[str, Any] = value
        return made

    async def execute_async(self, context: StepContext) -> StepResult:
        """Do the work; raises what fails."""
        value = self.perform(context)
        if inspect.isawaitable(value):
            value = await value
        return StepResult(
            step_id=context.step_id,
            status=StepStatus.COMPLETED,
            output=self.outputs(value),
            name=self.name,
            response=context.calls[-1] if context.calls else None,
            **Charges.of(context.calls, context.failed_calls)._asdict(),
        )


def check_step(step: Any, where: str = "") -> None:
    """Refuse what is no step.

    Args:
        step: anything.
        where: what the message begins with.

    Raises:
        DefinitionError: it is no step.
    """
    if isinstance(step, WorkflowStep):
        return
    hint = f"make one: {step.__name__}(...)" if isinstance(step, type) else "use one of the house, or your own subclass"
    raise DefinitionError(f"{where}{step!r} is no step", op="step.define", hint=hint)


def check_name(name: str) -> str:
    """`name`, when it can be the name of a step.

    Raises:
        DefinitionError: it is empty or no text.
    """
    if not name or not str(name).strip():
        raise DefinitionError(f"a step needs a non-empty name, got {name!r}", op="step.define")
    return name


def as_retry(name: str, retry: Retry) -> RetryPolicy:
    """`retry` as a policy.

    Raises:
        DefinitionError: it is none.
    """
    if isinstance(retry, RetryPolicy):
        return retry
    given: Any = {"max_attempts": retry} if type(retry) is int else retry
    try:
        return RetryPolicy.model_validate(given)
    except ValidationError as error:
        told = faults_text(error, RetryPolicy, given)
        raise DefinitionError(f"step {name!r}: retry: {told}", op="step.define") from None


def as_timeout(name: str, timeout: float) -> float:
    """`timeout` in seconds.

    Raises:
        DefinitionError: it is no positive number.
    """
    if type(timeout) in {int, float} and 0 < timeout < float("inf"):
        return float(timeout)
    raise DefinitionError(
        f"step {name!r}: timeout must be a positive number of seconds, got {timeout!r}", op="step.define"
    )
