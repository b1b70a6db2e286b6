"""One file packed with gzip: unpacked within the limits, then read as what it is without `.gz`."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.archive import HARMLESS_BYTES
from fmf.processing.kinds.detect import KINDS, Kind, ending
from fmf.processing.kinds.endings import telling_name
from fmf.processing.loaders.base import Loaded, Mark, kind_of, loaders
from fmf.processing.loaders.inner import inner_source
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.tables import TableRows
from fmf.processing.unreadable import damaged, unreadable
from fmf.processing.wanted import table_reader, wanted
from fmf_core.errors import Code

_BROKEN: Final = (gzip.BadGzipFile, EOFError, zlib.error, OSError)


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """What the file without `.gz` gives; one level is unpacked, archives inside are not entered.

    Raises:
        ProcessingError: it is damaged, a bomb, or holds what is not read when it is packed.
        Skipped: it holds what the settings leave out.
    """
    pieces = _pieces(source, settings)
    first = next(pieces)
    if not isinstance(first, Loaded):  # the first one always is
        raise TypeError(first)
    return Loaded(_rest(pieces), title=first.title, markdown=first.markdown, metadata=first.metadata)


def tables(source: Source, settings: ProcessingConfig) -> Iterator[TableRows]:
    """The tables of the file inside.

    Raises:
        ProcessingError: as for `load`.
        Skipped: what is inside has no rows, or the settings leave it out.
    """
    with _unpacked(source, settings) as (inner, kind):
        yield from table_reader(kind.name)(inner, settings)


def inner_name(name: str) -> str:
    """The name of the file inside."""
    name = telling_name(name, KINDS)
    return name[: -len(".gz")] if name.lower().endswith(".gz") else name


def _pieces(source: Source, settings: ProcessingConfig) -> Iterator[Loaded | str | Mark]:
    with _unpacked(source, settings) as (inner, kind):
        loaded = loaders.get(kind.name)(inner, settings)
        loaded.metadata["packed"] = "gzip"
        yield loaded
        yield from loaded.pieces


@contextmanager
def _unpacked(source: Source, settings: ProcessingConfig) -> Iterator[tuple[Source, Kind]]:
    """The file inside, and what it is."""
    name = inner_name(source.ref.name)
    with inner_source(source, name, _Unpacked(source, settings.limits.max_archive_ratio), settings) as inner:
        found = kind_of(name, inner.head, inner.window)
        if found and (found.name == "gzip" or found.family == "image"):
            what = f"files with the ending .{ending(name)}" if ending(name) else "files of its kind"
            why = f"{what} are not read when they are packed"
            raise unreadable(source, "gzip", why, hint="exclude it, or unpack it first", code=Code.UNSUPPORTED)
        yield inner, wanted(found, name, inner.head, settings)


def _rest(pieces: Iterator[Loaded | str | Mark]) -> Iterator[str | Mark]:
    for piece in pieces:
        if not isinstance(piece, Loaded):
            yield piece


class _Unpacked(io.RawIOBase, BinaryIO):
    """The unpacked bytes; raises once they are out of all proportion to the packed ones."""

    def __init__(self, source: Source, ratio: float) -> None:
        super().__init__()
        source.stream.seek(0)
        self._file = gzip.GzipFile(fileobj=source.stream, mode="rb")
        self._source = source
        self._ratio = ratio
        self._seen = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        try:
            block = self._file.read(size)
        except _BROKEN as error:
            raise damaged(self._source, "gzip", error) from error
        self._seen += len(block)
        if self._seen > max(HARMLESS_BYTES, self._ratio * self._source.size):
            raise unreadable(
                self._source,
                "gzip",
                f"it unpacks to more than {self._ratio:g} times its size, beyond {self._seen / MEGABYTE:,.0f} MB",
                hint="raise processing.limits.max_archive_ratio in fmf.yaml if it can be trusted, or exclude the file",
            )
        return block
