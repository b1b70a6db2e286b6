"""From what a file says of its steps to the steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from chatmodels.iface import ChatModel
from fmf_core.errors import FrameworkError
from fmf_core.nearest import known_hint, nearest
from fmf_core.yaml_text import path_text
from generative_ai_workflow.condition import Condition
from generative_ai_workflow.control_flow import ConditionalStep, ForEachStep, ParallelStep
from generative_ai_workflow.control_flow.for_each import CONCURRENCY
from generative_ai_workflow.definition.grammar import (
    LLM,
    LLM_WORDS,
    WORDS,
    ResolvedPrompt,
    StepDefinition,
    WorkflowStepDefinition,
    key_of,
)
from generative_ai_workflow.exceptions import DefinitionError, PluginNotFoundError
from generative_ai_workflow.plugins.registry import steps as step_types
from generative_ai_workflow.reference import compile_value
from generative_ai_workflow.step import LLMStep, WorkflowStep
from generative_ai_workflow.template import suspects_in
from generative_ai_workflow.workflow_step import as_retry

Resolve = Callable[[str], ResolvedPrompt]
"""Finds the prompt that a reference names; raises a `FrameworkError` when there is none."""
Complain = Callable[[str, FrameworkError], None]
"""Is told of a fault, and of the key path of its place."""
TRANSFORM = "transform"
"""A step type that takes a function, which no file can write."""


def build_step(
    definition: StepDefinition,
    *,
    prompt: ResolvedPrompt | str | None = None,
    system_prompt: str | None = None,
    provider: str | ChatModel | None = None,
    images: str | None = None,
) -> WorkflowStep:
    """Make the step that `definition` describes.

    Args:
        definition: what was written.
        prompt: the prompt that its `prompt` names; a text is the template itself. Steps of type `llm` need one.
        system_prompt: the text that its `system_prompt` names; default is the prompt's own.
        provider: a registered name or a chat model; default is the workflow's.
        images: a reference to the pictures that go with the prompt; for steps of type `llm`.

    Raises:
        DefinitionError: something is missing or wrong.
        PluginNotFoundError: no step type is called that; the hint lists the known ones.
    """
    if definition.type in WORDS:
        raise DefinitionError(
            f"step {definition.id!r}: type {definition.type!r} holds steps, which only workflow files can write",
            op="step.build",
        )
    if definition.type == LLM:
        step = _llm_step(definition, prompt, system_prompt, provider, images)
    else:
        step = _plugin_step(definition)
    return _settled(step, definition)


def _llm_step(
    definition: StepDefinition,
    prompt: ResolvedPrompt | str | None,
    system_prompt: str | None,
    provider: str | ChatModel | None,
    images: str | None,
) -> WorkflowStep:
    if prompt is None:
        raise DefinitionError(
            f"step {definition.id!r} has no prompt", op="step.build", hint="write `prompt: 'inline: ...'`"
        )
    resolved = ResolvedPrompt(template=prompt) if isinstance(prompt, str) else prompt
    if definition.options:
        raise DefinitionError(
            f"step {definition.id!r}: options are for registered step types",
            op="step.build",
            hint="an llm step has params",
        )
    params = definition.params
    return LLMStep(
        definition.id,
        resolved.template,
        provider,
        params.model,
        params.temperature,
        params.max_tokens,
        system_prompt if system_prompt is not None else resolved.system,
        definition.is_critical,
        inputs=definition.inputs,
        examples=resolved.examples,
        seed=params.seed,
        stop=params.stop,
        output=definition.output,
        syntax="double",
        metadata=resolved.metadata,
        images=images or (),
    )


def _plugin_step(definition: StepDefinition) -> WorkflowStep:
    _check_type(definition.type)
    kind = step_types.get(definition.type)
    if isinstance(kind, WorkflowStep):
        if definition.options:
            raise DefinitionError(
                f"step {definition.id!r}: type {definition.type!r} is a ready step and takes no options",
                op="step.build",
            )
        step = copy.copy(kind)
        step.__dict__.pop("_step_id", None)
    else:
        try:
            step = (
                kind(**definition.options)
                if "name" in definition.options
                else kind(definition.id, **definition.options)
            )
        except FrameworkError:
            raise
        except Exception as error:
            raise DefinitionError(
                f"step {definition.id!r} of type {definition.type!r} could not be made: {error}",
                op="step.build",
                hint="its arguments stand under `options`",
            ) from error
    step.name = definition.id
    if "is_critical" in definition.model_fields_set:
        step.is_critical = definition.is_critical
    return step


def _check_type(kind: str, *, holders: bool = False) -> None:
    """Refuse what is no step type of a file; `holders` are those that hold steps."""
    if kind == TRANSFORM:
        raise DefinitionError(
            f"type {TRANSFORM!r} applies a function, and a file cannot write one",
            op="step.build",
            hint="register a step of your own with PluginRegistry.register_step, and give its name as the type",
        )
    known = _known_types(holders=holders)
    if kind not in known:
        raise PluginNotFoundError(f"unknown step type {kind!r}", op="step.build", hint=known_hint(kind, known))


def _known_types(*, holders: bool) -> list[str]:
    left_out = {TRANSFORM} if holders else {TRANSFORM, *WORDS}
    return [name for name in step_types.names() if name not in left_out]


def _settled(step: WorkflowStep, definition: StepDefinition, *, when: str | None = None) -> WorkflowStep:
    """`step` with the settings that every type has."""
    condition = definition.when if when is None else when
    if condition:
        step.when = Condition(condition)
    if definition.retry is not None:
        step.retry = as_retry(definition.id, definition.retry)
    if definition.timeout is not None:
        step.timeout = definition.timeout
    return step


class Unmade(WorkflowStep):
    """Stands for a step that could not be made, so that the rest of its workflow can be checked.

    Args:
        definition: what was written.
    """

    def __init__(self, definition: WorkflowStepDefinition) -> None:
        super().__init__(definition.id)
        self.output_key = (definition.output and definition.output.name) or definition.id
        inside = (definition.then, definition.otherwise, definition.steps, definition.branches)
        self.hides = definition.type in WORDS or any(inside)
        """Whether steps are inside, of which nobody knows when they would run."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Refuse.

        Raises:
            DefinitionError: always.
        """
        raise DefinitionError(f"step {context.step_name!r} could not be made", op="step.build")


def build_steps(
    definitions: Sequence[WorkflowStepDefinition],
    resolve: Resolve,
    complain: Complain,
    *,
    spoilt: frozenset[str] = frozenset(),
) -> list[WorkflowStep]:
    """Make the steps of a workflow file, those inside others included.

    Args:
        definitions: what was written under `steps`.
        resolve: finds prompts.
        complain: is told of every fault with the key path of its place, such as `steps[0].then[1].prompt`; what is
            returned then is for further checks only: a setting with a fault is left out, and where the step needs it,
            an `Unmade` stands in its place.
        spoilt: key paths of steps of which something is missing; only what they hold is looked at.
    """
    return _Builder(resolve, complain, spoilt).steps(definitions, "steps")


class _Inside(NamedTuple):
    """The steps that a step holds."""

    then: list[WorkflowStep]
    otherwise: list[WorkflowStep]
    steps: list[WorkflowStep]
    branches: list[list[WorkflowStep]]


class _Builder:
    def __init__(self, resolve: Resolve, complain: Complain, spoilt: frozenset[str]) -> None:
        self._resolve = resolve
        self._complain = complain
        self._spoilt = spoilt

    def steps(self, definitions: Sequence[WorkflowStepDefinition], path: str) -> list[WorkflowStep]:
        return [self._step(definition, f"{path}[{number}]") for number, definition in enumerate(definitions)]

    def _step(self, definition: WorkflowStepDefinition, path: str) -> WorkflowStep:
        if path in self._spoilt:
            self._inside(definition, path)
            return Unmade(definition)
        definition = self._typed(definition, path)
        if definition.type in WORDS or definition.type == LLM or definition.type in step_types.names():
            self._check_words(definition, path)
        definition = self._readable(definition, path)
        return self._made(definition, self._inside(definition, path), path)

    def _made(self, definition: WorkflowStepDefinition, inside: _Inside, path: str) -> WorkflowStep:
        try:
            if definition.type in WORDS:
                return _holder(definition, inside)
            prompt = self._prompt(definition, "prompt", path)
            system = self._prompt(definition, "system_prompt", path)
            if (prompt is None and definition.prompt) or definition.type not in _known_types(holders=True):
                return Unmade(definition)
            return build_step(definition, prompt=prompt, system_prompt=system.template if system else None)
        except FrameworkError as error:
            place = error.fields.get("place")
            self._complain(f"{path}.{place}" if place else path, error)
        if place == "items":
            return self._made(definition.model_copy(update={"items": ()}), inside, path)
        return Unmade(definition)

    def _typed(self, definition: WorkflowStepDefinition, path: str) -> WorkflowStepDefinition:
        """Complain of a type that there is not, and take it for the one that was probably meant."""
        try:
            _check_type(definition.type, holders=True)
        except FrameworkError as error:
            self._complain(f"{path}.type", error)
            meant = nearest(definition.type, WORDS)
            return definition.model_copy(update={"type": meant}) if meant else definition
        return definition

    def _readable(self, definition: WorkflowStepDefinition, path: str) -> WorkflowStepDefinition:
        """`definition` without conditions and inputs that cannot be read."""
        changed: dict[str, Any] = {}
        for key in ("when", "condition"):
            if (written := getattr(definition, key)) and not self._reads(f"{path}.{key}", partial(Condition, written)):
                changed[key] = "true"
        unread = [
            name
            for name, value in definition.inputs.items()
            if not self._reads(f"{path}.{path_text(('inputs', name))}", partial(compile_value, value))
        ]
        if unread:
            changed["inputs"] = {**definition.inputs, **dict.fromkeys(unread)}
        return definition.model_copy(update=changed) if changed else definition

    def _reads(self, place: str, read: Callable[[], Any]) -> bool:
        try:
            read()
        except FrameworkError as error:
            self._complain(place, error)
            return False
        return True

    def _prompt(self, definition: WorkflowStepDefinition, key: str, path: str) -> ResolvedPrompt | None:
        written: str | None = getattr(definition, key)
        if written is None:
            return None
        try:
            found = self._resolve(written)
        except FrameworkError as error:
            self._complain(f"{path}.{key}", error)
            return None
        for text in (found.template, found.system if key == "prompt" else None):
            for fault in suspect_faults(text, f"step {definition.id!r}: "):
                self._complain(f"{path}.{key}", fault)
        return found

    def _inside(self, definition: WorkflowStepDefinition, path: str) -> _Inside:
        return _Inside(
            self.steps(definition.then, f"{path}.then"),
            self.steps(definition.otherwise, f"{path}.{key_of('otherwise')}"),
            self.steps(definition.steps, f"{path}.steps"),
            [self.steps(branch, f"{path}.branches[{number}]") for number, branch in enumerate(definition.branches)],
        )

    def _check_words(self, definition: WorkflowStepDefinition, path: str) -> None:
        """Complain of every field that another type of step has."""
        kind = definition.type
        own = WORDS.get(kind, frozenset())
        foreign = [(word, types) for word, types in _TYPES_OF.items() if word not in own]
        if kind in WORDS:
            foreign += [(word, (LLM,)) for word in LLM_WORDS] + [("options", ("a registered name",))]
        for word, types in sorted(foreign):
            if word in definition.model_fields_set:
                key = key_of(word)
                error = DefinitionError(
                    f"step {definition.id!r} is of type {kind!r}, and {key!r} belongs to {' and '.join(types)}",
                    op="step.build",
                    hint="remove it, or change the type",
                )
                self._complain(f"{path}.{key}", error)


def suspect_faults(text: str | None, where: str = "") -> Iterator[DefinitionError]:
    """One fault for everything in a template that looks like a place and is none.

    Args:
        text: the template.
        where: what the messages begin with.
    """
    for suspect in suspects_in(text or ""):
        yield DefinitionError(f"{where}{suspect.complaint}", op="step.build", hint=suspect.hint)


def _holder(definition: WorkflowStepDefinition, inside: _Inside) -> WorkflowStep:
    if definition.type == "conditional":
        return _conditional(definition, inside.then, inside.otherwise)
    if definition.type == "parallel":
        return _settled(_parallel(definition, inside.steps, inside.branches), definition)
    return _settled(_for_each(definition, inside.steps), definition)


_TYPES_OF: Mapping[str, tuple[str, ...]] = {
    word: tuple(kind for kind, words in WORDS.items() if word in words)
    for word in sorted({word for words in WORDS.values() for word in words})
}


def _conditional(
    definition: WorkflowStepDefinition, then: list[WorkflowStep], otherwise: list[WorkflowStep]
) -> WorkflowStep:
    condition = definition.condition or definition.when
    if condition is None:
        raise DefinitionError(
            f"step {definition.id!r} has no condition", op="step.build", hint="write `condition: len(text) > 4000`"
        )
    step = ConditionalStep(definition.id, condition, then, otherwise, definition.is_critical)
    # Without `condition`, `when` is what decides, and not whether the step runs at all.
    return _settled(step, definition, when=None if definition.condition else "")


def _parallel(
    definition: WorkflowStepDefinition, inside: list[WorkflowStep], branches: list[list[WorkflowStep]]
) -> WorkflowStep:
    if inside and branches:
        raise DefinitionError(
            f"step {definition.id!r} has both steps and branches",
            op="step.build",
            hint="write a step that stands alone as a branch of one",
        )
    return ParallelStep(definition.id, inside or branches, definition.is_critical, concurrency=definition.concurrency)


def _for_each(definition: WorkflowStepDefinition, inside: list[WorkflowStep]) -> WorkflowStep:
    if definition.items is None:
        raise DefinitionError(f"step {definition.id!r} has no items", op="step.build", hint="write `items: ${steps.X}`")
    return ForEachStep(
        definition.id,
        definition.items,
        inside,
        definition.is_critical,
        item=definition.item,
        concurrency=definition.concurrency or CONCURRENCY,
        max_items=definition.max_items,
        continue_on_error=definition.continue_on_error,
    )
