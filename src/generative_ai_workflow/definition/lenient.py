"""What a workflow file still says where parts of it are wrong, so that all its faults can be told at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmf_core.faults import Fault, SettingsError
from fmf_core.settings import validate
from fmf_core.yaml_text import KeyPath, Yaml, parse_path, path_text
from generative_ai_workflow.definition.grammar import WorkflowDefinition

_HARMLESS = frozenset({"concurrency", "continue_on_error", "is_critical", "max_items", "params", "retry", "timeout"})
"""Keys of a step without which the rest of it means what it meant."""
_LISTS = frozenset({"steps", "then", "else"})


@dataclass(frozen=True, slots=True)
class Reading:
    """A workflow file as far as it could be read."""

    definition: WorkflowDefinition | None
    """What it says without the parts that are wrong; `None` where nothing is left of it."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with its keys and the types of its values."""
    spoilt: frozenset[str] = frozenset()
    """The places of steps of which something is missing that matters for the rest, such as `steps[0].then[1]`."""
    names_known: bool = True
    """Whether the input and the variables are what was written."""


def read_definition(yaml: Yaml, source: str) -> Reading:
    """Read `yaml`, and leave out what cannot be read."""
    try:
        return Reading(validate(WorkflowDefinition, yaml.data, source=source, yaml=yaml))
    except SettingsError as error:
        faults = error.faults
    if not isinstance(yaml.data, Mapping):
        return Reading(None, faults)
    paths = [tuple(parse_path(fault.path)) for fault in faults]
    rest = copy.deepcopy(yaml.data)
    for path in paths:
        _leave_out(rest, path)
    try:
        definition = validate(WorkflowDefinition, rest, source=source)
    except SettingsError:
        return Reading(None, faults)
    spoilt = frozenset(path_text(step) for path in paths if (step := _spoilt_by(path)))
    names_known = not any(path[:1] in (("input",), ("variables",)) for path in paths)
    return Reading(definition, faults, spoilt, names_known)


def _leave_out(data: Any, path: KeyPath) -> None:
    """Take `path` out of `data`; steps keep their places and have some id."""
    holder = data
    for part in path[:-1]:
        if isinstance(holder, Mapping):
            holder = holder.get(part)
        elif isinstance(holder, list) and isinstance(part, int) and part < len(holder):
            holder = holder[part]
    last = path[-1] if path else ""
    if isinstance(holder, dict):
        holder.pop(last, None)
        if last == "id":
            holder["id"] = path_text(path)
    elif isinstance(holder, list) and isinstance(last, int) and last < len(holder) and _is_step(path):
        holder[last] = {"id": path_text(path)}


def _spoilt_by(path: KeyPath) -> KeyPath | None:
    """The step that something essential is missing of when `path` is left out."""
    for length in range(len(path), 0, -1):
        if _is_step(path[:length]):
            return None if path[length : length + 1] and path[length] in _HARMLESS else path[:length]
    return None


def _is_step(path: KeyPath) -> bool:
    if not isinstance(path[-1], int):
        return False
    return path[-2] in _LISTS or (len(path) > 2 and path[-3] == "branches")
