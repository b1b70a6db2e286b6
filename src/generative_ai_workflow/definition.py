"""Workflows written as YAML: the grammar of a step, and the functions that make steps of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from chatmodels.iface import ChatModel
from fmf_core.errors import FrameworkError
from fmf_core.faults import Fault, SettingsError
from fmf_core.nearest import known_hint
from fmf_core.settings import validate
from fmf_core.value import Value
from fmf_core.yaml_text import Yaml, load_yaml_file
from generative_ai_workflow.condition import Condition
from generative_ai_workflow.config import WorkflowConfig
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.plugins.registry import steps as step_types
from generative_ai_workflow.prompt_file import read_prompt_file
from generative_ai_workflow.step import LLMStep, OutputSpec, WorkflowStep

INLINE = "inline:"


class SharedParams(Value):
    """Sampling settings of all steps of a workflow."""

    model: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """Written as `null`, it is left out of the requests altogether."""
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    """The longest answer, in tokens; written as `null`, it is left out of the requests."""


class StepParams(Value):
    """Sampling settings of one step; what is not given is the workflow's."""

    model: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    """The longest answer, in tokens."""
    seed: int | None = None
    stop: str | tuple[str, ...] = ()


class StepDefinition(Value):
    """One step as it is written in a workflow file or a chain file."""

    id: str = Field(min_length=1)
    """The step's name."""
    type: str = "llm"
    """`llm`, or the name of a registered step type."""
    prompt: str | None = Field(default=None, min_length=1)
    """`inline: text`, `path.yaml#version`, or `id#version` of a prompt registry."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    """What the names of the prompt stand for; `${...}` refers to other values."""
    output: OutputSpec | None = None
    """The answer's name, or what it is called and must look like; a name alone will do."""
    params: StepParams = StepParams()
    system_prompt: str | None = None
    """In any form that a prompt may have."""
    when: str | None = None
    """A condition; where it is not met, the step is skipped."""
    is_critical: bool = True
    """Whether a failure ends the run."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of a registered step type."""

    @field_validator("output", mode="before")
    @classmethod
    def _name_alone(cls, output: Any) -> Any:
        return {"name": output} if isinstance(output, str) else output


class WorkflowDefinition(Value):
    """A workflow file: a chain file without `inputs` and `outputs`."""

    name: str = ""
    description: str = ""
    concurrency: int = Field(default=8, ge=1)
    """How many runs of `run_many` go on at once."""
    continue_on_error: bool = True
    """Whether `run_many` goes on with the next input after a run that failed."""
    system_prompt: str | None = None
    """For steps that have none of their own; in any form that a prompt may have."""
    provider: str | None = None
    """The name of a registered provider."""
    params: SharedParams = SharedParams()
    """For steps that have none of their own."""
    timeout: float | None = Field(default=None, gt=0)
    """The longest run, in seconds."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Names for prompts; the input of a run wins over them."""
    steps: tuple[StepDefinition, ...] = Field(min_length=1)


class ResolvedPrompt(Value):
    """A prompt in full, wherever it was kept."""

    template: str = Field(min_length=1)
    system: str | None = None
    examples: tuple[Any, ...] = ()
    """Few-shot turns: (input, output), or mappings with these keys."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Where it came from, such as `prompt_id`, `prompt_version` and `prompt_hash`."""


Resolve = Callable[[str], ResolvedPrompt]
"""Finds the prompt that a reference names; raises a `FrameworkError` when there is none."""


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
    if definition.type == "llm":
        step = _llm_step(definition, prompt, system_prompt, provider, images)
    else:
        step = _plugin_step(definition)
    if definition.when is not None:
        step.when = Condition(definition.when)
    return step


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


Complain = Callable[[str, FrameworkError], None]


def _build_steps(definitions: Sequence[StepDefinition], resolve: Resolve, complain: Complain) -> list[WorkflowStep]:
    made: list[WorkflowStep] = []
    for number, step in enumerate(definitions):
        path = f"steps[{number}]"
        try:
            path = f"steps[{number}].prompt" if step.prompt is not None else path
            prompt = None if step.prompt is None else resolve(step.prompt)
            path = f"steps[{number}].system_prompt"
            system = None if step.system_prompt is None else resolve(step.system_prompt).template
            path = f"steps[{number}]"
            made.append(build_step(step, prompt=prompt, system_prompt=system))
        except FrameworkError as error:
            complain(path, error)
    return made


