"""A step that runs for every element of a list: what it looks through, and what its elements are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fmf.chains.elements import named
from fmf.chains.references import EACH
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.control_flow import ForEachStep
from generative_ai_workflow.exceptions import DefinitionError, StepError
from generative_ai_workflow.reference import Path, compile_value, evaluate, references
from generative_ai_workflow.workflow_step import WorkflowStep

_WHOLE: Final = re.compile(r"\$\{[^{}()]+\}\Z")


class FanOutStep(ForEachStep):
    """Runs one step for every element of a list; what it leaves is the list of the answers.

    Every element gets its turn, whatever becomes of the others; one that fails fails the step in the end.

    Args:
        name: the step's name.
        step: what is done with every element; its answer's name and its condition become those of the whole.
        listed: the compiled reference to the list.
        concurrency: how many elements at a time.
        max_items: the longest list; a longer one fails the step before anything is asked.
        is_critical: whether a failure ends the item.
        per_element: whether the condition is one about the element, and not about the whole.
    """

    def __init__(
        self,
        name: str,
        step: WorkflowStep,
        listed: Any,
        *,
        concurrency: int,
        max_items: int,
        is_critical: bool,
        per_element: bool,
    ) -> None:
        self.listed = listed
        super().__init__(
            name,
            self.elements,
            step,
            is_critical,
            item=EACH,
            concurrency=concurrency,
            max_items=max_items,
            continue_on_error=True,
        )
        self.output_key = step.output_key
        self.per_element = per_element
        if not per_element:
            self.when, step.when = step.when, None

    @property
    def step(self) -> WorkflowStep:
        """What is done with every element."""
        return self.steps[0]

    def elements(self, roots: Mapping[str, Any]) -> Any:
        """The list, its elements under their names; what is no list as it is, for it is refused."""
        found = evaluate(self.listed, roots)
        return list(named(found)) if isinstance(found, list | tuple) else found

    def checked(self, elements: Any) -> list[dict[str, Any]]:
        """`elements`, if they are a list that is not too long.

        Raises:
            StepError: they are not.
        """
        return self._listed(elements)

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """Run the step for every element.

        Raises:
            StepError: there is no list, it is too long, or an element has failed.
        """
        output = await super().perform(context)
        values, errors = output[self.name], output[f"{self.name}_errors"]
        if errors:
            number, message = next(iter(errors.items()))
            raise StepError(f"{len(errors)} of {len(values)} elements failed, the first of them {number}: {message}")
        if self.per_element:  # what was left out leaves no gap
            values = [value for value in values if value is not None]
        return {str(self.output_key or self.name): values, f"{self.name}_output": values}


def list_reference(step_id: str, written: str) -> tuple[Any, Path]:
    """The reference to a list that was written as `for_each`, compiled, and its path.

    Raises:
        DefinitionError: it is no reference, or more than one.
    """
    compiled = compile_value(written.strip())
    found = list(references(compiled))
    if len(found) == 1 and _WHOLE.match(written.strip()):
        return compiled, found[0]
    raise DefinitionError(
        f"for_each of step {step_id!r} is no reference to a list: {written!r}",
        op="chain.load",
        hint="write one, such as for_each: '${steps.topics}'",
    )
