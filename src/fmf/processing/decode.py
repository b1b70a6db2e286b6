"""From bytes to characters: which encoding, then strictly, block by block; nothing is replaced in silence."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fmf.errors import ProcessingError
from fmf.processing.source import Source
from fmf_core.errors import Code

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLOCK: Final = 1 << 16
_SAMPLE: Final = 1 << 15
_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of a file stand for characters."""

    name: str
    bom: int = 0
    """Bytes of the byte order mark at the start."""
    guessed: bool = False
    """Whether nothing in the file says so."""


def encoding_of(source: Source) -> Encoding:
    """The encoding in which all of the file can be read.

    A byte order mark is believed; then strict UTF-8; then UTF-16 and UTF-32 by the pattern of their NUL bytes; then a guess
    from a sample, which must hold for the whole file.

    Raises:
        ProcessingError: the file is binary, damaged, or in an encoding that cannot be told.
    """
    head = source.head
    for bom, name in _BOMS:
        if head.startswith(bom):
            return _checked(source, Encoding(name, len(bom)))
    if wide := wide_encoding(head[:_SAMPLE]):
        return _checked(source, Encoding(wide, guessed=True))
    if source.first_zero is not None:
        raise _binary(source, source.first_zero)
    if source.utf8_fault is None:
        return Encoding("utf-8")
    return _checked(source, _guess(source, source.utf8_fault))


def decoded(source: Source, encoding: Encoding) -> Iterator[str]:
    """The characters of the file, in order, a block at a time.

    Raises:
        ProcessingError: a byte cannot be decoded; says which.
    """
    decoder = codecs.getincrementaldecoder(encoding.name)()
    skip, seen = encoding.bom, 0
    try:
        for block in source.blocks(_BLOCK):
            if text := decoder.decode(block[skip:] if skip else block):
                yield text
            seen += len(block)
            skip = 0
        if text := decoder.decode(b"", final=True):
            yield text
    except UnicodeDecodeError as error:
        raise _undecodable(source, encoding.name, max(0, seen - len(error.object)) + error.start) from error


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, told by a byte order mark or by where the NUL bytes of a text in it are; else nothing."""
    for bom, name in _BOMS[1:]:
        if head.startswith(bom):
            return name
    if len(head) < 4 or 0 not in head:
        return None
    head = head[: len(head) // 4 * 4]
    quarters = [head[place::4].count(0) / (len(head) / 4) for place in range(4)]
    if quarters[2] > 0.9 and quarters[3] > 0.9 and quarters[0] < 0.1:
        return "utf-32-le"
    if quarters[0] > 0.9 and quarters[1] > 0.9 and quarters[3] < 0.1:
        return "utf-32-be"
    even, odd = (quarters[0] + quarters[2]) / 2, (quarters[1] + quarters[3]) / 2
    if odd > 0.6 and even < 0.02:
        return "utf-16-le"
    if even > 0.6 and odd < 0.02:
        return "utf-16-be"
    return None


def _checked(source: Source, encoding: Encoding) -> Encoding:
    """The encoding, after all of the file has been decoded in it once: nothing may turn out wrong half-way."""
    if encoding.name == "utf-8" and source.utf8_fault is None and source.first_zero is None:
        return encoding
    seen = 0
    for text in decoded(source, encoding):
        if (at := text.find("\0")) >= 0:
            raise _binary(source, seen + at)
        seen += len(text)
    return encoding


def _guess(source: Source, fault: int) -> Encoding:
    sample = source.head[:_SAMPLE]
    if fault > len(sample) - 4:
        sample += source.window(max(0, fault - _SAMPLE // 2), _SAMPLE)
    whole = _MULTIBYTE.findall(sample)
    broken = sum(byte >= 0x80 for byte in sample) - sum(map(len, whole))
    if len(whole) > 2 * broken or (source.size - fault < 4 and whole):
        raise _undecodable(source, "utf-8", fault)
    return Encoding(_best_guess(source, sample, fault), guessed=True)


def _best_guess(source: Source, sample: bytes, fault: int) -> str:
    # Imported when a file needs it: most never do.
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        raise _undecodable(source, "utf-8", fault)
    return best.encoding


def _binary(source: Source, at: int) -> ProcessingError:
    return ProcessingError(
        f"{source.ref.uri} is binary, not text: there is a NUL character at {at}",
        op="processing.decode",
        code=Code.UNSUPPORTED,
        hint="exclude it, or give it the ending of its kind",
    )


def _undecodable(source: Source, encoding: str, at: int) -> ProcessingError:
    return ProcessingError(
        f"{source.ref.uri} is no valid {encoding}: byte {at} of {source.size} cannot be decoded",
        op="processing.decode",
        code=Code.INVALID,
        hint="save it as UTF-8, or restore it from its origin if it was damaged",
    )
