"""A chain that is ready to run: its steps by level, with their prompts, and the workflows made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmf.chains.references import Level, Mode
from fmf.chains.saves import Form
from fmf.chains.table import RowWishes

if TYPE_CHECKING:
    from fmf.prompts.prompt import Prompt
    from generative_ai_workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step as its records tell of it."""

    id: str
    output: str
    """What `${steps....}` and `${all....}` call its answer."""
    level: Level
    prompt: Prompt | None
    """`None` for a step that asks no model."""
    inputs: Mapping[str, Any]
    """What the template's names stand for, with references compiled."""
    model: str | None = None
    """The model that the step asks for; `None` is the configuration's."""
    each: Any = None
    """The compiled reference to the list for whose elements it runs, one by one; `None` where it runs once."""

    reduce: str | None = None
    """How it is asked what is larger than the model's window; `None` refuses that."""

    def collected(self, answers: Iterable[Any]) -> list[Any]:
        """What steps over many items see of its `answers`: those for the elements of lists all in one list."""
        return list(answers) if self.each is None else [one for answer in answers for one in answer]


@dataclass(frozen=True, slots=True)
class SavePlan:
    """A file that the run writes at its end."""

    save: str
    """The path as the chain has it, with `${run_id}` and its like."""
    step_id: str
    form: Form


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """What to run."""

    chain: str
    """The chain's name, `${chain_id}`."""
    mode: Mode
    steps: tuple[StepPlan, ...]
    workflows: Mapping[Level, Workflow]
    """One for each level that has steps."""
    prompts: tuple[Prompt, ...] = ()
    """Every prompt that is used, each once."""
    wants_text: bool = False
    """Whether a step mentions the whole text of the document."""
    table: RowWishes | None = None
    """Which columns of tables, where an item is a row of one."""
    collected: Mapping[Level, tuple[str, ...]] = field(default_factory=dict)
    """`DOCUMENT` and `ONCE` to the outputs that their steps collect."""
    saves: tuple[SavePlan, ...] = ()

    def steps_of(self, level: Level) -> tuple[StepPlan, ...]:
        """The steps of one level, in order."""
        return tuple(step for step in self.steps if step.level is level)

    def producer(self, output: str) -> StepPlan:
        """The step whose answer is called `output`."""
        return next(step for step in self.steps if step.output == output)
