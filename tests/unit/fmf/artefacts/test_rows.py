from __future__ import annotations

from dataclasses import replace

from fmf.artefacts.rows import TEXT_LIMIT_CHARS, chunk_from_row, chunk_row, document_from_row, document_row
from fmf.types import Chunk, Document

DOCUMENT = Document(
    doc_id="d",
    source_uri="file:///a.md",
    resource_id="a.md",
    status="ok",
    media_type="text/markdown",
    bytes=5,
    hash="sha256:00",
    title="A",
    text="# A\n",
    text_chars=4,
    chunks=1,
    metadata={"k": "v"},
)


def test_a_document_and_back():
    row = document_row(DOCUMENT)
    assert list(row)[:4] == ["doc_id", "source_uri", "resource_id", "media_type"]
    assert row["text"] == "# A\n"
    assert document_from_row(row) == DOCUMENT


def test_a_long_text_stays_in_the_chunks():
    text = "x" * (TEXT_LIMIT_CHARS + 1)
    assert document_row(replace(DOCUMENT, text=text))["text"] is None
    assert document_row(replace(DOCUMENT, text=text[1:]))["text"] == text[1:]


def test_a_bad_document_shows_its_reason_and_no_text():
    row = document_row(replace(DOCUMENT, status="failed", reason="binary", error=ValueError("x")))
    assert (row["status"], row["reason"], row["text"]) == ("failed", "binary", None)
    assert "error" not in row


def test_a_chunk_and_back():
    chunk = Chunk("c", "d", "file:///a.md", 0, 0, 4, 2, "# A\n")
    assert list(chunk_row(chunk)) == [
        "chunk_id",
        "doc_id",
        "source_uri",
        "index",
        "start",
        "end",
        "tokens",
        "text",
        "place",
        "hash",
    ]
    assert chunk_from_row(chunk_row(chunk)) == chunk
