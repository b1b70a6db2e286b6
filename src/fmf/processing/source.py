"""The bytes of one resource, measured and hashed before they are read as text."""

from __future__ import annotations

import hashlib
import os
import tempfile
import traceback
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from fmf.errors import ConnectorError, ProcessingError
from fmf.types import ResourceRef
from fmf_core.errors import Code, FrameworkError
from fmf_core.logs import get_logger

log = get_logger("fmf.processing")

BLOCK = 1 << 20
"""Bytes that are read at a time."""
_IN_MEMORY = 4 << 20
MEGABYTE = 1_000_000


class Opener(Protocol):
    """Opens resources; every connector is one."""

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The bytes of `ref` from their start; the caller closes the stream."""
        ...


@dataclass(frozen=True)
class Source:
    """A resource whose bytes have been seen once; `blocks` gives them again."""

    ref: ResourceRef
    size: int
    """Bytes."""
    sha256: str
    """The hash of the bytes, as hexadecimal digits."""
    head: bytes
    """The first block; all of a small file."""
    first_zero: int | None
    """Where the first NUL byte is, in bytes from the start."""
    utf8_fault: int | None
    """Where the bytes stop being UTF-8, in bytes from the start; `None` when all of them are."""
    stream: BinaryIO
    written_ns: int | None = None
    """When a local file was last written, as the system tells it."""

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """All bytes, from the start, `size` at a time.

        Raises:
            ProcessingError: they are not those that were seen before.
        """
        if len(self.head) == self.size:
            for start in range(0, self.size, size):
                yield self.head[start : start + size]
            return
        seen = 0
        self.stream.seek(0)
        while block := self.stream.read(size):
            seen += len(block)
            yield block
        if seen != self.size or _written_ns(self.stream) != self.written_ns:
            raise ProcessingError(
                f"{self.ref.uri} changed while it was read: {self.size} bytes first, {seen} then",
                op="processing.fetch",
                code=Code.CONFLICT,
                hint="run again when nobody writes to it",
            )

    def window(self, start: int, size: int) -> bytes:
        """At most `size` bytes from `start` on."""
        if len(self.head) == self.size:
            return self.head[start : start + size]
        self.stream.seek(start)
        return self.stream.read(size)


@contextmanager
def fetch(connector: Opener, ref: ResourceRef, *, max_bytes: float) -> Iterator[Source]:
    """Open `ref` and look at all of its bytes once.

    What cannot seek is copied to a temporary file first; a local file is read where it is.

    Args:
        connector: opens the resource.
        ref: the resource.
        max_bytes: more than these are refused, before they are read where the connector knows the size.

    Raises:
        ConnectorError: the resource cannot be opened; also where its connector raised anything else.
        ProcessingError: it is too large.
    """
    with seekable(connector, ref, max_bytes=max_bytes) as stream:
        yield _measure(ref, stream, max_bytes)


@contextmanager
def seekable(connector: Opener, ref: ResourceRef, *, max_bytes: float) -> Iterator[BinaryIO]:
    """The bytes of `ref` as a file that can be read again; raises as `fetch` does.

    What cannot seek is copied: to memory where it is small, else to a temporary file.
    """
    if ref.size is not None and ref.size > max_bytes:
        raise _too_large(ref, ref.size, max_bytes)
    with ExitStack() as opened:
        with _blaming(connector, ref):
            stream = opened.enter_context(connector.open(ref))
            can_seek = stream.seekable()
        if can_seek:
            yield stream
        else:
            with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
                with _blaming(connector, ref):
                    spooled.writelines(_bounded(ref, stream, max_bytes))
                yield spooled  # type: ignore[misc]  # has all of BinaryIO that is used


@contextmanager
def _blaming(connector: Opener, ref: ResourceRef) -> Iterator[None]:
    """What a connector raises without meaning to is its own fault, not the file's."""
    try:
        yield
    except (FrameworkError, OSError, MemoryError):
        raise
    except Exception as error:
        kind = type(connector)
        name = getattr(connector, "name", "")
        log.debug("connector.failed", connector=name, uri=ref.uri, traceback=traceback.format_exc())
        raise ConnectorError(
            f"{ref.uri} cannot be opened: its connector {name!r}, a {kind.__module__}.{kind.__qualname__}, raised "
            f"{type(error).__name__}: {error}",
            op="connectors.open",
            code=Code.INTERNAL,
            hint="a defect of the connector, not of the file: report it with the traceback that -v shows",
        ) from error


def _bounded(ref: ResourceRef, stream: BinaryIO, max_bytes: float) -> Iterator[bytes]:
    size = 0
    while block := stream.read(BLOCK):
        size += len(block)
        if size > max_bytes:
            raise _too_large(ref, size, max_bytes)
        yield block


def _measure(ref: ResourceRef, stream: BinaryIO, max_bytes: float) -> Source:
    written_ns = _written_ns(stream)
    digest = hashlib.sha256()
    utf8 = _Utf8Check()
    head, size, first_zero = b"", 0, None
    stream.seek(0)
    for block in _bounded(ref, stream, max_bytes):
        head = head or block
        if first_zero is None and (at := block.find(0)) >= 0:
            first_zero = size + at
        size += len(block)
        digest.update(block)
        utf8.feed(block)
    utf8.finish()
    return Source(ref, size, digest.hexdigest(), head, first_zero, utf8.fault, stream, written_ns)


def _written_ns(stream: BinaryIO) -> int | None:
    """When the file was last written; `None` for what is no file of the system, or our own copy."""
    if isinstance(stream, tempfile.SpooledTemporaryFile):
        return None  # asking for its number would move it from memory to the disk
    try:
        return os.fstat(stream.fileno()).st_mtime_ns
    except (OSError, AttributeError):
        return None


class _Utf8Check:
    """Finds the first byte that is no UTF-8 in bytes that come in blocks."""

    def __init__(self) -> None:
        self.fault: int | None = None
        self._decoder = getincrementaldecoder("utf-8")()
        self._seen = 0
        self._open = 0

    def feed(self, block: bytes, *, final: bool = False) -> None:
        if self.fault is not None or (not self._open and block.isascii()):
            self._seen += len(block)
            return
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            self.fault = self._seen - self._open + error.start
        else:
            self._open = len(self._decoder.getstate()[0])
        self._seen += len(block)

    def finish(self) -> None:
        if self._open:
            self.feed(b"", final=True)


def _too_large(ref: ResourceRef, size: int, max_bytes: float) -> ProcessingError:
    return ProcessingError(
        f"{ref.uri} has {size / MEGABYTE:,.1f} MB or more, and {max_bytes / MEGABYTE:g} MB are allowed",
        op="processing.fetch",
        code=Code.INVALID,
        hint="raise processing.limits.max_file_mb in fmf.yaml, or exclude the file",
    )
