"""A guess at the encoding of text that is neither UTF-8 nor UTF-16: which of the older code pages wrote these bytes."""

from __future__ import annotations

import re
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
_INSIDE_WORD: Final = re.compile(rb"(?<=[A-Za-z\x80-\xff])[\xb1\xb3\xb6\xb9\xbc\xbe\xbf](?=[A-Za-z\x80-\xff])")
_POLISH_ISO: Final = frozenset(b"\xb1\xb6\xbc")
_CZECH_ISO: Final = frozenset(b"\xb9\xbe")
_WINDOWS_ONLY: Final = frozenset(range(0x80, 0xA0))
_UNDEFINED_WESTERN: Final = frozenset(b"\x81\x8d\x8f\x90\x9d")
_CARONS: Final = frozenset(b"\x8a\x8e\x9a\x9e")
_CZECH_VOWELS: Final = frozenset(b"\xe8\xec\xf2\xf8\xf9")
_CZECH_ONLY: Final = frozenset(b"\xec\xf8")
_HUNGARIAN: Final = frozenset(b"\xf5\xfb")
_TURKISH: Final = frozenset(b"\xd0\xdd\xde\xf0\xfd\xfe")
_ICELANDIC: Final = frozenset(b"\xe1\xe6\xed\xf3\xfa")


def likely_encodings(sample: bytes) -> list[str]:
    """Code pages that may have written `sample`, the likeliest first; each decodes all of it.

    Args:
        sample: some thousand bytes; the more the surer. It may begin and end inside a character.
    """
    if _is_latin(sample) and _decodes(sample, latin := _latin(sample)):
        return [latin]
    found = [name for name in _by_statistics(sample) if _decodes(sample, name)]
    if found and found[0] in _LATIN and _decodes(sample, latin := _latin(sample)):
        return [latin, *found]
    return found


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
    if not windows and (inside & _POLISH_ISO or czech):
        return "iso8859_2"
    central = inside or present & _UNDEFINED_WESTERN or (present & _CARONS and len(present & _CZECH_VOWELS) > 1)
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
