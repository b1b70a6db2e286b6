"""What has changed in a source since an earlier run: what is new or different is read, the rest is taken as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmf.artefacts.files import CURSOR, DOCS, ERRORS
from fmf.artefacts.history import find_run, read_record
from fmf.artefacts.lines import LineWriter
from fmf.artefacts.rows import document_from_row
from fmf.artefacts.storage import write_whole
from fmf.chains.earlier import Beside, check_whole, is_blanked, read_documents, read_failed
from fmf.connectors.base import Gone, IncrementalConnector, Reset
from fmf.errors import ConfigError, ConnectorError
from fmf.types import UNCHANGED_SINCE, Document, ResourceRef, Row
from fmf_core.errors import Code
from fmf_core.logs import get_logger

if TYPE_CHECKING:
    from fmf.config.processing import ProcessingConfig
    from fmf.connectors.base import DataConnector


log = get_logger("fmf.chains")


@dataclass
class Since:
    """An earlier run, beside which a listing is walked.

    Args:
        root: the folder of all runs.
        reference: the run: its id, the beginning of it, or `last`, the latest one that can be gone on from.
        connector: the source.
        select: the patterns of this run.
        chain: the name of the chain of this run; `None` where nothing is asked.
        processing: how documents are read in this run.

    Raises:
        ConfigError: there is no such run, or it read another source.
    """

    root: Path
    reference: str
    connector: DataConnector
    select: Sequence[str]
    processing: ProcessingConfig
    chain: str | None = None
    vanished: int = field(default=0, init=False)
    """How many documents are no longer there; known once everything was listed."""

    def __post_init__(self) -> None:
        self.run_id: str = self._find()
        self._docs = self.root / self.run_id / DOCS
        record = read_record(self.root, self.run_id)
        self._check_end(self.run_id, record)
        record = record or {}
        self._inputs: Mapping[str, Any] = record.get("inputs") or {}
        self._check(record)
        self._unanswered = self._without_answers() if self.chain is not None else frozenset[str]()
        known = record.get("processing_hash")
        self._reads_alike = known is None or known == processing_hash(self.processing)
        if not self._reads_alike:
            log.warning(
                "processing.changed",
                since=self.run_id,
                hint="the section 'processing' is not what it was then, so everything is read anew",
            )
        self._selects_alike = list(self._inputs.get("select") or ()) == list(self.select)

    def refs(self) -> Iterator[ResourceRef] | None:
        """What there is, sorted by id, put together from the earlier run and what the source says of its changes.

        `None` where the source cannot say that, or not since that run: it has to be listed.
        """
        cursor = read_cursor(self.root / self.run_id)
        if not (cursor and self._selects_alike and isinstance(self.connector, IncrementalConnector)):
            return None
        if any(is_blanked(row) for row in read_documents(self._docs)):
            return None  # what its id was is not known, so what is there has to be listed
        changes = iter(self.connector.changes(cursor, tuple(self.select)))
        gone: set[str] = set()
        for change in changes:
            if isinstance(change, ResourceRef):
                return self._merged(gone, chain([change], _refs_of(changes)))
            if isinstance(change, Reset):
                return _refs_of(changes)
            gone.add(change.id)
        return self._merged(gone, iter(()))

    def sifted(self, refs: Iterable[ResourceRef | Document], vanished: LineWriter) -> Iterator[ResourceRef | Document]:
        """`refs`, where those that have not changed are documents in their final state, which is skipped.

        Args:
            refs: sorted by id.
            vanished: takes a line for each document that is no longer there.
        """
        earlier = Beside(read_documents(self._docs))
        before = ""
        for ref in refs:
            if isinstance(ref, Document):
                yield ref
                continue
            if ref.id < before:
                raise ConnectorError(
                    f"connector {self.connector.name!r} lists {ref.id!r} behind {before!r}: its listing is not sorted",
                    op="changes.since",
                    code=Code.BAD_REPLY,
                    hint="read everything, without --changed-since, and tell the author of the connector",
                )
            before = ref.id
            for row in earlier.passed(ref.id):
                self._gone(row, vanished)
            known = earlier.row_of(ref)
            yield self._unchanged(known) if known is not None and self._is_unchanged(known, ref) else ref
        for row in earlier.rest():
            self._gone(row, vanished)

    def _find(self) -> str:
        try:
            return str(find_run(self.root, self.reference, self._is_ground)["run_id"])
        except ConfigError as error:
            if self.reference != "last":
                raise
            raise ConfigError(
                f"there is no run under {str(self.root)!r} to go on from: none that {_what(self.chain)}, "
                f"reads connector {self.connector.name!r} and came to its end",
                op="changes.since",
                code=Code.NOT_FOUND,
                hint="leave --changed-since away, or name a run: fmf runs ls",
            ) from error

    def _is_ground(self, entry: Row) -> bool:
        """Whether `last` means this run."""
        try:
            record = read_record(self.root, entry["run_id"])
            self._check_end(entry["run_id"], record)
        except ConfigError:
            return False
        inputs = (record or {}).get("inputs") or {}
        return inputs.get("connector") in (None, self.connector.name)

    def _check_end(self, run_id: str, record: Row | None) -> None:
        """Refuse a run that another one cannot go on from: its documents were not all read, or not asked about."""
        status = record["status"] if record else "running, or was killed"
        good = {"completed", "partial"} | ({"interrupted"} if self.chain is None else set())
        if status not in good:
            raise ConfigError(
                f"run {run_id} is no ground to go on from: it is {status}",
                op="changes.since",
                code=Code.CONFLICT,
                hint="name a run that came to its end: fmf runs ls",
            )
        before = ((record or {}).get("chain") or {}).get("name")
        if before != self.chain:
            raise ConfigError(
                f"run {run_id} {_what(before)}, and this one {_what(self.chain)}: what is unchanged since was "
                "not asked about here",
                op="changes.since",
                code=Code.CONFLICT,
                hint="name a run of the same chain: fmf runs ls",
            )

    def _without_answers(self) -> frozenset[str]:
        """The documents about which something failed: they are asked about again."""
        path = self.root / self.run_id / ERRORS
        return read_failed(path) if path.exists() else frozenset()

    def _check(self, record: Row) -> None:
        before = self._inputs.get("connector")
        if before not in (None, self.connector.name):
            raise ConfigError(
                f"run {self.run_id} read connector {before!r}, and this one reads {self.connector.name!r}",
                op="changes.since",
                code=Code.CONFLICT,
                hint=f"name a run of {self.connector.name!r}: fmf runs ls",
            )
        if not self._docs.exists():
            raise ConfigError(
                f"run {self.run_id} has no {DOCS}", op="changes.since", code=Code.NOT_FOUND, hint="fmf runs ls"
            )
        check_whole(self._docs, record)

    def _is_unchanged(self, row: Row, ref: ResourceRef) -> bool:
        was_read = row["status"] == "ok" and not row["reason"] and row["doc_id"] not in self._unanswered
        if not self._reads_alike or not (was_read or row["metadata"].get(UNCHANGED_SINCE)):
            return False
        if ref.etag is not None and row.get("etag") is not None:
            return bool(ref.etag == row["etag"])
        told: str | None = row.get("modified_at")
        return (
            ref.modified_at is not None
            and told is not None
            and ((ref.size, ref.modified_at) == (row["bytes"], datetime.fromisoformat(told)))
        )

    def _unchanged(self, row: Row) -> Document:
        document = document_from_row(row)
        read_in = document.metadata.get(UNCHANGED_SINCE) or self.run_id
        return replace(
            document,
            status="skipped",
            reason=f"unchanged since run {read_in}",
            metadata={**document.metadata, UNCHANGED_SINCE: read_in},
            text=None,
        )

    def _gone(self, row: Row, vanished: LineWriter) -> None:
        if self._selects_alike:
            self.vanished += 1
            told = {name: row[name] for name in ("resource_id", "source_uri", "doc_id", "hash")}
            vanished.write({**told, "last_seen": self.run_id})

    def _merged(self, gone: set[str], changed: Iterator[ResourceRef]) -> Iterator[ResourceRef]:
        """What the earlier run knew and is still there, and what has changed, in the order of the ids."""
        change = next(changed, None)
        for row in read_documents(self._docs):
            while change is not None and change.id < row["resource_id"]:
                yield change
                change = next(changed, None)
            if change is not None and change.id == row["resource_id"]:
                yield change
                change = next(changed, None)
            elif row["resource_id"] not in gone:
                yield _ref_of(row)
        while change is not None:
            yield change
            change = next(changed, None)


def keep_cursor(folder: Path, connector: DataConnector) -> None:
    """Write down where the next changes of the source begin, if it has told; it may be megabytes long."""
    cursor: str | None = getattr(connector, "cursor", None)
    if cursor:
        write_whole(folder / CURSOR, cursor.encode())


def read_cursor(folder: Path) -> str | None:
    """What `keep_cursor` wrote down, if it did.

    Raises:
        ConfigError: the file holds something else.
    """
    path = folder / CURSOR
    try:
        return path.read_text("utf-8") if path.exists() else None
    except ValueError as error:
        raise ConfigError(
            f"{str(path)!r} is damaged: {error}",
            op="changes.since",
            hint="delete it: the source is then listed, and not asked for its changes",
        ) from error


def processing_hash(processing: ProcessingConfig) -> str:
    """A hash of those settings that decide what a document's text and chunks are."""
    return "sha256:" + sha256(processing.model_dump_json(exclude={"limits", "workers"}).encode()).hexdigest()


def _what(chain: str | None) -> str:
    return "reads documents only" if chain is None else f"is of chain {chain!r}"


def _refs_of(changes: Iterable[ResourceRef | Gone | Reset]) -> Iterator[ResourceRef]:
    return (change for change in changes if isinstance(change, ResourceRef))


def _ref_of(row: Row) -> ResourceRef:
    document = document_from_row(row)
    return ResourceRef(
        document.resource_id,
        document.source_uri,
        document.resource_id.rpartition("/")[2],
        size=document.bytes,
        modified_at=document.modified_at,
        etag=document.etag,
    )
