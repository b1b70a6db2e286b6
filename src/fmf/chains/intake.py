"""Reading for a run: every document to its end, its rows to disk, then its items, one after the other."""

from __future__ import annotations

import time
from collections.abc import Container, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from fmf.artefacts.files import CHUNKS, DOCS, ROWS
from fmf.artefacts.folder import RunFolder
from fmf.artefacts.lines import blanked_lines, raw_lines, row_of
from fmf.artefacts.rows import chunk_from_row, document_from_row, document_row
from fmf.chains.items import Askable, Item
from fmf.chains.position import Position
from fmf.chains.readahead import DocumentReader, Readahead, Wishes
from fmf.chains.sampling import sampled_items
from fmf.chains.spool import ChunkSpool
from fmf.chains.stop import Stop
from fmf.chains.table import RowItem
from fmf.errors import ProcessingError
from fmf.types import Document, ResourceRef, Row
from fmf_core.errors import Code


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """A document has reached its final state."""

    document: Document
    after: Position | None = None
    """Where a run stands once this is counted; `None` in the middle of something that belongs together."""


@dataclass(frozen=True, slots=True)
class ItemRead:
    """An item is ready to be asked about."""

    item: Askable
    after: Position | None = None
    """Where a run stands once this is answered."""


@dataclass(frozen=True, slots=True)
class DocumentClosed:
    """All items of a document were handed out."""

    document: Document
    after: Position | None = None
    """Where a run stands once everything about it is answered."""


Event = DocumentRead | ItemRead | DocumentClosed


class Feed(Protocol):
    """Reads the input of a run, writes what it reads to files, and hands out what happens; everything blocks."""

    def events(self) -> Generator[Event, None, None]:
        """What is read, in input order."""
        ...

    def flush(self) -> None:
        """Hand what was read so far to the operating system."""
        ...


@dataclass(frozen=True, slots=True)
class Input:
    """What a run reads, and how."""

    reader: DocumentReader
    """Turns resources into documents and chunks."""
    refs: Iterable[ResourceRef | Document]
    """What to read, in order; what need not be read is a document already."""
    threads: int = 1
    """How many at once."""


