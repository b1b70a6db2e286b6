"""The process that reads one file after the other for somebody else, and sends what it finds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO, Final

from fmf.artefacts.lines import encode_line
from fmf.artefacts.rows import chunk_row
from fmf.config.processing import ProcessingConfig
from fmf.processing.isolation import messages, wire
from fmf.processing.isolation.limits import limit_memory, peak_bytes
from fmf.processing.reader import Reader
from fmf.processing.source import MEGABYTE
from fmf.types import Chunk, ChunkLines, Document, ResourceRef
from fmf_core.redact import blank_by_fingerprints

_LINES_BYTES: Final = 1 << 17
_WORN_OUT: Final = 1 << 60
"""Memory that no process has: this one is to be replaced, with what it has started."""


class _Handed:
    """Gives a reader the one file that was handed over."""

    def __init__(self, file: int) -> None:
        self._file = file

    def open(self, ref: ResourceRef) -> BinaryIO:  # noqa: ARG002 - there is only one
        return os.fdopen(self._file, "rb")


class _Rehearsal:
    """A small file in memory."""

    def open(self, ref: ResourceRef) -> BinaryIO:  # noqa: ARG002 - there is only one
        return BytesIO(b"# Title\n\nA sentence. Another one.\n\n| a |\n| - |\n| 1 |\n")


def rehearse() -> None:
    """Do once what every file takes, so that processes that are forked from this one need not build it up anew."""
    settings = ProcessingConfig.model_validate_json(ProcessingConfig().model_dump_json())
    for event in Reader(_Rehearsal(), settings).read(ResourceRef("a.md", "memory:a.md", "a.md")):
        if isinstance(event, Chunk):
            _line(event)
        else:
            wire.done_to(event, 0, want_text=False)


def serve(channel: socket.socket) -> None:
    """Do one job after the other until nobody sends any."""
    settings = ProcessingConfig()
    while True:
        try:
            kind, body, files = messages.receive(channel)
        except messages.BrokenOffError:
            return
        if kind == wire.SETTINGS:
            settings = ProcessingConfig.model_validate_json(body)
        elif kind == wire.SECRETS:
            blank_by_fingerprints(wire.fingerprints_from(body))
        elif kind == wire.JOB:
            _read(channel, wire.job_from(body), files[0], settings)


def _read(channel: socket.socket, job: Mapping[str, Any], file: int, settings: ProcessingConfig) -> None:
    limit_memory(int(settings.limits.max_memory_mb * MEGABYTE))
    reader = Reader(_Handed(file), settings)
    ref = wire.ref_from(job["ref"])
    lines, count = bytearray(), 0
    known: Document | None = None
    own = os.getpid()
    table = wire.table_from(job["table"])
    events: Iterator[Document | Chunk | ChunkLines] = (
        reader.read(ref, want_text=job["want_text"], chunked=job["chunked"])
        if table is None
        else reader.rows(ref, table)
    )
    for event in events:
        if os.getpid() != own:
            os._exit(1)  # a child that a loader forked and let go on: there is one answer to one question
        if isinstance(event, Chunk | ChunkLines):
            lines += event.lines if isinstance(event, ChunkLines) else _line(event)
            count += event.count if isinstance(event, ChunkLines) else 1
            if len(lines) >= _LINES_BYTES:
                messages.send(channel, wire.LINES, wire.lines_to(lines, count))
                lines, count = bytearray(), 0
        elif known is None and event.status == "open":
            known = event
            messages.send(channel, wire.OPEN, wire.document_to(event))
        else:
            known = event
    if count:
        messages.send(channel, wire.LINES, wire.lines_to(lines, count))
    assert known is not None  # noqa: S101 - a reader ends with the document
    peak = _WORN_OUT if _has_children() else peak_bytes()
    messages.send(channel, wire.DONE, wire.done_to(known, peak, want_text=job["want_text"]))


def _line(chunk: Chunk) -> bytes:
    """A chunk as a line; its text has no secrets by now, and what else it says is looked at by who asked."""
    import orjson

    try:
        return orjson.dumps(chunk_row(chunk), option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return encode_line(chunk_row(chunk))


def _has_children() -> bool:
    """Whether a loader has left processes behind, which still hold the socket."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
