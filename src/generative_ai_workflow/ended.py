"""What is kept of steps that have ended, and the scope in which steps see what others left."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from chatmodels.types import ChatResponse
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.reference import StepValues
from generative_ai_workflow.state import StepResult, StepStatus

_HOW = {StepStatus.SKIPPED: "was skipped", StepStatus.FAILED: "has failed"}


class Place(Protocol):
    """Which step of its workflow a step is."""

    @property
    def name(self) -> str:
        """The step's name."""
        ...

    @property
    def step_id(self) -> str:
        """The step's id."""
        ...

    @property
    def output_key(self) -> str | None:
        """The key of its output that `${steps.NAME}` stands for; `None` is the whole output."""
        ...


class Decisions(Protocol):
    """What keeps the decisions of a durable run, and what steps inside others leave."""

    def decided(self, name: str) -> Any:
        """What an earlier process decided for the step `name`; `None` where it did not."""
        ...

    async def keep_decision(self, name: str, decision: Any) -> None:
        """Keep what is decided for the step `name`, which has not finished."""
        ...

    async def begin_again(self, place: Place, label: str) -> None:
        """Forget what was kept inside a step, and decided for it, for all its work is done again."""
        ...


class Ended(NamedTuple):
    """What is kept of a step that has ended; its record is made of it when somebody asks."""

    part: Any
    label: str
    """What its name in the records ends with."""
    status: StepStatus
    output: dict[str, Any] | None
    began: float
    ended: float
    calls: list[ChatResponse] | None = None
    failed_calls: list[FailedCall] | None = None
    result: StepResult | None = None
    """The record itself, where there was one from the beginning."""

    @property
    def name(self) -> str:
        """The step's name in the records."""
        return f"{self.part.name}{self.label}" if self.label else str(self.part.name)


def answer_of(output: dict[str, Any], key: str | None) -> Any:
    """What `${steps.NAME}` stands for: the part `key` of what the step left, or all of it."""
    return output[key] if key is not None and key in output else output


class Scope:
    """What some steps see, and where they leave what they make.

    Args:
        names: everything that templates may mention; grows with every step.
        outer: the scope around this one, whose outputs are seen as well.
        label: what the names of the steps end with in the records.
    """

    __slots__ = ("ends", "label", "names", "outer")

    def __init__(self, names: dict[str, Any], outer: Scope | None = None, label: str = "") -> None:
        self.names = names
        self.outer = outer
        self.label = label
        self.ends: list[Ended] = []

    def take(self, end: Ended) -> None:
        """Let the steps that come later see what a step left."""
        self.ends.append(end)
        if end.status is StepStatus.COMPLETED and end.output:
            self.names.update(end.output)

    def outputs(self) -> dict[str, Any]:
        """What the steps left that completed, by name."""
        found = self.outer.outputs() if self.outer is not None else {}
        for end in self.ends:
            if end.status is StepStatus.COMPLETED:
                found[end.part.name] = end.output
        return found

    def values(self) -> StepValues:
        """What `${steps.NAME}` stands for, under the names of the steps and under those of their answers."""
        found = self.outer.values() if self.outer is not None else StepValues()
        seen: set[str] = set()
        for part, _, status, output, *_ in self.ends:
            name, key = part.name, part.output_key
            seen.add(name)
            if status is not StepStatus.COMPLETED or output is None:
                found.absent[name] = _HOW.get(status, "left nothing")
                continue
            found[name] = answer_of(output, key)
            if key is not None and key in output and key not in seen and not key.endswith("_output"):
                found[key] = output[key]
        return found
