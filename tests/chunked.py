"""What an isolated reader gives, in the words of the plain one: lines as chunks, and documents with their text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import orjson

from fmf.artefacts.rows import chunk_from_row
from fmf.types import Chunk, ChunkLines, Document


def chunked(events: Iterable[Document | Chunk | ChunkLines]) -> Iterator[Document | Chunk]:
    """The events of `IsolatedReader.lines` as `Reader.read` would give them."""
    for event in events:
        if isinstance(event, ChunkLines):
            yield from (chunk_from_row(orjson.loads(line)) for line in event.lines.splitlines())
        elif isinstance(event, Document) and event.line is not None:
            yield replace(event, text=orjson.loads(event.line)["text"] if event.text is None else event.text, line=None)
        else:
            yield event
