"""A run without its model: the very steps make their questions, which are answered from ledgers, or counted."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chatmodels.types import ChatRequest, ChatResponse
from chatmodels.wrappers.base import presets_of
from fmf.chains.booked import asking_about, own_answer, question_of, shared_answer
from fmf.chains.elements import INDEX, VALUE
from fmf.chains.fan_out import FanOutStep
from fmf.chains.prompt_tokens import PromptCounter
from fmf.chains.references import EACH
from fmf.chains.stand_ins import PendingJson, StandIns, mark_of
from generative_ai_workflow.condition import Condition
from generative_ai_workflow.config import FrameworkConfig
from generative_ai_workflow.context import RunningContext
from generative_ai_workflow.exceptions import StepError, TemplateError
from generative_ai_workflow.hosting import Host
from generative_ai_workflow.model_rack import ModelRack
from generative_ai_workflow.plan import PlannedStep, WorkflowPlan
from generative_ai_workflow.reference import look_up, text_of
from generative_ai_workflow.shutdown import ShutdownSlot
from generative_ai_workflow.state import StepStatus, reason_of
from generative_ai_workflow.step import LLMStep

if TYPE_CHECKING:
    from chatmodels.iface import ChatModel
    from fmf.chains.prepared import Prepared
    from fmf.chains.records import Subject
    from fmf.chains.references import Level
    from fmf.ledger.view import LedgerView
    from generative_ai_workflow.context import StepContext
    from generative_ai_workflow.workflow_step import WorkflowStep


@dataclass
class StepNeeds:
    """What one step will ask, as far as it is known before anybody has answered."""

    items: int = 0
    """How often it comes to its turn."""
    answered: int = 0
    """How often it needs nobody any more."""
    to_ask: int = 0
    conditional: int = 0
    """How many of `to_ask` depend on a condition that nobody can decide yet."""
    skipped: int = 0
    failing: int = 0
    failure: str = ""
    """Why the first of these fails."""
    model: str = ""
    max_tokens: int | None = None
    """The longest answer."""
    prompt_tokens: int = 0
    """Of what is known of all prompts."""
    prompt_most: int = 0
    """The most that this can be; the same where the count is exact."""
    is_exact: bool = True
    pending: Counter[int] = field(default_factory=Counter)
    """How many answers stand in all prompts that are not there yet, by the number of their step."""
    open_ended: int = 0
    """How many lists it is to look through that are not there yet."""
    longest: int = 0
    """The most tokens that one of its prompts may have."""
    longest_known: int = 0
    """The most that is known of one of them."""
    limit: int = 0
    """What requests ask for as the longest answer; 0 where they leave it to the model."""
    beyond: int = 0
    """How many more tokens a budget takes one of its prompts for, at most."""
    known_answers: int = 0
    known_tokens: int = 0
    """What those answers have that were found."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The ledgers that hold answers."""

    identity: str
    """What decides answers besides the request."""
    own: LedgerView | None = None
    """That of the run to go on with."""
    others: Sequence[LedgerView] = ()
    """Those of runs whose answers are used again."""

    async def find(self, request: ChatRequest) -> ChatResponse | None:
        """The answer that a run would take instead of asking."""
        ask_id, key = question_of(request, self.identity)
        if self.own is not None and (found := await self.own.find_ask(ask_id)) is not None:
            return own_answer(found.answer)
        for view in self.others:
            found = await view.find_content(bytes.fromhex(key))
            if found is not None and (shared := shared_answer(found.answer)) is not None:
                return shared
        return None

    def close(self) -> None:
        """Let go of the files."""
        for view in (self.own, *self.others):
            if view is not None:
                view.close()


class _NotAnsweredError(Exception):
    """Nobody has answered this yet."""


