"""The step that decides which steps run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from generative_ai_workflow.condition import Condition
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.control_flow.branches import as_branch, at_least_one
from generative_ai_workflow.outcome import is_met
from generative_ai_workflow.reference import Path
from generative_ai_workflow.workflow_step import BuiltInStep, Retry, WorkflowStep, check_name


class ConditionalStep(BuiltInStep):
    """Runs one list of steps or the other.

    The steps inside see what came before and leave their outputs like any others; the steps of the branch that was not
    taken leave nothing. The conditional's own output says whether the condition was met: `{name: True}` or
    `{name: False}`. A durable run that is resumed inside a branch stays in it.

        ConditionalStep("length", "len(text) > 4000", [LLMStep("short", "Shorten: {text}")])

    Args:
        name: the step's name.
        condition: a text in the language of `Condition`, over input, variables and the keys of earlier outputs, and
            `input.NAME` and `steps.NAME`; or a function of a dict of these, plain or async.
        true_steps: run when the condition is met.
        false_steps: run when it is not.
        is_critical: whether a failure inside ends the run.
        retry: of the whole step, as with `WorkflowStep`.
        timeout: as with `WorkflowStep`.

    Raises:
        ExpressionError: the condition cannot be read.
        DefinitionError: a branch holds something that is no step, or both are empty.
    """

    def __init__(
        self,
        name: str,
        condition: str | Condition | Callable[[Mapping[str, Any]], Any],
        true_steps: WorkflowStep | Iterable[WorkflowStep],
        false_steps: WorkflowStep | Iterable[WorkflowStep] | None = None,
        is_critical: bool = True,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(check_name(name), is_critical, retry=retry, timeout=timeout)
        self.condition = condition if callable(condition) else Condition(condition)
        self.true_steps = as_branch(name, true_steps)
        self.false_steps = as_branch(name, () if false_steps is None else false_steps)
        self.output_key = name
        at_least_one(name, self.parts)

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

        async def decide() -> bool:
            return await is_met(self.condition(context.roots))

        met = await context.decide_once(decide)
        await context.run_steps(self.true_steps if met else self.false_steps)
        return {self.name: met, f"{self.name}_output": met}
