"""A guess at the encoding of text that is neither UTF-8 nor UTF-16: which of the older code pages wrote these bytes."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CANDIDATES: Final = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp866", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2",
    "cp932", "euc_jp", "gb18030", "big5", "cp949", "tis_620",
)  # fmt: skip
_HIGH_RUN: Final = re.compile(rb"[\x80-\xff]{4}")
_ASCII_LETTERS: Final = bytes(range(65, 91)) + bytes(range(97, 123))
_HIGH: Final = bytes(range(0x80, 0x100))

_LATIN: Final = ("cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2")

# What these bytes are: letters in one code page, signs in another, and signs do not stand inside a word.
_INSIDE_WORD: Final = re.compile(rb"(?<=[A-Za-z\x80-\xff])[\xb1\xb3\xb6\xb9\xba\xbc\xbe\xbf](?=[A-Za-z\x80-\xff])")
_POLISH_ISO: Final = frozenset(b"\xb1\xb6\xbc")
_CZECH_ISO: Final = frozenset(b"\xb9\xbe")
_WINDOWS_ONLY: Final = frozenset(range(0x80, 0xA0))
_UNDEFINED_WESTERN: Final = frozenset(b"\x81\x8d\x8f\x90\x9d")
_CARONS: Final = frozenset(b"\x8a\x8e\x9a\x9e")
_SOUTH_SLAVIC: Final = frozenset(b"\x9a\x9e")
_BESIDE_CARONS: Final = frozenset(b"\xe6\xe8\xf0")
_CZECH_VOWELS: Final = frozenset(b"\xe8\xec\xf2\xf8\xf9")
_CZECH_ONLY: Final = frozenset(b"\xec\xf8")
_HUNGARIAN: Final = frozenset(b"\xf5\xfb")
_TURKISH: Final = frozenset(b"\xd0\xdd\xde\xf0\xfd\xfe")
_ICELANDIC: Final = frozenset(b"\xe1\xe6\xed\xf3\xfa")

_LOW: Final = bytes(range(0x80))
_FEW: Final = 16
_FEW_LETTERS: Final = 2
_OLDER: Final = ("cp850", "cp852", "mac_roman", "iso8859_2")
_JOINING: Final = frozenset("\u2019\u2018\u2013\u2014\u2026\u00ad\u00a0\u00b7\u00b0\u00a9\u00ae\u2122\u00b1\u00d7")
"""What stands before letters in any language: apostrophes, dashes, blanks, signs of units."""
_SIGNS: Final = frozenset({"No", "Sm", "So"})
"""Categories of what does not: fractions, lines of boxes."""
_SIGNATURES: Final = {
    "hebrew": bytes(range(0xE0, 0xFB)),
    "hebrew, rare in Cyrillic": b"\xe9\xf9\xfa",
    "thai": bytes((*range(0xA1, 0xDB), *range(0xDF, 0xFC))),
    "thai consonants": bytes(range(0xA1, 0xC0)),
    "thai vowels and tones": bytes((*range(0xD1, 0xDB), *range(0xE0, 0xEE))),
}


def likely_encodings(sample: bytes) -> list[str]:
    """Code pages that may have written `sample`, the likeliest first; each decodes all of it.

    Args:
        sample: some thousand bytes; the more the surer. It may begin and end inside a character.
    """
    if _is_latin(sample) and _decodes(sample, latin := _most_regular(sample, _latin(sample))):
        return [latin]
    found = [name for name in (*_by_letters(sample), *_by_statistics(sample)) if _decodes(sample, name)]
    if found and found[0] in _LATIN and _decodes(sample, latin := _latin(sample)):
        return [latin, *found]
    return found


def _by_letters(sample: bytes) -> list[str]:
    """Code pages of which the letters that are there are as good as a signature, in short texts too."""
    high = sample.translate(None, _LOW)
    if len(high) < _FEW or 4 * len(_HIGH_RUN.findall(sample)) < len(high) // 2:
        return []
    share = {name: sum(map(high.count, letters)) / len(high) for name, letters in _SIGNATURES.items()}
    # Every other byte of a kana is the same in EUC-JP, and no Chinese or Korean text has as many of that row.
    if high.count(0xA4) + high.count(0xA5) > 0.2 * len(high) and _decodes(sample, "euc_jp"):
        return ["euc_jp"]
    if share["hebrew"] > 0.98 and share["hebrew, rare in Cyrillic"] > 0.1:
        return ["cp1255"]
    thai = share["thai"] > 0.99 and share["thai vowels and tones"] > 0.2 and share["thai consonants"] > 0.2
    return ["tis_620"] if thai else []


def _most_regular(sample: bytes, likely: str) -> str:
    """The likely page, unless its words are odd and those of an older page, as of DOS or the Macintosh, are not."""
    odd = _irregular(sample, likely) if _decodes(sample, likely) else len(sample) // 10
    if odd < _FEW_LETTERS:
        return likely
    others = {name: _irregular(sample, name) for name in _OLDER}
    best = min(others, key=lambda name: others[name])
    return best if others[best] < odd // 2 and _decodes(sample, best) else likely


def _irregular(sample: bytes, encoding: str) -> int:
    """How many characters in words are no letters, or capitals behind small letters."""
    text = f" {sample.decode(encoding, 'ignore')} "
    return sum(
        (before.isalpha() and (not each.isalpha() or (each.isupper() and before.islower())))
        or unicodedata.category(each) in _SIGNS
        for before, each, behind in zip(text, text[1:], text[2:], strict=False)
        if each > "\x7f" and each not in _JOINING and behind.isalpha()
    )


def _by_statistics(sample: bytes) -> list[str]:
    # Imported when a file needs it: most never do.
    from charset_normalizer import from_bytes

    return [match.encoding for match in from_bytes(sample, cp_isolation=list(_CANDIDATES))]


def _is_latin(sample: bytes) -> bool:
    """Whether most letters are ASCII and the others stand alone, as in languages written with accents."""
    high = len(sample) - len(sample.translate(None, _HIGH))
    letters = len(sample) - len(sample.translate(None, _ASCII_LETTERS))
    return high <= 0.35 * (high + letters) and not _HIGH_RUN.search(sample)


def _latin(sample: bytes) -> str:
    """Western, Central European or Turkish, by the letters that only one of them has."""
    present = frozenset(sample)
    inside = frozenset(b"".join(_INSIDE_WORD.findall(sample)))
    windows = bool(present & _WINDOWS_ONLY)
    czech = bool(present & _CZECH_ISO) and present >= _CZECH_ONLY
    if not windows and (inside & _POLISH_ISO or czech or inside >= _CZECH_ISO):
        return "iso8859_2"
    central = inside or present & _UNDEFINED_WESTERN or (present & _CARONS and len(present & _CZECH_VOWELS) > 1)
    central = central or (present >= _SOUTH_SLAVIC and present & _BESIDE_CARONS)
    if central or (present >= _HUNGARIAN and 0xE3 not in present):
        return "cp1250"
    return "cp1254" if present & _TURKISH and not present & _ICELANDIC else "cp1252"


def _decodes(sample: bytes, encoding: str) -> bool:
    """Whether the sample is valid but for a character cut at either end."""
    try:
        sample.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start > len(sample) - 4 or error.end < 4
    except LookupError:
        return False
    return True
