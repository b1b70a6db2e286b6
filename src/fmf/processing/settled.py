"""How a resource becomes a document: begun, identified by its bytes, and ended in exactly one state."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.source import Source
from fmf.processing.wanted import Skipped
from fmf.types import Document, ResourceRef
from fmf_core.errors import Code, FrameworkError
from fmf_core.logs import get_logger

log = get_logger("fmf.processing")

Event = TypeVar("Event")

_LONGEST_REASON = 500


def begun(ref: ResourceRef, settings: ProcessingConfig) -> Document:
    """What is known of `ref` before it is opened."""
    metadata: dict[str, Any] = {}
    if settings.metadata.include_source_path:
        metadata["source_path"] = ref.id
    return Document(
        doc_id=doc_id_of(ref.id, ""),
        source_uri=ref.uri,
        resource_id=ref.id,
        status="open",
        bytes=ref.size,
        title=ref.name,
        metadata=metadata,
        modified_at=ref.modified_at,
        etag=ref.etag,
    )


def identity(source: Source, settings: ProcessingConfig) -> dict[str, Any]:
    """The id, the size and the hash that its bytes give a document."""
    return {
        "doc_id": doc_id_of(source.ref.id, source.sha256),
        "bytes": source.size,
        "hash": f"sha256:{source.sha256}" if settings.metadata.include_hash else None,
    }


def given_up(document: Document, error: BaseException) -> Document:
    """`document` in its final state: skipped where a rule says so, else failed, whatever was wrong with it."""
    if isinstance(error, Skipped):
        return replace(document, status="skipped", reason=str(error))
    if isinstance(error, MemoryError):
        failure: FrameworkError = took_too_much(document.source_uri)
    elif isinstance(error, RecursionError):
        failure = _too_deep(document.source_uri)
    elif isinstance(error, OSError) and (place := _full_place(error)):
        failure = _no_room(document.source_uri, place)
    else:
        failure = error if isinstance(error, FrameworkError) else _unexpected(document, error)
    failure.message = _one_line(failure.message)  # parsers quote what they stumble over, which may be anything
    return replace(document, status="failed", reason=failure.message, error=failure)


def traceback_of(failure: FrameworkError) -> str | None:
    """Where the exception arose that nobody meant to raise; `None` for any other failure."""
    cause = failure.__cause__
    if failure.code is not Code.INTERNAL or cause is None or isinstance(cause, FrameworkError):
        return None
    return "".join(traceback.format_exception(cause))


class Clock:
    """Counts the time that reading takes, not the time that its events wait for their reader."""

    def __init__(self, max_seconds: float, ref: ResourceRef) -> None:
        self._max_seconds = max_seconds
        self._ref = ref
        self._spent = 0.0

    def timed(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events; raises once they have taken too long."""
        while True:
            started = time.monotonic()
            event = next(events, None)
            self._spent += time.monotonic() - started
            if event is None:
                return
            if self._spent > self._max_seconds:
                raise took_too_long(self._ref.uri, self._max_seconds)
            yield event


def took_too_long(uri: str, max_seconds: float) -> ProcessingError:
    """Reading `uri` was given up after that time."""
    return ProcessingError(
        f"{uri} took more than {max_seconds:g} s to read",
        op="processing.load",
        code=Code.TIMEOUT,
        hint="raise processing.limits.max_seconds_per_file in fmf.yaml, or exclude the file",
    )


def took_too_much(uri: str) -> ProcessingError:
    """Reading `uri` was given up for want of memory."""
    return ProcessingError(
        f"{uri} takes more memory to read than is allowed",
        op="processing.load",
        code=Code.INVALID,
        hint="raise processing.limits.max_memory_mb in fmf.yaml, or exclude the file",
    )


def doc_id_of(resource_id: str, sha256: str) -> str:
    """The id of a document: a hash of its resource's id and of its bytes, whose hash is empty before they are read."""
    return hashlib.sha256(f"{resource_id}\0{sha256}".encode()).hexdigest()[:24]


def _too_deep(uri: str) -> ProcessingError:
    return ProcessingError(
        f"{uri} is nested too deeply to be read",
        op="processing.load",
        code=Code.INVALID,
        hint="look whether it was made on purpose; exclude it",
    )


def _full_place(error: OSError) -> str:
    """The folder for temporary files, where `error` says that it has no room: nothing else is written while reading."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return tempfile.gettempdir()
    is_missing = error.errno == errno.ENOENT and "temporary directory" in str(error)
    return os.environ.get("TMPDIR", "/tmp") if is_missing else ""  # noqa: S108 - that is where it is


def _no_room(uri: str, place: str) -> ProcessingError:
    return ProcessingError(
        f"{uri} cannot be read: the folder for temporary files, {place!r}, is full",
        op="processing.load",
        code=Code.UNAVAILABLE,
        hint="free space there, or set TMPDIR to another folder: what is packed or far away is copied there first",
    )


def _unexpected(document: Document, error: BaseException) -> ProcessingError:
    cause: BaseException | None = error
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - an error of a stranger's loader may be broken itself
        words, cause = "it says nothing", None
    failure = ProcessingError(
        f"{document.source_uri} cannot be read: {type(error).__name__}: {words}",
        op="processing.load",
        code=Code.INTERNAL,
        hint="exclude the file; if it opens in its own program, report this with what `fmf -v` shows",
    )
    failure.__cause__ = cause
    log.debug("processing.unexpected", uri=document.source_uri, traceback=traceback_of(failure))
    return failure


def _one_line(text: str) -> str:
    if len(text) <= _LONGEST_REASON and text.isprintable():
        return text
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _LONGEST_REASON]).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
