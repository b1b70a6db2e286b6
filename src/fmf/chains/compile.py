"""From a chain to workflows: prompts resolved, references checked, steps sorted by how often they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from fmf.chains.draft import Draft, Surroundings, built
from fmf.chains.inline import InlineText, without_references
from fmf.chains.plan import ChainPlan, SavePlan, StepPlan
from fmf.chains.prompt_tokens import PromptCounter
from fmf.chains.references import EACH, IMAGES, ROWS, RUN_NAMES, Level, Mention, faults_of, levels_of
from fmf.chains.saves import form_of
from fmf.chains.spec import ChainOutput, ChainSpec, ChainStep, LoadedChain, TableInput
from fmf.chains.stand_ins import StandIns
from fmf.chains.table import TEXT, RowWishes
from fmf.errors import ExportError
from fmf.prompts.prompt import INLINE, Prompt
from fmf_core.errors import Code, FrameworkError
from fmf_core.faults import Fault, SettingsError
from fmf_core.nearest import known_hint
from generative_ai_workflow.input_rules import InputLimits
from generative_ai_workflow.step import OutputSpec

if TYPE_CHECKING:
    from fmf.config.models import FmfConfig
    from generative_ai_workflow.step import WorkflowStep
    from generative_ai_workflow.workflow import Workflow

LLM = "llm"
_ROOTS = frozenset({"chunk", "document", "row", "group", "steps", "all", "input", EACH, *RUN_NAMES})
_REFERENCE = re.compile(r"\S+#\S+\Z")
# A document is not refused for a character; how much of it there may be is decided where it is read.
_DOCUMENTS = InputLimits(max_characters=1_000_000_000, max_items=1_000_000_000, max_depth=200, clean=True)
_WORKFLOW_NAMES = {Level.ITEM: "{chain}", Level.DOCUMENT: "{chain}/document", Level.ONCE: "{chain}/all"}


class Prompts(Protocol):
    """What the compiler needs of `fmf.prompts.registry.PromptRegistry`."""

    def resolve(self, ref: str) -> Prompt:
        """The prompt that `ref` names."""
        ...


def compile_chain(
    chain: LoadedChain,
    prompts: Prompts,
    *,
    system_prompt: str | None = None,
    sinks: Sequence[str] = (),
    config: FmfConfig | None = None,
) -> ChainPlan:
    """Make a chain ready to run.

    Args:
        chain: the chain.
        prompts: resolves references to prompts.
        system_prompt: what the model is told first where neither step, prompt nor chain say something else.
        sinks: the names of the configured sinks.
        config: says how prompts are counted that may be too large for their model; without it none is.

    Raises:
        ConfigError: a reference can never exist, a prompt has a name that nothing provides, an output leads nowhere;
            all such faults at once, with line and column where the chain is a file.
        PromptError: a prompt is missing, or not the one that was registered.
        ExportError: an output goes to a sink, which this version cannot write to.
    """
    surroundings = Surroundings(chain.spec.concurrency, None if config is None else PromptCounter(StandIns(1), config))
    return _Compiler(chain, prompts, system_prompt, sinks, surroundings).plan()


class _Compiler:
    def __init__(
        self,
        chain: LoadedChain,
        prompts: Prompts,
        system_prompt: str | None,
        sinks: Sequence[str],
        surroundings: Surroundings,
    ) -> None:
        self._surroundings = surroundings
        self._chain = chain
        self._spec: ChainSpec = chain.spec
        self._prompts = prompts
        self._fallback = system_prompt
        self._sinks = sinks
        self._used: dict[tuple[str, str, str], Prompt] = {}
        self._faults: list[Fault] = []

    def plan(self) -> ChainPlan:
        self._check_names()
        drafts = [self._draft(f"steps[{number}]", step) for number, step in enumerate(self._spec.steps)]
        facts = [draft.facts for draft in drafts]
        for fault in faults_of(facts, self._spec.inputs.mode):
            self._fault(fault.where, fault.message, fault.hint)
        for draft in drafts:
            self._check_template(draft)
        saves = tuple(self._saves(drafts))
        levels = levels_of(facts)
        self._check_modes(drafts, levels)
        workflows: dict[Level, Workflow] = {} if self._faults else self._workflows(drafts, levels)
        if self._faults:
            raise SettingsError.of(self._faults)
        self._refuse_exports()
        return ChainPlan(
            chain=self._spec.name,
            mode=self._spec.inputs.mode,
            steps=tuple(self._step_plan(draft, levels[draft.definition.id]) for draft in drafts),
            workflows=workflows,
            prompts=tuple(self._used.values()),
            wants_text=_mentions_text(drafts),
            table=self._table(drafts),
            collected={level: _collected(drafts, level) for level in (Level.DOCUMENT, Level.ONCE)},
            saves=saves,
        )

    def _table(self, drafts: Sequence[Draft]) -> RowWishes | None:
        """Which columns are needed, where items are rows."""
        inputs = self._spec.inputs
        if inputs.mode != ROWS:
            return None
        given = inputs.table or TableInput()
        named = [mention.names[1:2] for draft in drafts for mention in draft.mentions if mention.root == "row"]
        mentioned = tuple(dict.fromkeys(name for names in named for name in names if name != TEXT))
        return RowWishes(given.text_column, given.pass_through, mentioned, given.sheets, given.header_row)

    # Steps

    def _draft(self, where: str, step: ChainStep) -> Draft:
        prompt = self._resolve(step.prompt) if step.prompt is not None else None
        if prompt is None and step.type == LLM:
            self._fault(where, f"step {step.id!r} has no prompt", "write `prompt: id#version` or 'inline: text'")
        text = InlineText(prompt.template if prompt else "")
        if prompt is not None and prompt.id == INLINE:
            text = without_references(prompt.template, "prompt_reference")
        system = self._system(step, prompt)
        spec = step.output or OutputSpec()
        draft = Draft(where, step, prompt, text.template, system.template or None, spec, spec.name or step.id)
        draft.inputs = {**text.inputs, **system.inputs, **step.inputs}
        self._compile_inputs(draft)
        self._check_schema(draft)
        return draft

    def _system(self, step: ChainStep, prompt: Prompt | None) -> InlineText:
        """The system text: the step's own, the prompt version's, the chain's, then the configuration's."""
        written = step.system_prompt
        if written is None and prompt is not None and prompt.system is not None:
            return InlineText(prompt.system)
        written = written if written is not None else self._spec.system_prompt
        if written is None:
            return InlineText(self._fallback or "")
        if _REFERENCE.match(written.strip()):
            return InlineText(self._resolve(written.strip()).template)
        return without_references(written.removeprefix(f"{INLINE}:").strip(), "system_reference")

    def _resolve(self, reference: str) -> Prompt:
        prompt = self._prompts.resolve(reference)
        return self._used.setdefault((prompt.id, prompt.version, prompt.content_hash), prompt)

    def _compile_inputs(self, draft: Draft) -> None:
        from generative_ai_workflow.condition import Condition
        from generative_ai_workflow.reference import compile_value, references

        mentions: list[Mention] = []
        for name, value in draft.inputs.items():
            written = name in draft.definition.inputs
            where = f"{draft.where}.inputs.{name}" if written else f"{draft.where}.prompt"
            try:
                draft.compiled[name] = compile_value(value)
            except FrameworkError as error:
                self._fault(where, error.message, error.hint)
                continue
            mentions += [Mention(where, path) for path in references(draft.compiled[name])]
        mentions += self._list_of(draft)
        if draft.definition.when is not None:
            where = f"{draft.where}.when"
            try:
                mentions += [Mention(where, path) for path in Condition(draft.definition.when).references]
            except FrameworkError as error:
                self._fault(where, error.message, error.hint)
        draft.mentions = tuple(mentions)

    def _list_of(self, draft: Draft) -> list[Mention]:
        """What the list is taken from for whose elements the step runs, if it runs for any."""
        written, where = draft.definition.for_each, f"{draft.where}.for_each"
        if written is None:
            return []
        from fmf.chains.fan_out import list_reference

        try:
            draft.each, path = list_reference(draft.definition.id, written)
        except FrameworkError as error:
            self._fault(where, error.message, error.hint)
            return []
        return [Mention(where, path)]

    def _check_template(self, draft: Draft) -> None:
        from generative_ai_workflow.template import Template, suspects_in

        if draft.prompt is None:
            return
        for text, place in ((draft.template, "prompt"), (draft.system or "", "system_prompt")):
            for suspect in suspects_in(text):
                message = f"prompt {draft.prompt.ref!r} of step {draft.definition.id!r}: {suspect.complaint}"
                self._fault(f"{draft.where}.{place}", message, suspect.hint)
        names = [*Template(draft.template, "double").names, *draft.prompt.required]
        names += Template(draft.system, "double").names if draft.system else ()
        missing = [name for name in dict.fromkeys(names) if name not in draft.inputs]
        if missing:
            given = ", ".join(draft.definition.inputs) or "nothing"
            self._fault(
                f"{draft.where}.inputs",
                f"prompt {draft.prompt.ref!r} of step {draft.definition.id!r} needs "
                f"{', '.join(map(repr, missing))}, which nothing provides; provided: {given}",
                f"write {missing[0]}: '${{...}}' under inputs of the step",
            )

    def _check_modes(self, drafts: Sequence[Draft], levels: Mapping[str, Level]) -> None:
        for draft in drafts:
            step, where = draft.definition, f"{draft.where}.mode"
            if not step.shows_pictures:
                continue
            if self._spec.inputs.mode != IMAGES:
                hint = f"write `mode: {IMAGES}` under inputs, or remove `mode` from the step"
                self._fault(where, f"step {step.id!r} is multimodal, and its items have no pictures", hint)
            elif step.type != LLM:
                self._fault(where, f"step {step.id!r} is of type {step.type!r}", f"only {LLM} steps are multimodal")
            elif levels[step.id] is not Level.ITEM:
                hint = "let a step that runs once per item look at them, and collect its answers"
                self._fault(where, f"step {step.id!r} runs once, after all items, when no pictures are there", hint)

    def _check_schema(self, draft: Draft) -> None:
        if draft.spec.json_schema is None:
            return
        from chatmodels.json_schema import check_schema

        try:
            check_schema(draft.spec.json_schema)
        except FrameworkError as error:
            self._fault(f"{draft.where}.output.schema", error.message, error.hint)

    def _workflows(self, drafts: Sequence[Draft], levels: Mapping[str, Level]) -> dict[Level, Workflow]:
        from generative_ai_workflow.workflow import Workflow, WorkflowConfig

        made: dict[Level, list[WorkflowStep]] = {}
        for draft in drafts:
            try:
                made.setdefault(levels[draft.definition.id], []).append(
                    built(draft, levels[draft.definition.id], self._surroundings)
                )
            except FrameworkError as error:
                self._fault(draft.where, error.message, error.hint)
        if self._faults:
            return {}
        workflows: dict[Level, Workflow] = {}
        for level, steps in made.items():
            try:
                name = _WORKFLOW_NAMES[level].format(chain=self._spec.name)
                workflows[level] = Workflow(steps, name, WorkflowConfig(input_limits=_DOCUMENTS))
            except FrameworkError as error:
                named = [draft.where for draft in drafts if draft.definition.id == error.fields.get("step")]
                self._fault(named[-1] if named else "steps", error.message, error.hint)
        return workflows

    def _step_plan(self, draft: Draft, level: Level) -> StepPlan:
        step = draft.definition
        return StepPlan(
            step.id, draft.output, level, draft.prompt, draft.compiled, step.params.model, draft.each, step.reduce
        )

    # Checks of the whole

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        outputs: dict[str, str] = {}
        for number, step in enumerate(self._spec.steps):
            output = (step.output and step.output.name) or step.id
            if step.id in seen:
                self._fault(
                    f"steps[{number}].id", f"step {step.id!r} is there twice", "give each step an id of its own"
                )
            elif output in outputs:
                self._fault(
                    f"steps[{number}].output",
                    f"steps {outputs[output]!r} and {step.id!r} both make {output!r}",
                    "give each output a name of its own",
                )
            if output in _ROOTS:
                self._fault(
                    f"steps[{number}]", f"an output cannot be called {output!r}: that name has a meaning", "rename it"
                )
            seen[step.id] = outputs[output] = step.id

    def _saves(self, drafts: Sequence[Draft]) -> Iterator[SavePlan]:
        for number, output in enumerate(self._spec.outputs):
            where = f"outputs[{number}]"
            step_id = self._source(where, output, drafts)
            if output.export is not None:
                self._check_sink(where, output.export)
            elif output.save is not None and step_id is not None:
                try:
                    form = form_of(output.save, output.form)
                    self._check_save_names(f"{where}.save", output.save)
                except FrameworkError as error:
                    self._fault(f"{where}.save", error.message, error.hint)
                else:
                    yield SavePlan(output.save, step_id, form)

    def _source(self, where: str, output: ChainOutput, drafts: Sequence[Draft]) -> str | None:
        by_output = {draft.output: draft.definition.id for draft in drafts}
        by_id = {draft.definition.id: draft.definition.id for draft in drafts}
        found = by_output.get(output.source) or by_id.get(output.source)
        if found is None:
            hint = known_hint(output.source, by_output)
            self._fault(f"{where}.from", f"{output.source!r} is no step's output", hint)
        return found

    def _check_save_names(self, where: str, save: str) -> None:
        from generative_ai_workflow.reference import ReferenceText

        for path in ReferenceText(save).paths:
            if path not in RUN_NAMES:
                self._fault(where, f"${{{path}}} has no value in a path", f"known here: {', '.join(RUN_NAMES)}")

    def _check_sink(self, where: str, sink: str) -> None:
        if sink not in self._sinks:
            hint = known_hint(sink, self._sinks, none="none; add one under export.sinks in fmf.yaml")
            self._fault(f"{where}.export", f"there is no sink {sink!r}", hint)

    def _refuse_exports(self) -> None:
        sinks = [output.export for output in self._spec.outputs if output.export]
        if sinks:
            raise ExportError(
                f"the chain exports to {', '.join(map(repr, sinks))}, and this version has no exporters yet",
                op="chain.load",
                code=Code.UNSUPPORTED,
                hint="remove `export` from the chain's outputs; every record stands in outputs.jsonl of the run",
            )

    def _fault(self, path: str, message: str, hint: str) -> None:
        text = f"{message} ({hint})" if hint else message
        line, column = self._position(path)
        self._faults.append(Fault(path, text, source=self._chain.source, line=line, column=column))

    def _position(self, path: str) -> tuple[int | None, int | None]:
        """Line and column of `path`, or of the nearest thing around it that the file has."""
        yaml = self._chain.yaml
        while yaml is not None and path:
            found = yaml.position(path)
            if found is not None:
                line, column = found
                return line, column
            path = path.rpartition(".")[0]
        return None, None


def _mentions_text(drafts: Sequence[Draft]) -> bool:
    return any(mention.names == ("document", "text") for draft in drafts for mention in draft.mentions)


def _collected(drafts: Sequence[Draft], level: Level) -> tuple[str, ...]:
    found = (mention.output for draft in drafts for mention in draft.mentions if mention.over is level)
    return tuple(dict.fromkeys(output for output in found if output))
