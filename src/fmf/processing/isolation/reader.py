"""Documents read in processes of their own, so that no file can harm the run, or another file, or hold them up."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeVar

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.isolation import messages, wire
from fmf.processing.isolation.pool import AVAILABLE, Worker, nursery
from fmf.processing.kinds.detect import KINDS, ending
from fmf.processing.loaders.base import kind_of, loaders
from fmf.processing.ocr.base import engines
from fmf.processing.reader import Reader, check_settings
from fmf.processing.settled import begun, given_up, took_too_long, took_too_much
from fmf.processing.source import MEGABYTE, Opener, seekable
from fmf.types import Chunk, ChunkLines, Document, ResourceRef, TableWish
from fmf_core.errors import Code
from fmf_core.open_files import OUT_OF_FILES
from fmf_core.starved import MORE_MEMORY
from fmf_core.threads import available_cpus

_GRACE_S: Final = 2.0
"""So much longer than a file may take is a process waited for, which gives up by itself where it can."""
_HEAD_BYTES: Final = 1 << 16
_HARMLESS: Final = frozenset({"text", "markdown", "csv", "jsonl"})
"""Loaders that need no memory but for the block at hand, and no library of others."""
_HARMFUL: Final = "the file is damaged or made to harm; restore it from its origin, or exclude it"
_WANTING: Final = (
    "libraries end so for want of memory or over a damaged file: raise processing.limits.max_memory_mb in fmf.yaml, or "
    "exclude the file"
)
Event = TypeVar("Event")


class IsolatedReader:
    """Reads as `Reader` does, each file in a process that has little memory, little time, and no secrets.

    A file that takes too much of either, or whose reading crashes, is a failed document. Where the system cannot do
    that (Windows), and for kinds whose loader was registered in this process alone, files are read in this process.

    Args:
        connector: opens the resources, in this process.
        processing: the section `processing` of the configuration, with the number of such processes.
        is_small: whether text is read in this process, since there is so little that starting others would take longer.

    Raises:
        ConfigError: the chunking settings cannot be met, or there is no such OCR engine.
    """

    def __init__(self, connector: Opener, processing: ProcessingConfig, *, is_small: bool = False) -> None:
        self._connector = connector
        self._settings = processing
        self._is_small = is_small
        check_settings(processing)
        self._places = threading.BoundedSemaphore(workers_of(processing))

    def lines(
        self, ref: ResourceRef, *, want_text: bool = False, chunked: bool = True
    ) -> Iterator[Document | Chunk | ChunkLines]:
        """The document that is open, its chunks, the document in its final state; see `Reader.read`.

        Chunks come as the lines that are written of them, or as chunks where the file is read in this process. A
        document from another process brings its line, and its text only where that is wanted.
        """
        job = wire.job_to(ref, want_text=want_text, chunked=chunked)
        return self._events(ref, job, lambda reader: reader.read(ref, want_text=want_text, chunked=chunked))

    def rows(self, ref: ResourceRef, wish: TableWish | None = None) -> Iterator[Document | ChunkLines]:
        """The open document, its rows as lines, the document in its final state; see `Reader.rows`."""
        table = wish or TableWish()
        return self._events(ref, wire.job_to(ref, table=table), lambda reader: reader.rows(ref, table))

    def _events(
        self, ref: ResourceRef, job: bytes, here: Callable[[Reader], Iterator[Event]]
    ) -> Iterator[Event | Document | ChunkLines]:
        """What the job gives in another process, or what `here` gives in this one."""
        if not AVAILABLE:
            yield from here(Reader(self._connector, self._settings))
            return
        document = begun(ref, self._settings)
        try:
            limit = self._settings.limits.max_file_mb * MEGABYTE
            with seekable(self._connector, ref, max_bytes=limit) as stream, _descriptor(stream) as file:
                if self._is_read_here(ref.name, file):
                    yield from here(Reader(_Opened(file), self._settings))
                    return
                with self._places:
                    for event in _Job(self._settings, document, self._warm(ref)).events(job, file):
                        if isinstance(event, Document):
                            document = event
                        yield event
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one bad file must not stop the others
            yield given_up(document, error)

    def _is_read_here(self, name: str, file: int) -> bool:
        """Whether this process reads it: because only it has the loader, or because it is little text."""
        registered, ocr = loaders.registered(), self._settings.images.ocr
        own_engine = ocr.enabled and ocr.engine in engines.registered()
        if not registered and not own_engine and not self._is_small:
            return False
        head = os.pread(file, _HEAD_BYTES, 0)
        kind = kind_of(name, head, lambda start, size: os.pread(file, size, start))
        if kind is None:
            return self._is_small
        if own_engine and kind.name in {"image", "pdf"}:
            return True
        return kind.name in registered or (self._is_small and kind.name in _HARMLESS)

    def _warm(self, ref: ResourceRef) -> Sequence[str]:
        kind = KINDS.get(ending(ref.name))
        vocabulary = vocabulary_of(self._settings)
        return (vocabulary, kind.name) if kind and kind.extra else (vocabulary,)


@dataclass
class _Job:
    """One file while a process reads it."""

    settings: ProcessingConfig
    document: Document
    warm: Sequence[str]
    waited: float = 0.0

    def events(self, job: bytes, file: int) -> Iterator[Document | ChunkLines]:
        worker = self._worker()
        is_done = False
        try:
            worker.begin(self.settings, job, file)
            while not is_done:
                kind, body = self._next(worker)
                if kind == wire.LINES:
                    yield ChunkLines(*wire.lines_from(body))
                elif kind == wire.OPEN:
                    self.document = wire.document_from(body)
                    yield self.document
                else:
                    is_done = True
                    document, worker.peak_bytes = wire.done_from(body)
                    worker.read_bytes += document.bytes or 0
                    yield document
        except TimeoutError:
            raise took_too_long(self.document.source_uri, self.settings.limits.max_seconds_per_file) from None
        except messages.BrokenOffError as error:
            raise self._crashed(worker) from error
        finally:
            if is_done:
                nursery.give_back(worker)
            else:
                worker.kill()
                nursery.ended(worker)

    def _worker(self) -> Worker:
        try:
            return nursery.take(self.warm)
        except (messages.BrokenOffError, OSError) as error:
            if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
                raise
            raise ProcessingError(
                f"{self.document.source_uri} cannot be read: no process to read it could be started, most likely for "
                f"want of memory ({error})",
                op="processing.isolation",
                code=Code.UNAVAILABLE,
                hint=MORE_MEMORY,
            ) from error

    def _next(self, worker: Worker) -> tuple[bytes, bytes]:
        left = self.settings.limits.max_seconds_per_file + _GRACE_S - self.waited
        if left <= 0:
            raise TimeoutError
        started = time.monotonic()
        worker.channel.settimeout(left)
        try:
            kind, body, _ = messages.receive(worker.channel)
        finally:
            self.waited += time.monotonic() - started
        return kind, body

    def _crashed(self, worker: Worker) -> ProcessingError:
        status = nursery.ended(worker)
        number = os.WTERMSIG(status) if status >= 0 and os.WIFSIGNALED(status) else 0
        if number == signal.SIGKILL:
            return took_too_much(self.document.source_uri)
        how = f"by {signal.Signals(number).name}" if number else "without a word"
        return ProcessingError(
            f"{self.document.source_uri} cannot be read: the process that read it ended {how}",
            op="processing.isolation",
            code=Code.INVALID,
            hint=_WANTING if number == signal.SIGABRT else _HARMFUL,
        )


def vocabulary_of(settings: ProcessingConfig) -> str:
    """What a process is told to load for counting tokens."""
    return f"tokens:{settings.text.chunking.tokenizer}"


class _Opened:
    """Gives a reader in this process the file that was opened for it."""

    def __init__(self, file: int) -> None:
        self._file = file

    def open(self, ref: ResourceRef) -> BinaryIO:  # noqa: ARG002 - there is only one
        return os.fdopen(os.dup(self._file), "rb")


def workers_of(settings: ProcessingConfig) -> int:
    """How many files are read at once: what the settings say, else one for each processor."""
    return settings.workers or available_cpus()


@contextmanager
def _descriptor(stream: BinaryIO) -> Iterator[int]:
    """A descriptor of the bytes that another process can read: a file of the system as it is, anything else a copy."""
    if isinstance(stream, tempfile.SpooledTemporaryFile):
        stream.rollover()
    try:
        file = stream.fileno()
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
    except (OSError, AttributeError, ValueError):
        file, is_file = -1, False
    if is_file:
        stream.flush()
        os.lseek(file, 0, os.SEEK_SET)
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        stream.seek(0)
        shutil.copyfileobj(stream, copy)
        copy.flush()
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        yield copy.fileno()
