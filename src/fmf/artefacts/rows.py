"""What `docs.jsonl` and `chunks.jsonl` hold: one row for each document and each chunk, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fmf.types import Chunk, Document, Row

TEXT_LIMIT_CHARS = 1_000_000
"""A longer text does not stand in `docs.jsonl`; it can be put together from `chunks.jsonl`."""


def document_row(document: Document) -> Row:
    """One line of `docs.jsonl`; `text` is null for a text over a million characters, `reason` for an ok document."""
    text = document.text if document.status == "ok" else None
    return {
        "doc_id": document.doc_id,
        "source_uri": document.source_uri,
        "resource_id": document.resource_id,
        "media_type": document.media_type,
        "bytes": document.bytes,
        "hash": document.hash,
        "title": document.title,
        "metadata": dict(document.metadata),
        "text_chars": document.text_chars,
        "chunks": document.chunks,
        "structure": list(document.structure),
        "modified_at": document.modified_at,
        "etag": document.etag,
        "status": document.status,
        "reason": document.reason,
        "text": text if text is None or len(text) <= TEXT_LIMIT_CHARS else None,
    }


def chunk_row(chunk: Chunk) -> Row:
    """One line of `chunks.jsonl`."""
    return {
        "chunk_id": chunk.chunk_id,
        "doc_id": chunk.doc_id,
        "source_uri": chunk.source_uri,
        "index": chunk.index,
        "start": chunk.start,
        "end": chunk.end,
        "tokens": chunk.tokens,
        "text": chunk.text,
        "place": dict(chunk.place),
        "hash": chunk.hash,
    }


def document_from_row(row: dict[str, Any]) -> Document:
    """The document that a line of `docs.jsonl` tells of."""
    modified_at = row.get("modified_at")
    if isinstance(modified_at, str):
        modified_at = datetime.fromisoformat(modified_at)
    return Document(**{**row, "modified_at": modified_at, "structure": tuple(row.get("structure", ()))})


def chunk_from_row(row: dict[str, Any]) -> Chunk:
    """The chunk that a line of `chunks.jsonl` tells of."""
    return Chunk(**row)
