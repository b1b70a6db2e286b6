"""Whether every name that the steps of a workflow mention can be there in time, and no output hides another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fmf_core.nearest import known_hint
from generative_ai_workflow.control_flow import ConditionalStep, ForEachStep, ParallelStep
from generative_ai_workflow.control_flow.for_each import INDEX
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.reference import Path, dotted
from generative_ai_workflow.step import LLMStep, TransformStep
from generative_ai_workflow.template import Template
from generative_ai_workflow.workflow_step import WorkflowStep

_CONDITIONS = ("condition", "when")
_STEPS = "steps."
"""What keys begin with that stand for `${steps.NAME}`, and not for a name of templates."""
_SHARED = "llm_response"
"""The key that every model step leaves: the last one's is what counts."""
_KNOWN = (LLMStep, ConditionalStep, ParallelStep, ForEachStep)
"""The kinds of steps of which it is known what they leave."""


class Given(NamedTuple):
    """What a workflow knows before its first step."""

    variables: Iterable[str] = ()
    declared: Iterable[str] | None = None
    """The names of the declared input; `None` where none is declared."""
    closed: bool = False
    """Whether the input cannot have other names."""
    system_prompt: str | None = None
    """For steps that have none of their own."""


class Mention(NamedTuple):
    """One name that a step mentions."""

    path: Path
    place: str
    """Which setting of the step mentions it."""


class _Level(NamedTuple):
    """One step around another one, and which of its branches that stands in."""

    step: WorkflowStep
    branch: int


Trail = tuple[_Level, ...]


class _Maker(NamedTuple):
    step: WorkflowStep
    trail: Trail
    position: int


@dataclass
class _Sight:
    """What is there at one place of a workflow."""

    made: dict[str, str] = field(default_factory=dict)
    """Key to the step that left it."""
    maybe: dict[str, str] = field(default_factory=dict)
    """Key to the conditional that left it if it took the right branch."""
    sure: dict[str, str] = field(default_factory=dict)
    """Key to the step that has left it, or the loop that has made it, whenever this place is reached."""
    items: dict[str, str] = field(default_factory=dict)
    """Name of an item to its loop."""
    open: bool = False
    """Whether an earlier step may have left any key at all."""

    def copy(self) -> _Sight:
        return _Sight(dict(self.made), dict(self.maybe), dict(self.sure), dict(self.items), self.open)


def check_scopes(steps: Sequence[WorkflowStep], given: Given = Given()) -> None:  # noqa: B008 - it cannot be changed
    """Refuse names that can never be there when they are wanted, and outputs that always hide others.

    Args:
        steps: the steps of a workflow, each with a name of its own.
        given: what is known before the first one.

    Raises:
        DefinitionError: names the step, and what it could mention instead; `fields` say which setting it is.
    """
    for error in faults_of_names(steps, given):
        raise error


def faults_of_names(steps: Sequence[WorkflowStep], given: Given = Given()) -> list[DefinitionError]:  # noqa: B008 - it cannot be changed
    """Everything that `check_scopes` would refuse, in the order of the steps."""
    check = _Check(steps, given)
    check.run()
    return list({(error.message, error.fields.get("place")): error for error in check.faults}.values())


def mentions(step: WorkflowStep, system_prompt: str | None = None) -> Iterator[Mention]:
    """Every name that a step mentions, those of its templates included.

    Args:
        step: the step.
        system_prompt: the system template of steps that have none of their own.
    """
    place = "inputs"
    if isinstance(step, ConditionalStep):
        place = "condition"
    elif isinstance(step, ForEachStep):
        place = "items"
    yield from (Mention(path, place) for path in step.references)
    yield from (Mention(path, "when") for path in getattr(step.when, "references", ()))
    if isinstance(step, LLMStep):
        system = step.system or (Template(system_prompt, "double") if system_prompt else None)
        for template, where in ((step.template, "prompt"), (system, "system_prompt")):
            names = template.names if template is not None else ()
            yield from (Mention((name,), where) for name in names if name not in step.inputs)


