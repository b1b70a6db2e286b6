"""What a finished step and an ended run left, as text that is kept, and as records again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from chatmodels.json_values import written
from generative_ai_workflow.durable.values import refuse_secrets, text_of, value_from
from generative_ai_workflow.exceptions import Code, WorkflowError
from generative_ai_workflow.state import ExecutionMetrics, StepResult, WorkflowResult

Record = TypeVar("Record", bound=BaseModel)
_OP = "store.keep"


def dump_step(name: str, result: StepResult) -> str:
    """The record of the step `name` as text.

    Raises:
        WorkflowError: its output would not come back as it is, or holds a known secret.
    """
    what = f"the output of step {name!r}"
    output = text_of(result.output, what=what, op=_OP)
    facts = result.model_dump(mode="json", exclude={"output", "kept"})
    rest = written(facts)
    refuse_secrets(rest, facts, what=f"the record of step {name!r}", op=_OP)
    return f'{{"output":{output},"record":{rest}}}'


def load_step(name: str, text: str) -> StepResult:
    """The record that `dump_step` was given.

    Raises:
        WorkflowError: another version wrote it.
    """
    kept = value_from(text)
    return _made(StepResult, {**kept["record"], "output": kept["output"]}, f"the record of step {name!r}")


class DumpedResult(NamedTuple):
    """The end of a run as texts."""

    output: str
    facts: dict[str, Any]
    steps: dict[str, str]
    taken_up: frozenset[str]
    """The steps that an earlier process had finished and kept."""

    def text(self, kept: Mapping[str, str]) -> str:
        """All of it as one text.

        Args:
            kept: the texts of the steps that are kept by themselves; those are not written twice.
        """
        steps = [
            [name, None if name in kept and (name in self.taken_up or kept[name] == text) else text]
            for name, text in self.steps.items()
        ]
        return f'{{"output":{self.output},"result":{written({**self.facts, "steps": steps})}}}'


def dump_result(result: WorkflowResult) -> DumpedResult:
    """The end of a run as texts.

    Raises:
        WorkflowError: an output would not come back as it is, or holds a known secret.
    """
    output = text_of(result.output, what="the output of the run", op="store.end")
    facts = result.model_dump(mode="json", exclude={"output", "steps", "metrics"})
    facts["total_duration_ms"] = result.metrics.total_duration_ms
    refuse_secrets(written(facts), facts, what="the result of the run", op="store.end")
    steps = {name: dump_step(name, step) for name, step in result.steps.items()}
    return DumpedResult(output, facts, steps, frozenset(name for name, step in result.steps.items() if step.kept))


def load_result(text: str, kept: Mapping[str, StepResult]) -> WorkflowResult:
    """The end that `dump_result` was given.

    Args:
        text: the text that it made.
        kept: the records of the steps that are kept by themselves.

    Raises:
        WorkflowError: another version wrote it.
    """
    parts = value_from(text)
    facts = parts["result"]
    steps = {name: kept[name] if rest is None else load_step(name, rest) for name, rest in facts.pop("steps")}
    facts |= {
        "output": parts["output"],
        "steps": steps,
        "metrics": ExecutionMetrics.of(steps.values(), facts.pop("total_duration_ms")),
    }
    return _made(WorkflowResult, facts, "the result of the run")


def _made(kind: type[Record], facts: dict[str, Any], what: str) -> Record:
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        raise WorkflowError(
            f"{what} was kept by another version: {error.errors()[0]['msg']}",
            op="store.begin",
            code=Code.UNSUPPORTED,
            hint="resume it with the version that began it, or forget the run",
        ) from None
