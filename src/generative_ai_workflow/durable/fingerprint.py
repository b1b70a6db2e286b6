"""A workflow's steps as a short text that changes when a run of the one could not go on as a run of the other."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from chatmodels.json_values import written
from generative_ai_workflow.workflow_step import WorkflowStep


def fingerprint_of(steps: Sequence[WorkflowStep]) -> str:
    """The names and kinds of `steps` and of their parts, in their order, as a short text.

    What a step does is not in it: a prompt or a function may be mended, and the run goes on with what is finished.
    """
    return sha256(written(_outline(steps)).encode()).hexdigest()[:32]


def _outline(steps: Sequence[WorkflowStep]) -> list[Any]:
    return [
        [step.name or type(step).__name__, f"{type(step).__module__}.{type(step).__qualname__}", _outline(step.parts)]
        for step in steps
    ]
