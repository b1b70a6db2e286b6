"""One execution of a workflow: from its first log line to its result, however it ends."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from chatmodels.call_attributes import telemetry_context
from chatmodels.iface import ChatModel
from chatmodels.types import ChatRequest, ChatResponse, ModelInfo
from fmf_core.logs import log_context
from fmf_core.telemetry import recording, span
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.exceptions import AbortError, FrameworkError, StepError
from generative_ai_workflow.observability.metrics import publish
from generative_ai_workflow.outcome import as_error, called, completed, failed, let_pass, output_of, skipped, task_here
from generative_ai_workflow.plan import PlannedStep, WorkflowPlan, checked_input
from generative_ai_workflow.state import (
    ExecutionMetrics,
    StepContext,
    StepResult,
    StepStatus,
    WorkflowResult,
    WorkflowStatus,
    new_id,
    reason_of,
    record,
)
from generative_ai_workflow.supervision import Interruption, Supervision, at_most, slack_of
from generative_ai_workflow.workflow_step import WorkflowStep

Conclusion = tuple[WorkflowStatus, str | None]


class Run:
    """The state of one execution; steps reach it through their context.

    Args:
        plan: what is run, and how.
        input_data: what the caller gave.
        correlation_id: on every log line; default is a new UUID.

    Raises:
        ConfigurationError: the input is no mapping with text keys.
    """

    def __init__(
        self, plan: WorkflowPlan, input_data: Mapping[str, Any] | None, correlation_id: str | None = None
    ) -> None:
        self.plan = plan
        self.input_data = checked_input(input_data)
        self.correlation_id = correlation_id or new_id()
        self.variables = {**plan.config.variables, **self.input_data}
        self.names = dict(self.variables)
        self.flat: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        given = self.input_data.get("steps")
        self.values: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
        self.results: dict[str, StepResult] = {}
        self.status = WorkflowStatus.PENDING
        self.result: WorkflowResult | None = None
        self.supervision: Supervision[Conclusion] = Supervision()
        self._abort: AbortError | None = None
        self._open: dict[str, tuple[PlannedStep, StepContext, float]] = {}
        self._initialized: list[PlannedStep] = []
        self._ready: set[int] = set()
        self._conclusion = threading.Lock()
        self._created_at = datetime.now(UTC)
        self._began = perf_counter()
        self._traced = recording()
        self._verbose = plan.log.listens
        if self._verbose:
            with log_context(correlation_id=self.correlation_id):
                plan.log.say("workflow.pending")

    async def go(self, limit: float | None, *, stoppable: bool = False) -> WorkflowResult:
        """Run to the end, at most `limit` seconds.

        Args:
            limit: seconds; `None` is no limit.
            stoppable: whether `stop` may be called.
        """
        with log_context(correlation_id=self.correlation_id):
            if not self._traced:
                return await self._go(limit, stoppable)
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
        self.status = WorkflowStatus.RUNNING
        if self._verbose:
            self.plan.log.say("workflow.started", steps=len(self.plan.parts))
        try:
            if limit is None and not stoppable:
                status, error = await self._walk()
            else:
                status, error = await self._supervise(limit)
        except asyncio.CancelledError:
            # The program around us cancels: it wants to go on, so calls in flight get no grace.
            self.supervision.stopping = True
            await self.conclude(WorkflowStatus.CANCELLED, "the run was cancelled")
            raise
        return await self.conclude(status, error, slack_of(limit) if status is WorkflowStatus.TIMEOUT else None)

    async def _walk(self) -> Conclusion:
        plan = self.plan
        try:
            if plan.hooks.start:
                await plan.hooks.started(plan.workflow_id, self._facts(None) | {"input_data": self.input_data})
            for part in plan.parts:
                await self._one(part)
        except AbortError as error:
            return WorkflowStatus.FAILED, f"aborted: {reason_of(error)}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a result
            return WorkflowStatus.FAILED, error.message if isinstance(error, StepError) else reason_of(error)
        return WorkflowStatus.COMPLETED, None

    async def _supervise(self, limit: float | None) -> Conclusion:
        ending = await self.supervision.watch(self._walk(), limit)
        if ending is Interruption.STOPPED:
            return WorkflowStatus.CANCELLED, "the run was cancelled"
        if ending is Interruption.LATE:
            return WorkflowStatus.TIMEOUT, self.lateness(limit)
        return ending

    def lateness(self, limit: float | None) -> str:
        """The error of a run that took longer than `limit` seconds."""
        where = ", ".join(map(repr, self._open))
        return f"the run timed out after {limit:g} s" + (f" in step {where}" if where else "")

    def stop(self, *, at_once: bool = False) -> None:
        """Cancel the run, to be called on its loop; unless `at_once`, calls in flight may finish within the grace."""
        if self.result is None:
            self.supervision.stop(0.0 if at_once else self.plan.config.cancel_grace_s)

    async def _one(self, part: PlannedStep) -> dict[str, Any]:
        """Run one step; what it leaves is recorded. Raises what ends the run."""
        if self.supervision.stopping:
            raise asyncio.CancelledError
        context = StepContext(
            workflow_id=self.plan.workflow_id,
            step_id=part.step_id,
            correlation_id=self.correlation_id,
            input_data=self.input_data,
            variables=self.variables,
            previous_outputs=self.outputs,
            config=self.plan.config,
            step_name=part.name,
            host=self,
            names=self.names,
            values=self.values,
        )
        began = perf_counter()
        task = task_here()
        self._open[part.name] = (part, context, began)
        if self._verbose:
            self.plan.log.say("step.started", step=part.name)
        failure: Exception
        try:
            if part.when is not None and not part.when(context.roots):
                self._skip(part, "its condition is not met")
                return {}
            output, given = output_of(part, await self._work(part, context))
        except BaseException as error:  # noqa: BLE001 - it fails the step and nothing else
            let_pass(error, task, ending=self._ending())
            failure = as_error(error)
        else:
            self._completed(part, context, began, output, given)
            if self._abort is not None:
                raise self._abort
            return output
        await self._failed(part, context, began, failure)
        return {}

    def _ending(self) -> bool:
        """Whether the run is being ended from outside."""
        task = task_here()
        return self.supervision.stopping or (task is not None and task.cancelling() > 0)

    async def _work(self, part: PlannedStep, context: StepContext) -> Any:
        if part.initialize is not None:
            self._initialized.append(part)
            await called(part.initialize)
        if not self._traced:
            result = part.work(context)
            return await result if inspect.isawaitable(result) else result
        attributes = {
            "fmf.step.name": part.name,
            "fmf.step.type": part.plugin.rpartition(".")[2],
        }
        prompt = {"prompt_name": part.metadata.get("prompt_id"), "prompt_version": part.metadata.get("prompt_version")}
        with telemetry_context(**prompt), span(f"step {part.name}", attributes=attributes):
            result = part.work(context)
            return await result if inspect.isawaitable(result) else result

    def _completed(
        self, part: PlannedStep, context: StepContext, began: float, output: dict[str, Any], given: StepResult | None
    ) -> None:
        ended = perf_counter()
        self._open.pop(part.name, None)
        result = completed(part, context, 1000 * (ended - began), output, given)
        if result.status is StepStatus.COMPLETED:
            self.outputs[part.name] = output
            self.flat.update(output)
            self.names.update(output)
            self._set_value(part, output)
        self.results[part.name] = result
        if self._verbose:
            self.plan.log.step_ended(result)

    def _set_value(self, part: PlannedStep, output: dict[str, Any]) -> None:
        """What `${steps.NAME}` stands for, under the step's name and under that of its answer."""
        key = part.output_key
        if key is None or key not in output:
            self.values[part.name] = output
            return
        self.values[part.name] = output[key]
        if key != part.name and not key.endswith("_output") and key not in self.results:
            self.values[key] = output[key]

    async def _failed(self, part: PlannedStep, context: StepContext, began: float, error: BaseException) -> None:
        self._open.pop(part.name, None)
        result = failed(part, context, 1000 * (perf_counter() - began), error)
        self.results[part.name] = result
        self.plan.log.step_failed(result, part.plugin, part.is_critical)
        if self.plan.hooks.step_error and self._abort is None:
            await self.plan.hooks.step_failed(error, part.name, self._facts(part))
        if isinstance(error, AbortError):
            raise error
        if self._abort is not None:
            raise self._abort
        if part.is_critical:
            raise StepError(f"step {part.name!r} failed: {result.error}") from error

    async def ask(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> ChatResponse:
        """Put `request` to a model: hooks, retries and accounting included."""
        if self.supervision.stopping:
            raise asyncio.CancelledError("the run was stopped")
        plan = self.plan
        hooks = plan.hooks
        try:
            if hooks.before:
                request = await hooks.before_call(request, self._facts_of(context))
            response = await self._call(context, request, model)
            if hooks.after:
                response = await hooks.after_call(response, self._facts_of(context))
        except AbortError as error:
            # Remembered, for a step that catches everything must not undo it.
            self._abort = error
            raise
        return response

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that would answer `request` is and can do."""
        return self.plan.models.pick(model, self.plan.config.provider, request).get_model_info()

    async def _call(self, context: StepContext, request: ChatRequest, model: ChatModel | str | None) -> ChatResponse:
        plan = self.plan
        chosen = plan.models.pick(model, plan.config.provider, request)
        if plan.log_prompts:
            plan.log.prompt(context.step_name, request)
        if id(chosen) in plan.models.to_initialize and id(chosen) not in self._ready:
            self._ready.add(id(chosen))
            await chosen.initialize()
        flight = self.supervision.take_off()
        try:
            response = await chosen.complete_async(request)
            context.calls.append(response)
        except FrameworkError as error:
            context.failed_calls.append(FailedCall.of(error))
            if plan.hooks.call_error:
                await plan.hooks.call_failed(error, self._facts_of(context))
            raise
        finally:
            self.supervision.land(flight)
        if self.supervision.stopping:
            raise asyncio.CancelledError("the run was stopped")
        return response

    async def run_steps(self, steps: Sequence[WorkflowStep]) -> dict[str, Any]:
        """Run `steps` in order as parts of another one; their outputs together."""
        together: dict[str, Any] = {}
        for step in steps:
            together.update(await self._one(self.plan.part_of(step)))
        return together

    async def conclude(self, status: WorkflowStatus, error: str | None, slack: float | None = None) -> WorkflowResult:
        """Make the result, log it, tell the middleware and clean up; only the first call does anything.

        Args:
            status: how the run ended.
            error: why it did not complete.
            slack: how long middleware and clean-up may keep the caller waiting, in seconds; `None` is for ever.
        """
        with self._conclusion:
            if self.result is not None:
                return self.result
            result = self.result = self._close(status, error)
        if self.plan.hooks.end or self._initialized:
            await at_most(self._after_the_end(result), slack)
        return result

    def _close(self, status: WorkflowStatus, error: str | None) -> WorkflowResult:
        """Settle what is still open and make the result."""
        for part, context, began in list(self._open.values()):
            ended = StepError(f"{status} while it ran" if status is not WorkflowStatus.FAILED else "given up")
            self.results[part.name] = failed(part, context, 1000 * (perf_counter() - began), ended)
        if status is not WorkflowStatus.COMPLETED:
            for part in self.plan.parts:
                if part.name not in self.results:
                    self._skip(part, "an earlier step ended the run")
        result = self._make_result(status, error)
        if self._verbose or status is not WorkflowStatus.COMPLETED:
            self.plan.log.ended(result)
        self.status = status
        return result

    def _make_result(self, status: WorkflowStatus, error: str | None) -> WorkflowResult:
        elapsed = perf_counter() - self._began
        results = dict(self.results)
        return record(
            WorkflowResult,
            {
                "workflow_id": self.plan.workflow_id,
                "correlation_id": self.correlation_id,
                "status": status,
                "output": dict(self.flat) if self.flat or status is WorkflowStatus.COMPLETED else None,
                "error": error,
                "metrics": ExecutionMetrics.of(results.values(), 1000 * elapsed),
                "created_at": self._created_at,
                "completed_at": self._created_at + timedelta(seconds=elapsed),
                "steps": results,
            },
        )

    async def _after_the_end(self, result: WorkflowResult) -> None:
        if self.plan.hooks.end:
            await self.plan.hooks.ended(result, self._facts(None))
        while self._initialized:
            part = self._initialized.pop()
            if part.cleanup is None:
                continue
            task = task_here()
            try:
                await called(part.cleanup)
            except BaseException as error:  # noqa: BLE001 - the result stands
                let_pass(error, task, ending=self._ending())
                self.plan.log.cleanup_failed(part.name, part.plugin, reason_of(error))

    def _skip(self, part: PlannedStep, why: str) -> None:
        self._open.pop(part.name, None)
        self.results[part.name] = skipped(part)
        if self._verbose:
            self.plan.log.say("step.skipped", step=part.name, reason=why)

    def _facts(self, part: PlannedStep | None) -> dict[str, Any]:
        """What a middleware hook learns about where it is."""
        facts: dict[str, Any] = {
            "workflow": self.plan.name,
            "workflow_id": self.plan.workflow_id,
            "correlation_id": self.correlation_id,
        }
        if part is not None:
            facts.update(step=part.name, step_id=part.step_id, metadata=part.metadata)
        return facts

    def _facts_of(self, context: StepContext) -> dict[str, Any]:
        known = self._open.get(context.step_name)
        if known is not None:
            return self._facts(known[0])
        return self._facts(None) | {"step": context.step_name, "step_id": context.step_id, "metadata": {}}
