"""A workflow: named steps in their order, and their settings. It holds no state of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ValidationError

from chatmodels.iface import ChatModel
from fmf_core.faults import faults_text
from generative_ai_workflow.config import WorkflowConfig
from generative_ai_workflow.engine import default_engine
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.handle import WorkflowHandle
from generative_ai_workflow.input_rules import checked_input
from generative_ai_workflow.name_check import Given, check_scopes
from generative_ai_workflow.state import ExecutionMetrics, WorkflowResult, WorkflowStatus, new_id
from generative_ai_workflow.workflow_step import WorkflowStep, check_step

if TYPE_CHECKING:
    from generative_ai_workflow.definition import Draft, ResolvedPrompt
    from generative_ai_workflow.input_schema import InputSchema

__all__ = ["ExecutionMetrics", "Workflow", "WorkflowConfig", "WorkflowHandle", "WorkflowResult", "WorkflowStatus"]


class Workflow:
    """Steps that run in order, each seeing what came before; one workflow may be run many times at once.

        workflow = Workflow([
            LLMStep("summary", "Sum up: {text}"),
            TransformStep("length", lambda names: len(names["summary"])),
        ], config=WorkflowConfig(provider="openai"))
        result = workflow.execute({"text": "..."})

    Args:
        steps: at least one; no two of the same name.
        name: for logs and traces.
        config: settings that the steps have in common.
        input_schema: what a run must be given: names to JSON-Schema types (`{"text": "string"}`) or schemas, a whole
            JSON Schema of type `object`, or a pydantic model. A name with a `default` or `required: false` may be left
            out. Default is any input at all.

    Raises:
        DefinitionError: there is no step, a name or an output is taken twice, a template, a reference or a condition
            mentions what can never be there, or something is no step at all.
    """

    def __init__(
        self,
        steps: Iterable[WorkflowStep] | WorkflowStep,
        name: str = "",
        config: WorkflowConfig | Mapping[str, Any] | None = None,
        *,
        input_schema: Mapping[str, Any] | type[BaseModel] | None = None,
    ) -> None:
        self.workflow_id = new_id()
        self.name = name
        self.config = _as_config(config)
        self._input = None if input_schema is None else _as_input(input_schema)
        self._steps = _checked_steps(steps, _given(self.config, self._input))

    @property
    def steps(self) -> tuple[WorkflowStep, ...]:
        """The steps in their order."""
        return self._steps

    @property
    def input_schema(self) -> dict[str, Any] | None:
        """What a run must be given, as a JSON Schema; `None` where nothing is declared."""
        return None if self._input is None else self._input.schema

    def checked(self, input_data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`input_data` as a run of this workflow gets it: with the declared defaults, and checked.

        Raises:
            ConfigurationError: it is no mapping with text keys, or does not fit what is declared; tells every name
                that is wrong.
        """
        data = checked_input(input_data, self.config.input_limits)
        return data if self._input is None else self._input.checked(data)

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        resolve: Callable[[str], ResolvedPrompt] | None = None,
        provider: str | ChatModel | None = None,
    ) -> Self:
        """Read a workflow file: the grammar of a chain file without `inputs` and `outputs`.

        Args:
            path: the file.
            resolve: finds prompts by what the file says; default knows `inline: text`, and `path.yaml#version` beside
                the file.
            provider: a registered name or a chat model; wins over that of the file.

        Raises:
            ConfigurationError: the file is missing or wrong; all faults with line and column.
        """
        from generative_ai_workflow.definition import load_workflow

        return cls.of(load_workflow(path, resolve=resolve, provider=provider))

    @classmethod
    def of(cls, draft: Draft) -> Self:
        """Make the workflow that was read from a file.

        Raises:
            ConfigurationError: the steps do not make a workflow; with the place in the file.
        """
        try:
            return cls(draft.steps, draft.name, draft.config, input_schema=draft.input)
        except DefinitionError as error:
            raise draft.blame(error) from None

    async def execute_async(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a result, not an exception, tells of it
        correlation_id: str | None = None,
    ) -> WorkflowResult:
        """Run to the end on the engine of the environment's settings; see `WorkflowEngine.run_async`."""
        return await default_engine().begin(self, input_data, timeout, correlation_id)

    def execute(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> WorkflowResult:
        """Run to the end, blocking; works in any thread, also inside a running event loop. See `WorkflowEngine.run`."""
        return default_engine().run(self, input_data, timeout=timeout, correlation_id=correlation_id)

    def start(
        self,
        input_data: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> WorkflowHandle:
        """Start and return at once; await the handle, or ask it for `.result()`. See `WorkflowEngine.start`."""
        return default_engine().start(self, input_data, timeout=timeout, correlation_id=correlation_id)

    def __call__(self, input_data: Mapping[str, Any] | None = None) -> WorkflowHandle | WorkflowResult:
        """Run in the default mode of the configuration: `async` starts, `sync` runs to the end."""
        if default_engine().config.default_execution_mode == "sync":
            return self.execute(input_data)
        return self.start(input_data)

    def __repr__(self) -> str:
        return f"Workflow({self.name!r}, {[step.name for step in self.steps]})"


def _as_config(config: WorkflowConfig | Mapping[str, Any] | None) -> WorkflowConfig:
    if isinstance(config, WorkflowConfig):
        return config
    given: Any = config
    try:
        given = {} if config is None else dict(config)
        return WorkflowConfig.model_validate(given)
    except ValidationError as error:
        told = faults_text(error, WorkflowConfig, given)
    except (TypeError, ValueError) as error:
        told = str(error)
    raise DefinitionError(f"the workflow's config is wrong: {told}", op="workflow.define")


def _as_input(declared: Mapping[str, Any] | type[BaseModel]) -> InputSchema:
    from generative_ai_workflow.input_schema import InputSchema

    return InputSchema.of(declared)


def _given(config: WorkflowConfig, declared: InputSchema | None) -> Given:
    names = None if declared is None else tuple(declared.properties)
    closed = declared is not None and declared.closed
    return Given(config.variables, names, closed, config.system_prompt)


def _checked_steps(steps: Iterable[WorkflowStep] | WorkflowStep, given: Given) -> tuple[WorkflowStep, ...]:
    found = (steps,) if isinstance(steps, WorkflowStep) else tuple(steps)
    if not found:
        raise DefinitionError("a workflow needs at least one step", op="workflow.define", hint="give a list of steps")
    for step in found:
        check_step(step)
    names: set[str] = set()
    for step in _with_parts(found):
        if not step.name:
            step.name = type(step).__name__
        if step.name in names:
            raise DefinitionError(
                f"Duplicate step name {step.name!r}",
                op="workflow.define",
                hint="every step needs a name of its own",
                fields={"step": step.name, "place": "id"},
            )
        names.add(step.name)
    check_scopes(found, given)
    return found


def _with_parts(steps: Sequence[WorkflowStep]) -> Iterator[WorkflowStep]:
    for step in steps:
        yield step
        yield from _with_parts(step.parts)
