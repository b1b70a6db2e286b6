"""Durations: a timer for anything, the metrics of a run, and their way to telemetry."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from typing import Self

from fmf_core.telemetry import Span, histogram
from generative_ai_workflow.exceptions import StepError
from generative_ai_workflow.state import ExecutionMetrics, StepResult, WorkflowResult, WorkflowStatus

__all__ = ["ExecutionMetrics", "StepResult", "StepTimer", "publish"]

# As the conventions give them. `RunMetrics` has finer ones: a run whose steps ask no model takes milliseconds.
_BUCKETS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_duration = histogram(
    "gen_ai.invoke_workflow.duration", unit="s", description="How long a workflow ran", buckets=_BUCKETS
)


class StepTimer:
    """Measures a block in milliseconds: `with StepTimer() as timer: ...`, then `timer.duration_ms`.

    Args:
        name: what is measured, for the reader.
    """

    __slots__ = ("_began", "_ended", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._began: float | None = None
        self._ended: float | None = None

    def start(self) -> Self:
        """Begin to measure, anew if need be."""
        self._began = perf_counter()
        self._ended = None
        return self

    def stop(self) -> float:
        """End the measurement and return its milliseconds."""
        self._ended = perf_counter()
        return self.duration_ms

    @property
    def duration_ms(self) -> float:
        """Milliseconds from the start to the end, or to now while it runs; 0.0 before the start."""
        if self._began is None:
            return 0.0
        return 1000 * ((perf_counter() if self._ended is None else self._ended) - self._began)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def publish(span: Span, name: str, result: WorkflowResult, seconds: float) -> None:
    """Tell span and metrics how a run ended, where somebody listens.

    Args:
        span: the run's; it ends `seconds` after its start.
        name: of the workflow; empty is left out.
        result: how the run ended; any status other than completed is its `error.type`.
        seconds: how long it ran.
    """
    status = str(result.status)
    attributes = {"gen_ai.workflow.name": name} if name else {}
    span.stop(seconds)
    span.set("fmf.workflow.status", status)
    if result.status is not WorkflowStatus.COMPLETED:
        span.error(StepError(result.error or status))
        span.set("error.type", status)
        attributes["error.type"] = status
    _duration.record(seconds, attributes)
