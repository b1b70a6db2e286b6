"""The part of a run that has a folder: walk, ask once, save, and write the record however that ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chatmodels.spending import CallBudget
from fmf.artefacts.files import CHUNKS, DOCS, OUTPUTS, ROWS
from fmf.artefacts.folder import file_facts
from fmf.artefacts.lines import count_lines
from fmf.artefacts.run_id import timestamp
from fmf.chains.asking import Asker, Outcome
from fmf.chains.booked import BookedModel, RunBook
from fmf.chains.budget import budget_of
from fmf.chains.checkpoints import Checkpoints
from fmf.chains.collect import collect
from fmf.chains.ending import Ending, RunReport
from fmf.chains.feed import Reading, feed_of
from fmf.chains.gate import GatedModel
from fmf.chains.grace import CutOffError, Grace
from fmf.chains.intake import Feed, Input
from fmf.chains.items import run_names
from fmf.chains.records import RunFacts, Subject
from fmf.chains.references import IMAGES, Level
from fmf.chains.run_yaml import record_of
from fmf.chains.saves import Save, save_path, write_save
from fmf.chains.scribe import Scribe
from fmf.chains.stop import Stop, StopReason
from fmf.chains.takeup import Opened
from fmf.chains.tally import StepCount, Tally
from fmf.chains.walk import Crew, Walk
from fmf.chains.window import Window
from fmf_core.portal import in_thread

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared

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
        opened: the run's folder and ledger, which belong to this process alone, and where it stands.
        stop: ends the run early.
        tally: is kept up to date.
    """

    def __init__(self, prepared: Prepared, opened: Opened, stop: Stop, tally: Tally) -> None:
        folder = opened.folder
        self._prepared = prepared
        self._opened = opened
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
        self._scribe = Scribe(folder, self._window, stop, tally, Checkpoints(opened.ledger, folder, tally))
        item_steps = [step.id for step in prepared.plan.steps_of(Level.ITEM)]
        self._ending = Ending(folder, tally, stop, partial(record_of, prepared, opened.ledger), item_steps)
        for step in prepared.plan.steps:
            tally.steps.setdefault(step.id, StepCount())

    async def run(self, source: Input) -> RunReport:
        """Run over `source` to the end, or until the stop."""
        self._grace.watch()
        # In force for what this task asks, and the tasks that it makes: another run in this process has its own.
        book = RunBook(self._opened.ledger, self._prepared.concurrency, self._stop)
        CallBudget(budget_of(self._prepared, book, self._opened.ledger.sums)).begin()
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
        opened = self._opened
        booked = BookedModel(prepared.model, opened.ledger, prepared.identity, others=opened.others, stop=self._stop)
        engine = WorkflowEngine(FrameworkConfig.model_construct(), model=GatedModel(booked, self._stop, self._grace))
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
            # Twice as many as there are places: some wait for the disk while the others ask. One by one is one by one.
            concurrency=2 * prepared.concurrency if prepared.concurrency > 1 else 1,
            continue_on_error=prepared.continue_on_error,
        )

    def _make_feed(self, source: Input) -> Feed:
        prepared = self._prepared
        all_first = not prepared.continue_on_error
        reading = Reading(self._limit(), self._opened.position, all_first=all_first, sample=prepared.sample)
        return feed_of(self._prepared, source, self._folder, reading, self._stop)

    def _limit(self) -> int | None:
        """How many more items may be read."""
        limit, position = self._prepared.limit, self._opened.position
        if limit is None or not position.docs_read:
            return limit
        if self._plan.mode == IMAGES:
            return max(0, limit - position.index)
        if self._plan.mode == "documents":
            return max(0, limit - self._tally.documents.ok)
        name = ROWS if self._plan.table else CHUNKS
        return max(0, limit - count_lines(self._folder.path / name, position.pieces_read))

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
