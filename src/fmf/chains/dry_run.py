"""A chain without its model: everything is read, every question is made, nobody is asked, and nothing is kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatmodels.ledger import UNITS_PER_USD
from fmf.artefacts.files import VANISHED
from fmf.artefacts.folder import RunFolder, artefacts_root
from fmf.artefacts.lines import LineWriter
from fmf.artefacts.run_id import new_run_id, timestamp
from fmf.chains.earlier_answers import earlier_answers
from fmf.chains.feed import Reading, feed_of
from fmf.chains.forecast import Forecaster, RunPlan
from fmf.chains.intake import DocumentClosed, DocumentRead, Event, Feed, Input, ItemRead, take
from fmf.chains.items import Askable, run_names
from fmf.chains.records import Subject
from fmf.chains.references import Level
from fmf.chains.rehearsal import Memory, Rehearsal
from fmf.chains.reuse import ledgers_of
from fmf.chains.run import listed
from fmf.chains.stop import Stop, StopReason
from fmf.chains.subjects import document_subject, item_subject
from fmf.chains.supply import supply
from fmf.chains.tally import Tally
from fmf.ledger.view import LedgerView
from fmf.types import Document
from fmf_core.portal import in_thread, run_sync

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared

_AT_ONCE, _PATIENCE_S = 32, 0.01


def dry_run(prepared: Prepared) -> RunPlan:
    """`dry_run_async` for blocking code."""
    return run_sync(dry_run_async(prepared))


async def dry_run_async(prepared: Prepared) -> RunPlan:
    """What a run of `prepared` would ask, and what that would take; no model is asked and no artefact is written.

    Args:
        prepared: the chain, best with `RunOptions(dry_run=True)`, which needs no key of the model.

    Raises:
        NothingMatchedError: the selection matches no resource.
        ConnectorError: the source cannot be listed.
        ConfigError: a ledger whose answers are to be used again cannot be read.
    """
    memory = await in_thread(_memory_of, prepared)
    try:
        with tempfile.TemporaryDirectory(prefix="fmf-plan-") as scratch:
            return await _DryRun(prepared, memory, _names(prepared)).plan(Path(scratch))
    finally:
        await in_thread(memory.close)


def _memory_of(prepared: Prepared) -> Memory:
    loaded, unfinished = prepared.loaded, prepared.unfinished
    root = artefacts_root(loaded.value.artefacts_dir, loaded.root)
    own = None if unfinished is None else LedgerView(root / unfinished.run_id)
    others = ledgers_of(root, prepared.options.reuse, unfinished.run_id if unfinished else "")
    return Memory(prepared.identity, own, others)


def _names(prepared: Prepared) -> Mapping[str, Any]:
    """What `${run_id}` and its like stand for: those of the run to go on with, where there is one."""
    unfinished = prepared.unfinished
    if unfinished is None:
        return run_names(new_run_id(), prepared.plan.chain, timestamp())
    return run_names(unfinished.run_id, prepared.plan.chain, str(unfinished.facts["started_at"]))


@dataclass
class _Group:
    """The answers about the items of one document."""

    answers: list[asyncio.Task[dict[str, Any]]] = field(default_factory=list)


class _DryRun:
    """Walks as a run does, with stand-ins for what nobody has answered."""

    def __init__(self, prepared: Prepared, memory: Memory, names: Mapping[str, Any]) -> None:
        self._prepared = prepared
        self._memory = memory
        self._names = names
        self._rehearsal = Rehearsal(prepared, memory)
        self._stop = Stop()
        self._tally = Tally()
        plan = prepared.plan
        self._levels = frozenset(plan.workflows)
        self._collected: dict[str, list[Any]] = {output: [] for output in plan.collected[Level.ONCE]}

    async def plan(self, scratch: Path) -> RunPlan:
        """The plan; what is read passes through `scratch`."""
        # A sample is drawn from what was read, and that is taken from the files.
        kind = _Scratch if self._prepared.sample is None else RunFolder
        folder = kind(scratch.parent, scratch.name, datetime.now(UTC))
        try:
            feed = await in_thread(self._feed, folder)
            await self._walk(feed)
        finally:
            self._stop.request(StopReason.CANCELLED)
            await in_thread(folder.close)
        await self._ask_once()
        return await in_thread(self._told)

    def _feed(self, folder: RunFolder) -> Feed:
        prepared = self._prepared
        refs = listed(prepared.connector, prepared.select, prepared.since)
        source: Input = supply(prepared.connector, prepared.loaded.value.processing, refs)
        if prepared.since is not None:
            source = replace(source, refs=prepared.since.sifted(source.refs, folder.lines(VANISHED)))
        return feed_of(prepared, source, folder, Reading(prepared.limit, sample=prepared.sample), self._stop)

    async def _walk(self, feed: Feed) -> None:
        events = feed.events()

        def next_events() -> list[Event]:
            batch = take(events, _AT_ONCE, _PATIENCE_S)
            feed.flush()
            return batch

        group = _Group()
        try:
            while batch := await in_thread(next_events):
                for event in batch:
                    match event:
                        case DocumentRead(document):
                            self._tally.count_document(document)
                        case ItemRead(item):
                            self._tally.items_read += 1
                            group.answers.append(asyncio.create_task(self._about_item(item)))
                        case DocumentClosed(document):
                            await self._close(document, group)
                            group = _Group()
                await asyncio.gather(*group.answers)
                if Level.DOCUMENT not in self._levels:  # then no answer is waited for until the document ends
                    await self._take(group)
                    group = _Group()
        finally:
            for task in group.answers:
                task.cancel()
            await in_thread(events.close)

    async def _about_item(self, item: Askable) -> dict[str, Any]:
        if Level.ITEM not in self._levels:
            return {}
        return await self._rehearsal.about(Level.ITEM, item_subject(item, self._names))

    async def _take(self, group: _Group) -> list[dict[str, Any]]:
        answers = await asyncio.gather(*group.answers)
        for answer in answers:
            self._collect(answer)
        return answers

    async def _close(self, document: Document, group: _Group) -> None:
        answers = await self._take(group)
        if Level.DOCUMENT not in self._levels:
            return
        wanted = self._prepared.plan.collected[Level.DOCUMENT]
        producer = self._prepared.plan.producer
        found = {output: [answer[output] for answer in answers if output in answer] for output in wanted}
        collected = {output: producer(output).collected(of_items) for output, of_items in found.items()}
        if any(collected.values()):
            subject = document_subject(document, collected, self._names)
            self._collect(await self._rehearsal.about(Level.DOCUMENT, subject))
        else:
            self._rehearsal.skip(Level.DOCUMENT)

    def _collect(self, answer: Mapping[str, Any]) -> None:
        for output, answers in self._collected.items():
            if output in answer:
                answers.extend(self._prepared.plan.producer(output).collected([answer[output]]))

    async def _ask_once(self) -> None:
        if Level.ONCE not in self._levels:
            return
        if any(self._collected.values()):
            subject = Subject("all", "", {**self._names, "all": self._collected})
            await self._rehearsal.about(Level.ONCE, subject)
        else:
            self._rehearsal.skip(Level.ONCE)

    def _told(self) -> RunPlan:
        prepared, tally = self._prepared, self._tally
        loaded = prepared.loaded
        root = artefacts_root(loaded.value.artefacts_dir, loaded.root)
        forecaster = Forecaster(prepared, self._rehearsal.needs, earlier_answers(root, prepared))
        steps = forecaster.steps()
        seconds, limited_by = forecaster.time(steps)
        own = self._memory.own
        sums = None if own is None else own.sums()
        spent = 0.0 if sums is None else (sums.spent + sums.assumed) / UNITS_PER_USD
        found = tally.documents
        return RunPlan(
            chain=prepared.plan.chain,
            documents={name: getattr(found, name) for name in ("total", "ok", "skipped", "failed")},
            items=tally.items_read,
            steps=steps,
            concurrency=prepared.concurrency,
            seconds_about=seconds,
            limited_by=limited_by,
            budget=forecaster.budget(steps, spent),
            resume=prepared.unfinished.run_id if prepared.unfinished else None,
            warnings=forecaster.warnings(),
        )


class _Scratch(RunFolder):
    """A folder whose files of lines stay empty: a plan does not come back to what it has read."""

    def lines(self, name: str) -> LineWriter:
        """A writer that keeps nothing."""
        if name not in self._writers:
            self._writers[name] = _Nowhere(self.path / name)
        return self._writers[name]


class _Nowhere(LineWriter):
    """Counts what it is given, and lets go of it."""

    def flush(self) -> None:
        """Let go of what is collected."""
        self.bytes += self._pending_bytes
        self._pending, self._pending_bytes = [], 0
