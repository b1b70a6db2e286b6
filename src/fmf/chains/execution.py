"""The part of a run that has a folder: walk, ask once, save, and write the record however that ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmf.artefacts.folder import RunFolder, file_facts
from fmf.artefacts.run_id import timestamp
from fmf.chains.asking import Asker, Outcome
from fmf.chains.collect import collect
from fmf.chains.ending import Ending, RunReport
from fmf.chains.gate import GatedModel
from fmf.chains.grace import CutOffError, Grace
from fmf.chains.groups import GroupIntake, GroupWishes
from fmf.chains.intake import CHUNKS, DOCS, Feed, Input, Intake
from fmf.chains.items import run_names
from fmf.chains.readahead import Wishes
from fmf.chains.records import RunFacts, Subject
from fmf.chains.references import IMAGES, Level
from fmf.chains.run_yaml import record_of
from fmf.chains.saves import Save, save_path, write_save
from fmf.chains.scribe import OUTPUTS, Scribe
from fmf.chains.stop import Stop, StopReason
from fmf.chains.table import ROWS
from fmf.chains.tally import StepCount, Tally
from fmf.chains.walk import Crew, Walk
from fmf.chains.window import Window
from fmf_core.portal import in_thread

if TYPE_CHECKING:
    from fmf.chains.prepare import Prepared

__all__ = ["Execution", "RunReport"]

WINDOW_PER_WORKER, WINDOW_LEAST = 8, 64
WINDOW_CHARS = 32_000_000
"""How much text may be under way between reading and writing; one longer document alone may be."""
WINDOW_BYTES = 128_000_000
"""The same for pictures; one group alone may have more."""


class Execution:
    """One run in its folder.

    Args:
        prepared: the chain and what it needs.
        folder: belongs to this run alone.
        stop: ends the run early.
        tally: is kept up to date.
    """

    def __init__(self, prepared: Prepared, folder: RunFolder, stop: Stop, tally: Tally) -> None:
        self._prepared = prepared
        self._plan = prepared.plan
        self._folder = folder
        self._stop = stop
        self._tally = tally
        self._names = run_names(folder.run_id, prepared.plan.chain, timestamp(folder.started_at))
        self._grace = Grace(stop, prepared.loaded.value.inference.cancel_grace_s)
        for name in (DOCS, ROWS if self._plan.table else CHUNKS):
            folder.lines(name)
        self._asker = self._make_asker()
        weight = WINDOW_BYTES if self._plan.mode == IMAGES else WINDOW_CHARS
        self._window = Window(max(WINDOW_LEAST, WINDOW_PER_WORKER * prepared.concurrency), weight)
        self._scribe = Scribe(folder, self._window, stop, tally)
        item_steps = [step.id for step in prepared.plan.steps_of(Level.ITEM)]
        self._ending = Ending(folder, tally, stop, partial(record_of, prepared), item_steps)
        tally.steps.update((step.id, StepCount()) for step in prepared.plan.steps)

    async def run(self, source: Input) -> RunReport:
        """Run over `source` to the end, or until the stop."""
        self._grace.watch()
        error: Exception | None = None
        try:
            await self._run(source)
        except Exception as failure:  # noqa: BLE001 - the folder tells of it, and the report
            error = failure
        except BaseException:
            # Here and now: whoever cancelled may not wait for another thread, and the folder must not stay open.
            self._ending.broken_off(StopReason.CANCELLED)
            raise
        return await in_thread(self._ending.after, error)

    async def _run(self, source: Input) -> None:
        walk = self._make_walk(source)
        self._ending.stage = "infer"
        await walk.run()
        if not self._stop.requested:
            await self._ask_once()
        self._ending.stage = "save"
        if not self._stop.requested:
            await in_thread(self._save)

    def _make_asker(self) -> Asker:
        from generative_ai_workflow.config import FrameworkConfig
        from generative_ai_workflow.engine import WorkflowEngine

        prepared = self._prepared
        facts = RunFacts(self._folder.run_id, self._plan.chain, prepared.provider, prepared.model_name)
        # The framework's own defaults: fmf.yaml decides here, not the variables of the storey below.
        engine = WorkflowEngine(
            FrameworkConfig.model_construct(), model=GatedModel(prepared.model, self._stop, self._grace)
        )
        return Asker(self._plan, engine, facts)

    def _make_walk(self, source: Input) -> Walk:
        prepared = self._prepared
        crew = Crew(
            intake=self._make_feed(source),
            asker=self._asker,
            scribe=self._scribe,
            window=self._window,
            grace=self._grace,
            tally=self._tally,
            stop=self._stop,
        )
        return Walk(
            self._plan,
            crew,
            self._names,
            concurrency=prepared.concurrency,
            continue_on_error=prepared.continue_on_error,
        )

    def _make_feed(self, source: Input) -> Feed:
        prepared = self._prepared
        connector, processing = prepared.connector, prepared.loaded.value.processing
        all_first = not prepared.continue_on_error
        if self._plan.mode == IMAGES:
            from fmf.processing.pictures import PictureReader

            groups = GroupWishes(prepared.chain.spec.inputs.group_size, prepared.limit, all_first)
            return GroupIntake(PictureReader(connector, processing), source.refs, self._folder, groups, self._stop)
        wishes = Wishes(
            whole=self._plan.mode == "documents",
            text=self._plan.wants_text,
            limit=prepared.limit,
            table=self._plan.table,
            all_first=all_first,
        )
        return Intake(source, self._folder, wishes, self._stop)

    async def _ask_once(self) -> None:
        """The steps over everything; they are skipped when there is no answer to go on."""
        if Level.ONCE not in self._plan.workflows:
            return
        wanted = [(output, self._plan.producer(output).id) for output in self._plan.collected[Level.ONCE]]
        answers = await in_thread(collect, self._folder.path / OUTPUTS, wanted)
        self._tally.missing = self._tally.items.failed + self._tally.items.skipped
        subject = Subject("all", self._tally.content, {**self._names, "all": answers})
        outcome = await self._once(subject, any(answers.values()))
        await self._scribe.write(outcome)

    async def _once(self, subject: Subject, any_answer: bool) -> Outcome:
        if not any_answer:
            return self._asker.skipped(Level.ONCE, subject)
        try:
            return await self._grace.allow(self._asker.ask(Level.ONCE, subject))
        except CutOffError as error:
            return self._asker.failed(Level.ONCE, subject, error)

    def _save(self) -> None:
        loaded = self._prepared.loaded
        for output in self._plan.saves:
            path = save_path(output.save, self._names, loaded.root, self._folder.root)
            if write_save(Save(path, output.step_id, output.form), self._folder.path / OUTPUTS):
                self._ending.saved[path] = file_facts(path)
