"""A step of a chain on its way to a plan, and the step of a workflow that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmf.chains.groups import SHOWN
from fmf.chains.references import EACH, Level, Mention, StepFacts
from fmf.errors import ConfigError

if TYPE_CHECKING:
    from fmf.chains.prompt_tokens import PromptCounter
    from fmf.chains.spec import ChainStep
    from fmf.prompts.prompt import Prompt
    from generative_ai_workflow.step import OutputSpec
    from generative_ai_workflow.workflow_step import WorkflowStep


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the steps of a chain share."""

    concurrency: int
    counter: PromptCounter | None
    """Counts prompts that may be too large; `None` where nobody does."""


@dataclass
class Draft:
    """A step on its way to a plan."""

    where: str
    definition: ChainStep
    prompt: Prompt | None
    template: str
    system: str | None
    spec: OutputSpec
    output: str
    inputs: dict[str, Any] = field(default_factory=dict)
    """What was written, and a name for each reference that stood in an inline text."""
    compiled: dict[str, Any] = field(default_factory=dict)
    mentions: tuple[Mention, ...] = ()
    each: Any = None

    @property
    def facts(self) -> StepFacts:
        """What the check of references needs to know."""
        each = self.definition.for_each
        return StepFacts(
            self.definition.id,
            self.output,
            self.mentions,
            keyed=self.spec.expects == "json" and each is None,
            each=each is not None,
        )


def built(draft: Draft, level: Level, around: Surroundings) -> WorkflowStep:
    """The step of a workflow that a draft describes.

    Raises:
        FrameworkError: something about it is wrong.
    """
    from generative_ai_workflow.definition import ResolvedPrompt, build_step

    prompt = draft.prompt
    resolved = None
    if prompt is not None:
        facts = {"prompt_id": prompt.id, "prompt_version": prompt.version, "prompt_hash": prompt.content_hash}
        resolved = ResolvedPrompt(template=draft.template, examples=prompt.examples, metadata=facts)
    output = draft.spec.model_copy(update={"name": draft.output})
    definition = draft.definition.model_copy(update={"inputs": draft.inputs, "output": output})
    images = SHOWN if definition.shows_pictures else None
    if draft.each is None:
        step = build_step(definition, prompt=resolved, system_prompt=draft.system, images=images)
        return _collecting(step, draft, level, around)
    from fmf.chains.elements import inside
    from fmf.chains.fan_out import FanOutStep

    of_element = definition.model_copy(update={"id": inside(definition.id), "is_critical": True})
    return FanOutStep(
        definition.id,
        build_step(of_element, prompt=resolved, system_prompt=draft.system, images=images),
        draft.each,
        concurrency=around.concurrency,
        max_items=definition.max_items,
        is_critical=definition.is_critical,
        per_element=any(mention.root == EACH and mention.where.endswith(".when") for mention in draft.mentions),
    )


def _collecting(step: WorkflowStep, draft: Draft, level: Level, around: Surroundings) -> WorkflowStep:
    """`step`, which looks at the size of its prompt first where it collects answers."""
    from fmf.chains.reduction import CollectingStep
    from generative_ai_workflow.step import LLMStep

    paths = {mention.names for mention in draft.mentions if mention.over is not None}
    if draft.definition.reduce and (len(paths) != 1 or not isinstance(step, LLMStep)):
        raise ConfigError(
            f"step {draft.definition.id!r} says `reduce: tree`, and its prompt has {len(paths)} lists of answers",
            op="chain.load",
            hint="mention one list, as in '${all.notes}', in a step that asks a model",
        )
    if level is Level.ITEM or not paths or around.counter is None or not isinstance(step, LLMStep):
        return step
    path = next(iter(paths)) if draft.definition.reduce else None
    return CollectingStep(step, path, around.counter, around.concurrency)
