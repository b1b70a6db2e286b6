"""From bytes to characters: which encoding, then strictly, block by block; nothing is replaced in silence."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fmf.errors import ProcessingError
from fmf.processing.characters.declared import declared_codec
from fmf.processing.source import Source
from fmf_core.errors import Code

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZEROS: Final = (
    ("utf-32-le", ((0, 0, 0.1), (2, 0.9, 1), (3, 0.9, 1))),
    ("utf-32-be", ((0, 0.9, 1), (1, 0.9, 1), (3, 0, 0.1))),
    ("utf-16-le", ((0, 0, 0.02), (1, 0.6, 1), (2, 0, 0.02), (3, 0.6, 1))),
    ("utf-16-be", ((0, 0.6, 1), (1, 0, 0.02), (2, 0.6, 1), (3, 0, 0.02))),
)
"""Encodings by the share of NUL bytes, from and to, at some of four places."""
_BLOCK: Final = 1 << 16
_SAMPLE: Final = 1 << 15
_LOOK_AT: Final = 1 << 12
_TRIES: Final = 3
_HIGH: Final = bytes(range(0x80, 0x100))
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b\b"))
_MOST_CONTROLS: Final = 0.3
"""The share of them in a text whose fields they divide, with room to spare."""
_ESCAPES: Final = re.compile(rb"\x1b(?:\$[@AB]|\([JI]|\$\([A-DO-Q]|\$\)[A-G])")
"""How the codes that stay within ASCII begin another alphabet; colours of terminals are others."""
_ESCAPED: Final = ("iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_kr")
_ASCII_ONLY: Final = frozenset({*_ESCAPED, "iso2022_jp_1", "hz", "utf-7"})
_SEVERAL_BYTES: Final = frozenset({"gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "johab"})
_LIVING: Final = re.compile(
    r"[\t\r\n -~\u00a0-\u024f\u0370-\u06ff\u0900-\u0e7f\u1e00-\u1fff\u2010-\u2027\u2030-\u203a\u20a0-\u20bf"
    r"\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
"""Characters of scripts in daily use; pairs of arbitrary bytes are others as well."""
_MARKS: Final = (" ", "\n", "\u3001", "\u3002", "\uff0c")
_SURE_WIDE: Final = 0.95
_FEW: Final = 8
_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of a file stand for characters."""

    name: str
    bom: int = 0
    """Bytes of the byte order mark at the start."""
    guessed: bool = False
    """Whether nothing in the file says so."""

    def notes(self) -> dict[str, str]:
        """What the metadata of a document say of it: its name, unless it is UTF-8."""
        return {} if self.name == "utf-8" else {"encoding": self.name}


def encoding_of(source: Source, *, declared: str | None = None) -> Encoding:
    """The encoding in which all of the file can be read.

    A byte order mark is believed; then UTF-16 and UTF-32 by their NUL bytes; then strict UTF-8; then what is declared,
    where all of the file can be read in it; then a guess from a sample, which must hold for the whole file. What is
    UTF-8 by chance is not taken for it where an encoding of several bytes a character is declared.

    Args:
        source: the file.
        declared: the codec that the file names, or what came with it; an XML declaration is found without it.

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
    declared = declared or declared_codec(head)
    named = [Encoding(declared)] if declared and declared != "utf-8" else []
    if source.utf8_fault is None:
        _refuse_noise(source)
        return _first_that_holds(source, _in_place_of_utf8(head, named)) or Encoding("utf-8")
    return _first_that_holds(source, named) or _guess(source, source.utf8_fault)


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
    if len(head) < 4 or not (0 in head or _has_controls(head)):
        return None
    head = head[: len(head) // 4 * 4]
    zeros = [head[place::4].count(0) / (len(head) / 4) for place in range(4)]
    clear = (name for name, pattern in _ZEROS if all(low <= zeros[at] <= high for at, low, high in pattern))
    return next(clear, None) or _wide_text(head)


def _wide_text(head: bytes) -> str | None:
    """UTF-16 that is mostly not ASCII: read in one order of bytes, nearly all characters are of living scripts."""
    best, name = _SURE_WIDE, None
    for order in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(order)().decode(head[:_LOOK_AT])
        except UnicodeDecodeError:
            continue
        if len(text) >= _FEW and any(mark in text for mark in _MARKS):
            share = len(_LIVING.findall(text)) / len(text)
            best, name = max((best, name), (share, order), key=lambda found: found[0])
    return name


def _refuse_noise(source: Source) -> None:
    """Valid UTF-8 may be no text, either: short values of a program, of which many are control characters."""
    sample = source.head[:_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if controls > _FEW and controls > len(sample) * _MOST_CONTROLS:
        raise _binary(source, next(at for at, byte in enumerate(sample) if byte in _CONTROLS))


def _in_place_of_utf8(head: bytes, named: list[Encoding]) -> list[Encoding]:
    """Encodings that may be meant although the bytes are valid UTF-8."""
    if head.isascii():
        found = b"\x1b" in head and _ESCAPES.search(head)
        escaped = () if not found else _ESCAPED[-1:] if found[0].startswith(b"\x1b$)C") else _ESCAPED
        return [each for each in named if each.name in _ASCII_ONLY] + [Encoding(name, guessed=True) for name in escaped]
    return [each for each in named if each.name in _SEVERAL_BYTES]


def _first_that_holds(source: Source, encodings: list[Encoding]) -> Encoding | None:
    """The first encoding in which all of the file can be read."""
    for encoding in encodings:
        with suppress(ProcessingError):
            return _checked(source, encoding)
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
    if looks_binary(sample):
        raise _binary(source, fault)
    characters = _MULTIBYTE.findall(sample)
    broken = len(sample) - len(sample.translate(None, _HIGH)) - sum(map(len, characters))
    if len(characters) > 2 * broken:
        # Damaged UTF-8: in any other encoding so many bytes would not make valid characters.
        raise _undecodable(source, "utf-8", fault)
    # Imported when a file needs it: most never do.
    from fmf.processing.characters.legacy import likely_encodings

    likely = [Encoding(name, guessed=True) for name in likely_encodings(sample)[:_TRIES]]
    if found := _first_that_holds(source, likely):
        return found
    raise _undecodable(source, "utf-8", fault)


def looks_binary(head: bytes) -> bool:
    """Whether the bytes are text in no encoding: NUL bytes outside UTF-16 and UTF-32, or many control characters."""
    if wide_encoding(head):
        return False
    return _has_controls(head) or 0 in head


def _has_controls(head: bytes) -> bool:
    return len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 50


def _binary(source: Source, at: int) -> ProcessingError:
    return ProcessingError(
        f"{source.ref.uri} is binary, not text: look at byte {at}",
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