@dataclass(frozen=True, slots=True)
class Draft:
    """A workflow file, read: what a `Workflow` is made of, and where each part of it stands."""

    steps: tuple[WorkflowStep, ...]
    name: str
    config: WorkflowConfig
    definition: WorkflowDefinition
    yaml: Yaml

    def blame(self, error: DefinitionError) -> SettingsError:
        """`error` with the place in the file that it is about."""
        path = _guilty(self.definition, error)
        return SettingsError.of([_fault(self.yaml, path, _said(error))])


def load_workflow(
    path: str | Path, *, resolve: Resolve | None = None, provider: str | ChatModel | None = None
) -> Draft:
    """Read a workflow file; `Workflow.from_yaml` makes a workflow of it.

    Args:
        path: the file.
        resolve: finds prompts; default knows `inline: ...` and `path.yaml#version` beside the file.
        provider: wins over that of the file.

    Raises:
        ConfigurationError: the file is missing or malformed, or holds faults: all of them, with line and column.
    """
    yaml = load_yaml_file(path)
    definition = validate(WorkflowDefinition, yaml.data, source=str(path), yaml=yaml)
    faults: list[Fault] = []

    def complain(place: str, error: FrameworkError) -> None:
        faults.append(_fault(yaml, place, _said(error)))

    find = resolve or PromptFiles(Path(path).parent)
    steps = _build_steps(definition.steps, find, complain)
    system = None
    if definition.system_prompt is not None:
        try:
            system = find(definition.system_prompt).template
        except FrameworkError as error:
            complain("system_prompt", error)
    if faults:
        raise SettingsError.of(faults)
    return Draft(tuple(steps), definition.name, _settings(definition, system, provider), definition, yaml)


def _settings(
    definition: WorkflowDefinition, system_prompt: str | None, provider: str | ChatModel | None
) -> WorkflowConfig:
    sampling = {
        name: getattr(definition.params, name)
        for name in ("model", "temperature", "max_tokens")
        if name in definition.params.model_fields_set
    }
    return WorkflowConfig(
        provider=provider or definition.provider,
        system_prompt=system_prompt,
        timeout=definition.timeout,
        variables=definition.variables,
        concurrency=definition.concurrency,
        continue_on_error=definition.continue_on_error,
        **sampling,
    )


def _guilty(definition: WorkflowDefinition, error: FrameworkError) -> str:
    """The place of the step that the error is about: of the last one, where it is about two of the same name."""
    text = str(error)
    named = [number for number, step in enumerate(definition.steps) if repr(step.id) in text]
    return f"steps[{named[-1]}].id" if named else "steps"


def _said(error: FrameworkError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _fault(yaml: Yaml, path: str, message: str) -> Fault:
    line, column = yaml.position(path) or yaml.position(path.rpartition(".")[0] or "steps") or (None, None)
    return Fault(path, message, source=yaml.source, line=line, column=column)


class PromptFiles:
    """Finds prompts that are written out (`inline: text`) or kept in a prompt file (`path.yaml#version`).

    Args:
        folder: where relative paths begin.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder)

    def __call__(self, reference: str) -> ResolvedPrompt:
        """The prompt that `reference` names.

        Raises:
            DefinitionError: there is none; the hint lists the versions where the file exists.
        """
        text = reference.lstrip()
        if text.startswith(INLINE):
            return ResolvedPrompt(template=_trimmed(text.removeprefix(INLINE), reference))
        path, sign, version = reference.rpartition("#")
        if not sign or not path.endswith((".yaml", ".yml")):
            raise DefinitionError(
                f"{reference!r} is no prompt that can be found here",
                op="prompt.find",
                hint="write 'inline: text', or path.yaml#version; id#version needs the registry of an fmf project",
            )
        return self._from_file(path, version)

    def _from_file(self, path: str, version: str) -> ResolvedPrompt:
        file = read_prompt_file(self.folder / path)
        for item in file.versions:
            if item.version == version:
                return ResolvedPrompt(
                    template=item.template,
                    system=item.system,
                    examples=tuple((example.input, example.output) for example in item.examples),
                    metadata={"prompt_id": file.id, "prompt_version": version},
                )
        hint = known_hint(version, file.version_names())
        raise DefinitionError(f"{path} has no version {version!r}", op="prompt.find", hint=hint)


def _trimmed(text: str, reference: str) -> str:
    if not text.strip():
        raise DefinitionError(f"the prompt {reference!r} is empty", op="prompt.find")
    return text.strip()
