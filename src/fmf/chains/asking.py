"""One item, one document or the whole run through its workflow: from names to records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from chatmodels.spending import REFUSED as OVER_BUDGET
from fmf.chains.booked import asking_about
from fmf.chains.elements import element_id, inside, named
from fmf.chains.gate import OP as NEVER_ASKED
from fmf.chains.plan import ChainPlan, StepPlan
from fmf.chains.records import RunFacts, State, StepEnd, Subject, output_row, step_error_row
from fmf.chains.references import EACH, Level
from fmf.errors import AuthError, BudgetError, InferenceError, exit_status
from fmf.types import Row
from fmf_core.errors import Code
from fmf_core.logs import log_context

if TYPE_CHECKING:
    from generative_ai_workflow.engine import WorkflowEngine
    from generative_ai_workflow.state import ErrorInfo, StepResult, WorkflowResult

_EXIT = {Code.AUTH: exit_status(AuthError("")), Code.BUDGET: exit_status(BudgetError(""))}
_EXIT_ASKING = exit_status(InferenceError(""))


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of `errors.jsonl` and the exit status that it alone would lead to."""

    row: Row
    status: int


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How one execution of one step ended, for the counts."""

    step_id: str
    state: State
    asked: bool = False
    attempts: int = 0
    cached: bool = False
    tokens_prompt: int = 0
    tokens_completion: int = 0
    cost_usd: float | None = None
    answered: bool = False
    """Whether the model gave an answer, good or bad; without one there is nothing to price."""
    cut: bool = False
    """Whether the answer is ok although max_tokens cut it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the steps of one level ended for one subject."""

    state: State | Literal["deferred"]
    """`deferred`: the run stopped before anything was asked."""
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    steps: list[StepOutcome] = field(default_factory=list)
    values: Mapping[str, Any] = field(default_factory=dict)
    """The answers that are ok, by output."""


NOTHING = Outcome("ok")
"""What comes of what nobody was asked about."""
NOT_BEGUN = Outcome("deferred")
"""The run stopped before anything was asked: there is nothing to write down."""


class Asker:
    """Runs the workflow of a level and tells what came of it.

    Args:
        plan: the chain.
        engine: runs the workflows.
        facts: what all records have in common.
    """

    def __init__(self, plan: ChainPlan, engine: WorkflowEngine, facts: RunFacts) -> None:
        self._plan = plan
        self._engine = engine
        self._facts = facts
        self._number = 0

    async def ask(self, level: Level, subject: Subject) -> Outcome:
        """The outcome for `subject`; raises nothing but cancellation."""
        self._number += 1
        correlation_id = f"{self._facts.run_id}-{self._number}"
        workflow = self._plan.workflows[level]
        try:
            about = asking_about(level.name.lower(), subject.item_id)
            with about, log_context(source_uri=subject.source_uri, item=subject.item_id):
                result = await self._engine.run_async(workflow, dict(subject.names), correlation_id=correlation_id)
        except Exception as error:  # noqa: BLE001 - one item must not end the run, whatever is wrong with it
            return self.failed(level, subject, error)
        return self._told(level, subject, result)

    def failed(self, level: Level, subject: Subject, error: BaseException) -> Outcome:
        """The outcome when the steps did not come to an end of their own: the first failed, the rest never began."""
        from generative_ai_workflow.state import ErrorInfo

        steps = self._plan.steps_of(level)
        failure = self._failure(steps[0], subject, ErrorInfo.of(error), 1)
        ends = [StepEnd("failed"), *(StepEnd("skipped") for _ in steps[1:])]
        rows = [output_row(self._facts, step, subject, end) for step, end in zip(steps, ends, strict=True)]
        told = [StepOutcome(steps[0].id, "failed", asked=True, attempts=1)]
        told += [StepOutcome(step.id, "skipped") for step in steps[1:]]
        return Outcome("failed", rows, [failure], told)

    def skipped(self, level: Level, subject: Subject) -> Outcome:
        """The outcome when there is nothing to ask about."""
        steps = self._plan.steps_of(level)
        rows = [output_row(self._facts, step, subject, StepEnd("skipped")) for step in steps]
        return Outcome("skipped", rows, steps=[StepOutcome(step.id, "skipped") for step in steps])

    def _told(self, level: Level, subject: Subject, result: WorkflowResult) -> Outcome:
        steps = self._plan.steps_of(level)
        outcome = Outcome("ok", values={})
        values: dict[str, Any] = {}
        states: set[State] = set()
        subject = replace(subject, names={**subject.names, "steps": values})
        for step in steps:
            found = list[Any]()
            for about, left in _executions(step, subject, result):
                state = _state_of(left)
                if about.each is None and step.each is not None and state == "ok":
                    values[step.output], state = [], "skipped"  # an empty list: nobody was asked
                states.add(state)
                value = _answer_of(step, left) if left and state == "ok" else None
                end = StepEnd(state, left, value, left.cost_usd if left else None)
                outcome.rows.append(output_row(self._facts, step, about, end))
                outcome.steps.append(self._counted(step, left, state))
                if state == "ok":
                    found.append(value)
                elif state == "failed" and left is not None:
                    outcome.failures.append(self._failure(step, about, _error_of(left), left.attempts))
            if found:
                values[step.output] = found[0] if step.each is None else found
        refused = any(_refused(left) for left in result.steps.values())
        if refused and states == {"skipped"}:
            return NOT_BEGUN
        ended: State | Literal["deferred"] = "failed" if "failed" in states else "deferred" if refused else "ok"
        return Outcome(ended, outcome.rows, outcome.failures, outcome.steps, values)

    def _counted(self, step: StepPlan, result: StepResult | None, state: State) -> StepOutcome:
        if result is None or state == "skipped":
            return StepOutcome(step.id, "skipped")
        usage = result.token_usage
        return StepOutcome(
            step.id,
            state,
            asked=result.attempts > 0 or _attempts_of(result) > 0,
            attempts=max(result.attempts, _attempts_of(result)),
            cached=bool(result.response and result.response.cached),
            tokens_prompt=usage.prompt_tokens if usage else 0,
            tokens_completion=usage.completion_tokens if usage else 0,
            cost_usd=result.cost_usd,
            answered=usage is not None,
            cut=state == "ok" and bool(result.response and result.response.finish_reason == "length"),
        )

    def _failure(self, step: StepPlan, subject: Subject, error: ErrorInfo, attempts: int) -> Failure:
        row = step_error_row(self._facts, step.id, subject, error, attempts)
        return Failure(row, _EXIT.get(Code(error.code), _EXIT_ASKING) if error.code in set(Code) else _EXIT_ASKING)


def _executions(
    step: StepPlan, subject: Subject, result: WorkflowResult
) -> Iterator[tuple[Subject, StepResult | None]]:
    """What a step was about and what it left: once, or for each element of its list as far as there is any."""
    if step.each is None or element_id(inside(step.id), 0) not in result.steps:
        yield subject, result.steps.get(step.id)
        return
    from generative_ai_workflow.reference import evaluate

    elements = list(named(evaluate(step.each, subject.names)))
    for number, element in enumerate(elements):
        about = replace(
            subject,
            item_id=element_id(subject.item_id, number),
            names={**subject.names, EACH: element},
            each={"index": number, "count": len(elements)},
        )
        yield about, result.steps.get(element_id(inside(step.id), number))


def _state_of(result: StepResult | None) -> State:
    from generative_ai_workflow.state import StepStatus

    if result is None or result.status in (StepStatus.SKIPPED, StepStatus.PENDING):
        return "skipped"
    if result.status is StepStatus.COMPLETED:
        return "ok"
    return "skipped" if _refused(result) else "failed"


def _refused(result: StepResult) -> bool:
    """Whether the step would have asked for the first time when the run was already stopping, or out of money."""
    told = result.error_info
    return told is not None and result.token_usage is None and told.op in {NEVER_ASKED, OVER_BUDGET}


def _answer_of(step: StepPlan, result: StepResult) -> Any:
    """What the step answered: its output of that name, or all of it where a step of another type names none."""
    output = result.output or {}
    return output.get(step.output, output)


def _attempts_of(result: StepResult) -> int:
    return (result.error_info.attempts or 0) if result.error_info else 0


def _error_of(result: StepResult) -> ErrorInfo:
    from generative_ai_workflow.state import ErrorInfo

    return result.error_info or ErrorInfo(kind="StepError", message=result.error or "the step failed")