class Intake:
    """Reads what a connector listed, writes it to files, and hands out what happens as events.

    The files are `docs.jsonl` and `chunks.jsonl`, or `rows.jsonl` where an item is a row. Everything here blocks: it
    belongs in a thread.

    Args:
        source: what to read, and how.
        folder: the run's folder.
        wishes: how the run wants its input.
        stop: when it is requested, no further document is begun.
    """

    def __init__(self, source: Input, folder: RunFolder, wishes: Wishes, stop: Stop) -> None:
        self._source = source
        self._wishes = wishes
        self._stop = stop
        self._readahead = Readahead(source.reader, folder.path, wishes, stop, threads=source.threads)
        self._docs = folder.lines(DOCS)
        self._pieces = folder.lines(ROWS if wishes.table else CHUNKS)
        self._asked = (wishes.start.docs, wishes.start.pieces, wishes.start.index)
        """Where asking begins next."""

    def events(self) -> Generator[Event, None, None]:
        """What is read, in input order."""
        sample = self._wishes.sample
        if not self._wishes.all_first and sample is None:
            yield from self._from_files()
            yield from self._read_all(items=True)
            return
        # What was read lies in the files by now: the second round takes it from there and keeps nothing in memory.
        yield from self._read_all(items=False)
        self.flush()
        taken = None
        if sample is not None and not self._stop.requested:  # of half of the documents it would be another one
            taken = sampled_items(sample, self._docs.path, whole=self._wishes.whole)
        yield from self._from_files(taken)

    def documents(self) -> Iterator[Document]:
        """Every document in its final state, without its items."""
        for event in self._read_all(items=False):
            if isinstance(event, DocumentRead):
                yield event.document

    def flush(self) -> None:
        """Hand what was read so far to the operating system."""
        self._docs.flush()
        self._pieces.flush()

    def _read_all(self, *, items: bool) -> Iterator[Event]:
        with closing(self._readahead.documents(self._source.refs)) as documents:
            for document, spool in documents:
                before = (self._docs.size, self._pieces.size)
                self._write(document, spool)
                after = (self._docs.size, self._pieces.size)
                handed_out = items and document.status == "ok"
                if items:
                    self._asked = (*(before if handed_out else after), 0)
                yield DocumentRead(document, Position(*self._asked, *after))
                if handed_out:
                    rows = [None] if self._wishes.whole else spool.rows()
                    yield from self._items(document, enumerate(rows, 1), Position(*before, 0, *after))
                    yield DocumentClosed(document, Position(*after, 0, *after))

    def _write(self, document: Document, spool: ChunkSpool) -> None:
        if document.line is None:
            self._docs.write(document_row(document))
        else:
            self._docs.write_block(blanked_lines(document.line))
        if document.status == "ok":
            spool.copy_to(self._pieces)

    def _items(self, document: Document, rows: Iterable[tuple[int, Row | None]], at: Position) -> Iterator[Event]:
        """An item for each of the numbered `rows` of `document`, or the whole document as one; `at` is before them."""
        table = self._wishes.table
        for index, row in rows:
            item: Askable
            if row is not None and table is not None:
                item = RowItem(document, row, table)
            else:
                item = Item(document, None if row is None else chunk_from_row(row))
            yield ItemRead(item, replace(at, index=index))

    def _from_files(self, taken: Mapping[int, Container[int]] | None = None) -> Iterator[Event]:
        """The items of what was read before, from the files, as far as they are not done.

        Args:
            taken: the numbers of the items that are wanted, by where the lines of their documents end; default is all.

        Raises:
            ProcessingError: a document whose text is read once more is not what it was.
        """
        begin, begin_pieces, done = self._asked
        read = (self._docs.size, self._pieces.size)
        if begin >= read[0]:
            return
        pieces = _Counted(raw_lines(self._pieces.path, begin_pieces), begin_pieces)
        for end, line in raw_lines(self._docs.path, begin):
            if self._stop.requested:
                return
            document = document_from_row(row_of(line, self._docs.path))
            if document.status == "ok" and taken is not None and end not in taken:
                pieces.skip(0 if self._wishes.whole else document.chunks)
            elif document.status == "ok":
                if (self._wishes.whole or self._wishes.text) and document.text is None:
                    document = self._read_again(document)
                at = Position(begin, pieces.at, done, *read)
                rows: Iterable[tuple[int, Row | None]] = [(1, None)][done:]
                if not self._wishes.whole:
                    rows = self._rows(islice(pieces, document.chunks), done, None if taken is None else taken[end])
                yield from self._items(document, rows, at)
                yield DocumentClosed(document, Position(end, pieces.at, 0, *read))
            begin, done = end, 0

    def _rows(self, lines: Iterable[bytes], done: int, taken: Container[int] | None) -> Iterator[tuple[int, Row]]:
        for number, line in enumerate(lines, 1):
            if number > done and (taken is None or number in taken):
                yield number, row_of(line, self._pieces.path)

    def _read_again(self, document: Document) -> Document:
        name = document.resource_id.rpartition("/")[2]
        ref = ResourceRef(document.resource_id, document.source_uri, name, size=document.bytes)
        again = _read_whole(self._source.reader, ref)
        if again.status != document.status or again.doc_id != document.doc_id:
            raise changed_meanwhile(document) from again.error
        return replace(document, text=again.text)


class _Counted:
    """Lines of a file, and where the one ends that was taken last."""

    def __init__(self, lines: Iterator[tuple[int, bytes]], at: int) -> None:
        self._lines = lines
        self.at = at

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.at, line = next(self._lines)
        return line

    def skip(self, count: int) -> None:
        """Pass some lines over."""
        for _ in islice(self, count):
            pass


def changed_meanwhile(document: Document) -> ProcessingError:
    """What ends a run that reads `document` again and finds something else than it was."""
    return ProcessingError(
        f"{document.source_uri} changed between the two times that it was read",
        op="processing.read",
        code=Code.CONFLICT,
        hint="run again when nobody writes to it",
    )


def take(events: Iterator[Event], most: int, patience_s: float) -> list[Event]:
    """The next events: at least one unless there is none, at most `most`, and what came within `patience_s` seconds."""
    batch: list[Event] = []
    deadline = time.monotonic() + patience_s
    for event in events:
        batch.append(event)
        if len(batch) >= most or time.monotonic() > deadline:
            break
    return batch


def _read_whole(reader: DocumentReader, ref: ResourceRef) -> Document:
    *_, document = reader.lines(ref, want_text=True, chunked=False)
    if not isinstance(document, Document):
        raise TypeError(f"{reader!r} ended with {document!r}, which is no document")
    return document
