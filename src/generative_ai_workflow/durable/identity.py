"""Whether a run that is kept is the one that is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generative_ai_workflow.durable.fingerprint import steps_that_differ
from generative_ai_workflow.durable.store import RunIdentity
from generative_ai_workflow.exceptions import Code, WorkflowError


def check_identity(kept: RunIdentity, given: RunIdentity) -> None:
    """Refuse to go on with `kept` as `given`.

    Raises:
        WorkflowError: it was begun by another workflow, with other steps or with another input; says what differs.
    """
    if kept.workflow != given.workflow:
        told = f"was begun by workflow {kept.workflow!r}, not by {given.workflow!r}"
    elif kept.fingerprint != given.fingerprint:
        told = f"was begun when workflow {kept.workflow!r} had other steps"
        if changes := steps_that_differ(kept.fingerprint, given.fingerprint):
            told += f": {', '.join(changes)}"
    elif names := parts_that_differ(kept.input_data, given.input_data):
        told = f"was begun with another input; not the same: {', '.join(map(repr, names))}"
    else:
        return
    raise WorkflowError(
        f"run {given.run_id!r} {told}",
        op="store.begin",
        code=Code.CONFLICT,
        hint="resume it as it was begun, give a new run an id of its own, or forget the old one",
    )


def parts_that_differ(kept: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The names under which two inputs do not hold the same; 1, 1.0 and True are not the same."""
    names = sorted({*kept, *given})
    return [name for name in names if name not in kept or name not in given or not _same(kept[name], given[name])]


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