class _Host(Host):
    """A run as its steps see it, which asks nobody."""

    journal = None

    def __init__(self, plan: WorkflowPlan, names: Mapping[str, Any], rehearsal: Rehearsal) -> None:
        super().__init__(plan, names)
        self._rehearsal = rehearsal
        self.is_conditional = False
        """Whether the step that has its turn may be left out."""

    def ask(  # type: ignore[override]
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> Awaitable[ChatResponse]:
        """The answer, where there is one."""
        del model  # steps of chains have none of their own
        return self._rehearsal.answer(context.step_name, request, conditional=self.is_conditional)

    async def run_steps(self, context: StepContext, steps: Sequence[Any]) -> dict[str, Any]:
        """Nothing can be asked for: chains have no steps inside others."""
        raise StepError(f"step {context.step_name!r} holds {len(steps)} steps, and those of chains hold none")


class Rehearsal:
    """Goes through the steps of a chain as a run does, and keeps what each of them needs.

    Args:
        prepared: the chain.
        memory: the answers that are there.
    """

    def __init__(self, prepared: Prepared, memory: Memory) -> None:
        self._plan = prepared.plan
        self._memory = memory
        self._stand_ins = StandIns(len(prepared.plan.steps))
        self._counter = PromptCounter(self._stand_ins, prepared.loaded.value)
        self._presets = presets_of(prepared.model)
        self._model_name = prepared.model_name
        self._most_of_model = prepared.model.get_model_info().max_tokens or None
        self.needs = {step.id: StepNeeds() for step in prepared.plan.steps}
        self._numbers = {step.id: number for number, step in enumerate(prepared.plan.steps)}
        self._of_number = list(self.needs.values())
        framework = FrameworkConfig.model_construct()  # that of a run
        rack = ModelRack(framework, prepared.model)
        self._workflows = {
            level: WorkflowPlan(workflow, framework, (), rack, shutdown=ShutdownSlot())
            for level, workflow in prepared.plan.workflows.items()
        }

    async def about(self, level: Level, subject: Subject) -> dict[str, Any]:
        """The answers about `subject` by output; those that are not there yet have something in their place."""
        host = _Host(self._workflows[level], subject.names, self)
        answers: dict[str, Any] = {}
        steps = zip(host.plan.parts, self._plan.workflows[level].steps, self._plan.steps_of(level), strict=True)
        goes_on = True
        with asking_about(level.name.lower(), subject.item_id):
            for part, step, plan in steps:
                needs = self.needs[plan.id]
                needs.items += 1
                output = await self._output(host, part, step) if goes_on else None
                if output is None:
                    needs.skipped += 1
                elif isinstance(output, Exception):
                    needs.failing += 1
                    needs.failure = needs.failure or reason_of(output)
                    goes_on = goes_on and not part.is_critical
                else:
                    answers[plan.output] = output.get(plan.output, output)
        return answers

    def skip(self, level: Level) -> None:
        """Count what has nothing to go on as skipped."""
        for step in self._plan.steps_of(level):
            self.needs[step.id].items += 1
            self.needs[step.id].skipped += 1

    async def _output(self, host: _Host, part: PlannedStep, step: WorkflowStep) -> dict[str, Any] | Exception | None:
        """What a step leaves, or why it fails; `None` where it is left out."""
        context = RunningContext(host, part, host)
        try:
            decision = await self._decided(part, context)
            if decision is False:
                host.take(context.end(StepStatus.SKIPPED, None))
                return None
            host.is_conditional = decision is None
            output = await self._performed(host, part, step, context)
        except Exception as error:  # noqa: BLE001 - a step of the run would fail with it
            host.take(context.end(StepStatus.FAILED, None))
            return error
        host.take(context.end(StepStatus.COMPLETED, output))
        return output

    async def _performed(
        self, host: _Host, part: PlannedStep, step: WorkflowStep, context: StepContext
    ) -> dict[str, Any]:
        if isinstance(step, FanOutStep):
            return await self._for_each(host, part, step, context)
        needs = self.needs[part.name]
        mark = mark_of(self._numbers[part.name])
        if not isinstance(step, LLMStep):
            # What a step of somebody else does, or whom it asks, nobody knows: it may act on the world.
            needs.to_ask += 1
            needs.model = needs.model or self._model_name
            needs.is_exact = False
            value: Any = PendingJson(mark)
            return {str(part.output_key or part.name): value}
        try:
            output = step.outputs(await step.perform(context))
        except _NotAnsweredError:
            value = PendingJson(mark) if step.output.expects == "json" else mark
            return {str(step.output_key): value, f"{step.name}_output": value, "llm_response": mark}
        needs.answered += 1
        return output

    async def _for_each(self, host: _Host, part: PlannedStep, step: FanOutStep, context: StepContext) -> dict[str, Any]:
        """What a step leaves that runs for the elements of a list; of one that is not there yet, one is counted."""
        needs, key = self.needs[part.name], str(step.output_key or step.name)
        elements = step.elements(context.roots)
        if not isinstance(elements, list) and self._stand_ins.is_pending(elements):
            needs.open_ended += 1
            elements = [{INDEX: 0, VALUE: PendingJson(text_of(elements)[:1])}]
        answers: list[Any] = []
        is_conditional = host.is_conditional
        for element in step.checked(elements):
            inner = context.inner({EACH: element})
            decision = await self._decided(PlannedStep(step.step), inner)
            if decision is False:
                needs.skipped += 1
                continue
            host.is_conditional = is_conditional or decision is None
            answers.append((await self._performed(host, part, step.step, inner))[key])
        needs.items += max(0, len(elements) - 1)
        needs.skipped += not elements
        return {key: answers}

    async def answer(self, step_id: str, request: ChatRequest, *, conditional: bool) -> ChatResponse:
        """The answer to `request` of that step.

        Raises:
            _NotAnsweredError: there is none, and what it takes to get one is counted.
        """
        needs = self.needs[step_id]
        known = await self._memory.find(request)
        if known is not None:
            needs.known_answers += 1
            needs.known_tokens += known.usage.completion_tokens
            return known
        self._count(needs, request)
        needs.conditional += conditional
        raise _NotAnsweredError

    def _count(self, needs: StepNeeds, request: ChatRequest) -> None:
        filled = request.filled(self._presets)
        needs.model = filled.named_model or self._model_name
        needs.limit = filled.max_tokens or 0
        needs.max_tokens = needs.limit or self._most_of_model
        size = self._counter.size(request, needs.model)
        needs.to_ask += 1
        needs.prompt_tokens += size.tokens
        needs.prompt_most += size.tokens if size.is_exact else size.most
        needs.is_exact = needs.is_exact and size.is_exact
        needs.pending += size.pending
        answers = sum(number * (self._of_number[step].max_tokens or 0) for step, number in size.pending.items())
        longest, most = size.with_answers(answers)
        needs.longest = max(needs.longest, longest)
        needs.longest_known = max(needs.longest_known, size.tokens)
        needs.beyond = max(needs.beyond, most - longest)

    async def _decided(self, part: PlannedStep, context: StepContext) -> bool | None:
        """Whether a step runs; `None` where that depends on answers that are not there yet."""
        if part.when is None:
            return True
        roots = context.roots
        if isinstance(part.when, Condition):
            for path in part.when.references:
                try:
                    if self._stand_ins.is_pending(look_up(path, roots)):
                        return None
                except TemplateError:
                    continue  # the condition itself says what is missing
        met = part.when(roots)
        return bool(await met if inspect.isawaitable(met) else met)
