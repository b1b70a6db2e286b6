"""Documents read a few at a time by threads, and handed out one after the other in the order of the listing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from fmf.chains.position import BEGINNING, Position
from fmf.chains.sampling import Sample
from fmf.chains.spool import ChunkSpool
from fmf.chains.stop import Stop
from fmf.chains.table import RowWishes
from fmf.types import Chunk, ChunkLines, Document, ResourceRef, TableWish
from fmf_core.threads import ThreadPool

BYTES_AHEAD: Final = 64_000_000
"""So many bytes of sources are under way at most, or one source that is larger."""

ReadEvent = Document | Chunk | ChunkLines


class DocumentReader(Protocol):
    """What reads for a run, such as `fmf.processing.isolation.reader.IsolatedReader`; it raises for no bad file."""

    def lines(self, ref: ResourceRef, *, want_text: bool = False, chunked: bool = True) -> Iterator[ReadEvent]:
        """The open document, its chunks, then the document in its final state."""
        ...

    def rows(self, ref: ResourceRef, wish: TableWish | None = None) -> Iterator[Document | ChunkLines]:
        """The open document, its rows as far as they are wanted, then the document in its final state."""
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
    table: RowWishes | None = None
    """Which columns of tables, where an item is a row of one."""
    all_first: bool = False
    """Whether every document is read before the first item is handed out, so that a bad one stops the run unpaid."""
    start: Position = BEGINNING
    """Where an earlier part of the run stood; the run's files of lines end there."""
    sample: Sample | None = None
    """Which items to hand out, once every document is read; `None` is all."""


@dataclass
class _Slot:
    """One document on its way through a thread."""

    ref: ResourceRef | Document
    spool: ChunkSpool
    document: Document | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Readahead:
    """Reads documents, with their chunks in spools.

    Args:
        reader: turns resources into documents and chunks.
        folder: where the files of large documents lie while they are needed.
        wishes: how the run wants its input.
        stop: when it is requested, no further document is begun and none is finished.
        threads: how many documents are read at once; with 1 the caller's own thread reads, and nothing ahead.
    """

    def __init__(self, reader: DocumentReader, folder: Path, wishes: Wishes, stop: Stop, *, threads: int = 1) -> None:
        self._reader = reader
        self._folder = folder
        self._wishes = wishes
        self._stop = stop
        self._threads = threads
        self._closed = False
        self._left = wishes.limit

    def documents(self, refs: Iterable[ResourceRef | Document]) -> Generator[tuple[Document, ChunkSpool], None, None]:
        """Each document in its final state, and its chunks, which are gone once the next one is asked for.

        What comes as a document is handed out as it is.

        It ends early where the limit is reached or the stop requested.
        """
        left = self._wishes.limit
        if left == 0:
            return
        read = self._ahead(iter(refs)) if self._threads > 1 else self._here(iter(refs))
        with closing(read) as slots:
            for slot in slots:
                with slot.spool as spool:
                    if slot.error is not None:
                        raise slot.error
                    if slot.document is None or self._stop.requested:
                        return
                    document = slot.document
                    if left is not None and not self._wishes.whole and spool.count > left:
                        spool.shorten(left)
                        document = _cut(document, left)
                    yield document, spool
                if left is not None and document.status == "ok":
                    left -= 1 if self._wishes.whole else spool.count
                    if left == 0:
                        return
                    self._left = left

    def _here(self, refs: Iterator[ResourceRef | Document]) -> Generator[_Slot, None, None]:
        for ref in refs:
            if self._stop.requested:
                return
            slot = _Slot(ref, ChunkSpool(self._folder))
            slot.document = self._read(ref, slot.spool)
            yield slot

    def _ahead(self, refs: Iterator[ResourceRef | Document]) -> Generator[_Slot, None, None]:
        pool = ThreadPool(self._threads, "fmf-read")
        window: deque[_Slot] = deque()
        end: BaseException | None = None
        try:
            while True:
                while end is None and not self._stop.requested and self._has_room(window):
                    try:
                        slot = _Slot(next(refs), ChunkSpool(self._folder))
                    except Exception as error:  # noqa: BLE001 - what was listed before comes first
                        end = error
                        break
                    window.append(slot)
                    self._begin(slot, pool)
                if not window:
                    break
                window[0].done.wait()
                yield window.popleft()
        finally:
            self._closed = True
            for slot in window:
                if slot.done.is_set():
                    slot.spool.close()
        if end is not None and not isinstance(end, StopIteration):
            raise end

    def _begin(self, slot: _Slot, pool: ThreadPool) -> None:
        if not isinstance(slot.ref, Document):
            with suppress(RuntimeError):  # there is no room for a single thread: the caller's own has to do
                pool.submit(partial(self._work, slot))
                return
        self._work(slot)

    def _has_room(self, window: deque[_Slot]) -> bool:
        if not window:
            return True
        return len(window) < 2 * self._threads and sum(map(_bytes_of, window)) < BYTES_AHEAD

    def _work(self, slot: _Slot) -> None:
        try:
            if not self._closed:
                slot.document = self._read(slot.ref, slot.spool)
        except BaseException as error:  # noqa: BLE001 - for whoever waits for it
            slot.error = error
        finally:
            slot.done.set()
            if self._closed:
                slot.spool.close()

    def _read(self, ref: ResourceRef | Document, spool: ChunkSpool) -> Document | None:
        """Read `ref` into `spool`; `None` when the run was stopped on the way."""
        if isinstance(ref, Document):
            return ref
        known: Document | None = None
        wishes = self._wishes
        events: Iterator[ReadEvent]
        if wishes.table is not None:
            events = self._reader.rows(ref, wishes.table.of_file)
        else:
            events = self._reader.lines(ref, want_text=wishes.text or wishes.whole, chunked=not wishes.whole)
        with closing(_closable(events)) as read:
            for event in read:
                if isinstance(event, Document):
                    known = event
                elif isinstance(event, ChunkLines):
                    spool.add_lines(event)
                else:
                    spool.add(event)
                if self._left is not None and spool.count > self._left and known is not None:
                    # Whatever comes behind is beyond the limit.
                    return _cut(known, spool.count)
                if self._stop.requested or self._closed:
                    return None
        return known


def _bytes_of(slot: _Slot) -> int:
    return slot.ref.size or 0 if isinstance(slot.ref, ResourceRef) else 0


def _cut(document: Document, chunks: int) -> Document:
    reason = f"read as far as the limit asked: {chunks} chunks"
    return replace(document, status="ok", chunks=chunks, reason=reason, line=None)


def _closable(events: Iterator[ReadEvent]) -> Generator[ReadEvent, None, None]:
    """`events` as a generator, which can be closed before its end."""
    yield from events
