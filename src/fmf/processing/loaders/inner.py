"""Bytes inside a file, as a source of their own: an attachment, a part of a message, a chapter."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final
from urllib.parse import quote

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.declared import codec_of, declared_codec
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.source import MEGABYTE, Source, fetch
from fmf.types import ResourceRef

_LONGEST_NAME: Final = 200


@contextmanager
def inner_source(outer: Source, name: str, data: BinaryIO | bytes, settings: ProcessingConfig) -> Iterator[Source]:
    """What `data` holds, as a source whose address is that of `outer` and the name behind `#`.

    Args:
        outer: the file that it is in.
        name: what it is called there; any text.
        data: the bytes, or a stream of them.
        settings: its limit of size holds for what is inside, too.

    Raises:
        ProcessingError: it is larger than is allowed.
    """
    name = one_line(name)
    uri = f"{outer.ref.uri}#{quote(name, safe='/ ')}"
    ref = ResourceRef(f"{outer.ref.id}#{name}", uri, name.rpartition("/")[2], None)
    with fetch(_Held(data), ref, max_bytes=settings.limits.max_file_mb * MEGABYTE) as source:
        yield source


def inner_text(
    outer: Source, name: str, data: bytes, settings: ProcessingConfig, *, charset: str = "", markup: bool = False
) -> Iterator[str]:
    """The characters of some bytes inside a file, by the rules for files of their own.

    Args:
        outer: the file that they are in.
        name: what they are called there.
        data: the bytes.
        settings: the section `processing`.
        charset: the label that came with them, if any.
        markup: whether they are HTML, which may name its encoding.

    Raises:
        ProcessingError: they cannot be decoded.
    """
    with inner_source(outer, name, data, settings) as source:
        declared = codec_of(charset) or declared_codec(data, markup=markup)
        yield from decoded(source, encoding_of(source, declared=declared))


def one_line(name: str) -> str:
    """A name from inside a file as one printable line of bounded length."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:_LONGEST_NAME]


class _Held:
    """Opens one stream, whatever is asked for."""

    def __init__(self, data: BinaryIO | bytes) -> None:
        self._data = data

    def open(self, ref: ResourceRef) -> BinaryIO:  # noqa: ARG002 - the protocol's name
        return io.BytesIO(self._data) if isinstance(self._data, bytes) else self._data
