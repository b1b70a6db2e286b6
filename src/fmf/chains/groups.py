"""Groups of pictures as items of a chain: read in listing order, written to `docs.jsonl`, handed out when full."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from fmf.artefacts.files import DOCS
from fmf.artefacts.folder import RunFolder
from fmf.artefacts.lines import raw_lines, row_of
from fmf.artefacts.rows import document_from_row, document_row
from fmf.chains.intake import DocumentRead, Event, ItemRead, changed_meanwhile
from fmf.chains.position import BEGINNING, Position
from fmf.chains.sampling import Sample, sampled_groups
from fmf.chains.stop import Stop
from fmf.processing.pictures import Picture
from fmf.types import Document, ResourceRef, Row

PICTURES: Final = "pictures"
"""What the pictures of an item are called among its names."""
SHOWN: Final = f"${{input.{PICTURES}}}"
"""The reference by which a step gets at them; the author of a chain cannot write it."""


@dataclass(frozen=True, slots=True)
class PictureGroup:
    """Some pictures that the steps are asked about together."""

    index: int
    """The number of the group in the run, from 0."""
    pictures: tuple[Picture, ...]
    """In the order of the listing, with their bytes."""

    @property
    def item_id(self) -> str:
        """A hash of the ids of the documents."""
        ids = "\n".join(picture.document.doc_id for picture in self.pictures)
        return hashlib.sha256(ids.encode()).hexdigest()[:24]

    @property
    def content(self) -> str:
        """The hashes of the pictures."""
        return "\n".join(picture.sha256 for picture in self.pictures)

    @property
    def weight(self) -> int:
        """Bytes."""
        return sum(len(picture.data) for picture in self.pictures)

    @property
    def source_uri(self) -> str | None:
        """Where the picture came from; `None` where there are several."""
        return self.pictures[0].document.source_uri if len(self.pictures) == 1 else None

    @property
    def doc_id(self) -> str | None:
        """The document of the picture; `None` where there are several."""
        return self.pictures[0].document.doc_id if len(self.pictures) == 1 else None

    @property
    def chunk_id(self) -> None:
        """Pictures have no chunks."""
        return

    @property
    def place(self) -> None:
        """Pictures are no part of anything."""
        return

    @property
    def facts(self) -> Row:
        """What stands behind `${group....}`, and in the records of the group."""
        documents = [picture.document for picture in self.pictures]
        return {
            "index": self.index,
            "size": len(documents),
            "ids": [document.doc_id for document in documents],
            "names": [document.title or "" for document in documents],
            "source_uris": [document.source_uri for document in documents],
        }

    def names(self) -> dict[str, Any]:
        """What `${...}` can say about it, and the pictures as parts of a message."""
        from chatmodels.types import ImagePart

        parts = tuple(ImagePart(data=picture.data, media_type=picture.media_type) for picture in self.pictures)
        return {"group": self.facts, PICTURES: parts}


class Pictures(Protocol):
    """What the intake needs of `fmf.processing.pictures.PictureReader`: it blocks and raises for no bad file."""

    def read(self, ref: ResourceRef) -> Picture | Document:
        """The picture, or the document in its final state when it is none."""
        ...


@dataclass(frozen=True, slots=True)
class GroupWishes:
    """How a run wants its pictures."""

    size: int = 1
    """How many make an item; the last item may have fewer."""
    limit: int | None = None
    """How many items to hand out; reading stops with the last of them."""
    all_first: bool = False
    """Whether every picture is looked at before the first item is handed out, so that a bad one stops the run unpaid.

    They are read again then: their bytes are kept for no longer than their item is under way.
    """
    start: Position = BEGINNING
    """Where an earlier part of the run stood; the run's files of lines end there."""
    sample: Sample | None = None
    """Which groups to hand out, once every picture was looked at; `None` is all."""


class GroupIntake:
    """Reads what a connector listed, writes `docs.jsonl`, and hands out what happens as events.

    Everything here blocks: it belongs in a thread.

    Args:
        reader: turns resources into pictures.
        refs: what to read, in order.
        folder: the run's folder.
        wishes: how the run wants its input.
        stop: when it is requested, no further picture is begun.
    """

    def __init__(
        self,
        reader: Pictures,
        refs: Iterable[ResourceRef | Document],
        folder: RunFolder,
        wishes: GroupWishes,
        stop: Stop,
    ) -> None:
        self._reader = reader
        self._refs = refs
        self._wishes = wishes
        self._stop = stop
        self._docs = folder.lines(DOCS)
        self._start = wishes.start
        self._read_to = wishes.start.docs_read
        """Where what was read last ends in `docs.jsonl`."""

    def events(self) -> Generator[Event, None, None]:
        """What is read, in input order; a picture that cannot be shown is in no group."""
        sample = self._wishes.sample
        if not self._wishes.all_first and sample is None:
            yield from self._grouped(self._read_all())
            return
        for read in self._read_all():
            document = read if isinstance(read, Document) else read.document
            yield DocumentRead(document, replace(self._start, docs_read=self._docs.size))
        self.flush()
        whole = self._docs.size
        taken = None
        if sample is not None and not self._stop.requested:
            taken = sampled_groups(sample, self._docs.path, self._wishes.size)
        for event in self._grouped(self._from_file(taken)):
            if isinstance(event, ItemRead) and event.after is not None:
                yield ItemRead(event.item, replace(event.after, docs_read=whole))

    def flush(self) -> None:
        """Hand what was read so far to the operating system."""
        self._docs.flush()

    def _grouped(self, reads: Iterable[Picture | Document]) -> Iterator[Event]:
        index, group = self._start.index, list[Picture]()
        for read in reads:
            if isinstance(read, Document):
                yield DocumentRead(read, None if group else self._at(index))
                continue
            group.append(read)
            yield DocumentRead(read.document)
            if len(group) == self._wishes.size:
                yield ItemRead(PictureGroup(index, tuple(group)), self._at(index + 1))
                index, group = index + 1, []
        if group:
            yield ItemRead(PictureGroup(index, tuple(group)), self._at(index + 1))

    def _at(self, groups: int) -> Position:
        return Position(self._read_to, 0, groups, self._read_to)

    def _read_all(self) -> Iterator[Picture | Document]:
        left = None if self._wishes.limit is None else self._wishes.limit * self._wishes.size
        for ref in self._refs:
            if self._stop.requested or left == 0:
                return
            read = ref if isinstance(ref, Document) else self._reader.read(ref)
            if isinstance(read, Picture) and left is not None:
                left -= 1
            self._docs.write(document_row(read if isinstance(read, Document) else read.document))
            self._read_to = self._docs.size
            yield read

    def _from_file(self, taken: Container[int] | None) -> Iterator[Picture]:
        """The pictures that were read before, once more: those whose lines end at `taken`, or all.

        Raises:
            FrameworkError: one of them is not what it was.
        """
        for end, line in raw_lines(self._docs.path, self._start.docs):
            self._read_to = end
            document = document_from_row(row_of(line, self._docs.path))
            if document.status != "ok" or not (taken is None or end in taken):
                continue
            if self._stop.requested:
                return
            yield self._read_again(document)

    def _read_again(self, document: Document) -> Picture:
        ref = ResourceRef(document.resource_id, document.source_uri, document.title or "", size=document.bytes)
        read = self._reader.read(ref)
        if isinstance(read, Picture) and read.document.doc_id == document.doc_id:
            return read
        raise changed_meanwhile(document)
