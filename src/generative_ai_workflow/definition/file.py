"""Reading a workflow file: every fault at its place, nothing run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatmodels.iface import ChatModel
from fmf_core.errors import FrameworkError
from fmf_core.faults import Fault, SettingsError
from fmf_core.yaml_text import KeyPath, Yaml, load_yaml_file, parse_path, path_text
from generative_ai_workflow.config import WorkflowConfig
from generative_ai_workflow.definition.build import Complain, Resolve, Unmade, build_steps, suspect_faults
from generative_ai_workflow.definition.grammar import WorkflowDefinition, WorkflowStepDefinition
from generative_ai_workflow.definition.lenient import read_definition
from generative_ai_workflow.definition.prompts import PromptFiles
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.input_schema import InputSchema, is_whole
from generative_ai_workflow.name_check import Given, faults_of_names
from generative_ai_workflow.step import WorkflowStep

_CHAIN_INPUTS = frozenset({"connector", "select", "mode", "images"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A workflow file, read: what a `Workflow` is made of, and where each part of it stands."""

    steps: tuple[WorkflowStep, ...]
    name: str
    config: WorkflowConfig
    input: Mapping[str, Any] | None
    definition: WorkflowDefinition
    yaml: Yaml

    def blame(self, error: DefinitionError) -> SettingsError:
        """`error` with the place in the file that it is about."""
        return SettingsError.of([_fault(self.yaml, _guilty(self.definition, self.yaml, error), error)])


def load_workflow(
    path: str | Path, *, resolve: Resolve | None = None, provider: str | ChatModel | None = None
) -> Draft:
    """Read a workflow file; `Workflow.from_yaml` makes a workflow of it.

    Args:
        path: the file.
        resolve: finds prompts; default knows `inline: ...` and `path.yaml#version` beside the file.
        provider: wins over that of the file.

    Raises:
        ConfigurationError: the file is missing or malformed, is a chain file, or holds faults: all of them, with line
            and column.
    """
    yaml = load_yaml_file(path)
    _refuse_chain(yaml)
    reading = read_definition(yaml, str(path))
    definition = reading.definition
    if definition is None:
        raise SettingsError.of(reading.faults)
    faults = list(reading.faults)

    def complain(place: str | KeyPath, error: FrameworkError) -> None:
        faults.append(_fault(yaml, place, error))

    find = resolve or PromptFiles(Path(path).parent)
    steps = build_steps(definition.steps, find, complain, spoilt=reading.spoilt)
    system = _system_prompt(definition, find, complain)
    given = _given(definition, system, complain)
    if given is not None and reading.names_known:
        for error in _wrong_names(definition, steps, given):
            complain(_guilty(definition, yaml, error), error)
    if faults:
        raise SettingsError.of(faults)
    config = _settings(definition, system, provider)
    return Draft(tuple(steps), definition.name, config, definition.input, definition, yaml)


def _system_prompt(definition: WorkflowDefinition, find: Resolve, complain: Complain) -> str | None:
    if definition.system_prompt is None:
        return None
    try:
        system = find(definition.system_prompt).template
    except FrameworkError as error:
        complain("system_prompt", error)
        return None
    for fault in suspect_faults(system):
        complain("system_prompt", fault)
    return system


def _given(definition: WorkflowDefinition, system: str | None, complain: Complain) -> Given | None:
    """What is known before the first step; `None` where the declared input is too wrong to tell."""
    if definition.input is None:
        return Given(definition.variables, system_prompt=system)
    declared = dict(definition.input)
    wrong: set[str] = set()
    while True:
        try:
            schema = InputSchema.of(declared)
        except FrameworkError as error:
            name = str(error.fields.get("input") or "")
            whole = is_whole(declared)
            place = ("input", *(["properties"] if whole else []), name) if name else ("input",)
            complain(path_text(place), error)
            names = dict(declared["properties"]) if whole else declared
            if name not in names or name in wrong:
                return None
            # Its name still counts for the steps that mention it.
            names[name] = {}
            wrong.add(name)
            declared = {**declared, "properties": names} if whole else names
        else:
            return Given(definition.variables, tuple(schema.properties), schema.closed, system)


