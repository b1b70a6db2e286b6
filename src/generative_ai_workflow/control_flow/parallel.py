"""The step that runs several others at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from generative_ai_workflow.context import StepContext
from generative_ai_workflow.control_flow.branches import as_branch, at_least_one, positive, side_by_side, value_of
from generative_ai_workflow.workflow_step import BuiltInStep, Retry, WorkflowStep, check_name


class ParallelStep(BuiltInStep):
    """Runs its steps at the same time.

    Each sees what came before, and none what the others make. Once all have ended, later steps see the outputs of all,
    in the order in which they are written, whichever ended first. Its own output is `{name: {inner step: its value}}`;
    steps that were skipped, or failed without being critical, are not in it. The first critical failure cancels the
    others and fails this step.

        ParallelStep("views", [LLMStep("pro", "For: {text}"), LLMStep("con", "Against: {text}")])

    Args:
        name: the step's name.
        steps: what runs at the same time; a list among them is a branch, whose steps run in order.
        is_critical: whether a failure inside ends the run.
        concurrency: how many branches run at a time; default is all.
        retry: of the whole step, as with `WorkflowStep`.
        timeout: as with `WorkflowStep`.

    Raises:
        DefinitionError: something is no step, a branch is empty, or `concurrency` is below 1.
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[WorkflowStep | Iterable[WorkflowStep]],
        is_critical: bool = True,
        *,
        concurrency: int | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(check_name(name), is_critical, retry=retry, timeout=timeout)
        given = (steps,) if isinstance(steps, WorkflowStep) or not isinstance(steps, Iterable) else tuple(steps)
        self.branches = tuple(at_least_one(name, as_branch(name, branch)) for branch in given)
        self.concurrency = None if concurrency is None else positive(name, "concurrency", concurrency)
        self.output_key = name
        at_least_one(name, self.parts)

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        """The steps of all branches."""
        return tuple(step for branch in self.branches for step in branch)

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """Run the branches and put together what they leave."""
        scopes = [context.inner() for _ in self.branches]
        outputs: list[dict[str, Any]] = [{} for _ in self.branches]

        async def run(number: int) -> None:
            outputs[number] = await scopes[number].run_steps(self.branches[number])

        await side_by_side(run, len(self.branches), self.concurrency)
        values: dict[str, Any] = {}
        for branch, scope, made in zip(self.branches, scopes, outputs, strict=True):
            context.adopt(scope)
            values.update((step.name, value_of(step, made)) for step in branch if step.name in made)
        return {self.name: values, f"{self.name}_output": values}
