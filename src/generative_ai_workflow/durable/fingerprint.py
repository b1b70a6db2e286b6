"""A workflow's steps as a text by which a run of other steps is known, and told what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from chatmodels.json_values import exact, written
from generative_ai_workflow.workflow_step import WorkflowStep

MOST_TOLD = 5
"""How many differences are named."""


def fingerprint_of(steps: Sequence[WorkflowStep]) -> str:
    """The names and kinds of `steps` and of their parts, in their order, as JSON.

    What a step does is not in it: a prompt or a function may be mended, and the run goes on with what is finished. Nor
    is the module of its class, which is another one where a script is run and where it is imported.
    """
    return written(_outline(steps))


def steps_that_differ(kept: str, given: str) -> list[str]:
    """How the steps behind two fingerprints differ, a few words for each; empty where that cannot be told."""
    before, now = _places(kept), _places(given)
    told = [f"{name!r} ({place.kind}) is gone" for name, place in before.items() if name not in now]
    told += [f"{name!r} ({place.kind}) is new" for name, place in now.items() if name not in before]
    common = [name for name in before if name in now]
    told += [change for name in common if (change := _change(name, before[name], now[name]))]
    order = [name for name in now if name in before]
    if not told:
        told += [
            f"{name!r} comes where {other!r} was"
            for name, other in zip_longest(order, common)
            if name != other and other is not None
        ][:1]
    return told if len(told) <= MOST_TOLD else [*told[:MOST_TOLD], f"and {len(told) - MOST_TOLD} more"]


class _Place(NamedTuple):
    kind: str
    around: str
    """The step that it is a part of; empty for the outermost."""


def _outline(steps: Sequence[WorkflowStep]) -> list[Any]:
    return [[step.name or type(step).__name__, type(step).__qualname__, _outline(step.parts)] for step in steps]


def _change(name: str, before: _Place, now: _Place) -> str:
    if before.kind != now.kind:
        return f"{name!r} was {before.kind} and is {now.kind}"
    if before.around != now.around:
        where = f"in {now.around!r}" if now.around else "in no other step"
        return f"{name!r} was {f'in {before.around!r}' if before.around else 'in no other step'} and is {where}"
    return ""


def _places(fingerprint: str) -> Mapping[str, _Place]:
    try:
        return dict(_walk(exact(fingerprint), ""))
    except (TypeError, ValueError):
        return {}  # a store of somebody else's own may be asked with anything


def _walk(outline: Any, around: str) -> Iterator[tuple[str, _Place]]:
    for name, kind, parts in outline:
        yield name, _Place(kind, around)
        yield from _walk(parts, name)