def _wrong_names(
    definition: WorkflowDefinition, steps: Sequence[WorkflowStep], given: Given
) -> Iterator[DefinitionError]:
    """What is wrong with the names of steps, and with those that they mention."""
    seen: set[str] = set()
    for step, _ in _walk(definition.steps, ("steps",)):
        if step.id in seen:
            yield DefinitionError(
                f"Duplicate step name {step.id!r}",
                op="workflow.define",
                hint="every step needs a name of its own",
                fields={"step": step.id, "place": "id"},
            )
        seen.add(step.id)
    if any(isinstance(step, Unmade) and step.hides for step in _all_of(steps)):
        return
    twice = len(seen) < len(list(_walk(definition.steps, ("steps",))))
    yield from (error for error in faults_of_names(steps, given) if not twice or error.fields.get("place") != "id")


def _all_of(steps: Sequence[WorkflowStep]) -> Iterator[WorkflowStep]:
    for step in steps:
        yield step
        yield from _all_of(step.parts)


def _refuse_chain(yaml: Yaml) -> None:
    """Say of a chain file what it is, and not that its keys are misspelt."""
    data = yaml.data if isinstance(yaml.data, Mapping) else {}
    inputs = data.get("inputs")
    chain_like = isinstance(inputs, Mapping) and bool(inputs) and inputs.keys() <= _CHAIN_INPUTS
    key: KeyPath | None = ("inputs",) if chain_like else ("outputs",) if "outputs" in data else None
    for number, step in enumerate(data["steps"] if isinstance(data.get("steps"), list) else ()):
        if key is None and isinstance(step, Mapping) and step.get("mode") in ("text", "multimodal"):
            key = ("steps", number, "mode")
    if key is not None:
        error = DefinitionError(
            f"this is a chain file: it has {key[-1]!r}, which a workflow does not know",
            op="workflow.load",
            hint="run it with `fmf run`; a workflow has neither inputs nor outputs, and declares what it is given under"
            " `input`",
        )
        raise SettingsError.of([_fault(yaml, key, error, on_key=True)])


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


def _guilty(definition: WorkflowDefinition, yaml: Yaml, error: FrameworkError) -> KeyPath:
    """The place in the file of what the error is about: of the last step, where it is about two of the same name."""
    if error.fields.get("input"):
        return ("input", error.fields["input"])
    named = [path for step, path in _walk(definition.steps, ("steps",)) if step.id == error.fields.get("step")]
    if not named:
        return ("steps",)
    place = str(error.fields.get("place", "id"))
    # `when` may stand for the condition, and the workflow's system prompt for that of a step.
    instead: Mapping[str, KeyPath] = {"condition": (*named[-1], "when"), "system_prompt": ("system_prompt",)}
    for path in ((*named[-1], place), instead.get(place, ()), (*named[-1], "id")):
        if path and yaml.position(path) is not None:
            return path
    return named[-1]


def _walk(steps: Sequence[WorkflowStepDefinition], path: KeyPath) -> Iterator[tuple[WorkflowStepDefinition, KeyPath]]:
    for number, step in enumerate(steps):
        here = (*path, number)
        yield step, here
        for key, inside in (("then", step.then), ("else", step.otherwise), ("steps", step.steps)):
            yield from _walk(inside, (*here, key))
        for branch, inside in enumerate(step.branches):
            yield from _walk(inside, (*here, "branches", branch))


def _fault(yaml: Yaml, path: str | KeyPath, error: FrameworkError, *, on_key: bool = False) -> Fault:
    parts = parse_path(path) if isinstance(path, str) else path
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    line: int | None = None
    column: int | None = None
    for length in range(len(parts), 0, -1):
        if (found := yaml.position(parts[:length], key=on_key)) is not None:
            line, column = found
            break
    return Fault(path_text(parts), message, source=yaml.source, line=line, column=column)
