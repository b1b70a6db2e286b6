"""Steps that decide which steps run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from generative_ai_workflow.condition import Condition
from generative_ai_workflow.exceptions import DefinitionError, ExpressionError, StepError
from generative_ai_workflow.reference import Path
from generative_ai_workflow.state import StepContext, StepResult, StepStatus
from generative_ai_workflow.workflow_step import BuiltInStep, WorkflowStep, check_name

__all__ = ["Condition", "ConditionalStep", "ExpressionError"]


class ConditionalStep(BuiltInStep):
    """Runs one list of steps or the other.

    The steps inside see what came before and leave their outputs like any others; the steps of the branch that was not
    taken leave nothing. The conditional's own output says which branch it was: `{name: "true"}` or `{name: "false"}`.

        ConditionalStep("length", "len(text) > 4000", [LLMStep("short", "Shorten: {text}")])

    Args:
        name: the step's name.
        condition: a text in the language of `Condition`, over input, variables and the keys of earlier outputs, and
            `input.NAME` and `steps.NAME`; or a function of a dict of these.
        true_steps: run when the condition is met.
        false_steps: run when it is not.
        is_critical: whether a failure inside ends the run.

    Raises:
        ExpressionError: the condition cannot be read.
        DefinitionError: a branch holds something that is no step.
    """

    def __init__(
        self,
        name: str,
        condition: str | Condition | Callable[[Mapping[str, Any]], Any],
        true_steps: WorkflowStep | Iterable[WorkflowStep],
        false_steps: WorkflowStep | Iterable[WorkflowStep] | None = None,
        is_critical: bool = True,
    ) -> None:
        super().__init__(check_name(name), is_critical)
        self.condition = condition if callable(condition) else Condition(condition)
        self.true_steps = _as_branch(name, true_steps)
        self.false_steps = _as_branch(name, () if false_steps is None else false_steps)
        self.output_key = name
        if not self.true_steps and not self.false_steps:
            raise DefinitionError(f"step {name!r} needs at least one step inside", op="conditional_step.define")

    @property
    def references(self) -> tuple[Path, ...]:
        """The names that the condition mentions."""
        return self.condition.references if isinstance(self.condition, Condition) else ()

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        """The steps of both branches."""
        return (*self.true_steps, *self.false_steps)

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """Decide, and run the branch."""
        met = bool(self.condition(context.roots))
        steps = self.true_steps if met else self.false_steps
        if context.host is not None:
            await context.host.run_steps(steps)
        else:
            await _run_alone(context, steps)
        branch = "true" if met else "false"
        return {self.name: branch, f"{self.name}_output": branch}


async def _run_alone(context: StepContext, steps: Iterable[WorkflowStep]) -> None:
    """Run the steps of a conditional that is tried out without an engine."""
    outputs = dict(context.previous_outputs)
    for step in steps:
        inner = StepContext(
            workflow_id=context.workflow_id,
            step_id=step.step_id,
            correlation_id=context.correlation_id,
            input_data=context.input_data,
            variables=context.variables,
            previous_outputs=outputs,
            config=context.config,
            step_name=step.name,
        )
        try:
            result = await step.execute_async(inner)
        finally:
            context.calls += inner.calls
            context.failed_calls += inner.failed_calls
        if isinstance(result, StepResult) and result.status is StepStatus.FAILED:
            raise StepError(f"step {step.name!r} failed: {result.error}")
        outputs[step.name] = (result.output if isinstance(result, StepResult) else result) or {}


def _as_branch(name: str, steps: Any) -> tuple[WorkflowStep, ...]:
    found = (steps,) if isinstance(steps, WorkflowStep) else tuple(steps) if isinstance(steps, Iterable) else (steps,)
    for step in found:
        if not isinstance(step, WorkflowStep):
            raise DefinitionError(f"step {name!r}: {step!r} is no step", op="conditional_step.define")
    return found
