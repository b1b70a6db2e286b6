"""Reading for a run: every document to its end, its rows to disk, then its items, one after the other."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from fmf.artefacts.folder import RunFolder
from fmf.artefacts.lines import read_lines
from fmf.artefacts.rows import chunk_from_row, document_from_row, document_row
from fmf.chains.items import Askable, Item
from fmf.chains.spool import ChunkSpool
from fmf.chains.stop import Stop
from fmf.errors import ProcessingError
from fmf.types import Chunk, Document, ResourceRef
from fmf_core.errors import Code

DOCS, CHUNKS = "docs.jsonl", "chunks.jsonl"


class DocumentReader(Protocol):
    """What the intake needs of `fmf.processing.reader.Reader`; both methods block and raise for no bad file."""

    def read(self, ref: ResourceRef, *, want_text: bool = False) -> Iterator[Document | Chunk]:
        """The open document, its chunks, then the document in its final state."""
        ...

    def read_whole(self, ref: ResourceRef) -> Document:
        """The document in its final state, with its text."""
        ...


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """A document has reached its final state."""

    document: Document


@dataclass(frozen=True, slots=True)
class ItemRead:
    """An item is ready to be asked about."""

    item: Askable


@dataclass(frozen=True, slots=True)
class DocumentClosed:
    """All items of a document were handed out."""

    document: Document


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
class Wishes:
    """How a run wants its input.

    A document is read to its end before its first item is handed out, so nothing is paid for a document that turns out
    to be broken.
    """

    whole: bool = False
    """Whether an item is a whole document instead of a chunk."""
    text: bool = False
    """Whether steps mention the whole text of the document."""
    limit: int | None = None
    """How many items to hand out; reading stops with the last of them."""
    all_first: bool = False
    """Whether every document is read before the first item is handed out, so that a bad one stops the run unpaid."""


class Intake:
    """Reads what a connector listed, writes `docs.jsonl` and `chunks.jsonl`, and hands out what happens as events.

    Everything here blocks: it belongs in a thread.

    Args:
        reader: turns resources into documents and chunks.
        refs: what to read, in order.
        folder: the run's folder.
        wishes: how the run wants its input.
        stop: when it is requested, no further document is begun.
    """

    def __init__(
        self, reader: DocumentReader, refs: Iterable[ResourceRef], folder: RunFolder, wishes: Wishes, stop: Stop
    ) -> None:
        self._reader = reader
        self._refs = refs
        self._wishes = wishes
        self._stop = stop
        self._folder = folder
        self._docs = folder.lines(DOCS)
        self._chunks = folder.lines(CHUNKS)

    def events(self) -> Generator[Event, None, None]:
        """What is read, in input order."""
        if not self._wishes.all_first:
            yield from self._read_all(items=True)
            return
        # What was read lies in the files by now: the second round takes it from there and keeps nothing in memory.
        yield from self._read_all(items=False)
        self.flush()
        if not self._stop.requested:
            yield from self._from_files()

    def documents(self) -> Iterator[Document]:
        """Every document in its final state, without its items."""
        for event in self._read_all(items=False):
            if isinstance(event, DocumentRead):
                yield event.document

    def flush(self) -> None:
        """Hand what was read so far to the operating system."""
        self._docs.flush()
        self._chunks.flush()

    def _read_all(self, *, items: bool) -> Iterator[Event]:
        left = self._wishes.limit
        for ref in self._refs:
            if self._stop.requested or left == 0:
                return
            with ChunkSpool(self._folder.path) as spool:
                document = self._reader.read_whole(ref) if self._wishes.whole else self._spooled(ref, spool, left)
                if document is None:
                    return
                self._write(document, spool)
                yield DocumentRead(document)
                if document.status != "ok":
                    continue
                if left is not None:
                    left -= 1 if self._wishes.whole else spool.count
                if items:
                    yield from self._handed_out(document, [None] if self._wishes.whole else spool)

    def _write(self, document: Document, spool: ChunkSpool) -> None:
        self._docs.write(document_row(document))
        if document.status == "ok":
            spool.copy_to(self._chunks)

    def _handed_out(self, document: Document, chunks: Iterable[Chunk | None]) -> Iterator[Event]:
        for chunk in chunks:
            yield ItemRead(Item(document, chunk))
        yield DocumentClosed(document)

    def _spooled(self, ref: ResourceRef, spool: ChunkSpool, left: int | None) -> Document | None:
        """Read `ref` into `spool`; `None` when the run was stopped on the way."""
        known: Document | None = None
        with closing(_closable(self._reader.read(ref, want_text=self._wishes.text))) as pieces:
            for piece in pieces:
                if isinstance(piece, Document):
                    known = piece
                elif spool.count == left:
                    return _cut(known, spool.count) if known else None
                else:
                    spool.add(piece)
                if self._stop.requested:
                    return None
        return known

    def _from_files(self) -> Iterator[Event]:
        """What was read before, from the files.

        Raises:
            ProcessingError: a document whose text is read once more is not what it was.
        """
        chunks = (chunk_from_row(row) for row in read_lines(self._chunks.path))
        for row in read_lines(self._docs.path):
            document = document_from_row(row)
            if document.status != "ok":
                continue
            if (self._wishes.whole or self._wishes.text) and document.text is None:
                document = self._read_again(document)
            read = (next(chunks) for _ in range(document.chunks))
            yield from self._handed_out(document, [None] if self._wishes.whole else read)

    def _read_again(self, document: Document) -> Document:
        name = document.resource_id.rpartition("/")[2]
        ref = ResourceRef(document.resource_id, document.source_uri, name, size=document.bytes)
        again = self._reader.read_whole(ref)
        if again.status != document.status or again.doc_id != document.doc_id:
            raise changed_meanwhile(document) from again.error
        return replace(document, text=again.text)


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


def _cut(document: Document, chunks: int) -> Document:
    return replace(document, status="ok", chunks=chunks, reason=f"read as far as the limit asked: {chunks} chunks")


def _closable(pieces: Iterator[Document | Chunk]) -> Generator[Document | Chunk, None, None]:
    """`pieces` as a generator, which can be closed before its end."""
    yield from pieces
