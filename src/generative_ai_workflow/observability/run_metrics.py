"""Many runs in numbers: how they ended, how long they took and what they used, by workflow, step and model."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from chatmodels.types import ChatResponse, TokenUsage
from fmf_core.errors import ConfigurationError, FrameworkError
from fmf_core.forks import Lock
from generative_ai_workflow.middleware.base import Middleware
from generative_ai_workflow.observability.tracker import charges_of
from generative_ai_workflow.state import StepResult, WorkflowResult

BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1800.0, 3600.0,
)  # fmt: skip
"""Upper bounds of the buckets of durations, in seconds; one more holds all that is longer."""
OTHERS = "(others)"
"""The name under which everything is counted once there are too many names."""
UNNAMED = "(unnamed)"
_NUMBERED = r"\[[^\]]*\]"

Key = TypeVar("Key", bound=Hashable)
Sums = TypeVar("Sums")


class Durations:
    """How long something took, as often as it happened: count, sum, and how many fell into each of `BUCKETS_S`."""

    __slots__ = ("buckets", "count", "longest_s", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0
        self.longest_s = 0.0
        self.buckets = [0] * (len(BUCKETS_S) + 1)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.sum_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def quantile(self, share: float) -> float:
        """The seconds that `share` (0 to 1) of all took at most, as exactly as the buckets tell; 0.0 without any."""
        wanted, below = share * self.count, 0
        for number, inside in enumerate(self.buckets):
            if inside and below + inside >= wanted:
                lower = BUCKETS_S[number - 1] if number else 0.0
                upper = min(BUCKETS_S[number], self.longest_s) if number < len(BUCKETS_S) else self.longest_s
                return lower + max(0.0, upper - lower) * max(0.0, wanted - below) / inside
            below += inside
        return self.longest_s

    @property
    def p50_s(self) -> float:
        """What half of them took at most, in seconds."""
        return self.quantile(0.5)

    @property
    def p95_s(self) -> float:
        """What 95 of 100 took at most, in seconds."""
        return self.quantile(0.95)

    def copy(self) -> Durations:
        """The same numbers, which no longer change."""
        twin = Durations()
        twin.count, twin.sum_s, twin.longest_s, twin.buckets = self.count, self.sum_s, self.longest_s, [*self.buckets]
        return twin


class Used:
    """What model calls took together."""

    __slots__ = ("completion_tokens", "cost_usd", "prompt_tokens", "unpriced")

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cost_usd = 0.0
        self.unpriced = 0
        """How often something was used whose price is unknown, and so is not in `cost_usd`."""

    @property
    def total_tokens(self) -> int:
        """Tokens in all."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, usage: TokenUsage | None, cost_usd: float | None) -> None:
        """Count tokens and US dollars."""
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if cost_usd is not None:
            self.cost_usd += cost_usd
        elif usage is not None:
            self.unpriced += 1

    def copy(self) -> Used:
        """The same numbers, which no longer change."""
        twin = Used()
        for name in Used.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin


class RunSums:
    """All runs of one workflow, or all of one of its steps."""

    __slots__ = ("by_status", "durations", "requests", "used")

    def __init__(self) -> None:
        self.by_status: dict[str, int] = {}
        """How often each ended how: `completed`, `failed`, ..."""
        self.durations = Durations()
        """Without steps that were skipped."""
        self.used = Used()
        self.requests = 0
        """How many requests were made to models, retries included."""

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.by_status.values())

    def add(self, status: str, seconds: float | None) -> None:
        """Count one that ended with `status` after so many seconds; `None` where it was not begun."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        if seconds is not None:
            self.durations.add(seconds)

    def copy(self) -> RunSums:
        """The same numbers, which no longer change."""
        twin = RunSums()
        twin.by_status, twin.requests = {**self.by_status}, self.requests
        twin.durations, twin.used = self.durations.copy(), self.used.copy()
        return twin

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain data, durations in seconds."""
        took = self.durations
        return {
            "by_status": {**self.by_status},
            "duration_s": {
                "count": took.count, "sum": took.sum_s, "max": took.longest_s, "p50": took.p50_s, "p95": took.p95_s
            },
            "requests": self.requests,
            **_plain(self.used),
        }  # fmt: skip


