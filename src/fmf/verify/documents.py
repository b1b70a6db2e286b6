"""Documents and their pieces: each document in one state, each chunk where it says, each id once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fmf.artefacts.files import CHUNKS, DOCS, ROWS
from fmf.types import Row
from fmf.verify.check import Check
from fmf.verify.desk import Desk


@dataclass
class Read:
    """What the files say was read."""

    documents: dict[str, int] = field(default_factory=lambda: {"ok": 0, "failed": 0, "skipped": 0})
    bytes: int = 0
    chunks: int = 0
    """Chunks or rows that the documents say they have."""
    pieces: int = 0
    """Chunks or rows that are there."""
    texts: int = 0
    """Chunks that were compared with the text of their document."""


def look_at_documents(desk: Desk, read: Read) -> Check:
    """Every document in exactly one state, and only once."""
    check = Check("documents")
    for where, begin, row in desk.rows(DOCS):
        with check.record(where):
            status, text = row["status"], row["text"]
            if status not in read.documents:
                check.fault(f"the state {status!r} is none", where)
                continue
            read.documents[status] += 1
            read.bytes += row["bytes"] or 0
            if not desk.add("docs", row["doc_id"], int(where.rpartition(":")[2]), status, begin, row["hash"]):
                check.fault(f"document {row['doc_id']} stands twice", where)
            if not desk.add("resources", row["resource_id"]):
                check.fault(f"resource {row['resource_id']!r} has two states", where)
            if status == "ok":
                read.chunks += row["chunks"]
                if text is not None and len(text) != row["text_chars"]:
                    check.fault(f"text_chars is {row['text_chars']}, the text has {len(text)}", where)
            if status != "ok" and not row["reason"]:
                check.fault(f"it is {status}, and no reason is told", where)
    states = ", ".join(f"{count} {status}" for status, count in read.documents.items())
    check.told = f"{sum(read.documents.values())} documents: {states}"
    return check


def look_at_pieces(desk: Desk, read: Read) -> Check:
    """Every chunk or row belongs to a document that is ok, in order; the text of a chunk is that of its place."""
    return _Pieces(desk, read).look()


class _Pieces:
    """Goes through documents and their pieces side by side."""

    def __init__(self, desk: Desk, read: Read) -> None:
        self._desk = desk
        self._read = read
        self._name = ROWS if desk.has(ROWS) else CHUNKS
        self._check = Check("rows" if self._name == ROWS else "chunks")
        self._ahead = _Ahead(desk.rows(self._name))

    def look(self) -> Check:
        check, read = self._check, self._read
        for where, _, document in self._desk.rows(DOCS, again=True):
            if document.get("status") == "ok":
                check.equal("chunks of the document", document.get("chunks"), self._of(document, where), where)
        while (found := self._ahead.peek()) is not None:
            self._stray(found)
        told = f", {read.texts} of them compared with the text of their document" if self._name == CHUNKS else ""
        check.told = f"{read.pieces} {check.name}{told}"
        return check

    def _of(self, document: Row, where: str) -> int:
        """How many pieces of `document` stand next."""
        number = 0
        while (found := self._ahead.peek()) is not None:
            place, begin, piece = found
            if piece.get("doc_id") != document.get("doc_id"):
                if self._comes_later(piece, where):
                    break
                self._stray(found)
                continue
            with self._check.record(place):
                if self._name == ROWS:
                    self._row(piece, place, begin)
                else:
                    self._chunk(piece, place, begin)
                    self._check.equal("index", piece["index"], number, place)
                    self._in_text(piece, document, place)
            number += 1
            self._read.pieces += 1
            self._ahead.take()
        return number

    def _stray(self, found: tuple[str, int, Row]) -> None:
        place, _, piece = found
        self._check.fault(f"it belongs to no document that is ok and stands here: {piece.get('doc_id')!r}", place)
        self._ahead.take()

    def _row(self, row: Row, where: str, begin: int) -> None:
        key = f"{row['doc_id']}\n{row['sheet']}\n{row['row']}"
        own = row["row_id"].startswith(f"{row['doc_id']}-") and self._desk.add("pieces", row["row_id"], begin)
        if not (own and self._desk.add("pieces", key, begin)):
            self._check.fault(f"row {row['row_id']} stands twice, or is another document's", where)

    def _chunk(self, chunk: Row, where: str, begin: int) -> None:
        self._check.equal("chunk_id", chunk["chunk_id"], f"{chunk['doc_id']}-{chunk['index']:06d}", where)
        if not self._desk.add("pieces", chunk["chunk_id"], begin):
            self._check.fault(f"chunk {chunk['chunk_id']} stands twice", where)

    def _in_text(self, chunk: Row, document: Row, where: str) -> None:
        start, end, text = chunk["start"], chunk["end"], document["text"]
        if not 0 <= start <= end <= document["text_chars"]:
            self._check.fault(f"{start} to {end} is no place in {document['text_chars']} characters", where)
        elif text is not None and len(text) == document["text_chars"]:
            self._read.texts += 1
            if text[start:end] != chunk["text"]:
                self._check.fault(f"its text is not what the document has from {start} to {end}", where)

    def _comes_later(self, piece: Row, where: str) -> bool:
        found = self._desk.one("SELECT line, status FROM docs WHERE doc_id = ?", piece.get("doc_id"))
        return found is not None and found[1] == "ok" and found[0] > int(where.rpartition(":")[2])


class _Ahead:
    """Records of which the next one can be looked at before it is taken."""

    def __init__(self, rows: Iterator[tuple[str, int, Row]]) -> None:
        self._rows = rows
        self._next: Any = next(rows, None)

    def peek(self) -> tuple[str, int, Row] | None:
        found: tuple[str, int, Row] | None = self._next
        return found

    def take(self) -> None:
        self._next = next(self._rows, None)