class _Check:
    def __init__(self, steps: Sequence[WorkflowStep], given: Given) -> None:
        self.steps = steps
        self.given = given
        self.provided = {*given.variables, *(given.declared or ())}
        self.faults: list[DefinitionError] = []
        self.position: dict[int, int] = {}
        self.makers: dict[str, list[_Maker]] = {}
        self.loops: dict[str, _Maker] = {}
        self.assumed: set[str] = set()
        """What an undeclared input must have: earlier steps that were let pass mention it."""
        self.looped: set[str] = set()
        self._index(steps, ())

    def run(self) -> None:
        self._check_records()
        self._sequence(self.steps, _Sight(), ())

    def _check_records(self) -> None:
        """Refuse names that the records of a loop use: `NAME[0]` is what a step inside left for the first item."""
        for makers in self.makers.values():
            step = makers[0].step
            inside, bracket, _ = step.name.partition("[")
            if bracket and inside in self.looped:
                complaint = f"the records of a run call {inside!r} so, for one item of its loop"
                self.faults.append(_error(step, "id", complaint, "call it something else"))

    def _index(self, steps: Sequence[WorkflowStep], trail: Trail) -> None:
        for step in steps:
            self.position[id(step)] = len(self.position)
            if any(isinstance(level.step, ForEachStep) for level in trail):
                self.looped.add(step.name)
            for key in _keys(step):
                self.makers.setdefault(key, []).append(_Maker(step, trail, self.position[id(step)]))
            if isinstance(step, ForEachStep):
                self.loops.setdefault(step.item, _Maker(step, trail, self.position[id(step)]))
            for number, branch in enumerate(_branches(step)):
                self._index(branch, (*trail, _Level(step, number)))

    def _sequence(self, steps: Sequence[WorkflowStep], sight: _Sight, trail: Trail) -> None:
        """Check `steps`, which run in order; `sight` grows by what they leave."""
        any_of_them = bool(trail) and not isinstance(trail[-1].step, _KNOWN)
        for step in steps:
            if any_of_them:
                sight.sure = {}
            for mention in mentions(step, self.given.system_prompt):
                self._check(step, mention, sight, trail)
            self._inside(step, sight, trail)
            for key in _keys(step):
                self._leave(key, step, sight)
            if isinstance(step, LLMStep):
                sight.made[_SHARED] = step.name
            sight.open = sight.open or not isinstance(step, _KNOWN)

    def _inside(self, step: WorkflowStep, sight: _Sight, trail: Trail) -> None:
        sights: list[_Sight] = []
        for number, branch in enumerate(_branches(step)):
            inner = sight.copy()
            if isinstance(step, ForEachStep):
                self._name_item(step, inner)
            if isinstance(step, ConditionalStep) or not _is_sure(step):
                # What runs only sometimes may well leave what was there before.
                inner.sure = {}
            # A step of another kind may run its parts with names of its own.
            inner.open = inner.open or not isinstance(step, _KNOWN)
            self._sequence(branch, inner, (*trail, _Level(step, number)))
            sights.append(inner)
        if isinstance(step, ForEachStep):
            return
        if isinstance(step, ConditionalStep):
            self._join(step, sight, sights)
            return
        for inner in sights:
            self._add(step, sight, inner)

    def _name_item(self, step: ForEachStep, sight: _Sight) -> None:
        hidden = sight.items.get(step.item) or sight.sure.get(step.item)
        if hidden or step.item in self.provided:
            what = f"what step {hidden!r} calls so" if hidden else "the input or variable of that name"
            complaint = f"its item {step.item!r} would hide {what}"
            self.faults.append(_error(step, "item", complaint, "call the item something else"))
        named = {step.item: step.name, INDEX: step.name}
        sight.items |= named
        sight.sure |= named

    @staticmethod
    def _join(step: ConditionalStep, sight: _Sight, branches: Sequence[_Sight]) -> None:
        """What is there after a conditional: for certain, what both branches left."""
        before = sight.copy()
        for branch in branches:
            sight.open = sight.open or branch.open
            left = branch.made.keys() | branch.maybe.keys()
            sight.maybe |= dict.fromkeys(left - before.made.keys() - before.maybe.keys(), step.name)
        both = branches[0].made.keys() & branches[1].made.keys()
        for key in both - before.made.keys():
            sight.made[key] = step.name
            sight.maybe.pop(key, None)
        if _is_sure(step):
            sight.sure |= dict.fromkeys(branches[0].sure.keys() & branches[1].sure.keys(), step.name)

    def _add(self, step: WorkflowStep, sight: _Sight, branch: _Sight) -> None:
        """Put what one branch of several left to what the ones before it left."""
        if _is_sure(step):
            for key, name in branch.sure.items():
                if sight.sure.get(key, name) != name:
                    self.faults.append(_twice(step, key, sight.sure[key], name))
            sight.sure |= branch.sure
        sight.made |= branch.made
        sight.maybe |= branch.maybe
        sight.open = sight.open or branch.open

    def _leave(self, key: str, step: WorkflowStep, sight: _Sight) -> None:
        sight.made[key] = step.name
        if not _is_sure(step):
            return
        before = sight.sure.get(key)
        if before is not None and key in sight.items:
            complaint = f"its output {key!r} would hide the item of {before!r}"
            self.faults.append(_error(step, "id", complaint, "rename it"))
        elif before is not None:
            self.faults.append(_twice(step, key, before, step.name))
        sight.sure[key] = step.name

    def _check(self, step: WorkflowStep, mention: Mention, sight: _Sight, trail: Trail) -> None:
        path = mention.path
        if path[0] in ("steps", "input"):
            if len(path) == 1:
                return
            if path[0] == "input":
                self._check_input(step, mention)
                return
            key = f"{_STEPS}{path[1]}"
        else:
            key = path[0]
            if key in sight.items or key in self.provided or key in self.assumed:
                return
        if key in sight.made:
            return
        if key in sight.maybe:
            self._check_maybe(step, mention, sight.maybe[key], trail)
            return
        unknown = sight.open and not key.startswith(_STEPS)
        reason = None if unknown else self._reason(step, key, trail)
        if reason is not None:
            complaint, hint = reason
            self.faults.append(_error(step, mention.place, f"it refers to {_shown(key)!r}, which {complaint}", hint))
            return
        self._check_unknown(step, mention, key, sight)

    def _check_input(self, step: WorkflowStep, mention: Mention) -> None:
        if self.given.closed and mention.path[1] not in (declared := list(self.given.declared or ())):
            hint = known_hint(mention.path[1], declared, what="declared")
            complaint = f"it refers to {dotted(mention.path)!r}, which the declared input does not have"
            self.faults.append(_error(step, mention.place, complaint, hint))

    def _check_maybe(self, step: WorkflowStep, mention: Mention, conditional: str, trail: Trail) -> None:
        around = [level.step for level in trail]
        if mention.place in _CONDITIONS or any(_is_guard(guard) for guard in (*around, step)):
            return
        complaint = f"it refers to {mention.path[-1]!r}, which is there only if {conditional!r} takes the right branch"
        hint = f"let both branches of {conditional!r} make it, or give this step a `when`"
        self.faults.append(_error(step, mention.place, complaint, hint))

    def _reason(self, step: WorkflowStep, key: str, trail: Trail) -> tuple[str, str] | None:
        """Why a step's output is not there, where some step makes it at all."""
        makers = self.makers.get(key)
        bare = not key.startswith(_STEPS)
        here = _Maker(step, trail, self.position[id(step)])
        if not makers:
            loop = self.loops.get(key)
            if loop is None or loop.position >= here.position:
                return None
            name = loop.step.name
            return f"is an item of {name!r}", f"outside of it write ${{steps.{name}}}, or declare it as input"
        if bare and not self.given.closed and any(self._makes_anew(maker, key) for maker in makers):
            return None
        if any(maker.step is step for maker in makers):
            return "comes only later: it makes it itself", "a step can use what earlier steps made"
        reasons = [_why_not(maker, here) for maker in makers]
        if reasons[0] is None or None in reasons:
            return None
        complaint, hint = reasons[0]
        if bare and self.given.declared is None:
            hint = f"{hint}; if the input has {key!r}, declare it (input_schema), or rename the step"
        return complaint, hint

    def _makes_anew(self, maker: _Maker, key: str) -> bool:
        """Whether a step, or one around it, works on the part of the input that is called like what it leaves."""
        steps = (maker.step, *(level.step for level in maker.trail))
        return any(mention.path[0] == key for step in steps for mention in mentions(step, self.given.system_prompt))

    def _check_unknown(self, step: WorkflowStep, mention: Mention, key: str, sight: _Sight) -> None:
        bare = not key.startswith(_STEPS)
        if not self.given.closed and bare:
            self.assumed.add(key)
        if not self.given.closed or (sight.open and bare):
            return
        known = [_shown(made) for made in sight.made if made.startswith(_STEPS) is not bare]
        known += [*self.provided, *sight.items] if bare else []
        complaint = f"it refers to {dotted(mention.path)!r}, which nothing provides"
        self.faults.append(_error(step, mention.place, complaint, known_hint(_shown(key), known)))