class RunMetrics(Middleware):
    """Counts runs, steps and what they use, for as many runs as there are; from any thread, in a bounded memory.

        metrics = RunMetrics()
        engine = WorkflowEngine().use(metrics)
        ...
        print(metrics.workflows["triage"].durations.p95_s, metrics.models["gpt-4o-mini"].cost_usd)

    What is counted under names (of workflows, steps and models) goes to `"(others)"` once there are `max_names` of a
    kind. The numbered parts of a step, `each[0]`, count as one. A step inside one that was tried again counts once,
    with what all attempts used. A durable run counts each time that it is taken up, each of its steps where it ran.

    Args:
        max_names: how many names of each kind are told apart.
    """

    inline = True
    accounting = True

    def __init__(self, *, max_names: int = 512) -> None:
        if max_names < 1:
            raise ConfigurationError(f"max_names must be 1 or more, got {max_names}", op="run_metrics.create")
        self.max_names = max_names
        self._lock = Lock()
        self._workflows: dict[str, RunSums] = {}
        self._steps: dict[tuple[str, str], RunSums] = {}
        self._models: dict[str, Used] = {}

    @property
    def workflows(self) -> dict[str, RunSums]:
        """The sums by the workflow's name."""
        with self._lock():
            return {name: sums.copy() for name, sums in self._workflows.items()}

    @property
    def steps(self) -> dict[tuple[str, str], RunSums]:
        """The sums by the names of workflow and step."""
        with self._lock():
            return {names: sums.copy() for names, sums in self._steps.items()}

    @property
    def models(self) -> dict[str, Used]:
        """What was used of each model, failed requests that were charged included."""
        with self._lock():
            return {name: used.copy() for name, used in self._models.items()}

    def as_dict(self) -> dict[str, Any]:
        """All numbers as plain data, fit for JSON; the steps stand inside their workflows."""
        steps: dict[str, dict[str, Any]] = {}
        for (workflow, step), sums in self.steps.items():
            steps.setdefault(workflow, {})[step] = sums.as_dict()
        return {
            "workflows": {
                name: {**sums.as_dict(), "steps": steps.get(name, {})} for name, sums in self.workflows.items()
            },
            "models": {name: _plain(used) for name, used in self.models.items()},
        }

    def reset(self) -> None:
        """Begin at zero."""
        with self._lock():
            self._workflows.clear()
            self._steps.clear()
            self._models.clear()

    def record(self, result: WorkflowResult, workflow: str = "") -> None:
        """Count one run of the workflow named `workflow`; as middleware that is done for every run."""
        with self._lock():
            # Workflows of many names share one, and so do their steps.
            sums, name = self._sums(self._workflows, workflow or UNNAMED, OTHERS, RunSums)
            sums.add(str(result.status), result.metrics.total_duration_ms / 1000)
            for step in result.steps.values():
                if not step.kept:
                    self._count(sums, name, step)

    def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:
        """Count a run."""
        self.record(result, context.get("workflow") or "")

    def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count what a call took, by model."""
        self._count_models(response)

    def on_llm_error(self, error: FrameworkError, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Count what a call was charged for that failed, by model."""
        self._count_models(error)

    def _count(self, run: RunSums, workflow: str, step: StepResult) -> None:
        name = re.sub(_NUMBERED, "", step.name) if "[" in step.name else step.name
        sums, _ = self._sums(self._steps, (workflow, name), (OTHERS, OTHERS), RunSums)
        status = str(step.status)
        sums.add(status, None if status == "skipped" else step.duration_ms / 1000)
        for one in (sums, run):
            one.requests += step.attempts
            one.used.add(step.token_usage, step.cost_usd)

    def _count_models(self, used: ChatResponse | FrameworkError) -> None:
        for usages, cost_usd in charges_of(used):
            with self._lock():
                for usage in usages[:-1]:
                    self._sums(self._models, usage.model, OTHERS, Used)[0].add(usage, 0.0)
                self._sums(self._models, usages[-1].model, OTHERS, Used)[0].add(usages[-1], cost_usd)

    def _sums(self, table: dict[Key, Sums], key: Key, others: Key, make: Callable[[], Sums]) -> tuple[Sums, Key]:
        """The sums of `key`, or of `others` where there are too many, and the name that they have."""
        if key not in table and len(table) >= self.max_names:
            key = others
        if key not in table:
            table[key] = make()
        return table[key], key


def _plain(used: Used) -> dict[str, Any]:
    return {name: getattr(used, name) for name in sorted(Used.__slots__)}
