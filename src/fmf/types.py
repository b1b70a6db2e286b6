"""The values that travel from room to room; all of them are immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Line = bytes
"""A record as JSON, with its line end."""
Row = dict[str, Any]
"""A record as it is written: plain JSON values under plain names."""

UNREAD_PAGES = "pages_not_read"
"""In the metadata of a document: its pages that are pictures, which nobody read because OCR is off."""
UNCHANGED_SINCE = "unchanged_since"
"""The key of the metadata of a document that was not read anew: the run in which it was read."""

PLACES = ("page", "slide", "sheet", "row", "part", "heading")
"""What a chunk's `place` may tell of its source."""

DocumentStatus = Literal["open", "ok", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """Something a connector lists: where it is and what is known of it without reading it."""

    id: str
    """The path inside the connector's root, with `/` on every system; the same on every machine."""
    uri: str
    """The full address, such as `file:///data/a.md` or `s3://bucket/a.md`."""
    name: str
    """The last part of the path."""
    size: int | None = None
    """Bytes, where the source says so."""
    modified_at: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class TableWish:
    """Which rows of a file are wanted, where it is a table or holds several."""

    columns: tuple[str, ...] = ()
    """Columns that every table of it must have."""
    sheets: tuple[str, ...] = ()
    """Patterns for names of sheets, as `Order*`; none stands for all. Files without sheets are read in any case."""
    header_row: int | None = None
    """The row that holds the names of the columns; `None` stands for `processing.tables.header_row`."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is known of a resource once it is opened; its text travels in chunks."""

    doc_id: str
    """A hash of the resource's id and its content: the same on every machine and in every run."""
    source_uri: str
    resource_id: str
    status: DocumentStatus
    """`open` while its chunks are on their way, afterwards one of the other three for good."""
    media_type: str | None = None
    bytes: int | None = None
    hash: str | None = None
    """`sha256:` and the hash of the bytes."""
    title: str | None = None
    text: str | None = None
    """The whole text, where it was asked for or is short; the offsets of the chunks count in it."""
    text_chars: int = 0
    chunks: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    structure: Sequence[Mapping[str, Any]] = ()
    """The parts of the text: `kind` (page, slide, sheet, part, heading, table), `start`, `end`, and its `number`,
    `name`, or `level` and `title`."""
    modified_at: datetime | None = None
    """When the source says that it was last changed."""
    etag: str | None = None
    """How the source names this state of its bytes."""
    reason: str | None = None
    """Why it was skipped or failed."""
    error: Exception | None = None
    """On a failed document: what was raised."""
    line: Line | None = field(default=None, repr=False, compare=False)
    """Its line of `docs.jsonl`, text included, where another process has written it down already."""


@dataclass(frozen=True, slots=True)
class ChunkLines:
    """Some chunks of a document as they are written to `chunks.jsonl`."""

    lines: bytes
    """Whole lines."""
    count: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text == document_text[start:end]`."""

    chunk_id: str
    doc_id: str
    source_uri: str
    index: int
    start: int
    """Characters from the start of the document's text."""
    end: int
    tokens: int
    """Exact, in the tokenizer of the configuration."""
    text: str
    place: Mapping[str, Any] = field(default_factory=dict)
    """Where it stands in the source: `page`, `slide`, `sheet`, `row`, `part`, with `last_page` and so on where it ends
    elsewhere, and `heading`, the headings above it from the outermost; what the source does not have is left out."""
    hash: str | None = None
    """The hash of the source's bytes, as its document has it."""
