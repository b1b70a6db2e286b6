"""The step that does the same for every item of a list."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from generative_ai_workflow.context import StepContext
from generative_ai_workflow.control_flow.branches import as_branch, at_least_one, positive, side_by_side, value_of
from generative_ai_workflow.exceptions import Code, DefinitionError, StepError
from generative_ai_workflow.reference import Path, compile_value, evaluate, references
from generative_ai_workflow.workflow_step import BuiltInStep, Retry, WorkflowStep, check_name

INDEX = "index"
"""The name of an item's number, from 0."""

CONCURRENCY = 8
"""How many items at a time, unless set otherwise."""
MAX_ITEMS = 1000
"""The longest list, unless set otherwise."""
_TAKEN = frozenset({INDEX, "input", "steps"})


class ForEachStep(BuiltInStep):
    """Runs its steps once for every item of a list.

    The steps see what came before, and `item` and `index` (from 0) as names; what they leave stays with their item. The
    output is `{name: [value of the last step for each item]}`, in the order of the items. The records of a run call the
    steps inside `NAME[0]`, `NAME[1]` and so on.

        ForEachStep("notes", "${input.letters}", LLMStep("note", "Sum up letter {index}: {item}"))

    Args:
        name: the step's name.
        items: the list: a reference (`"${steps.letters}"`), a name (`"letters"`), a function of a dict of all names,
            or the list itself.
        steps: what is done with every item.
        is_critical: whether a failure ends the run.
        item: what the steps call the item.
        concurrency: how many items at a time.
        max_items: the longest list; a longer one fails the step before anything is done.
        continue_on_error: whether a failure leaves the other items alone; such an item has the value `None`, and
            `{name}_errors` says why, by index as text.
        retry: of the whole step, as with `WorkflowStep`.
        timeout: as with `WorkflowStep`.

    Raises:
        DefinitionError: something is no step, the reference cannot be read, or a number is below 1.
    """

    def __init__(
        self,
        name: str,
        items: str | Sequence[Any] | Callable[[Mapping[str, Any]], Any],
        steps: WorkflowStep | Iterable[WorkflowStep],
        is_critical: bool = True,
        *,
        item: str = "item",
        concurrency: int = CONCURRENCY,
        max_items: int = MAX_ITEMS,
        continue_on_error: bool = False,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(check_name(name), is_critical, retry=retry, timeout=timeout)
        self.items = _as_items(name, items)
        self.steps = at_least_one(name, as_branch(name, steps))
        self.item = _as_item(name, item)
        self.concurrency = positive(name, "concurrency", concurrency)
        self.max_items = positive(name, "max_items", max_items)
        self.continue_on_error = continue_on_error
        self.output_key = name

    @property
    def references(self) -> tuple[Path, ...]:
        """The paths that the items are taken from."""
        return references(self.items)

    @property
    def parts(self) -> tuple[WorkflowStep, ...]:
        """The steps that every item goes through."""
        return self.steps

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """Run the steps for every item."""
        found = self.items(context.roots) if callable(self.items) else evaluate(self.items, context.roots)
        items = self._listed(await found if inspect.isawaitable(found) else found)
        values: list[Any] = [None] * len(items)
        errors: dict[int, str] = {}

        async def run(number: int) -> None:
            scope = context.inner({self.item: items[number], INDEX: number}, f"[{number}]")
            try:
                values[number] = value_of(self.steps[-1], await scope.run_steps(self.steps))
            except StepError as error:
                if not self.continue_on_error:
                    raise StepError(f"item {number}: {error.message}", code=error.code) from error
                errors[number] = error.message

        await side_by_side(run, len(items), self.concurrency)
        output: dict[str, Any] = {self.name: values, f"{self.name}_output": values}
        if self.continue_on_error:
            output[f"{self.name}_errors"] = {str(number): errors[number] for number in sorted(errors)}
        return output

    def _listed(self, found: Any) -> list[Any]:
        if not isinstance(found, Iterable) or isinstance(found, str | bytes | bytearray | Mapping | set | frozenset):
            kind = "null" if found is None else f"a value of type {type(found).__name__}"
            raise StepError(
                f"its items should be a list, and are {kind}",
                op="for_each.items",
                code=Code.INVALID,
                hint="let the step before make a list; a set has no order, a mapping has keys and values",
            )
        items = list(islice(found, self.max_items + 1))
        if len(items) > self.max_items:
            count = f"{len(found):,}" if isinstance(found, Sequence) else f"more than {self.max_items:,}"
            raise StepError(
                f"it has {count} items, and max_items is {self.max_items:,}",
                op="for_each.items",
                code=Code.INVALID,
                hint="raise max_items, or give it a shorter list",
            )
        return items


def _as_items(name: str, items: Any) -> Any:
    if callable(items):
        return items
    fields = {"step": name, "place": "items"}
    if isinstance(items, str):
        written = items if "${" in items else f"${{{items}}}"
        try:
            compiled = compile_value(written)
        except DefinitionError as error:
            if written is items:
                complaint = f"step {name!r}: items: {error.message}"
                raise DefinitionError(complaint, op="for_each.define", hint=error.hint, fields=fields) from None
            compiled = None
        if len(references(compiled)) == 1 and written.startswith("${") and written.endswith("}"):
            return compiled
    elif isinstance(items, list | tuple):
        return compile_value(list(items))
    bare = items.strip("{} \t\n") if isinstance(items, str) else ""
    raise DefinitionError(
        f"step {name!r}: items must be one reference, a name, a function or a list, got {items!r}",
        op="for_each.define",
        hint=f"write ${{{bare if bare.replace('.', '').isidentifier() else 'steps.letters'}}}",
        fields=fields,
    )


def _as_item(name: str, item: Any) -> str:
    if isinstance(item, str) and item.isidentifier() and item not in _TAKEN:
        return item
    raise DefinitionError(
        f"step {name!r}: item must be a name for templates other than {', '.join(sorted(_TAKEN))}, got {item!r}",
        op="for_each.define",
    )