def _is_sure(step: WorkflowStep) -> bool:
    """Whether a step that is reached leaves its keys, or the run fails."""
    return isinstance(step, _KNOWN) and step.when is None and step.is_critical


def _is_guard(step: WorkflowStep) -> bool:
    """Whether a step decides if it runs, or what is inside, or lives with its failure."""
    if isinstance(step, ConditionalStep) or step.when is not None or not step.is_critical:
        return True
    if isinstance(step, ForEachStep):
        return step.continue_on_error
    return bool(step.parts) and not isinstance(step, _KNOWN)


def _why_not(maker: _Maker, here: _Maker) -> tuple[str, str] | None:
    """Why what `maker` leaves is not there; `None` where it may be."""
    shared = 0
    while shared < min(len(here.trail), len(maker.trail)) and here.trail[shared] == maker.trail[shared]:
        shared += 1
    loop = next((level.step for level in maker.trail[shared:] if isinstance(level.step, ForEachStep)), None)
    if loop is None and any(not isinstance(level.step, _KNOWN) for level in here.trail[:shared]):
        # A step of another kind runs its parts in any order, and as often as it likes.
        return None
    around = here.trail[shared].step if shared < min(len(here.trail), len(maker.trail)) else None
    if around is not None and around is maker.trail[shared].step:
        if isinstance(around, ParallelStep):
            return f"is made at the same time, in {around.name!r}", "let one come after the other"
        if isinstance(around, ConditionalStep):
            return f"is made in the other branch of {around.name!r}", "use what was made before"
    if loop is not None and maker.position < here.position:
        return (
            f"stays inside {loop.name!r}, once for every item",
            f"write ${{steps.{loop.name}}} for the list of values",
        )
    return "comes only later", "a step can use what earlier steps made"


