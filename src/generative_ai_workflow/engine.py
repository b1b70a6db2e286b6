"""The engine: settings, middleware and chat models in one place, and every way to run a workflow with them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Self

from chatmodels.iface import ChatModel
from fmf_core.forks import Lock
from fmf_core.portal import run_sync
from generative_ai_workflow.calls import ModelRack
from generative_ai_workflow.config import FrameworkConfig, default_config
from generative_ai_workflow.exceptions import ConfigurationError
from generative_ai_workflow.handle import WorkflowHandle
from generative_ai_workflow.many import RunMany
from generative_ai_workflow.middleware.base import Hooks
from generative_ai_workflow.plan import RunnableWorkflow, WorkflowPlan
from generative_ai_workflow.run import Run
from generative_ai_workflow.state import WorkflowResult
from generative_ai_workflow.timed import run_timed

Input = Mapping[str, Any]


class WorkflowEngine:
    """Runs workflows, any number of them at once, from any thread and on any event loop.

    Chat models are built when they are first needed and kept, so an engine that is used again keeps its connections.
    A run never raises for what happens in it: failure, time-out and cancellation are in its `WorkflowResult`.

        engine = WorkflowEngine().use(TokenUsageTracker())
        result = engine.run(workflow, {"text": "..."}, timeout=30)

    Args:
        config: the settings; default is what the environment says now.
        model: a chat model for steps that name no provider of their own; it wins over the workflow's provider, and the
            `default_model`, `default_temperature` and `default_max_tokens` of `config` do not apply to it.
    """

    def __init__(self, config: FrameworkConfig | None = None, *, model: ChatModel | None = None) -> None:
        self.config = config if config is not None else default_config()
        self.models = ModelRack(self.config, model)
        self._middleware: tuple[Any, ...] = ()
        self._hooks = Hooks()
        self._plans: weakref.WeakKeyDictionary[Any, WorkflowPlan] = weakref.WeakKeyDictionary()
        self._lock = Lock()

    @property
    def middleware(self) -> tuple[Any, ...]:
        """What `use` was given, in order."""
        return self._middleware

    def use(self, middleware: Any) -> Self:
        """Add a middleware to the runs that begin from now on; the first added sees a request first.

        Args:
            middleware: a `Middleware`, or any object that has some of its hooks.

        Raises:
            ConfigurationError: it has no hook at all.
        """
        if not any(callable(getattr(middleware, name, None)) for name in HOOKS):
            raise ConfigurationError(
                f"{middleware!r} is no middleware", op="engine.use", hint=f"it needs one of {', '.join(HOOKS)}"
            )
        if isinstance(middleware, type):
            raise ConfigurationError(
                f"middleware {middleware.__name__} is a class", op="engine.use", hint=f"use {middleware.__name__}()"
            )
        with self._lock():
            self._middleware = (*self._middleware, middleware)
            self._hooks = Hooks(self._middleware)
            self._plans = weakref.WeakKeyDictionary()
        return self

    async def run_async(
        self,
        workflow: RunnableWorkflow,
        input_data: Input | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a result, not an exception, tells of it
        correlation_id: str | None = None,
    ) -> WorkflowResult:
        """Run `workflow` to its end.

        Args:
            workflow: what to run.
            input_data: names for templates and transforms.
            timeout: the longest run in seconds; default is the workflow's, then the engine's. When it is over, the
                result is TIMEOUT, with everything that was done until then. Code that keeps the event loop itself busy
                cannot be interrupted; `run` gives its result on time even then.
            correlation_id: on every log line of the run; default is a new UUID.

        Raises:
            ConfigurationError: the input is no dict, or the time limit no positive number.
            asyncio.CancelledError: the awaiting task was cancelled; middleware was told.
        """
        plan = self._plan(workflow)
        return await Run(plan, input_data, correlation_id).go(_limit(timeout, plan))

    def run(
        self,
        workflow: RunnableWorkflow,
        input_data: Input | None = None,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> WorkflowResult:
        """Run `workflow` to its end, blocking; see `run_async`. Ctrl-C cancels the run and is raised."""
        plan = self._plan(workflow)
        limit = _limit(timeout, plan)
        run = Run(plan, input_data, correlation_id)
        return run_sync(run.go(None)) if limit is None else run_timed(run, limit)

    def start(
        self,
        workflow: RunnableWorkflow,
        input_data: Input | None = None,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> WorkflowHandle:
        """Start `workflow` and return at once; see `run_async`.

        In a coroutine the run goes on in its event loop, elsewhere in the background of the process.
        """
        plan = self._plan(workflow)
        limit = _limit(timeout, plan)
        return WorkflowHandle(Run(plan, input_data, correlation_id)).launch(limit)

    def run_many(
        self,
        workflow: RunnableWorkflow,
        inputs: Iterable[Input],
        concurrency: int | None = None,
        *,
        timeout: float | None = None,
    ) -> RunMany:
        """Run `workflow` once for each of `inputs`, at most `concurrency` at the same time.

        Results come in the order of the inputs, whatever the order of completion. A run that fails is a result like the
        others. Inputs are taken from the iterable only as they are needed.

            results = await engine.run_many(workflow, inputs)          # a list
            async for result in engine.run_many(workflow, inputs): ...  # one by one
            for result in engine.run_many(workflow, inputs): ...        # one by one, blocking

        Args:
            workflow: what to run.
            inputs: one dict for each run.
            concurrency: how many runs may go on at once, from 1; default is the workflow's, which is 8 unless set.
            timeout: the longest single run, in seconds.

        Raises:
            ConfigurationError: `concurrency` is no positive whole number.
        """
        plan = self._plan(workflow)
        at_once = plan.config.concurrency if concurrency is None else concurrency
        if type(at_once) is not int or at_once < 1:
            raise ConfigurationError(
                f"concurrency must be a whole number from 1, got {at_once!r}", op="engine.run_many"
            )
        return RunMany(plan, inputs, at_once, _limit(timeout, plan))

    def _plan(self, workflow: RunnableWorkflow) -> WorkflowPlan:
        plan = self._plans.get(workflow)
        if plan is None:
            with self._lock():
                plans, hooks = self._plans, self._hooks
            plan = WorkflowPlan(workflow, self.config, hooks, self.models)
            with self._lock():
                plan = plans.setdefault(workflow, plan)
        return plan


HOOKS = ("before_llm_call", "after_llm_call", "on_workflow_start", "on_workflow_end", "on_step_error")


def _limit(timeout: float | None, plan: WorkflowPlan) -> float | None:
    if timeout is None:
        return plan.config.timeout
    if type(timeout) not in (int, float) or not timeout > 0:
        raise ConfigurationError(f"timeout must be a positive number of seconds, got {timeout!r}", op="workflow.run")
    return float(timeout)


_engines: dict[int, WorkflowEngine] = {}
_REMEMBERED = 32


def default_engine() -> WorkflowEngine:
    """The engine of a plain `workflow.execute`: one for each state of the environment, without middleware."""
    config = default_config()
    engine = _engines.get(id(config))
    # An engine keeps its configuration alive, so the id of a live entry belongs to that configuration.
    if engine is None:
        if len(_engines) >= _REMEMBERED:
            _engines.clear()
        engine = _engines.setdefault(id(config), WorkflowEngine(config))
    return engine
