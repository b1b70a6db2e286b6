"""The code page of rich text: that of the font in force, else that of the document."""

from __future__ import annotations

import codecs
from typing import Final

_ANSI: Final = 0
_PAGE_OF: Final = {
    0: 1252,
    2: 1252,
    77: 10000,
    78: 10001,
    79: 10003,
    80: 10008,
    81: 10002,
    84: 10004,
    85: 10006,
    86: 10081,
    88: 10029,
    89: 10007,
    128: 932,
    129: 949,
    130: 1361,
    134: 936,
    136: 950,
    161: 1253,
    162: 1254,
    163: 1258,
    177: 1255,
    178: 1256,
    179: 1256,
    180: 1256,
    181: 1255,
    186: 1257,
    204: 1251,
    222: 874,
    238: 1250,
    254: 437,
    255: 850,
}
"""The code page of each character set that a font may have; 1 is that of the document."""
_NAMED: Final = {
    10000: "mac_roman",
    10001: "shift_jis",
    10002: "big5",
    10003: "euc_kr",
    10004: "mac_arabic",
    10006: "mac_greek",
    10007: "mac_cyrillic",
    10008: "gb2312",
    10029: "mac_latin2",
    10079: "mac_iceland",
    10081: "mac_turkish",
    10082: "mac_croatian",
    1361: "johab",
    20866: "koi8_r",
    21866: "koi8_u",
    54936: "gb18030",
    65001: "utf-8",
    **{28590 + part: f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15)},
}
"""Code pages that Python knows by another name."""
_MOST_FONTS: Final = 1 << 15


class Fonts:
    """What is known of the document's code page and of its fonts, whose table stands before the text."""

    def __init__(self) -> None:
        self._document = "cp1252"
        self._default: int | None = None
        self._codecs: dict[int, str] = {}
        self._met: set[str] = set()
        self._ansi: set[int] = set()
        self._described: int | None = None

    def of_document(self, codec: str | None) -> None:
        """Note the encoding that the document has as a whole; nothing where it is not known."""
        self._document = codec or self._document

    def by_default(self, font: int) -> None:
        """Note the font of text that names none."""
        self._default = font

    def describe(self, word: str, number: int) -> None:
        """Note a word of the table of fonts: which font it goes on with, or what that one's characters are."""
        if word == "f":
            self._described = number if len(self._codecs) < _MOST_FONTS else None
        elif self._described is not None and word in {"fcharset", "cpg"}:
            codec = codec_of(_PAGE_OF.get(number, -1) if word == "fcharset" else number)
            if word == "fcharset" and number == _ANSI:
                self._ansi.add(self._described)
            elif codec is not None:
                self._ansi.discard(self._described)
                self._met.add(codec)
            if codec is not None:
                self._codecs[self._described] = codec

    def codec(self, font: int | None) -> str:
        """The encoding of text in that font; `None` is the one that is used by default."""
        number = self._default if font is None else font
        if number is None or number not in self._codecs:
            return self._document
        if number in self._ansi and self._document not in self._met:
            return self._document  # its writer calls every font ANSI, and means the document's code page
        return self._codecs[number]


def codec_of(page: int) -> str | None:
    """Python's name of a code page, if it knows it."""
    try:
        return codecs.lookup(_NAMED.get(page, f"cp{page}")).name
    except LookupError:
        return None
