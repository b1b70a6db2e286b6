"""A workflow as an engine runs it: everything that does not change from run to run, worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from fmf_core.portal import in_thread
from generative_ai_workflow.calls import ModelRack
from generative_ai_workflow.config import FrameworkConfig, WorkflowConfig
from generative_ai_workflow.exceptions import ConfigurationError
from generative_ai_workflow.middleware.base import Hooks
from generative_ai_workflow.observability.run_log import RunLog
from generative_ai_workflow.state import StepContext
from generative_ai_workflow.workflow_step import BuiltInStep, WorkflowStep, without_generator_exit

Work = Callable[[StepContext], Any]


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


class PlannedStep:
    """One step, ready to be run."""

    __slots__ = (
        "cleanup",
        "initialize",
        "is_critical",
        "metadata",
        "name",
        "output_key",
        "plugin",
        "step_id",
        "when",
        "work",
    )

    def __init__(self, step: WorkflowStep) -> None:
        kind = type(step)
        self.name = step.name or kind.__name__
        self.step_id = step.step_id
        self.is_critical = bool(step.is_critical)
        self.work = _work_of(step)
        self.when = step.when
        self.output_key = step.output_key
        self.initialize = step.initialize if kind.initialize is not WorkflowStep.initialize else None
        self.cleanup = step.cleanup if kind.cleanup is not WorkflowStep.cleanup else None
        self.metadata = getattr(step, "metadata", None) or {}
        self.plugin = f"{kind.__module__}.{kind.__qualname__}"


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
        return in_thread(without_generator_exit, execute, context)

    return work


class WorkflowPlan:
    """What all runs of one workflow on one engine have in common.

    Args:
        workflow: what is run.
        framework: the engine's settings.
        hooks: the engine's middleware.
        models: where the engine keeps its chat models.
    """

    __slots__ = ("config", "hooks", "log", "log_prompts", "models", "name", "nested", "parts", "workflow_id")

    def __init__(self, workflow: RunnableWorkflow, framework: FrameworkConfig, hooks: Hooks, models: ModelRack) -> None:
        self.workflow_id = workflow.workflow_id
        self.name = workflow.name
        # The defaults of sampling are meant for the provider of the configuration, not for a model that was handed in.
        self.config = workflow.config.merged(framework, sampling=models.default is None)
        self.hooks = hooks
        self.models = models
        self.parts = tuple(PlannedStep(step) for step in workflow.steps)
        self.nested: dict[int, PlannedStep] = {}
        for step in workflow.steps:
            self._nest(step)
        self.log = RunLog(self.name, self.workflow_id, framework.log_level)
        self.log_prompts = framework.log_prompts

    def _nest(self, step: WorkflowStep) -> None:
        for inner in step.parts:
            self.nested[id(inner)] = PlannedStep(inner)
            self._nest(inner)

    def part_of(self, step: WorkflowStep) -> PlannedStep:
        """`step`, which stands inside another one, ready to be run."""
        return self.nested.get(id(step)) or PlannedStep(step)


def checked_input(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run gets of its caller.

    Raises:
        ConfigurationError: it is no mapping with text keys.
    """
    if data is None:
        return {}
    kind: type = type(data)
    if not issubclass(kind, Mapping) or not all(type(name) is str for name in data):
        raise ConfigurationError(
            f"the input of a workflow is a dict with text keys, got {kind.__name__}",
            op="workflow.run",
            hint="give {'text': ...}; a template names the keys",
        )
    return dict(data)
