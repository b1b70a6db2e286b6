"""Everything that happens to a run: its statuses, what a step may see, and the records that it leaves."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, TypeGuard, TypeVar

from pydantic import BaseModel, Field

from chatmodels.iface import ChatModel
from chatmodels.types import ChatRequest, ChatResponse, ModelInfo, TokenUsage
from fmf_core.errors import FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.redact import redact
from fmf_core.value import Value
from generative_ai_workflow.by_step import ByStep
from generative_ai_workflow.charges import FailedCall
from generative_ai_workflow.config import DEFAULT_PROVIDER, WorkflowConfig, default_config
from generative_ai_workflow.exceptions import StepError

Record = TypeVar("Record", bound=BaseModel)


class WorkflowStatus(StrEnum):
    """Where a run is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class StepStatus(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


# One generator of our own: the global one may have been seeded by the program around us, and two processes that were
# forked from one would otherwise name their runs alike.
_random = random.Random()  # noqa: S311 - ids have to be unique, not secret
in_forked_child(_random.seed)


def new_id() -> str:
    """A random UUID (version 4) as text."""
    number = (_random.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62)) | (4 << 76) | (2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_set = object.__setattr__


def record(kind: type[Record], fields: dict[str, Any], given: set[str] | None = None) -> Record:
    """A `kind` made of `fields` as they are, without the validation that values of our own making do not need.

    Args:
        kind: a pydantic model.
        fields: every field of it, in the declared order.
        given: what `model_fields_set` says; default is all fields.
    """
    made = kind.__new__(kind)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", set(fields) if given is None else given)
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


class StepHost(Protocol):
    """What a running workflow does for its steps."""

    async def ask(
        self, context: StepContext, request: ChatRequest, model: ChatModel | str | None = None
    ) -> ChatResponse:
        """Put `request` to a model: hooks, retries and accounting included."""
        ...

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that would answer `request` is and can do."""
        ...

    async def run_steps(self, steps: Sequence[Any]) -> dict[str, Any]:
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
        host: the run.
    """

    __slots__ = (
        "_names",
        "_outputs",
        "_snapshot",
        "_values",
        "calls",
        "config",
        "correlation_id",
        "failed_calls",
        "host",
        "input_data",
        "step_id",
        "step_name",
        "variables",
        "workflow_id",
    )

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
        host: StepHost | None = None,
        names: dict[str, Any] | None = None,
        values: dict[str, Any] | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.step_id = step_id
        self.correlation_id = correlation_id
        self.input_data = {} if input_data is None else input_data
        self.variables = {} if variables is None else variables
        self.config = config or WorkflowConfig()
        self.step_name = step_name
        self.host = host
        self.calls: list[ChatResponse] = []
        """The answers that this step has got so far; they are what it is charged for."""
        self.failed_calls: list[FailedCall] = []
        """What the calls took that failed; the step is charged for these as well."""
        self._outputs = {} if previous_outputs is None else previous_outputs
        self._snapshot: dict[str, Any] | None = None
        self._names = names
        self._values = values

    @property
    def previous_outputs(self) -> dict[str, Any]:
        """What earlier steps left, by step name; a copy made when it is first looked at."""
        if self._snapshot is None:
            self._snapshot = dict(self._outputs)
        return self._snapshot

    @property
    def names(self) -> Mapping[str, Any]:
        """Everything a template may mention: input, variables, and the keys of all earlier outputs; later ones win."""
        if self._names is None:
            names = {**self.input_data, **self.variables}
            for name, output in self._outputs.items():
                names[name] = output
                if isinstance(output, Mapping):
                    names.update(output)
            self._names = names
        return self._names

    @property
    def roots(self) -> dict[str, Any]:
        """Where `${...}` and conditions begin: `names`, `input` (what the caller gave), `steps` (values by step)."""
        return {
            **self.names,
            "input": self.input_data,
            "steps": self._outputs if self._values is None else self._values,
        }

    async def ask(self, request: ChatRequest, model: ChatModel | str | None = None) -> ChatResponse:
        """Put a request to a chat model; middleware hooks, retries and token accounting come along.

        Args:
            request: what to ask; a setting that it leaves open is the model's own.
            model: a chat model or the name of a registered one; default is the workflow's.

        Raises:
            ProviderError: the model could not answer.
            AbortError: a middleware stopped the call, and with it the run.
        """
        if self.host is not None:
            return await self.host.ask(self, request, model)
        try:
            response = await _alone(model or self.config.provider).complete_async(request)
        except FrameworkError as error:
            self.failed_calls.append(FailedCall.of(error))
            raise
        self.calls.append(response)
        return response

    def model_info(self, request: ChatRequest, model: ChatModel | str | None = None) -> ModelInfo:
        """What the model that `ask` would ask is and can do."""
        if self.host is not None:
            return self.host.model_info(request, model)
        return _alone(model or self.config.provider).get_model_info()

    def ask_blocking(self, request: ChatRequest, model: ChatModel | str | None = None) -> ChatResponse:
        """`ask` for steps that are written as a blocking `execute`."""
        from fmf_core.portal import run_sync

        return run_sync(self.ask(request, model))

    def __repr__(self) -> str:
        return f"StepContext(step_name={self.step_name!r}, correlation_id={self.correlation_id!r})"


def _alone(model: ChatModel | str | None) -> ChatModel:
    """The model of a step that is tried out without an engine."""
    if isinstance(model, ChatModel):
        return model
    from chatmodels.factory import create_chat_model

    return create_chat_model(default_config().chat_model(model or DEFAULT_PROVIDER))


def said(thing: object) -> str:
    """The text of an exception, or of what it holds; empty where it cannot give one."""
    try:
        return str(thing)
    except Exception:  # noqa: BLE001 - what a plugin raises may be broken itself
        return ""


def _is_whole(error: BaseException) -> TypeGuard[FrameworkError]:
    """Whether it has the facts of a `FrameworkError`: a subclass may have forgotten to call our constructor."""
    return isinstance(error, FrameworkError) and "fields" in error.__dict__


class ErrorInfo(Value):
    """Why something failed, as facts."""

    kind: str
    """The class of the exception."""
    message: str
    code: str = "internal"
    op: str = ""
    hint: str = ""
    retryable: bool = False
    attempts: int | None = None
    """How many requests were made before the failure was final, where it was a model call."""

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """The facts of `error`, every known secret blanked."""
        kind = type(error).__name__
        if not _is_whole(error):
            return cls(kind=kind, message=redact(said(error) or kind))
        attempts = error.fields.get("attempts")
        return cls(
            kind=kind,
            message=redact(said(error.message) or kind),
            code=str(error.code),
            op=error.op,
            hint=redact(said(error.hint)),
            retryable=error.retryable,
            attempts=attempts if isinstance(attempts, int) else None,
        )


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line for people, every known secret blanked."""
    kind = type(error).__name__
    if _is_whole(error):
        brief = isinstance(error, StepError) and not error.op and not error.hint
        return redact((not brief and said(error)) or said(error.message) or kind)
    text = "" if isinstance(error, FrameworkError) else said(error)
    return redact(f"{kind}: {text}" if text else kind)


class StepResult(Value):
    """What a step leaves behind.

    A custom step returns one of these, or simply a dict, which stands for a completed step with that output.
    """

    step_id: str = ""
    """Filled in by the engine."""
    status: StepStatus = StepStatus.COMPLETED
    output: dict[str, Any] | None = None
    error: str | None = None
    duration_ms: float = 0.0
    """Measured by the engine."""
    token_usage: TokenUsage | None = None
    """The sum over the step's model calls, with what failed ones were charged for."""
    name: str = ""
    """The step's name; filled in by the engine."""
    response: ChatResponse | None = None
    """The last answer of a model, where the step asked one."""
    attempts: int = 0
    """How many requests its model calls took, retries included."""
    cost_usd: float | None = None
    """What its model calls cost together, failed ones included, in US dollars; `None` where a price is unknown."""
    error_info: ErrorInfo | None = None


class ExecutionMetrics(Value):
    """A run in numbers; what is kept by step is found by the step's id and by its name."""

    total_duration_ms: float = 0.0
    step_durations: dict[str, float] = Field(default_factory=ByStep)
    """Milliseconds by step."""
    token_usage_total: TokenUsage | None = None
    step_token_usage: dict[str, TokenUsage] = Field(default_factory=ByStep)
    steps_completed: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0

    @classmethod
    def of(cls, results: Iterable[StepResult], total_duration_ms: float = 0.0) -> ExecutionMetrics:
        """Add up `results`."""
        durations: dict[str, float] = {}
        usages: dict[str, TokenUsage] = {}
        ids: dict[str, str] = {}
        counts = {StepStatus.COMPLETED: 0, StepStatus.FAILED: 0, StepStatus.SKIPPED: 0}
        total: TokenUsage | None = None
        for result in results:
            ids[result.name] = result.step_id
            counts[result.status] += 1
            if result.status is not StepStatus.SKIPPED:
                durations[result.step_id] = result.duration_ms
            if result.token_usage is not None:
                usages[result.step_id] = result.token_usage
                total = result.token_usage if total is None else total + result.token_usage
        return record(
            cls,
            {
                "total_duration_ms": total_duration_ms,
                "step_durations": ByStep(durations, ids),
                "token_usage_total": total,
                "step_token_usage": ByStep(usages, ids),
                "steps_completed": counts[StepStatus.COMPLETED],
                "steps_failed": counts[StepStatus.FAILED],
                "steps_skipped": counts[StepStatus.SKIPPED],
            },
        )


class WorkflowResult(Value):
    """What a run leaves behind, however it ended."""

    workflow_id: str
    correlation_id: str
    status: WorkflowStatus
    output: dict[str, Any] | None = None
    """The outputs of all finished steps by key: a step's own keys, `{name}_output`, and `llm_response`."""
    error: str | None = None
    """Why the run did not complete; names the step."""
    metrics: ExecutionMetrics = Field(default_factory=ExecutionMetrics)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None
    steps: dict[str, StepResult] = Field(default_factory=dict)
    """What every step left, by step name; steps that never began are SKIPPED."""

    @property
    def succeeded(self) -> bool:
        """Whether the run completed."""
        return self.status is WorkflowStatus.COMPLETED
