"""The walk of a run: read, ask and write as stages of their own, joined by bounded queues."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fmf.chains.asking import NOT_BEGUN, NOTHING, Asker, Failure, Outcome
from fmf.chains.grace import CutOffError, Grace
from fmf.chains.intake import DocumentClosed, DocumentRead, Event, Feed, ItemRead, take
from fmf.chains.items import Askable
from fmf.chains.plan import ChainPlan
from fmf.chains.position import Position
from fmf.chains.records import Subject, document_error_row
from fmf.chains.references import Level
from fmf.chains.scribe import Entry, Scribe
from fmf.chains.stop import Stop, StopReason
from fmf.chains.subjects import document_subject, item_subject
from fmf.chains.tally import Tally
from fmf.chains.window import Window
from fmf.errors import ProcessingError, exit_status
from fmf.types import Document
from fmf_core.errors import FrameworkError
from fmf_core.portal import in_thread

READ_AT_ONCE = 32
READ_PATIENCE_S = 0.01
_LAST = 1 << 62


@dataclass
class _Group:
    """The items of one document that are under way, for the steps that run after them."""

    open: int = 0
    answers: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    closing: _Unit | None = None

    def collected(self, output: str) -> list[Any]:
        """The answers called `output`, in the order of their items."""
        in_order = sorted(self.answers, key=lambda answer: answer[0])
        return [values[output] for _, values in in_order if output in values]


@dataclass(frozen=True, slots=True)
class _Unit:
    """One thing to ask about, and its place in the output."""

    number: int
    about: Askable | Document
    group: _Group
    after: Position | None
    """Where the run stands once this is written."""

    @property
    def level(self) -> Level:
        return Level.DOCUMENT if isinstance(self.about, Document) else Level.ITEM

    @property
    def weight(self) -> int:
        return 0 if isinstance(self.about, Document) else self.about.weight


@dataclass(frozen=True, slots=True)
class Crew:
    """The stages that a walk joins, and what they share."""

    intake: Feed
    asker: Asker
    scribe: Scribe
    window: Window
    grace: Grace
    tally: Tally
    stop: Stop


class Walk:
    """Takes every item through the steps that run once per item, every document through those that run per document.

    Args:
        plan: the chain.
        crew: reads, asks and writes.
        run_names: what `${run_id}` and its like stand for.
        concurrency: how many subjects are worked on at once.
        continue_on_error: whether a failure leaves the others alone; otherwise it stops the run.
    """

    def __init__(
        self, plan: ChainPlan, crew: Crew, run_names: Mapping[str, Any], *, concurrency: int, continue_on_error: bool
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._run_id = str(run_names["run_id"])
        self._run_names = run_names
        self._concurrency = concurrency
        self._continue = continue_on_error
        self._closes = Level.DOCUMENT in plan.workflows
        self._ready: asyncio.PriorityQueue[tuple[int, _Unit | None]] = asyncio.PriorityQueue()
        self._numbers = 0
        self._pending = 0
        self._fed = False
        self._group = _Group()
        self._failure: FrameworkError | None = None

    async def run(self) -> None:
        """Walk to the end of the input, or until the stop.

        Raises:
            FrameworkError: the listing broke off, or a file could not be written; what was answered until then is on
                disk, unless the disk is the reason.
        """
        try:
            async with asyncio.TaskGroup() as stages:
                for _ in range(self._concurrency):
                    stages.create_task(self._work())
                stages.create_task(self._crew.scribe.run())
                stages.create_task(self._feed())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        failure = self._crew.scribe.failure or self._failure
        if failure is not None:
            raise failure

    async def _feed(self) -> None:
        events = self._crew.intake.events()
        try:
            while batch := await in_thread(self._take, events):
                for event in batch:
                    await self._accept(event)
        except FrameworkError as error:
            self._failure = error
            self._crew.stop.request(StopReason.FAILED)
        finally:
            with suppress(ValueError):  # cancelled while a thread is still inside it; it ends with its batch
                events.close()
        self._fed = True
        self._end_if_done()

    def _take(self, events: Iterator[Event]) -> list[Event]:
        batch = take(events, READ_AT_ONCE, READ_PATIENCE_S)
        # Nothing is asked about that is not in the files: a run that goes on takes it from there.
        self._crew.intake.flush()
        return batch

    async def _accept(self, event: Event) -> None:
        match event:
            case DocumentRead(document, after):
                await self._crew.window.enter(0)
                refusal = self._refusal(document) if document.status == "failed" else NOTHING
                self._crew.scribe.put(self._number(), Entry(refusal, document=document, after=after))
            case ItemRead(item, after):
                await self._crew.window.enter(item.weight)
                self._crew.tally.items_read += 1
                self._group.open += 1
                # Steps per document need the answers about all of its items: there is no going on between them.
                self._begin(self._unit(item, self._group, None if self._closes else after))
            case DocumentClosed(document, after):
                group, self._group = self._group, _Group()
                if self._closes:
                    await self._crew.window.enter(0)
                    group.closing = self._unit(document, group, after)
                    self._close_if_done(group)

    def _refusal(self, document: Document) -> Outcome:
        error = document.error or ProcessingError(document.reason or "")
        if not self._continue:
            self._crew.stop.request(StopReason.FAILED)
        return Outcome("failed", failures=[Failure(document_error_row(self._run_id, document), exit_status(error))])

    def _unit(self, about: Askable | Document, group: _Group, after: Position | None) -> _Unit:
        self._pending += 1
        return _Unit(self._number(), about, group, after)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers - 1

    def _begin(self, unit: _Unit) -> None:
        # The smallest number first: a document is closed before items of the next ones are begun.
        self._ready.put_nowait((unit.number, unit))

    async def _work(self) -> None:
        while (unit := (await self._ready.get())[1]) is not None:
            self._settle(unit, await self._outcome(unit))

    async def _outcome(self, unit: _Unit) -> Outcome:
        if self._crew.stop.requested:
            return NOT_BEGUN
        asker = self._crew.asker
        if isinstance(unit.about, Document):
            subject, answers = self._document_subject(unit.about, unit.group)
            if not answers:
                return asker.skipped(unit.level, subject)
        else:
            subject = item_subject(unit.about, self._run_names)
            self._crew.tally.under_way += 1
        try:
            outcome = await self._crew.grace.allow(asker.ask(unit.level, subject))
        except CutOffError as error:
            outcome = asker.failed(unit.level, subject, error)
        # Not when it is cancelled: whoever breaks the run off counts what was under way.
        self._crew.tally.under_way -= unit.level is Level.ITEM
        return outcome

    def _document_subject(self, document: Document, group: _Group) -> tuple[Subject, bool]:
        """What a document is about after its items, and whether there is any answer to go on."""
        wanted = self._plan.collected[Level.DOCUMENT]
        collected = {output: self._plan.producer(output).collected(group.collected(output)) for output in wanted}
        return document_subject(document, collected, self._run_names), any(collected.values())

    def _settle(self, unit: _Unit, outcome: Outcome) -> None:
        if not isinstance(unit.about, Document):
            unit.group.open -= 1
            if outcome.values and self._closes:
                unit.group.answers.append((unit.number, outcome.values))
            self._close_if_done(unit.group)
        if outcome.state == "failed" and not self._continue:
            self._crew.stop.request(StopReason.FAILED)
        item_id = None if isinstance(unit.about, Document) else unit.about.item_id
        self._crew.scribe.put(unit.number, Entry(outcome, unit.weight, item_id=item_id, after=unit.after))
        self._pending -= 1
        self._end_if_done()

    def _close_if_done(self, group: _Group) -> None:
        if group.closing is not None and group.open == 0:
            self._begin(group.closing)

    def _end_if_done(self) -> None:
        if self._fed and self._pending == 0:
            self._crew.scribe.end()
            for number in range(self._concurrency):
                self._ready.put_nowait((_LAST + number, None))
