"""A run as its steps see it: what they may know of it, and how they ask models through it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping
from typing import Any

from chatmodels.errors import charges_in
from chatmodels.iface import ChatModel
from chatmodels.spending import CallBudget, budgets_in_force
from chatmodels.types import ChatRequest, ChatResponse, ModelInfo, TokenUsage
from fmf_core.errors import Code, ConfigurationError, FrameworkError
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.config import WorkflowConfig
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.ended import Ended, Place, Scope
from generative_ai_workflow.exceptions import AbortError, ProviderError
from generative_ai_workflow.observability.run_log import reads
from generative_ai_workflow.plan import PlannedStep, WorkflowPlan
from generative_ai_workflow.reference import StepValues
from generative_ai_workflow.state import new_id
from generative_ai_workflow.supervision import Supervision

_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def checked_id(correlation_id: Any) -> str:
    """The id of a run that a caller gave.

    Raises:
        ConfigurationError: it is no text, or one that cannot be written down.
    """
    if isinstance(correlation_id, str) and not _UNWRITABLE.search(correlation_id):
        return correlation_id
    raise ConfigurationError(
        f"correlation_id must be a text without control characters, got {correlation_id!r}",
        op="workflow.run",
        hint="or leave it out",
    )


class Host(Scope):
    """What is known of a run while it goes on; the scope of its outermost steps.

    Args:
        plan: what is run, and how.
        input_data: what the caller gave.
        correlation_id: on every log line; default is a new UUID.

    Raises:
        ConfigurationError: the input is no mapping with text keys.
    """

    __slots__ = ("_ready", "abort", "correlation_id", "hooks", "input_data", "inside", "is_over", "plan", "supervision")

    def __init__(
        self, plan: WorkflowPlan, input_data: Mapping[str, Any] | None, correlation_id: str | None = None
    ) -> None:
        self.plan = plan
        self.input_data = plan.check(input_data)
        self.names = {**plan.config.variables, **self.input_data}
        self.outer, self.label, self.ends = None, "", []
        self.correlation_id = checked_id(correlation_id) if correlation_id else new_id()
        self.supervision: Supervision[None] | None = None
        self.abort: AbortError | None = None
        """What a hook ended the run with; a step that catches everything must not undo it."""
        self._ready: dict[int, asyncio.Future[None]] | None = None
        self.inside: list[Ended] | None = None
        """What is kept of the steps inside others, apart from `ends`."""
        self.is_over = False
        """Whether there is a result, so that nothing may be asked any more."""
        if reads(plan.level):
            self.hooks = plan.logged_hooks
            plan.log.pending(self.facts(None))
        else:
            self.hooks = plan.hooks

    def take_in(self, end: Ended, scope: Scope) -> None:
        """Let a step that has ended be known in `scope`, and keep it for the records."""
        scope.take(end)
        if scope is not self:
            self.keep_inside(end)

    def take_up(self, end: Ended, scope: Scope) -> None:
        """Take in what was kept of a step of `scope`, or of one inside it that only the records know."""
        if end.label == scope.label:
            self.take_in(end, scope)
        else:
            self.keep_inside(end)

    def keep_inside(self, end: Ended) -> None:
        """Keep, for the records, a step that ended inside another one."""
        if self.inside is None:
            self.inside = []
        self.inside.append(end)

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self.plan.workflow_id

    @property
    def config(self) -> WorkflowConfig:
        """The merged settings of the run."""
        return self.plan.config

    @property
    def variables(self) -> dict[str, Any]:
        """The names that were there before the first step."""
        return {**self.plan.config.variables, **self.input_data}

    def values(self) -> StepValues:
        """What `${steps.NAME}` stands for; the input may bring the values of steps of its own."""
        given, found = self.input_data.get("steps"), super().values()
        return StepValues({**given, **found}, found.absent) if isinstance(given, Mapping) else found

    def facts(self, place: Place | None) -> dict[str, Any]:
        """What a middleware hook learns about where it is."""
        facts: dict[str, Any] = {
            "workflow": self.plan.name,
            "workflow_id": self.plan.workflow_id,
            "correlation_id": self.correlation_id,
        }
        if place is not None:
            facts.update(step=place.name, step_id=place.step_id)
            facts["metadata"] = dict(place.metadata) if isinstance(place, PlannedStep) else {}
        return facts

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that would answer `request` is and can do."""
        return self.plan.models.pick(model, self.plan.config.provider, request).get_model_info()

    def ask(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> Coroutine[Any, Any, ChatResponse]:
        """Put `request` to a model: hooks, retries and accounting included."""
        if self.hooks.before or self.hooks.after:
            return self._ask_with_hooks(context, request, model)
        return self._call(context, request, model, None)

    async def _ask_with_hooks(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None
    ) -> ChatResponse:
        hooks = self.hooks
        # One for all hooks of the call: what one of them puts in, the others find.
        facts = self.facts(context.place)
        _, before = budgets_in_force()
        try:
            if hooks.before:
                request = await hooks.before_call(request, facts)
            response = await self._call(context, request, model, facts)
            if hooks.after:
                response = await hooks.after_call(response, facts)
        except AbortError as error:
            self.abort = error
            raise
        finally:
            # Where the call was cancelled or stopped, no hook has ended what was in force for it alone.
            for left in budgets_in_force()[1]:
                if left not in before:
                    CallBudget.end(left.budget)
        return response

    async def _call(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None, facts: dict[str, Any] | None
    ) -> ChatResponse:
        supervision = self.supervision
        if self.is_over or context.is_over or (supervision is not None and supervision.stopping):
            raise asyncio.CancelledError("the step, or its run, has ended")
        if supervision is not None:
            supervision.take_off(context)
        try:
            chosen = self.plan.models.pick(model, self.plan.config.provider, request)
            if self.plan.models.to_initialize:
                await self._get_ready(chosen)
            response = await chosen.complete_async(request)
            context.calls.append(response)
        except FrameworkError as error:
            context.failed_calls.append(FailedCall.of(error))
            if self.hooks.call_error:
                await self._tell_failure(error, facts or self.facts(context.place))
            raise
        except asyncio.CancelledError as error:
            await self._count_given_up(context, charges_in(error), facts or self.facts(context.place))
            raise
        finally:
            if supervision is not None:
                supervision.land(context)
        return response

    async def _count_given_up(
        self, context: StepContext, charged: tuple[TokenUsage, ...], facts: dict[str, Any]
    ) -> None:
        """Count what a call was charged for before it was cancelled: attempts that had failed."""
        if not charged:
            return
        fields = {"failed_usage": charged, "attempts": len(charged)}
        error = ProviderError("the call was cancelled", op="model.ask", code=Code.CANCELLED, fields=fields)
        context.failed_calls.append(FailedCall.of(error))
        if self.hooks.call_error:
            await self._tell_failure(error, facts)

    async def _tell_failure(self, error: FrameworkError, facts: dict[str, Any]) -> None:
        try:
            await self.hooks.call_failed(error, facts)
        except AbortError as abort:
            self.abort = abort
            raise

    async def _get_ready(self, model: ChatModel) -> None:
        if id(model) not in self.plan.models.to_initialize:
            return
        if self._ready is None:
            self._ready = {}
        begun = self._ready.get(id(model))
        if begun is None:
            begun = self._ready[id(model)] = asyncio.ensure_future(model.initialize())
        try:
            # Shielded: others wait for it as well.
            await asyncio.shield(begun)
        except BaseException:
            if begun.done() and self._ready.get(id(model)) is begun:
                del self._ready[id(model)]
            raise
