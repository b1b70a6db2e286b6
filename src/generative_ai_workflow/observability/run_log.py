"""The log lines of a run: every transition of the run and of its steps."""

from __future__ import annotations

from typing import Any

from chatmodels.types import ChatRequest
from fmf_core.logs import LEVELS, get_logger
from generative_ai_workflow.state import StepResult, WorkflowResult, WorkflowStatus

_log = get_logger("generative_ai_workflow")


class RunLog:
    """Writes the lines of one workflow's runs; ask `listens` before every line that is no complaint.

    Args:
        workflow: the workflow's name.
        workflow_id: the workflow's id.
        level: the least level that is written.
    """

    __slots__ = ("_identity", "_threshold")

    def __init__(self, workflow: str, workflow_id: str, level: str) -> None:
        self._identity = {"workflow": workflow, "workflow_id": workflow_id}
        self._threshold = LEVELS[level]

    @property
    def listens(self) -> bool:
        """Whether lines about what goes well are read by anybody."""
        return self._threshold <= 20 and _log.enabled(20)

    def say(self, event: str, **fields: Any) -> None:
        """Write that something went as it should."""
        _log.info(event, **self._identity, **fields)

    def prompt(self, step: str, request: ChatRequest) -> None:
        """Write what a model is asked."""
        self.say("llm.prompt", step=step, prompt=request.prompt, system_prompt=request.system_prompt)

    def step_ended(self, result: StepResult) -> None:
        """Write that a step went well."""
        usage = result.token_usage
        self.say(
            f"step.{result.status}",
            step=result.name,
            duration_ms=round(result.duration_ms, 3),
            tokens=usage.total_tokens if usage is not None else None,
        )

    def step_failed(self, result: StepResult, plugin: str, critical: bool) -> None:
        """Complain about a step, with the name of the plugin that it is."""
        if self._threshold <= 40:
            _log.error(
                "step.failed",
                **self._identity,
                step=result.name,
                plugin=plugin,
                critical=critical,
                duration_ms=round(result.duration_ms, 3),
                error=result.error,
            )

    def cleanup_failed(self, step: str, plugin: str, reason: str) -> None:
        """Complain about a step's clean-up."""
        if self._threshold <= 40:
            _log.error("step.cleanup_failed", **self._identity, step=step, plugin=plugin, error=reason)

    def ended(self, result: WorkflowResult) -> None:
        """Write how a run ended; complain when it did not complete."""
        usage = result.metrics.token_usage_total
        fields: dict[str, Any] = {
            **self._identity,
            "duration_ms": round(result.metrics.total_duration_ms, 3),
            "tokens": usage.total_tokens if usage is not None else None,
        }
        if result.status is WorkflowStatus.COMPLETED:
            _log.info("workflow.completed", **fields)
        elif result.status is WorkflowStatus.CANCELLED:
            _log.warning("workflow.cancelled", **fields, error=result.error)
        elif self._threshold <= 40:
            _log.error(f"workflow.{result.status}", **fields, error=result.error)
