"""A workflow as an engine runs it: everything that does not change from run to run, worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from fmf_core.portal import in_thread
from generative_ai_workflow.attempts import Work, with_attempts
from generative_ai_workflow.config import FrameworkConfig, WorkflowConfig
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.input_rules import DEFAULT, checked_input
from generative_ai_workflow.lifecycles import Lifecycle
from generative_ai_workflow.middleware.base import Hooks
from generative_ai_workflow.model_rack import ModelRack
from generative_ai_workflow.observability.run_log import FailureLog, PromptLog, RunLog
from generative_ai_workflow.shutdown import ShutdownSlot
from generative_ai_workflow.workflow_step import (
    BuiltInStep,
    WorkflowStep,
    as_retry,
    as_timeout,
)

if TYPE_CHECKING:
    from generative_ai_workflow.durable.store import RunStore


class RunnableWorkflow(Protocol):
    """What an engine needs to know of a workflow."""

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        ...

    @property
    def name(self) -> str:
        """The workflow's name, possibly empty."""
        ...

    @property
    def steps(self) -> Sequence[WorkflowStep]:
        """The steps in their order."""
        ...

    @property
    def config(self) -> WorkflowConfig:
        """The workflow's own settings."""
        ...

    @property
    def input_schema(self) -> Mapping[str, Any] | None:
        """What a run must be given, as a JSON Schema; `None` where nothing is declared."""
        ...

    def checked(self, input_data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`input_data` as a run gets it, where something is declared."""
        ...


class PlannedStep:
    """One step, ready to be run."""

    __slots__ = (
        "inside",
        "is_critical",
        "lifecycle",
        "metadata",
        "name",
        "output_key",
        "outputs",
        "plugin",
        "step_id",
        "when",
        "work",
    )

    def __init__(self, step: WorkflowStep) -> None:
        kind = type(step)
        self.name = step.name or kind.__name__
        self.step_id = step.step_id
        self.plugin = f"{kind.__module__}.{kind.__qualname__}"
        self.is_critical = bool(step.is_critical)
        self.work = with_attempts(
            _work_of(step),
            None if step.retry is None else as_retry(self.name, step.retry),
            None if step.timeout is None else as_timeout(self.name, step.timeout),
        )
        self.outputs: Callable[[Any], dict[str, Any]] | None = step.outputs if isinstance(step, BuiltInStep) else None
        """Makes its output of what its work came to, where it is a step of the house."""
        self.when = step.when
        self.output_key = step.output_key
        initialize = step.initialize if kind.initialize is not WorkflowStep.initialize else None
        cleanup = step.cleanup if kind.cleanup is not WorkflowStep.cleanup else None
        self.lifecycle = Lifecycle(initialize, cleanup) if initialize is not None or cleanup is not None else None
        self.metadata = getattr(step, "metadata", None) or {}
        self.inside: tuple[PlannedStep, ...] = ()
        """The steps inside it, in their order."""


def _work_of(step: WorkflowStep) -> Work:
    kind = type(step)
    if kind.execute_async not in (WorkflowStep.execute_async, BuiltInStep.execute_async):
        return step.execute_async
    if kind.execute is not WorkflowStep.execute:
        return step.execute if inspect.iscoroutinefunction(step.execute) else _in_thread(step.execute)
    assert isinstance(step, BuiltInStep)  # noqa: S101 - a step without any of the methods was refused when its class was defined
    return step.perform


def _in_thread(execute: Callable[[StepContext], Any]) -> Callable[[StepContext], Awaitable[Any]]:
    def work(context: StepContext) -> Awaitable[Any]:
        return in_thread(execute, context)

    return work


def _checked_by(workflow: ref[RunnableWorkflow], data: Mapping[str, Any] | None) -> dict[str, Any]:
    known = workflow()
    assert known is not None  # noqa: S101 - whoever begins a run has the workflow in hand
    return known.checked(data)


class WorkflowPlan:
    """What all runs of one workflow on one engine have in common.

    Args:
        workflow: what is run.
        framework: the engine's settings.
        middleware: the engine's middleware.
        models: where the engine keeps its chat models.
        shutdown: what ends its runs when the program is asked to end.
        store: where its runs are kept; `None` keeps none.
    """

    __slots__ = (
        "check",
        "config",
        "fingerprint",
        "hooks",
        "level",
        "log",
        "logged_hooks",
        "models",
        "name",
        "nested",
        "parts",
        "shutdown",
        "store",
        "workflow_id",
    )

    def __init__(
        self,
        workflow: RunnableWorkflow,
        framework: FrameworkConfig,
        middleware: Sequence[Any],
        models: ModelRack,
        *,
        shutdown: ShutdownSlot,
        store: RunStore | None = None,
    ) -> None:
        self.workflow_id = workflow.workflow_id
        self.name = workflow.name
        # The defaults of sampling are meant for the provider of the configuration, not for a model that was handed in.
        self.config = workflow.config.merged(framework, sampling=models.default is None)
        self.models = models
        limits = self.config.input_limits
        self.check: Callable[[Mapping[str, Any] | None], dict[str, Any]] = (
            # Not the method itself: an engine keeps a plan for no longer than its workflow lives.
            partial(_checked_by, ref(workflow))
            if workflow.input_schema is not None
            else partial(checked_input, limits=limits)
            if limits != DEFAULT
            else checked_input
        )
        self.shutdown = shutdown
        self.store = store
        self.fingerprint = ""
        if store is not None:
            from generative_ai_workflow.durable.fingerprint import fingerprint_of

            self.fingerprint = fingerprint_of(workflow.steps)
        self.nested: dict[int, PlannedStep] = {}
        self.parts = tuple(self._planned(step) for step in workflow.steps)
        known = {part.name: (part.plugin, part.is_critical) for part in self.all_parts}
        self.level = framework.log_level
        self.log = RunLog(self.level, known)
        prompts = [PromptLog()] if framework.log_prompts else []
        self.hooks = Hooks([FailureLog(self.level, known), *middleware, *prompts])
        """Where nobody reads what goes well."""
        self.logged_hooks = Hooks([self.log, *middleware, *prompts])

    def _planned(self, step: WorkflowStep) -> PlannedStep:
        part = PlannedStep(step)
        inner = step.parts
        if inner:
            part.inside = tuple(self._planned(one) for one in inner)
            self.nested.update(zip(map(id, inner), part.inside, strict=True))
        return part

    @property
    def all_parts(self) -> tuple[PlannedStep, ...]:
        """The steps, and those inside them."""
        return (*self.parts, *self.nested.values())

    def part_of(self, step: WorkflowStep) -> PlannedStep:
        """`step`, which stands inside another one, ready to be run."""
        return self.nested.get(id(step)) or PlannedStep(step)
