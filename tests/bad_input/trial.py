"""Tries cases: writes the file, reads it as a run would, and tells what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bad_input.case import Case, Content, Outcome
from chunked import chunked
from fmf.config.models import ProcessingConfig
from fmf.connectors.local import LocalConnector
from fmf.processing.isolation.reader import IsolatedReader
from fmf.types import Chunk, ChunkLines, Document

LIMITS = {"max_file_mb": 80, "max_seconds_per_file": 30, "max_memory_mb": 1024, "max_archive_ratio": 100}
LONGEST_REASON = 1_000


class Trials:
    """Reads cases in a folder of their own.

    Args:
        folder: where the files are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connector = LocalConnector("cases", folder)
        self._readers: dict[str, Any] = {}
        self._count = 0

    def outcome_of(self, case: Case) -> Outcome:
        """Write the file of `case`, read it, take it away."""
        self._count += 1
        place = self._folder / f"case-{self._count}"
        place.mkdir()
        path = place / case.file
        write(path, case.make())
        try:
            ref = next(self._connector.list([f"{place.name}/**/*", f"{place.name}/**/.*"]))
            return told(self.reader(case.settings).lines(ref))
        finally:
            path.unlink()
            place.rmdir()

    def reader(self, settings: Mapping[str, Any]) -> Any:
        """The reader for these settings."""
        key = json.dumps(settings, sort_keys=True)
        if key not in self._readers:
            limits = {**LIMITS, **settings.get("limits", {})}
            self._readers[key] = reader_of(self._connector, ProcessingConfig(**{**settings, "limits": limits}))
        return self._readers[key]


def reader_of(connector: Any, settings: ProcessingConfig) -> Any:
    """What reads documents here, as runs do."""
    return IsolatedReader(connector, settings)


def write(path: Path, content: Content) -> None:
    """Write the file, block by block where it is made so."""
    with path.open("wb") as out:
        out.writelines([content] if isinstance(content, bytes) else content)


def told(events: Iterable[Document | Chunk | ChunkLines]) -> Outcome:
    """What the events of one document say, with every promise that they break."""
    documents: list[Document] = []
    chunks: list[Chunk] = []
    kept, longest = 0, 0
    for event in chunked(events):
        if isinstance(event, Document):
            documents.append(event)
        else:
            kept += 1
            longest = max(longest, event.end)
            if kept <= 1_000:
                chunks.append(event)
    final = documents[-1]
    text = final.text if final.text is not None else "".join(chunk.text for chunk in chunks)
    return Outcome(
        status=final.status,
        reason=final.reason or "",
        hint=getattr(final.error, "hint", None) or "",
        text=text,
        chars=final.text_chars,
        chunks=kept,
        metadata=final.metadata,
        faults=tuple(_broken(documents, chunks, kept)),
    )


def _broken(documents: list[Document], chunks: list[Chunk], count: int) -> Iterable[str]:
    final = documents[-1]
    if final.status not in {"ok", "skipped", "failed"} or any(each.status != "open" for each in documents[:-1]):
        yield f"the states are {[each.status for each in documents]}"
    if (final.reason is None) != (final.status == "ok") or (final.error is not None) != (final.status == "failed"):
        yield f"{final.status} with reason {final.reason!r} and error {final.error!r}"
    reason = final.reason or ""
    if not reason.isprintable() or len(reason) > LONGEST_REASON:
        yield f"the reason is no line of up to {LONGEST_REASON} characters: {reason[:200]!r}"
    if "Traceback" in reason or ", line " in reason:
        yield f"the reason is for programmers: {reason!r}"
    if final.status == "ok" and count != final.chunks:
        yield f"{count} chunks came, {final.chunks} are told"
    if final.text is not None:
        for chunk in chunks:
            if chunk.text != final.text[chunk.start : chunk.end]:
                yield f"chunk {chunk.index} is not the text between its offsets"
                break
        if final.text_chars != len(final.text):
            yield f"{len(final.text)} characters came, {final.text_chars} are told"
    try:
        json.dumps(dict(final.metadata), allow_nan=False)
        (final.title or "").encode()
        (final.text or "").encode()
        "".join(chunk.text for chunk in chunks).encode()
    except (TypeError, ValueError) as error:
        yield f"it cannot be written down: {error}"
