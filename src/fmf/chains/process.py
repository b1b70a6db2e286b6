"""Turning documents into chunks without asking anything: the work of `fmf process`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmf.artefacts.files import ERRORS
from fmf.chains.changes import Since
from fmf.chains.ending import Ending, RunReport
from fmf.chains.intake import Input, Intake
from fmf.chains.prepare import since_of
from fmf.chains.readahead import Wishes
from fmf.chains.records import document_error_row
from fmf.chains.retention import keep_last
from fmf.chains.run import begin, beside, listed
from fmf.chains.run_yaml import process_record_of
from fmf.chains.stop import Stop, StopReason
from fmf.chains.supply import supply
from fmf.chains.tally import Tally
from fmf.config.lookup import connector_named
from fmf.connectors.base import build_connector
from fmf.errors import ConfigError, ProcessingError, exit_status
from fmf.ledger.hold import LOCK_NAME, Hold
from fmf.types import Document

if TYPE_CHECKING:
    from fmf.artefacts.folder import RunFolder
    from fmf.config.loader import LoadedConfig
    from fmf.connectors.base import DataConnector, Keys


@contextmanager
def _held(folder: RunFolder) -> Iterator[None]:
    """Show others that the run is going on, where the disk has locks."""
    try:
        hold = Hold.take(folder.path)
    except ConfigError:
        yield
        return
    try:
        yield
    finally:
        hold.release()
        (folder.path / LOCK_NAME).unlink(missing_ok=True)  # nobody goes on with such a run


@dataclass
class ProcessRun:
    """One run that reads and asks nothing; a bad document never ends it.

    Args:
        loaded: the configuration.
        secrets: where the source's keys and passwords are found.
        connector: the name of the source.
        select: patterns; none is everything that the source includes.
        changed_since: an earlier run; what has not changed since is not read.
        stop: request it, from any thread, to end the run early; what was read is kept.
        tally: the numbers so far.
    """

    loaded: LoadedConfig
    secrets: Keys
    connector: str
    select: Sequence[str] = ()
    changed_since: str | None = None
    stop: Stop = field(default_factory=Stop)
    tally: Tally = field(default_factory=Tally)

    def execute(self) -> RunReport:
        """Read everything, blocking.

        Raises:
            ConfigError: there is no such connector, or the folder of artefacts cannot be created.
            NothingMatchedError: the selection matches no resource; there are no artefacts then.
            ConnectorError: the source cannot be listed; there are no artefacts then.
        """
        spec = connector_named(self.loaded.value, self.connector)
        connector = build_connector(spec, root=self.loaded.root, secrets=self.secrets)
        since = since_of(self.loaded, self.changed_since, connector, self.select)
        refs = listed(connector, tuple(self.select), since)
        source = supply(connector, self.loaded.value.processing, refs)
        folder = begin(self.loaded, connector)
        with _held(folder):
            report = self._read(folder, connector, source, since)
        keep_last(self.loaded, report.run_id)
        return report

    def _read(self, folder: RunFolder, connector: DataConnector, source: Input, since: Since | None) -> RunReport:
        ending = Ending(
            folder,
            self.tally,
            self.stop,
            lambda end: process_record_of(self.loaded, end, connector, self.select, since),
        )
        error: Exception | None = None
        try:
            folder.lines(ERRORS)
            source = beside(since, source, folder, connector)
            for document in Intake(source, folder, Wishes(), self.stop).documents():
                self._count(document, folder)
        except Exception as failure:  # noqa: BLE001 - the folder tells of it, and the report
            error = failure
        except BaseException:
            ending.broken_off(StopReason.INTERRUPTED)
            raise
        return ending.after(error)

    def _count(self, document: Document, folder: RunFolder) -> None:
        self.tally.count_document(document)
        if document.status == "failed":
            row = document_error_row(folder.run_id, document)
            folder.lines(ERRORS).write(row)
            self.tally.count_problem(row, exit_status(document.error or ProcessingError("")))
