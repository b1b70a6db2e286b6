"""The log lines of a run, written as middleware: every transition of the run and of its steps."""

from __future__ import annotations

from typing import Any

from chatmodels.types import ChatRequest
from fmf_core.logs import LEVELS, get_logger
from generative_ai_workflow.middleware.base import Middleware
from generative_ai_workflow.state import StepResult, StepStatus, WorkflowResult, WorkflowStatus

_log = get_logger("generative_ai_workflow")


def reads(level: str) -> bool:
    """Whether lines about what goes well are read by anybody.

    Args:
        level: the least level that an engine writes.
    """
    return LEVELS[level] <= 20 and _log.enabled(20)


class FailureLog(Middleware):
    """Complains about steps and runs that did not complete.

    Args:
        level: the least level that is written.
        steps: by step, the name of the class that it is, and whether its failure ends the run.
    """

    inline = True
    failures_only = True

    def __init__(self, level: str, steps: dict[str, tuple[str, bool]]) -> None:
        self._threshold = LEVELS[level]
        self._steps = steps

    def on_step_end(self, result: StepResult, context: dict[str, Any]) -> None:
        """Complain about a step, with the name of the plugin that it is."""
        if self._threshold <= 40:
            plugin, critical = self._steps.get(str(context.get("step")), ("", True))
            _log.error(
                "step.failed",
                **_identity(context),
                step=result.name,
                plugin=plugin,
                critical=critical,
                duration_ms=round(result.duration_ms, 3),
                error=result.error,
                where=result.error_info.where or None if result.error_info is not None else None,
            )

    def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        """Write how a run ended; complain when it did not complete."""
        usage = result.metrics.token_usage_total
        fields: dict[str, Any] = {
            **_identity(context),
            "duration_ms": round(result.metrics.total_duration_ms, 3),
            "tokens": usage.total_tokens if usage is not None else None,
        }
        if result.status is WorkflowStatus.COMPLETED:
            _log.info("workflow.completed", **fields)
        elif result.status is WorkflowStatus.CANCELLED and self._threshold <= 30:
            _log.warning("workflow.cancelled", **fields, error=result.error)
        elif result.status is not WorkflowStatus.CANCELLED and self._threshold <= 40:
            _log.error(f"workflow.{result.status}", **fields, error=result.error)

    def not_kept(self, context: dict[str, Any], reason: str) -> None:
        """Complain that the end of a durable run could not be kept; it will be taken for unfinished."""
        if self._threshold <= 40:
            _log.error("workflow.not_kept", **_identity(context), error=reason)

    def cleanup_failed(self, step: str, context: dict[str, Any], reason: str) -> None:
        """Complain about a step's clean-up."""
        if self._threshold <= 40:
            plugin, _ = self._steps.get(step, ("", True))
            _log.error("step.cleanup_failed", **_identity(context), step=step, plugin=plugin, error=reason)


class RunLog(FailureLog):
    """Writes every transition of a run and of its steps."""

    failures_only = False

    def pending(self, context: dict[str, Any]) -> None:
        """Write that a run was made and has not begun."""
        _log.info("workflow.pending", **_identity(context), correlation_id=context["correlation_id"])

    def on_workflow_start(self, workflow_id: str, context: dict[str, Any]) -> None:  # noqa: ARG002 - it is in the context
        """Write that a run begins."""
        _log.info("workflow.started", **_identity(context), steps=len(self._steps))

    def on_step_start(self, step_name: str, context: dict[str, Any]) -> None:
        """Write that a step begins."""
        _log.info("step.started", **_identity(context), step=step_name)

    def on_step_end(self, result: StepResult, context: dict[str, Any]) -> None:
        """Write how a step ended."""
        if result.status is StepStatus.FAILED:
            super().on_step_end(result, context)
            return
        usage = result.token_usage
        _log.info(
            f"step.{result.status}",
            **_identity(context),
            step=result.name,
            duration_ms=round(result.duration_ms, 3),
            tokens=usage.total_tokens if usage is not None else None,
            reason=context.get("reason"),
        )


class PromptLog(Middleware):
    """Writes what models are asked; the last to see a request, it sees what is really asked."""

    inline = True

    def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> None:
        """Write the prompt."""
        _log.info(
            "llm.prompt",
            **_identity(context),
            step=context.get("step"),
            prompt=request.prompt,
            system_prompt=request.system_prompt,
        )


def _identity(context: dict[str, Any]) -> dict[str, Any]:
    return {"workflow": context["workflow"], "workflow_id": context["workflow_id"]}
