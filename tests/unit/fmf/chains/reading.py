"""Documents for tests: a reader over texts in memory, with every kind of bad file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from fmf.errors import ProcessingError
from fmf.types import Chunk, Document, ResourceRef


class TextReader:
    """Reads `name -> text`; one chunk for each paragraph. `BAD` fails at its end, `SKIP` is skipped."""

    BAD, SKIP = "BAD", "SKIP"

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts
        self.reads: list[str] = []

    def refs(self) -> list[ResourceRef]:
        return [ResourceRef(name, f"file:///{name}", name) for name in sorted(self.texts)]

    def lines(self, ref: ResourceRef, *, want_text: bool = False, chunked: bool = True) -> Iterator[Document | Chunk]:
        if not chunked:
            yield self.read_whole(ref)
            return
        self.reads.append(ref.id)
        text = self.texts[ref.id]
        yield self._document(ref, text, status="open")
        start, pieces = 0, text.split("\n\n")
        for index, piece in enumerate(pieces):
            chunk_id = f"{self._doc_id(ref, text)}-{index}"
            yield Chunk(
                chunk_id, self._doc_id(ref, text), ref.uri, index, start, start + len(piece), len(piece.split()), piece
            )
            start += len(piece) + 2
        yield self.read_whole(ref, chunks=len(pieces), count=False)

    def read_whole(self, ref: ResourceRef, chunks: int = 0, count: bool = True) -> Document:
        if count:
            self.reads.append(ref.id)
        text = self.texts[ref.id]
        if text.endswith(self.BAD):
            error = ProcessingError("no text at all", op="processing.read", hint="look at the file")
            return self._document(ref, text, status="failed", reason="no text at all", error=error)
        if text.endswith(self.SKIP):
            return self._document(ref, text, status="skipped", reason="of a kind that is not read")
        return self._document(ref, text, status="ok", text=text, chunks=chunks, text_chars=len(text))

    @staticmethod
    def _doc_id(ref: ResourceRef, text: str) -> str:
        return hashlib.sha256(f"{ref.id}\0{text}".encode()).hexdigest()[:12]

    def _document(self, ref: ResourceRef, content: str, **more: object) -> Document:
        known = {"media_type": "text/plain", "bytes": len(content), "title": ref.name, "metadata": {"n": "1"}}
        return Document(self._doc_id(ref, content), ref.uri, ref.id, **{**known, **more})  # type: ignore[arg-type]
