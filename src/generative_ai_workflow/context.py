"""What a step may see and ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from chatmodels.iface import ChatModel
from chatmodels.types import ChatRequest, ChatResponse, ModelInfo
from fmf_core.errors import FrameworkError
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.config import DEFAULT_PROVIDER, WorkflowConfig, default_config
from generative_ai_workflow.ended import Decisions, Ended, Place, Scope
from generative_ai_workflow.exceptions import StepError
from generative_ai_workflow.state import StepResult, StepStatus

_new_tuple: Any = tuple.__new__


class StepHost(Protocol):
    """What a running workflow is for its steps."""

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        ...

    @property
    def correlation_id(self) -> str:
        """The run's id."""
        ...

    @property
    def config(self) -> WorkflowConfig:
        """The merged settings of the run."""
        ...

    @property
    def input_data(self) -> dict[str, Any]:
        """What the caller gave."""
        ...

    @property
    def variables(self) -> dict[str, Any]:
        """The names that were there before the first step."""
        ...

    @property
    def journal(self) -> Decisions | None:
        """What keeps the decisions of a durable run; `None` where nothing is kept."""
        ...

    def ask(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> Awaitable[ChatResponse]:
        """Put `request` to a model: hooks, retries and accounting included."""
        ...

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that would answer `request` is and can do."""
        ...

    async def run_steps(self, context: StepContext, steps: Sequence[Any]) -> dict[str, Any]:
        """Run `steps` in order as parts of another one."""
        ...


class StepContext:
    """What a step may look at, and what it may ask for.

    Made by the engine for every step; make one yourself to try a step out alone.

    Args:
        workflow_id: the workflow's id.
        step_id: the step's id.
        correlation_id: the run's id, on every log line of the run.
        input_data: what the caller gave.
        variables: names for templates; of a run, those of the workflow's settings and the input.
        previous_outputs: what earlier steps left, by step name.
        config: the merged settings of the run.
        step_name: the step's name.
    """

    __slots__ = ("_calls", "_decisions", "_failed_calls", "_host", "_outputs", "_part", "_scope")

    _part: Place
    _host: StepHost

    def __init__(
        self,
        *,
        workflow_id: str = "",
        step_id: str = "",
        correlation_id: str = "",
        input_data: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
        previous_outputs: dict[str, Any] | None = None,
        config: WorkflowConfig | None = None,
        step_name: str = "",
    ) -> None:
        alone = _Alone(workflow_id, correlation_id, config or WorkflowConfig(), input_data or {}, variables or {})
        self._host = alone
        self._part = _Place(step_name, step_id)
        self._scope = _scope_of(alone, previous_outputs or {})
        self._calls: list[ChatResponse] | None = None
        self._failed_calls: list[FailedCall] | None = None
        self._outputs: dict[str, Any] | None = None
        self._decisions = 0

    @property
    def place(self) -> Place:
        """Which step it is."""
        return self._part

    @property
    def is_over(self) -> bool:
        """Whether the step has ended, so that nothing may be asked for it any more."""
        return False

    @property
    def scope(self) -> Scope:
        """What the step sees, and where the steps inside it leave what they make."""
        return self._scope

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._host.workflow_id

    @property
    def correlation_id(self) -> str:
        """The run's id, on every log line of the run."""
        return self._host.correlation_id

    @property
    def config(self) -> WorkflowConfig:
        """The merged settings of the run."""
        return self._host.config

    @property
    def input_data(self) -> dict[str, Any]:
        """What the caller gave."""
        return self._host.input_data

    @property
    def variables(self) -> dict[str, Any]:
        """The names that were there before the first step: those of the workflow's settings, and the input."""
        return self._host.variables

    @property
    def step_id(self) -> str:
        """The step's id."""
        return self._part.step_id

    @property
    def step_name(self) -> str:
        """The step's name."""
        return self._part.name

    @property
    def calls(self) -> list[ChatResponse]:
        """The answers that this step has got so far; they are what it is charged for."""
        if self._calls is None:
            self._calls = []
        return self._calls

    @property
    def failed_calls(self) -> list[FailedCall]:
        """What the calls took that failed; the step is charged for these as well."""
        if self._failed_calls is None:
            self._failed_calls = []
        return self._failed_calls

    @property
    def previous_outputs(self) -> dict[str, Any]:
        """What earlier steps left, by step name; a copy made when it is first looked at."""
        if self._outputs is None:
            self._outputs = self._scope.outputs()
        return self._outputs

    @property
    def names(self) -> Mapping[str, Any]:
        """Everything a template may mention: input, variables, and the keys of all earlier outputs; later ones win."""
        return self._scope.names

    @property
    def roots(self) -> dict[str, Any]:
        """Where `${...}` and conditions begin: `names`, `input` (what the caller gave), `steps` (values by step)."""
        scope = self._scope
        return {**scope.names, "input": self._host.input_data, "steps": scope.values()}

    def ask(self, request: ChatRequest, model: ChatModel | str | None = None) -> Awaitable[ChatResponse]:
        """Put a request to a chat model; middleware hooks, retries and token accounting come along. Await it.

        Args:
            request: what to ask; a setting that it leaves open is the model's own.
            model: a chat model or the name of a registered one; default is the workflow's.

        Raises:
            ProviderError: the model could not answer.
            AbortError: a middleware stopped the call, and with it the run.
        """
        return self._host.ask(self, request, model)

    def ask_blocking(self, request: ChatRequest, model: ChatModel | str | None = None) -> ChatResponse:
        """`ask` for steps that are written as a blocking `execute`."""
        from fmf_core.portal import run_sync

        async def asked() -> ChatResponse:
            return await self.ask(request, model)

        return run_sync(asked())

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that `ask` would ask is and can do."""
        return self._host.model_info(request, model)

    async def run_steps(self, steps: Sequence[Any]) -> dict[str, Any]:
        """Run `steps` in order as parts of this step; the steps that come later see what they leave.

        Returns:
            What they left, by name; steps that were skipped, or failed without being critical, are not in it.

        Raises:
            StepError: a critical one failed.
        """
        return await self._host.run_steps(self, steps)

    async def decide_once(self, decide: Callable[[], Awaitable[Any]]) -> Any:
        """What `decide` gives; a durable run that is resumed in this step goes on with what it gave before.

        Args:
            decide: called at most once; gives a JSON value other than `None`. Several decisions of one step are told
                apart by their order.
        """
        journal = self._host.journal
        if journal is None:
            return await decide()
        number, self._decisions = self._decisions, self._decisions + 1
        name = f"{self._part.name}{self._scope.label}" + (f"#{number}" if number else "")
        decision = journal.decided(name)
        if decision is None:
            decision = await decide()
            await journal.keep_decision(name, decision)
        return decision

    async def begin_again(self) -> None:
        """Say that the step begins its work anew: what was decided in it, or kept inside it, counts no more."""
        self._decisions = 0
        if self._host.journal is not None:
            await self._host.journal.begin_again(self._part, self._scope.label)

    def inner(self, names: Mapping[str, Any] | None = None, label: str = "") -> StepContext:
        """A context for steps inside this one that keep to themselves: nobody outside sees what they leave.

        Args:
            names: what only they may mention.
            label: what their names end with in the records of the run, such as `[3]`.
        """
        outer = self._scope
        scope = Scope({**outer.names, **(names or {})}, outer, outer.label + label)
        context = RunningContext(self._host, self._part, scope)
        # One list for both: the step is charged for whatever is asked through either.
        context._calls, context._failed_calls = self.calls, self.failed_calls  # noqa: SLF001 - of this class
        return context

    def adopt(self, inner: StepContext) -> None:
        """Let later steps of the workflow see what the steps left that ran in `inner`."""
        for end in inner.scope.ends:
            self._scope.take(end)

    def __repr__(self) -> str:
        return f"StepContext(step_name={self.step_name!r}, correlation_id={self.correlation_id!r})"


class RunningContext(StepContext):
    """The context that a host gives to one of its steps.

    Args:
        host: the run.
        part: the step.
        scope: what it sees.
    """

    __slots__ = ("_began", "_is_over")

    def __init__(self, host: StepHost, part: Place, scope: Scope) -> None:
        self._began = perf_counter()
        self._is_over = False
        self._host = host
        self._part = part
        self._scope = scope
        self._calls = None
        self._failed_calls = None
        self._outputs = None
        self._decisions = 0

    @property
    def is_over(self) -> bool:
        """Whether the step has ended."""
        return self._is_over

    def end(self, status: StepStatus, output: dict[str, Any] | None) -> Ended:
        """What is kept of the step, which ends now."""
        scope = self._scope
        self._is_over = True
        # Not Ended(...): a named tuple is made by a function in Python, which takes five times as long.
        end: Ended = _new_tuple(
            Ended,
            (
                self._part,
                scope.label,
                status,
                output,
                self._began,
                perf_counter(),
                self._calls,
                self._failed_calls,
                None,
            ),
        )
        return end


class _Place(NamedTuple):
    name: str
    step_id: str
    output_key: str | None = None


def _scope_of(host: StepHost, outputs: Mapping[str, Any]) -> Scope:
    """The scope of a step that is tried out alone."""
    scope = Scope({**host.input_data, **host.variables})
    for name, output in outputs.items():
        scope.names[name] = output
        if isinstance(output, Mapping):
            scope.names.update(output)
        scope.ends.append(Ended(_Place(name, ""), "", StepStatus.COMPLETED, output, 0.0, 0.0))
    return scope


class _Alone:
    """Stands for the run around a step that is tried out alone."""

    journal = None

    def __init__(
        self,
        workflow_id: str,
        correlation_id: str,
        config: WorkflowConfig,
        input_data: dict[str, Any],
        variables: dict[str, Any],
    ) -> None:
        self.workflow_id = workflow_id
        self.correlation_id = correlation_id
        self.config = config
        self.input_data = input_data
        self.variables = variables

    async def ask(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> ChatResponse:
        try:
            response = await self._model(model).complete_async(request)
        except FrameworkError as error:
            context.failed_calls.append(FailedCall.of(error))
            raise
        context.calls.append(response)
        return response

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:  # noqa: ARG002 - no rack of models to choose from
        return self._model(model).get_model_info()

    def _model(self, model: ChatModel | str | None) -> ChatModel:
        chosen = model or self.config.provider
        if isinstance(chosen, ChatModel):
            return chosen
        from chatmodels.factory import create_chat_model

        return create_chat_model(default_config().chat_model(chosen or DEFAULT_PROVIDER))

    async def run_steps(self, context: StepContext, steps: Sequence[Any]) -> dict[str, Any]:
        scope = context.scope
        outputs: dict[str, Any] = {}
        for step in steps:
            place = _Place(step.name, step.step_id, step.output_key)
            inner = RunningContext(self, place, scope)
            inner._calls, inner._failed_calls = context.calls, context.failed_calls  # noqa: SLF001 - of this module
            result = await step.execute_async(inner)
            if isinstance(result, StepResult) and result.status is StepStatus.FAILED:
                raise StepError(f"step {step.name!r} failed: {result.error}")
            output = dict((result.output if isinstance(result, StepResult) else result) or {})
            scope.take(Ended(place, scope.label, StepStatus.COMPLETED, output, 0.0, 0.0))
            outputs[step.name] = output
        return outputs
