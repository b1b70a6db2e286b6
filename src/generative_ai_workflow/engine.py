"""The engine: settings, middleware and chat models in one place, and every way to run a workflow with them."""

from __future__ import annotations

import weakref
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from chatmodels.iface import ChatModel
from fmf_core.forks import Lock
from fmf_core.portal import need_loop, run_sync
from generative_ai_workflow.config import FrameworkConfig, default_config
from generative_ai_workflow.durable.store import RESUMABLE, RunStore, as_statuses
from generative_ai_workflow.exceptions import ConfigurationError
from generative_ai_workflow.handle import WorkflowHandle
from generative_ai_workflow.many import RunByKey, RunInOrder, RunMany, in_order, keyed, resumable
from generative_ai_workflow.middleware.base import check_middleware
from generative_ai_workflow.model_rack import ModelRack
from generative_ai_workflow.plan import RunnableWorkflow, WorkflowPlan
from generative_ai_workflow.run import Run
from generative_ai_workflow.shutdown import Shutdown, ShutdownSlot, on_signals
from generative_ai_workflow.state import WorkflowResult, WorkflowStatus
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
        store: keeps every finished step of its runs, so that one that was interrupted goes on behind it: run the same
            workflow with the same input and `correlation_id` again, or `resume` all of them. A path is a file for a
            `SQLiteRunStore`. Without one nothing is kept, and nothing is paid for it.
    """

    def __init__(
        self,
        config: FrameworkConfig | None = None,
        *,
        model: ChatModel | None = None,
        store: RunStore | str | Path | None = None,
    ) -> None:
        self.config = config if config is not None else default_config()
        self.models = ModelRack(self.config, model)
        self.store = _as_store(store)
        self._shutdown = ShutdownSlot()
        self._middleware: tuple[Any, ...] = ()
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
            ConfigurationError: it has no hook at all, or one that is misspelt or takes other arguments; or this very
                object is in use already.
        """
        check_middleware(middleware)
        if any(middleware is one for one in self._middleware):
            raise ConfigurationError(
                f"{type(middleware).__name__} is in use already, and would hear of everything twice", op="engine.use"
            )
        with self._lock():
            self._middleware = (*self._middleware, middleware)
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
        return await self.begin(workflow, input_data, timeout, correlation_id)

    def begin(
        self, workflow: RunnableWorkflow, input_data: Input | None, timeout: float | None, correlation_id: str | None
    ) -> Coroutine[Any, Any, WorkflowResult]:
        """The run that `run_async` awaits."""
        need_loop("workflow.run", "await trio.to_thread.run_sync(workflow.execute, data)")
        plan = self._plan(workflow)
        return Run(plan, input_data, correlation_id).go(_limit(timeout, plan))

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
        inputs: Iterable[Input] | Mapping[Any, Input],
        concurrency: int | None = None,
        *,
        timeout: float | None = None,
    ) -> RunMany[Any, Any]:
        """Run `workflow` once for each of `inputs`, at most `concurrency` at the same time.

        Results come in the order of the inputs, whatever the order of completion. A run that fails is a result like the
        others. Inputs are taken from the iterable only as they are needed.

            results = await engine.run_many(workflow, inputs)          # a list
            async for result in engine.run_many(workflow, inputs): ...  # one by one
            for result in engine.run_many(workflow, inputs): ...        # one by one, blocking
            results = await engine.run_many(workflow, {"a": {...}, "b": {...}})   # {"a": result, "b": result}

        Args:
            workflow: what to run.
            inputs: one dict for each run; or a mapping of such dicts, whose keys are those of the results: awaiting
                gives a dict of results, iterating gives pairs of key and result. Keys that are texts are the
                correlation ids of their runs as well, by which a store finds them again.
            concurrency: how many runs may go on at once, from 1; default is the workflow's, which is 8 unless set.
            timeout: the longest single run, in seconds.

        Raises:
            ConfigurationError: `concurrency` is no positive whole number, or `inputs` holds no dicts.
        """
        plan = self._plan(workflow)
        at_once = _concurrency(concurrency, plan, "engine.run_many")
        if isinstance(inputs, Mapping):
            return RunByKey(
                plan, keyed(inputs, kept=self.store is not None), at_once, _limit(timeout, plan), workflow=workflow
            )
        return RunInOrder(plan, in_order(inputs), at_once, _limit(timeout, plan), workflow=workflow)

    def resume(
        self,
        workflow: RunnableWorkflow,
        concurrency: int | None = None,
        *,
        timeout: float | None = None,
        statuses: str | Iterable[str] = WorkflowStatus.RUNNING,
    ) -> RunMany[Any, Any]:
        """Let runs of `workflow` that did not complete go on behind their last finished step, as `run_many` would.

        Without `statuses` these are the interrupted ones, which have no end: their process was killed, or the program
        around them stopped. Runs that another process is running right now are left alone.

            results = await engine.resume(workflow)    # {correlation id: result}
            results = await engine.resume(workflow, statuses=["failed", "timeout"])

        Args:
            workflow: what to run; named as it was.
            concurrency: how many runs may go on at once, from 1; default is the workflow's.
            timeout: the longest single run from now on, in seconds.
            statuses: which ones, one or several of `running` (the interrupted ones), `failed`, `timeout`, `cancelled`.

        Raises:
            ConfigurationError: the engine has no store, the workflow has no name, `concurrency` is no positive whole
                number, or a status is none of these.
        """
        plan = self._plan(workflow)
        if self.store is None or not plan.name:
            raise ConfigurationError(
                "there is nothing to resume from: the engine has no store"
                if self.store is None
                else "a workflow without a name cannot be resumed: its runs cannot be told from those of others",
                op="engine.resume",
                hint="WorkflowEngine(store='runs.sqlite') and Workflow(steps, name='...')",
            )
        at_once = _concurrency(concurrency, plan, "engine.resume")
        wanted = as_statuses(statuses, op="engine.resume", known=RESUMABLE)
        due = resumable(self.store, plan.name, wanted)
        return RunByKey(plan, due, at_once, _limit(timeout, plan), workflow=workflow)

    @contextmanager
    def cancelled_by_signals(self) -> Iterator[Shutdown]:
        """Let SIGINT, SIGTERM and SIGHUP cancel the runs of this engine within the block, in the main thread.

        Model calls in flight may finish within each workflow's `cancel_grace_s` and are counted; the runs end as
        CANCELLED, those of a store can be resumed, and runs that begin afterwards end at once. A second signal raises
        `KeyboardInterrupt`.

            with engine.cancelled_by_signals() as shutdown:
                results = list(engine.run_many(workflow, inputs))
            save(results)
            sys.exit(130 if shutdown.requested else 0)
        """
        shutdown = Shutdown()
        before, self._shutdown.current = self._shutdown.current, shutdown
        try:
            with on_signals(shutdown):
                yield shutdown
        finally:
            self._shutdown.current = before

    def _plan(self, workflow: RunnableWorkflow) -> WorkflowPlan:
        plan = self._plans.get(workflow)
        if plan is None:
            with self._lock():
                plans, middleware = self._plans, self._middleware
            plan = WorkflowPlan(
                workflow, self.config, middleware, self.models, shutdown=self._shutdown, store=self.store
            )
            with self._lock():
                plan = plans.setdefault(workflow, plan)
        return plan


def _as_store(store: RunStore | str | Path | None) -> RunStore | None:
    if isinstance(store, str | Path):
        from generative_ai_workflow.durable.sqlite import SQLiteRunStore

        return SQLiteRunStore(store)
    return store


def _concurrency(given: int | None, plan: WorkflowPlan, op: str) -> int:
    at_once = plan.config.concurrency if given is None else given
    if type(at_once) is not int or at_once < 1:
        raise ConfigurationError(f"concurrency must be a whole number from 1, got {at_once!r}", op=op)
    return at_once


def _limit(timeout: float | None, plan: WorkflowPlan) -> float | None:
    if timeout is None:
        return plan.config.timeout
    if type(timeout) not in (int, float) or not 0 < timeout < float("inf"):
        raise ConfigurationError(f"timeout must be a positive number of seconds, got {timeout!r}", op="workflow.run")
    return float(timeout) if timeout < LONGEST_LIMIT_S else None


LONGEST_LIMIT_S = 1e8
"""A time limit beyond this, which is three years, is none: the system cannot wait so long."""

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