def _branches(step: WorkflowStep) -> tuple[tuple[WorkflowStep, ...], ...]:
    if isinstance(step, ConditionalStep):
        return (step.true_steps, step.false_steps)
    if isinstance(step, ParallelStep):
        return step.branches
    return (step.parts,) if step.parts else ()


def _keys(step: WorkflowStep) -> tuple[str, ...]:
    """What a step is known to leave for templates, and what `${steps...}` calls it."""
    answer = step.output_key or step.name
    keys = [step.name] if isinstance(step, TransformStep) else [answer]
    if isinstance(step, LLMStep | TransformStep | ConditionalStep | ParallelStep | ForEachStep):
        keys.append(f"{step.name}_output")
    if isinstance(step, ForEachStep) and step.continue_on_error:
        keys.append(f"{step.name}_errors")
    called = [step.name] if answer.endswith("_output") else [step.name, answer]
    return tuple(dict.fromkeys([*keys, *(f"{_STEPS}{name}" for name in called)]))


def _shown(key: str) -> str:
    return key.removeprefix(_STEPS)


def _twice(step: WorkflowStep, key: str, before: str, after: str) -> DefinitionError:
    hint = "give one of them another name, or another `output`"
    return _error(
        step, "id", f"steps {before!r} and {after!r} both leave {_shown(key)!r}, and one would hide the other", hint
    )


def _error(step: WorkflowStep, place: str, complaint: str, hint: str) -> DefinitionError:
    fields: Mapping[str, Any] = {"step": step.name, "place": place}
    return DefinitionError(f"step {step.name!r}: {complaint}", op="workflow.define", hint=hint, fields=fields)
