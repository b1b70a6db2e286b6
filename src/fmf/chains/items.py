"""One item of a chain: what its steps are asked about, and the ids that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fmf.types import PLACES, Chunk, Document


@dataclass(frozen=True, slots=True)
class Item:
    """A chunk or a document as what the steps that run once per item work on."""

    document: Document
    chunk: Chunk | None
    """`None` where the item is a whole document."""

    @property
    def item_id(self) -> str:
        """The chunk's id, or the document's."""
        return self.chunk.chunk_id if self.chunk else self.document.doc_id

    @property
    def text(self) -> str:
        """What the item says."""
        return self.chunk.text if self.chunk else self.document.text or ""

    @property
    def content(self) -> str:
        """Its text."""
        return self.text

    @property
    def weight(self) -> int:
        """Characters."""
        return len(self.text)

    @property
    def source_uri(self) -> str:
        """Where its document came from."""
        return self.document.source_uri

    @property
    def doc_id(self) -> str:
        """Its document."""
        return self.document.doc_id

    @property
    def chunk_id(self) -> str | None:
        """Its chunk; `None` for a whole document."""
        return self.chunk.chunk_id if self.chunk else None

    @property
    def place(self) -> Mapping[str, Any] | None:
        """Where in its document it stands; `None` for a whole document."""
        return {"start": self.chunk.start, "end": self.chunk.end, **self.chunk.place} if self.chunk else None

    def names(self) -> dict[str, Any]:
        """What `${...}` can say about it."""
        names: dict[str, Any] = {"document": document_names(self.document)}
        if self.chunk is not None:
            names["chunk"] = chunk_names(self.chunk)
        return names


class Askable(Protocol):
    """What the steps that run once per item work on, whatever it is made of."""

    @property
    def item_id(self) -> str:
        """The same for the same work in every run."""
        ...

    @property
    def content(self) -> str:
        """What it is about, or a digest of it; with the id it identifies the work."""
        ...

    @property
    def weight(self) -> int:
        """How much of the memory it takes, in characters or bytes."""
        ...

    @property
    def source_uri(self) -> str | None:
        """Where it came from, if from one place."""
        ...

    @property
    def doc_id(self) -> str | None:
        """The document that it is part of, if it is one."""
        ...

    @property
    def chunk_id(self) -> str | None:
        """The chunk that it is, if it is one."""
        ...

    @property
    def place(self) -> Mapping[str, Any] | None:
        """Where in its document it stands, if it is a part of one."""
        ...

    def names(self) -> dict[str, Any]:
        """What `${...}` can say about it."""
        ...


def chunk_names(chunk: Chunk) -> dict[str, Any]:
    """What stands behind `${chunk....}`."""
    return {
        "id": chunk.chunk_id,
        "text": chunk.text,
        "source_uri": chunk.source_uri,
        "index": chunk.index,
        "start": chunk.start,
        "end": chunk.end,
        "tokens": chunk.tokens,
        **{name: _shown(chunk.place.get(name)) for name in PLACES},
    }


def _shown(place: Any) -> str:
    """A place as a prompt says it; nothing where the source has none."""
    if place is None:
        return ""
    return " > ".join(place) if isinstance(place, list) else str(place)


def document_names(document: Document) -> dict[str, Any]:
    """What stands behind `${document....}`."""
    return {
        "id": document.doc_id,
        "text": document.text or "",
        "source_uri": document.source_uri,
        "title": document.title or "",
        "metadata": document.metadata,
    }


_AT_A_TIME: Final = 2000
"""Bytes. To hash more at once, Python gives up its lock, and has to wait for it longer than the hash takes."""


def record_id(chain: str, step_id: str, item_id: str, content: str) -> str:
    """The id of one record: the same work has the same id in every run and on every machine.

    Args:
        chain: the chain's name.
        step_id: the step.
        item_id: the chunk, the document, or `all` for the whole run.
        content: what the step works on, or a digest of it.
    """
    digest = hashlib.sha256()
    for part in (chain, step_id, item_id, content):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        for start in range(0, len(raw), _AT_A_TIME):
            digest.update(raw[start : start + _AT_A_TIME])
    return digest.hexdigest()[:32]


def run_names(run_id: str, chain_id: str, started_at: str) -> Mapping[str, Any]:
    """What a run itself says: `${run_id}`, `${chain_id}`, `${now}` (its start) and `${date}` (the day of it, UTC)."""
    return {"run_id": run_id, "chain_id": chain_id, "now": started_at, "date": started_at[:10]}
