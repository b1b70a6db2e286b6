"""From what a file says of its steps to the steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

from chatmodels.iface import ChatModel
from fmf_core.errors import FrameworkError
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
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.plugins.registry import steps as step_types
from generative_ai_workflow.step import LLMStep, WorkflowStep
from generative_ai_workflow.workflow_step import as_retry

Resolve = Callable[[str], ResolvedPrompt]
"""Finds the prompt that a reference names; raises a `FrameworkError` when there is none."""
Complain = Callable[[str, FrameworkError], None]
"""Is told of a fault, and of the key path of its place."""


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


def build_steps(
    definitions: Sequence[WorkflowStepDefinition], resolve: Resolve, complain: Complain
) -> list[WorkflowStep]:
    """Make the steps of a workflow file, those inside others included.

    Args:
        definitions: what was written under `steps`.
        resolve: finds prompts.
        complain: is told of every fault with the key path of its place, such as `steps[0].then[1].prompt`; a step that
            has one is left out.
    """
    return _Builder(resolve, complain).steps(definitions, "steps")


class _Builder:
    def __init__(self, resolve: Resolve, complain: Complain) -> None:
        self._resolve = resolve
        self._complain = complain
        self._faults = 0

    def steps(self, definitions: Sequence[WorkflowStepDefinition], path: str) -> list[WorkflowStep]:
        made = (self._step(definition, f"{path}[{number}]") for number, definition in enumerate(definitions))
        return [step for step in made if step is not None]

    def _fault(self, path: str, error: FrameworkError) -> None:
        self._faults += 1
        self._complain(path, error)

    def _step(self, definition: WorkflowStepDefinition, path: str) -> WorkflowStep | None:
        before = self._faults
        self._check_words(definition, path)
        if definition.type in WORDS:
            return self._holder(definition, path, before)
        place = path
        try:
            place = f"{path}.prompt"
            prompt = None if definition.prompt is None else self._resolve(definition.prompt)
            place = f"{path}.system_prompt"
            system = None if definition.system_prompt is None else self._resolve(definition.system_prompt).template
            place = path
            return build_step(definition, prompt=prompt, system_prompt=system)
        except FrameworkError as error:
            self._fault(place, error)
        return None

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
                self._fault(f"{path}.{key}", error)

    def _holder(self, definition: WorkflowStepDefinition, path: str, before: int) -> WorkflowStep | None:
        then = self.steps(definition.then, f"{path}.then")
        otherwise = self.steps(definition.otherwise, f"{path}.{key_of('otherwise')}")
        inside = self.steps(definition.steps, f"{path}.steps")
        branches = [
            self.steps(branch, f"{path}.branches[{number}]") for number, branch in enumerate(definition.branches)
        ]
        if self._faults > before:
            return None
        try:
            if definition.type == "conditional":
                return _conditional(definition, then, otherwise)
            if definition.type == "parallel":
                return _settled(_parallel(definition, inside, branches), definition)
            return _settled(_for_each(definition, inside), definition)
        except FrameworkError as error:
            self._fault(path, error)
        return None


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
