"""From a resource to a document and its chunks: opened, recognised, loaded, cut; one bad file never stops the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.cutting.chunking import Chunker, Piece
from fmf.processing.kinds.detect import Kind, detected
from fmf.processing.loaders.base import Loaded, Mark, kind_of, loaders
from fmf.processing.ocr.base import check_engine
from fmf.processing.places import Places
from fmf.processing.rows import row_lines
from fmf.processing.settled import Clock, begun, given_up, identity
from fmf.processing.source import MEGABYTE, Opener, Source, fetch
from fmf.processing.wanted import EMPTY, Skipped, wanted
from fmf.types import Chunk, ChunkLines, Document, ResourceRef, TableWish
from fmf_core.errors import Code, PluginError
from fmf_core.logs import get_logger
from fmf_core.redact import Blanking

log = get_logger("fmf.processing")
Event = TypeVar("Event")

SHORT_TEXT = 1_000_000
"""Characters up to which a document carries its whole text unasked."""


def check_settings(processing: ProcessingConfig) -> None:
    """Refuse settings that no file can be read with, and warn of what is not done as it says there.

    Raises:
        ConfigError: the chunking settings cannot be met, or there is no such OCR engine.
    """
    chunking = processing.text.chunking
    Chunker(chunking)
    check_engine(processing.images.ocr)
    if chunking.overlap >= chunking.max_tokens:
        log.warning("chunking.overlap_halved", overlap=chunking.overlap, max_tokens=chunking.max_tokens)


class Reader:
    """Reads resources of one connector, each into a document and its chunks; every method blocks.

    A document ends in one of three states. `ok`: all of its text is in its chunks. `skipped`: by rule, without an
    error: an empty file, one of a kind that is not known, a picture while OCR is off, a table of a format that is not
    wanted. `failed`: it should have been read and could not; a file that holds bytes but no text is one of these.

    Args:
        connector: opens the resources.
        processing: the section `processing` of the configuration; `check_settings` says whether it can be met.
    """

    def __init__(self, connector: Opener, processing: ProcessingConfig) -> None:
        self._connector = connector
        self._settings = processing

    def read(self, ref: ResourceRef, *, want_text: bool = False, chunked: bool = True) -> Iterator[Document | Chunk]:
        """The document that is open, then its chunks, then the document in its final state.

        A resource that cannot be opened gives the final document alone. Nothing is raised for a bad file: the final
        document says why in `reason` and carries the error. A document that fails half-way has given chunks before.

        Args:
            ref: the resource.
            want_text: let the final document carry its text however long it is; otherwise up to `SHORT_TEXT`
                characters.
            chunked: whether its chunks are wanted.
        """
        return _Reading(self._connector, self._settings, ref).events(want_text=want_text, chunked=chunked)

    def rows(self, ref: ResourceRef, wish: TableWish | None = None) -> Iterator[Document | ChunkLines]:
        """The open document, its rows as lines, then the document in its final state, with the number of its rows.

        A file of a kind that has no rows is skipped.

        Args:
            ref: the resource.
            wish: which rows are wanted, and which columns there must be; default is all rows, whatever they are.
        """
        return _Reading(self._connector, self._settings, ref).row_events(wish or TableWish())

    def read_whole(self, ref: ResourceRef) -> Document:
        """The document in its final state with all of its text, without chunks."""
        reading = _Reading(self._connector, self._settings, ref)
        for _ in reading.events(want_text=True, chunked=False):
            pass
        return reading.document


@dataclass
class _Reading:
    """One resource while it is read."""

    connector: Opener
    settings: ProcessingConfig
    ref: ResourceRef

    def __post_init__(self) -> None:
        self._base = begun(self.ref, self.settings)
        self._facts: dict[str, Any] = {}  # collected, because a document takes as long to make as to cut a short text

    @property
    def document(self) -> Document:
        """What is known by now."""
        return replace(self._base, **self._facts)

    def events(self, *, want_text: bool, chunked: bool = True) -> Iterator[Document | Chunk]:
        """See `Reader.read`."""
        return self._settled(self._opened(want_text=want_text, chunked=chunked))

    def row_events(self, wish: TableWish) -> Iterator[Document | ChunkLines]:
        """See `Reader.rows`."""
        return self._settled(self._opened_rows(wish))

    def _settled(self, events: Iterator[Event]) -> Iterator[Event | Document]:
        clock = Clock(self.settings.limits.max_seconds_per_file, self.ref)
        try:
            yield from clock.timed(events)
            self._facts["status"] = "ok"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one bad file must not stop the others
            self._base = given_up(self.document, error)
        yield self.document

    def _opened(self, *, want_text: bool, chunked: bool) -> Iterator[Document | Chunk]:
        with fetch(self.connector, self.ref, max_bytes=self.settings.limits.max_file_mb * MEGABYTE) as source:
            self._facts |= identity(source, self.settings)
            loaded = self._load(source)
            known = self._facts.get("metadata", self._base.metadata)
            self._facts |= {"title": loaded.title, "metadata": self._told(known, loaded)}
            document = self.document
            yield document
            yield from self._chunks(document, loaded, want_text=want_text, chunked=chunked)
            self._facts["metadata"] = self._told(known, loaded)

    def _told(self, known: Mapping[str, Any], loaded: Loaded) -> dict[str, Any]:
        """What is noted of the document; raises where it cannot be written down."""
        import orjson

        try:
            told: dict[str, Any] = orjson.loads(orjson.dumps({**known, **loaded.metadata}, default=str))
        except (TypeError, ValueError, RecursionError) as error:
            raise ProcessingError(
                f"{self.ref.uri}: its loader gave metadata that cannot be written as JSON: {error}",
                op="processing.load",
                code=Code.INTERNAL,
                hint="tell the author of the loader; exclude the file until then",
            ) from error
        return told

    def _opened_rows(self, wish: TableWish) -> Iterator[Document | ChunkLines]:
        with fetch(self.connector, self.ref, max_bytes=self.settings.limits.max_file_mb * MEGABYTE) as source:
            self._facts |= identity(source, self.settings)
            kind = self._kind(source)
            document = self.document
            yield document
            self._facts["chunks"] = 0
            for lines in row_lines(source, kind, self.settings, document, wish):
                self._facts["chunks"] += lines.count
                yield lines
        if not self._facts["chunks"]:
            raise _no_text(self.document, "rows")

    def _load(self, source: Source) -> Loaded:
        kind = self._kind(source)
        try:
            load = loaders.get(kind.name)
        except PluginError as error:  # it needs packages that are not here
            raise ProcessingError(
                f"{self.ref.uri}: {error.message}", op="processing.load", code=Code.UNSUPPORTED, hint=error.hint
            ) from error
        return load(source, self.settings)

    def _kind(self, source: Source) -> Kind:
        """What the file is; raises where it is left out."""
        kind = kind_of(self.ref.name, source.head, source.window)
        if kind:
            self._facts["media_type"] = kind.media_type
            if other := detected(self.ref.name, kind):
                self._facts["metadata"] = {**self._base.metadata, "detected": other}
        if not source.size:
            raise Skipped(EMPTY)
        return wanted(kind, self.ref.name, source.head, self.settings)

    def _chunks(self, document: Document, loaded: Loaded, *, want_text: bool, chunked: bool) -> Iterator[Chunk]:
        cutting = _Cutting(document, Chunker(self.settings.text.chunking, markdown=loaded.markdown), loaded)
        kept: list[str] | None = []
        blank = True
        for piece in _blanked(loaded.pieces):
            if isinstance(piece, Mark):
                cutting.places.mark(piece)
                if piece.apart:
                    cutting.chunker.part()
                continue
            blank = blank and (not piece or piece.isspace())
            cutting.places.feed(piece)
            cutting.chars += len(piece)
            if kept is not None:
                kept.append(piece)
                kept = kept if want_text or cutting.chars <= SHORT_TEXT else None
            if chunked:
                yield from cutting.chunks(cutting.chunker.feed(piece))
        if chunked:
            yield from cutting.chunks(cutting.chunker.finish())
        if blank:
            raise _no_text(document, "text")
        self._facts |= {
            "text": None if kept is None else "".join(kept),
            "text_chars": cutting.chars,
            "chunks": cutting.count,
            "structure": tuple(cutting.places.finish()),
        }
        if cutting.places.left_out:
            loaded.metadata["structure_left_out"] = cutting.places.left_out


@dataclass
class _Cutting:
    """One text while it is cut."""

    document: Document
    chunker: Chunker
    loaded: Loaded
    chars: int = 0
    count: int = 0

    def __post_init__(self) -> None:
        self.places = Places(markdown=self.loaded.markdown)

    def chunks(self, pieces: Iterator[Piece]) -> Iterator[Chunk]:
        document = self.document
        for piece in pieces:
            yield Chunk(
                chunk_id=f"{document.doc_id}-{self.count:06d}",
                doc_id=document.doc_id,
                source_uri=document.source_uri,
                index=self.count,
                start=piece.start,
                end=piece.end,
                tokens=piece.tokens,
                text=piece.text,
                place=self.places.of(piece.start, piece.end),
                hash=document.hash,
            )
            self.count += 1


def _blanked(pieces: Iterable[str | Mark]) -> Iterator[str | Mark]:
    """The text without registered secrets, before it is cut: offsets then hold, and no chunk has half of one."""
    blanking = Blanking()
    waiting: deque[tuple[int, Mark]] = deque()
    given = 0
    for piece in pieces:
        if isinstance(piece, Mark):
            waiting.append((given + blanking.held, piece))
            continue
        text = blanking.feed(piece)
        yield from _with_marks(text, given, waiting)
        given += len(text)
    yield from _with_marks(blanking.finish(), given, waiting)
    for _, mark in waiting:
        yield mark


def _with_marks(text: str, start: int, waiting: deque[tuple[int, Mark]]) -> Iterator[str | Mark]:
    """`text`, which begins at `start`, and those marks that stand before or in it."""
    done = 0
    while waiting and waiting[0][0] < start + len(text):
        at, mark = waiting.popleft()
        if at - start > done:
            yield text[done : at - start]
            done = at - start
        yield mark
    if done < len(text):
        yield text[done:]


def _no_text(document: Document, what: str) -> ProcessingError:
    return ProcessingError(
        f"{document.source_uri} has {document.bytes} bytes and no {what}",
        op="processing.load",
        code=Code.INVALID,
        hint="look whether it was damaged; exclude it if it is meant to be blank",
    )
