"""One execution of a workflow: from its first log line to its result, however it ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from time import perf_counter, time
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from chatmodels.call_attributes import telemetry_context
from fmf_core.logs import correlation
from fmf_core.telemetry import recording, span
from generative_ai_workflow.context import RunningContext, StepContext
from generative_ai_workflow.ended import Ended, Scope
from generative_ai_workflow.exceptions import AbortError, StepError
from generative_ai_workflow.hosting import Host
from generative_ai_workflow.lifecycles import Lifecycle, Readiness, end_all
from generative_ai_workflow.observability.metrics import publish
from generative_ai_workflow.outcome import (
    as_error,
    failed,
    is_met,
    kept,
    let_pass,
    output_of,
    record_of,
    records_of,
    task_here,
    why_failed,
)
from generative_ai_workflow.plan import PlannedStep, WorkflowPlan
from generative_ai_workflow.state import StepStatus, WorkflowResult, WorkflowStatus, reason_of
from generative_ai_workflow.supervision import LONGEST_SLACK_S, Interruption, Supervision, at_most, slack_of
from generative_ai_workflow.workflow_step import WorkflowStep

if TYPE_CHECKING:
    from generative_ai_workflow.durable.journal import Journal
    from generative_ai_workflow.durable.store import RunStore

_COMPLETED = StepStatus.COMPLETED


class Run(Host):
    """One execution of a workflow.

    Args:
        plan: what is run, and how.
        input_data: what the caller gave.
        correlation_id: on every log line; default is a new UUID.

    Raises:
        ConfigurationError: the input is no mapping with text keys.
    """

    __slots__ = ("_began", "_due", "_open", "_traced", "journal", "result", "status")

    def __init__(
        self, plan: WorkflowPlan, input_data: Mapping[str, Any] | None, correlation_id: str | None = None
    ) -> None:
        super().__init__(plan, input_data, correlation_id)
        self.status = WorkflowStatus.PENDING
        self.result: WorkflowResult | None = None
        self._open: list[RunningContext] = []
        self._due: dict[Lifecycle, Readiness] | None = None
        self.journal: Journal | None = None
        self._began = perf_counter()
        self._traced = recording()

    def go(self, limit: float | None, *, stoppable: bool = False) -> Coroutine[Any, Any, WorkflowResult]:
        """Run to the end, at most `limit` seconds; to be awaited.

        Args:
            limit: seconds; `None` is no limit.
            stoppable: whether `stop` may be called.
        """
        if self.plan.store is not None:
            return self._go_durably(self.plan.store, limit, stoppable)
        return self._go_traced(limit, stoppable) if self._traced else self._go(limit, stoppable)

    async def _go_durably(self, store: RunStore, limit: float | None, stoppable: bool) -> WorkflowResult:
        from generative_ai_workflow.durable.journal import Journal
        from generative_ai_workflow.durable.store import RunIdentity

        identity = RunIdentity(
            run_id=self.correlation_id,
            workflow=self.plan.name,
            fingerprint=self.plan.fingerprint,
            input_data=self.input_data,
        )
        async with Journal(store, identity) as self.journal:
            if self.journal.result is not None:
                self.result = self.journal.result
                self.status = self.result.status
                return self.result
            return await (self._go_traced(limit, stoppable) if self._traced else self._go(limit, stoppable))

    async def _go_traced(self, limit: float | None, stoppable: bool) -> WorkflowResult:
        title = f"invoke_workflow {self.plan.name}".rstrip()
        attributes = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": self.plan.name or None,
            "fmf.workflow.correlation_id": self.correlation_id,
        }
        began = perf_counter()
        with span(title, attributes=attributes) as current:
            try:
                return await self._go(limit, stoppable)
            finally:
                if self.result is not None:
                    publish(current, self.plan.name, self.result, perf_counter() - began)

    async def _go(self, limit: float | None, stoppable: bool) -> WorkflowResult:
        before = correlation.get()
        correlation.set(self.correlation_id)
        self.status = WorkflowStatus.RUNNING
        status, reason = WorkflowStatus.COMPLETED, None
        shutdown = self.plan.shutdown.current
        try:
            walk = self._from_the_start() if self.hooks.start else self._walk(self.plan.parts, self)
            if shutdown is not None:
                shutdown.begin(self)
                stoppable = True
            if limit is None and not stoppable:
                await walk
            else:
                ending = await self.supervised().watch(walk, limit)
                if ending is Interruption.STOPPED:
                    status, reason = WorkflowStatus.CANCELLED, "the run was cancelled"
                elif ending is Interruption.LATE:
                    status, reason = WorkflowStatus.TIMEOUT, self.lateness(limit)
            if self.supervision is None and self.journal is None and self._due is None and not self.hooks.end:
                return self._made(status, reason)[0]  # what most runs come to, and nothing is left to do
            return await self.conclude(status, reason, self._slack(status, limit))
        except asyncio.CancelledError:
            # The program around us cancels: it wants to go on, so calls in flight get no grace.
            self.supervised().stopping = True
            if self.journal is not None:
                self.journal.leave_open()
            await self.conclude(WorkflowStatus.CANCELLED, "the run was cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a result
            return await self.conclude(WorkflowStatus.FAILED, why_failed(error))
        finally:
            correlation.set(before)
            if shutdown is not None:
                shutdown.end(self)

    def _slack(self, status: WorkflowStatus, limit: float | None) -> float | None:
        """How long hooks and clean-up may take after the end."""
        if status is WorkflowStatus.CANCELLED:
            return max(self.supervised().grace_s, LONGEST_SLACK_S)
        if limit is None:
            return None
        return max(slack_of(limit) or 0.0, limit - (perf_counter() - self._began))

    async def _from_the_start(self) -> None:
        await self.hooks.started(self.plan.workflow_id, self.facts(None) | {"input_data": self.input_data})
        await self._walk(self.plan.parts, self)

    def supervised(self) -> Supervision[None]:
        """What watches the run, from now on."""
        if self.supervision is None:
            self.supervision = Supervision()
        return self.supervision

    def lateness(self, limit: float | None) -> str:
        """The error of a run that took longer than `limit` seconds."""
        where = ", ".join(repr(context.step_name) for context in self._open)
        return f"the run timed out after {limit:g} s" + (f" in step {where}" if where else "")

    def stop(self, *, at_once: bool = False) -> None:
        """Cancel the run, to be called on its loop; unless `at_once`, calls in flight may finish within the grace."""
        if self.result is None:
            self.supervised().stop(0.0 if at_once else self.plan.config.cancel_grace_s)

    def interrupt(self) -> None:
        """Cancel the run because the program ends, to be called on its loop: a durable one can be taken up again."""
        if self.journal is not None:
            self.journal.leave_open()
        self.stop()

    async def run_steps(self, context: StepContext, steps: Sequence[WorkflowStep]) -> dict[str, Any]:
        """Run `steps` in order as parts of another one; their outputs by name."""
        scope = context.scope
        first = len(scope.ends)
        await self._walk([self.plan.part_of(step) for step in steps], scope)
        return {end.part.name: end.output for end in scope.ends[first:] if end.status is _COMPLETED}

    async def _walk(self, parts: Sequence[PlannedStep], scope: Scope) -> None:  # noqa: C901, PLR0912 - see below
        """Run steps in order; what they leave is kept in `scope`. Raises what ends the run."""
        # All steps in one coroutine: one more for each would be a third of what a step costs.
        began, ended = self.hooks.step_start, self.hooks.step_end
        opened = self._open
        task = task_here()
        for part in parts:
            if self.supervision is not None and self.supervision.stopping:
                raise asyncio.CancelledError
            if self.journal is not None and (found := self.journal.found(part, scope.label)):
                for end in found:
                    self.take_up(end, scope)
                continue
            context = RunningContext(self, part, scope)
            opened.append(context)
            try:
                if began:
                    await self.hooks.step_began(f"{part.name}{scope.label}", self.facts(part))
                if part.when is not None and not await is_met(part.when(context.roots)):
                    end = context.end(StepStatus.SKIPPED, None)
                else:
                    value = self._work(part, context) if self._traced or part.lifecycle else part.work(context)
                    if type(value) is CoroutineType or (type(value) is not dict and inspect.isawaitable(value)):
                        value = await value
                    if part.outputs is not None:
                        end = context.end(_COMPLETED, part.outputs(value))
                    else:
                        output, given = output_of(part.plugin, value)
                        end = context.end(_COMPLETED, output)
                        end = end if given is None else kept(end, given)
                if self.journal is not None:
                    await self.journal.keep(end)
            except BaseException as error:  # noqa: BLE001 - it fails the step and nothing else
                if parts is not self.plan.parts and isinstance(error, asyncio.CancelledError):
                    # The run may go on without these steps: after a failure beside them, or a time limit around them.
                    await self._closed_early(context)
                let_pass(error, task, ending=self._ending())
                await self._failed(context, part, as_error(error))
                continue
            if opened and opened[-1] is context:
                opened.pop()
            elif context in opened:
                opened.remove(context)
            else:  # the result was made meanwhile
                return
            scope.take(end)
            if scope is not self:
                self.keep_inside(end)
            if ended:
                await self._tell_end(end, "its condition is not met")
            if self.supervision is not None and self.supervision.stopping:
                self.supervision.ended(context)
            if self.abort is not None:
                raise self.abort

    async def _tell_end(self, end: Ended, why_skipped: str, *, over: bool = False) -> None:
        facts = self.facts(end.part)
        if end.status is StepStatus.SKIPPED:
            facts["reason"] = why_skipped
        await self.hooks.step_ended(record_of(end), facts, over=over)

    async def _closed_early(self, context: RunningContext) -> None:
        end = failed(context.end(StepStatus.FAILED, None), StepError("it was cancelled"))
        self._close_step(context, end)
        if self.hooks.failed_step_end:
            await self._tell_end(end, "", over=True)

    def _close_step(self, context: RunningContext, end: Ended) -> None:
        if context in self._open:
            self._open.remove(context)
            self.take_in(end, context.scope)
        if self.supervision is not None and self.supervision.stopping:
            self.supervision.ended(context)

    async def _work(self, part: PlannedStep, context: StepContext) -> Any:
        if part.lifecycle is not None:
            if self._due is None:
                self._due = {}
            await part.lifecycle.begin(self._due)
        if not self._traced:
            value = part.work(context)
            return await value if inspect.isawaitable(value) else value
        attributes = {
            "fmf.step.name": part.name,
            "fmf.step.type": part.plugin.rpartition(".")[2],
        }
        prompt = {"prompt_name": part.metadata.get("prompt_id"), "prompt_version": part.metadata.get("prompt_version")}
        with telemetry_context(**prompt), span(f"step {part.name}", attributes=attributes):
            value = part.work(context)
            return await value if inspect.isawaitable(value) else value

    async def _failed(self, context: RunningContext, part: PlannedStep, error: Exception) -> None:
        end = failed(context.end(StepStatus.FAILED, None), error)
        self._close_step(context, end)
        if self.journal is not None and not part.is_critical:
            await self.journal.keep(end)
        if self.hooks.step_error and self.abort is None:
            await self.hooks.step_failed(error, end.name, self.facts(part))
        if self.hooks.failed_step_end:
            await self._tell_end(end, "")
        if isinstance(error, AbortError):
            raise error
        if self.abort is not None:
            raise self.abort
        if part.is_critical:
            raise StepError(f"step {end.name!r} failed: {record_of(end).error}") from error

    def _ending(self) -> bool:
        """Whether the run is being ended from outside."""
        if self.supervision is not None and self.supervision.stopping:
            return True
        task = task_here()
        return task is not None and task.cancelling() > 0

    async def conclude(self, status: WorkflowStatus, reason: str | None, slack: float | None = None) -> WorkflowResult:
        """Make the result, tell the middleware and clean up; only the first call does anything.

        Args:
            status: how the run ended.
            reason: why it did not complete.
            slack: how long middleware and clean-up may keep the caller waiting, in seconds; `None` is for ever.
        """
        result, settled = self._closed(status, reason)
        if settled is None:
            return result
        if settled or self.hooks.ends(status) or self.journal is not None or self._due is not None:
            await at_most(self._after_the_end(result, settled), slack)
        return result

    def close(self, status: WorkflowStatus, reason: str | None) -> WorkflowResult:
        """Make the result and tell nobody."""
        return self._closed(status, reason)[0]

    def _closed(self, status: WorkflowStatus, reason: str | None) -> tuple[WorkflowResult, list[Ended] | None]:
        """The result, and the steps that were not settled before it; `None` where it was there already."""
        if self.supervision is None:
            return self._made(status, reason)
        # Two may want to conclude where the event loop is stuck.
        with self.supervision.conclusion:
            return self._made(status, reason)

    def _made(self, status: WorkflowStatus, reason: str | None) -> tuple[WorkflowResult, list[Ended] | None]:
        if self.result is not None:
            return self.result, None
        self.is_over = True
        settled = self._settled(status) if status is not WorkflowStatus.COMPLETED else []
        output: dict[str, Any] = {}
        for end in self.ends:
            if end.status is _COMPLETED and end.output:
                output.update(end.output)
        ends = self.ends if not self.inside else sorted([*self.ends, *self.inside], key=_by_time)
        elapsed = perf_counter() - self._began
        later = partial(records_of, [*ends, *settled] if settled else ends, time() - elapsed, elapsed)
        self.result = result = WorkflowResult.written_later(
            {
                "workflow_id": self.plan.workflow_id,
                "correlation_id": self.correlation_id,
                "status": status,
                "output": output if output or status is WorkflowStatus.COMPLETED else None,
                "error": reason,
            },
            later,
        )
        self.status = status
        return result, settled

    def _settled(self, status: WorkflowStatus) -> list[Ended]:
        """What becomes of the steps that were under way, and of those that never began."""
        reason = StepError(f"{status} while it ran" if status is not WorkflowStatus.FAILED else "given up")
        settled = [failed(context.end(StepStatus.FAILED, None), reason) for context in self._open]
        self._open.clear()
        now = perf_counter()
        known = {end.part.name for end in (*self.ends, *settled)}
        never_began = [part for part in self.plan.parts if part.name not in known]
        return settled + [Ended(part, "", StepStatus.SKIPPED, None, now, now) for part in never_began]

    async def _after_the_end(self, result: WorkflowResult, settled: Sequence[Ended]) -> None:
        hooks = self.hooks
        if self.journal is not None:
            try:
                await self.journal.end(result)
            except Exception as error:  # noqa: BLE001 - the result stands, whatever a store of somebody else raises
                self.plan.log.not_kept(self.facts(None), reason_of(error))
        if hooks.failed_step_end:
            for end in settled:
                await self._tell_end(end, "an earlier step ended the run", over=True)
        if hooks.ends(result.status):
            await hooks.ended(result, self.facts(None))
        if self._due is not None:
            for lifecycle, failure in await end_all(self._due, ending=self._ending):
                part = next(part for part in self.plan.all_parts if part.lifecycle is lifecycle)
                self.plan.log.cleanup_failed(part.name, self.facts(part), reason_of(failure))


def _by_time(end: Ended) -> float:
    return end.ended
