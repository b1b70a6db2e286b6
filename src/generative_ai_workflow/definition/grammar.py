"""The grammar of a workflow file, and of the steps that it shares with chain files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, StrictInt, field_validator

from fmf_core.retry import RetryPolicy
from fmf_core.value import Value
from generative_ai_workflow.control_flow.for_each import MAX_ITEMS
from generative_ai_workflow.step import OutputSpec

LLM: Final = "llm"
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "conditional": frozenset({"condition", "then", "otherwise"}),
    "parallel": frozenset({"steps", "branches", "concurrency"}),
    "for_each": frozenset({"items", "item", "steps", "concurrency", "max_items", "continue_on_error"}),
}
"""The types of step that hold steps, and the fields that only they have."""
LLM_WORDS: Final = frozenset({"prompt", "inputs", "output", "params", "system_prompt"})
"""The fields that steps which hold steps do not have."""


ModelName = Annotated[str, Field(min_length=1)]
Temperature = Annotated[float, Field(ge=0.0, le=2.0, strict=True)]
MaxTokens = Annotated[int, Field(ge=1, le=128_000, strict=True)]


class SharedParams(Value):
    """Sampling settings of all steps of a workflow."""

    model: ModelName | None = None
    """The model to ask for."""
    temperature: Temperature | None = None
    """Written as `null`, it is left out of the requests altogether."""
    max_tokens: MaxTokens | None = None
    """The longest answer, in tokens; written as `null`, it is left out of the requests."""


# Not one of `SharedParams` with more fields: here `null` is the workflow's value, there it is none at all.
class StepParams(Value):
    """Sampling settings of one step; what is not given is the workflow's."""

    model: ModelName | None = None
    """The model to ask for."""
    temperature: Temperature | None = None
    """From 0.0 to 2.0."""
    max_tokens: MaxTokens | None = None
    """The longest answer, in tokens."""
    seed: int | None = Field(default=None, strict=True)
    """For repeatable answers where the provider knows them."""
    stop: str | tuple[str, ...] = ()
    """Texts that end the answer."""


class StepDefinition(Value):
    """One step as it is written in a workflow file or a chain file."""

    id: str = Field(min_length=1)
    """The step's name."""
    type: str = LLM
    """`llm`, or the name of a registered step type; in workflow files also `conditional`, `parallel` and `for_each`."""
    prompt: str | None = Field(default=None, min_length=1)
    """`inline: text`, `path.yaml#version`, or `id#version` of a prompt registry."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    """What the names of the prompt stand for; `${...}` refers to other values."""
    output: OutputSpec | None = None
    """The answer's name, or what it is called and must look like; a name alone will do."""
    params: StepParams = StepParams()
    """Sampling settings."""
    system_prompt: str | None = None
    """In any form that a prompt may have."""
    when: str | None = None
    """A condition; where it is not met, the step is skipped."""
    is_critical: bool = Field(default=True, strict=True)
    """Whether a failure ends the run."""
    retry: RetryPolicy | StrictInt | None = None
    """How often the step is tried again when it fails: the most attempts, or how many and how patiently."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False, strict=True)
    """The longest that one attempt may take, in seconds."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of a registered step type."""

    @field_validator("output", mode="before")
    @classmethod
    def _name_alone(cls, output: Any) -> Any:
        return {"name": output} if isinstance(output, str) else output

    @field_validator("retry")
    @classmethod
    def _at_least_once(cls, retry: RetryPolicy | int | None) -> RetryPolicy | int | None:
        if isinstance(retry, int) and not 1 <= retry <= 1000:
            raise ValueError(f"{retry} attempts are not possible: from 1 to 1000")
        return retry


class WorkflowStepDefinition(StepDefinition):
    """One step of a workflow file, which may hold steps."""

    model_config = Value.model_config | {"populate_by_name": True}

    condition: str | None = Field(default=None, min_length=1)
    """Of `type: conditional`: what decides; `when` will do as well."""
    then: tuple[WorkflowStepDefinition, ...] = ()
    """Of `type: conditional`: the steps that run where the condition is met."""
    otherwise: tuple[WorkflowStepDefinition, ...] = Field(default=(), alias="else")
    """Of `type: conditional`: the steps that run where it is not."""
    steps: tuple[WorkflowStepDefinition, ...] = ()
    """Of `type: parallel`: what runs at the same time; of `type: for_each`: what is done with every item."""
    branches: tuple[tuple[WorkflowStepDefinition, ...], ...] = ()
    """Of `type: parallel`, instead of `steps`: lists of steps; the lists run at the same time, the steps in order."""
    items: str | tuple[Any, ...] | None = None
    """Of `type: for_each`: the list: a reference such as `${steps.letters}`, a name, or the items themselves."""
    item: str = Field(default="item", min_length=1)
    """Of `type: for_each`: what the steps inside call the item."""
    concurrency: int | None = Field(default=None, ge=1, strict=True)
    """Of `type: parallel`: how many run at a time, default all; of `type: for_each`: how many items, default 8."""
    max_items: int = Field(default=MAX_ITEMS, ge=1, strict=True)
    """Of `type: for_each`: the longest list; a longer one is an error."""
    continue_on_error: bool = Field(default=False, strict=True)
    """Of `type: for_each`: whether a failure leaves the other items alone."""


def key_of(field: str) -> str:
    """What a field of `WorkflowStepDefinition` is called in a file."""
    return WorkflowStepDefinition.model_fields[field].alias or field


class WorkflowDefinition(Value):
    """A workflow file."""

    name: str = ""
    """For logs and traces."""
    description: str = ""
    """For people."""
    input: dict[str, Any] | None = None
    """What a run must be given: names to types, or to JSON Schemas with `default` or `required: false`; default is any
    input at all."""
    concurrency: int = Field(default=8, ge=1, strict=True)
    """How many runs of `run_many` go on at once."""
    continue_on_error: bool = Field(default=True, strict=True)
    """Whether `run_many` goes on with the next input after a run that failed."""
    system_prompt: str | None = None
    """For steps that have none of their own; in any form that a prompt may have."""
    provider: str | None = None
    """The name of a registered provider."""
    params: SharedParams = SharedParams()
    """For steps that have none of their own."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False, strict=True)
    """The longest run, in seconds."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Names for prompts; the input of a run wins over them."""
    steps: tuple[WorkflowStepDefinition, ...] = Field(min_length=1)
    """What is done, in order."""


class ResolvedPrompt(Value):
    """A prompt in full, wherever it was kept."""

    template: str = Field(min_length=1)
    system: str | None = None
    examples: tuple[Any, ...] = ()
    """Few-shot turns: (input, output), or mappings with these keys."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Where it came from, such as `prompt_id`, `prompt_version` and `prompt_hash`."""
