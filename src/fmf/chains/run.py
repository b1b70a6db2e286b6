"""One run of one chain: from the first look at the source to its record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from fmf.artefacts.files import VANISHED
from fmf.artefacts.folder import RunFolder, artefacts_root, create_run
from fmf.artefacts.run_id import timestamp
from fmf.chains.changes import Since, keep_cursor
from fmf.chains.execution import Execution, RunReport
from fmf.chains.intake import Input
from fmf.chains.retention import keep_last
from fmf.chains.reuse import ledgers_of
from fmf.chains.stop import Stop
from fmf.chains.supply import supply, warm_up
from fmf.chains.takeup import Opened, facts_of, take_up
from fmf.chains.tally import Tally
from fmf.chains.unfinished import Unfinished
from fmf.errors import NothingMatchedError, exit_status
from fmf.ledger.run_ledger import RunLedger
from fmf.types import Document, ResourceRef
from fmf_core.errors import FrameworkError
from fmf_core.portal import in_thread, run_sync

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared
    from fmf.config.loader import LoadedConfig
    from fmf.connectors.base import DataConnector


@dataclass
class ChainRun:
    """One run of a chain.

    Args:
        prepared: the chain and what it needs.
        stop: request it, from any thread, to end the run early; what was answered is kept.
        tally: the numbers so far, for whoever wants to look.
    """

    prepared: Prepared
    stop: Stop = field(default_factory=Stop)
    tally: Tally = field(default_factory=Tally)
    folder: RunFolder | None = field(default=None, init=False)
    """Where the run writes, once it does; what was done lies there however it ends."""

    def execute(self) -> RunReport:
        """`execute_async` for blocking code."""
        return run_sync(self.execute_async())

    async def execute_async(self) -> RunReport:
        """Run to the end; failures of documents and items are in the report, and so is what ended the run.

        Raises:
            NothingMatchedError: the selection matches no resource; there are no artefacts then.
            ConnectorError: the source cannot be listed; there are no artefacts then.
            InferenceError: the model cannot be made ready; there are no artefacts then.
            ConfigError: the folder of artefacts cannot be created.
        """
        prepared = self.prepared
        report = await (self._start() if prepared.unfinished is None else self._go_on(prepared.unfinished))
        await in_thread(keep_last, prepared.loaded, report.run_id)
        return report

    async def _start(self) -> RunReport:
        prepared = self.prepared
        source = await in_thread(self._look)
        await asyncio.gather(prepared.model.initialize(), in_thread(_warm_up, prepared, source))
        try:
            return await self._execute(await in_thread(self._begin), lambda: source)
        finally:
            await prepared.model.cleanup()

    async def _go_on(self, unfinished: Unfinished) -> RunReport:
        prepared = self.prepared
        await prepared.model.initialize()
        try:
            opened = await in_thread(self._take_up, unfinished)
            if opened.tally is not None:
                self.tally.take_up(opened.tally)
            self.tally.resumed += 1
            return await self._execute(opened, partial(self._look_behind, opened))
        finally:
            await prepared.model.cleanup()

    async def _execute(self, opened: Opened, look: Callable[[], Input]) -> RunReport:
        prepared, ledger = self.prepared, opened.ledger
        self.folder = opened.folder
        try:
            source = beside(prepared.since, await in_thread(look), opened.folder, prepared.connector)
            source = replace(source, refs=opened.behind(source.refs))
            report = await Execution(prepared, opened, self.stop, self.tally).run(source)
        except BaseException:
            with suppress(FrameworkError):  # what ended the run is told
                await ledger.close()
            raise
        try:
            await ledger.close()
        except FrameworkError as error:
            status = report.exit_status or exit_status(error)
            return replace(report, error=report.error or error, exit_status=status)
        return report

    def _look(self) -> Input:
        prepared = self.prepared
        refs = listed(prepared.connector, prepared.select, prepared.since)
        return supply(prepared.connector, prepared.loaded.value.processing, refs)

    def _look_behind(self, opened: Opened) -> Input:
        """The rest of the source, of which nothing need be left."""
        prepared = self.prepared
        announce(opened.folder, prepared.connector, prepared.plan.chain)
        refs = (prepared.since and prepared.since.refs()) or iter(prepared.connector.list(prepared.select))
        return supply(prepared.connector, prepared.loaded.value.processing, refs)

    def _begin(self) -> Opened:
        prepared = self.prepared
        root = artefacts_root(prepared.loaded.value.artefacts_dir, prepared.loaded.root)
        others = ledgers_of(root, prepared.options.reuse)
        folder = create_run(root)
        try:
            ledger = RunLedger.begin(folder.path, {**facts_of(prepared), "started_at": timestamp(folder.started_at)})
        except BaseException:
            folder.discard()
            raise
        try:
            announce(folder, prepared.connector, prepared.plan.chain)
        except BaseException:
            ledger.abandon()
            raise
        return Opened(folder, ledger, others=others)

    def _take_up(self, unfinished: Unfinished) -> Opened:
        others = ledgers_of(unfinished.root, self.prepared.options.reuse, but=unfinished.run_id)
        return replace(take_up(unfinished), others=others)


def _warm_up(prepared: Prepared, source: Input) -> None:
    """Load what takes longer than reading many a folder, while the model gets ready."""
    import generative_ai_workflow.engine  # noqa: F401 - for the first item it would be a wait

    if prepared.plan.mode == "chunks":
        warm_up(source, prepared.loaded.value.processing)


def listed(connector: DataConnector, select: tuple[str, ...], since: Since | None) -> Iterator[ResourceRef]:
    """What there is to look at, once its first resource has been seen.

    Args:
        connector: the source.
        select: patterns.
        since: the run since which only changes matter, if there is one.

    Raises:
        NothingMatchedError: there is nothing, and was nothing; says where was looked and for what.
        ConnectorError: the source cannot be listed.
    """
    known = since.refs() if since else None
    return seen(connector, select) if known is None else known


def beside(since: Since | None, source: Input, folder: RunFolder, connector: DataConnector) -> Input:
    """`source` without what has not changed since the earlier run, if there is one.

    Once all was listed, what the connector knows for the next run is written down.
    """
    refs = since.sifted(source.refs, folder.lines(VANISHED)) if since else source.refs
    return replace(source, refs=_to_the_end(refs, folder, connector))


def _to_the_end(
    refs: Iterable[ResourceRef | Document], folder: RunFolder, connector: DataConnector
) -> Iterator[ResourceRef | Document]:
    yield from refs
    keep_cursor(folder.path, connector)


def seen(connector: DataConnector, select: tuple[str, ...]) -> Iterator[ResourceRef]:
    """What `connector` lists, once its first resource has been seen.

    Raises:
        NothingMatchedError: there is none; says where was looked and for what.
        ConnectorError: the source cannot be listed.
    """
    refs = iter(connector.list(select))
    first = next(refs, None)
    if first is None:
        root = getattr(connector, "root", None)
        where = f" ({root})" if root is not None else ""
        patterns = ", ".join(map(repr, select)) or "everything that the connector includes"
        raise NothingMatchedError(
            f"nothing in connector {connector.name!r}{where} matches {patterns}",
            op="connectors.list",
            hint=f"look at what is there with: fmf connect ls {connector.name}",
        )
    return chain((first,), refs)


def begin(loaded: LoadedConfig, connector: DataConnector) -> RunFolder:
    """A fresh folder for a run that asks nothing, announced in the index.

    Args:
        loaded: the configuration.
        connector: the source.

    Raises:
        ConfigError: it cannot be created.
    """
    folder = create_run(artefacts_root(loaded.value.artefacts_dir, loaded.root))
    announce(folder, connector)
    return folder


def announce(folder: RunFolder, connector: DataConnector, chain: str | None = None) -> None:
    """Say in the index that a run is going on.

    Args:
        folder: the run's.
        connector: the source.
        chain: the chain's name; none where nothing is asked.
    """
    folder.announce({"chain": chain, "connector": connector.name})
