"""Headers of messages as text: encoded words, bytes that should not be there, folded lines."""

from __future__ import annotations

import binascii
import re
from email.utils import parsedate_to_datetime
from typing import Final

from fmf.processing.characters.declared import codec_of
from fmf.processing.characters.legacy import likely_encodings

_WORD: Final = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?\r\n]*)\?=")
_HEX: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_LONGEST: Final = 10_000
_CUT: Final = " ..."


def header_text(raw: str) -> str:
    """A header's value as one line of text.

    Args:
        raw: the value as it stands in the message; other bytes than ASCII as the surrogates that Python makes of them.
    """
    text = raw[: 4 * _LONGEST]
    if not text.isascii():
        text = _any_bytes(text.encode("ascii", "surrogateescape")) if _only_escaped(text) else text
    decoded = _words_decoded(text)
    text = " ".join("".join(each for each in decoded if each.isprintable() or each.isspace()).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + _CUT


def iso_date(text: str) -> str | None:
    """The date of a header as ISO 8601, or nothing where it is no date."""
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):  # the parser raises any of them
        return None


def _only_escaped(text: str) -> bool:
    return all(character < "\x80" or "\udc80" <= character <= "\udcff" for character in text)


def _words_decoded(text: str) -> str:
    """The text with its encoded words as characters; neighbours in one encoding may share a character."""
    runs: list[tuple[str, str | bytes]] = []
    at = 0
    for word in _WORD.finditer(text):
        if (data := _word_bytes(word[2], word[3])) is None:
            continue
        between, label = text[at : word.start()], word[1].partition("*")[0].lower()
        at = word.end()
        if between.strip() or not runs:
            runs.append(("", between))
        elif runs[-1][0] == label and isinstance(before := runs[-1][1], bytes):
            runs.pop()
            data = before + data
        runs.append((label, data))
    runs.append(("", text[at:]))
    return "".join(run if isinstance(run, str) else _labelled(run, label) for label, run in runs)


def _word_bytes(form: str, payload: str) -> bytes | None:
    data = payload.encode("utf-8", "replace")
    if form in "qQ":
        return _HEX.sub(lambda code: bytes([int(code[1], 16)]), data.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))
    except binascii.Error:
        return None


def _labelled(data: bytes, label: str) -> str:
    codec = codec_of(label)
    if codec:
        try:
            return data.decode(codec)
        except UnicodeError:  # another label would have been right
            pass
    return _any_bytes(data)


def _any_bytes(data: bytes) -> str:
    """Bytes of which nothing is known but that they are a line of text."""
    for codec in ("utf-8", *likely_encodings(data)[:1], "cp1252"):
        try:
            return data.decode(codec)
        except UnicodeError:
            continue
    return data.decode("latin-1")
