"""Words of a page that stand side by side on one line, and would run into each other: they get a blank between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ctypes import byref
from typing import Any, Final

import pypdfium2.raw as pdfium

_WORD: Final = re.compile(r"\S+")
_GAP: Final = 0.15
"""The share of a character's height that lies between two words, at least; a raised sign stands closer to its word."""
_MOST_MISSED: Final = 50
"""Words that may not be found again before the rest of the page is left as it is."""
_DIFFERENT: Final = re.compile("[\0-\x1f\ufffe\U00010000-\U0010ffff]")
"""Signs that only one of the two texts has, or each in its own way."""


def with_blanks(text_page: Any) -> str:
    """The text inside the borders of a page; where its list of characters ends a word, the text has white space.

    PDFium's text inside of borders leaves out the ends of lines that other text on the same line follows, as do the
    cells of a table. Its whole text has them, but also what lies outside of the page.
    """
    text: str = text_page.get_text_bounded()
    whole: str = text_page.get_text_range()
    if whole == text or whole.replace("\ufffe", "\x02").split() == text.split():
        return text
    pieces: list[str] = []
    done = 0
    parts = [part for part in _WORD.finditer(whole) if _plain(part[0])]
    for at, left, right in _fused([word for word in _WORD.finditer(text) if _plain(word[0])], parts):
        if between := _between(text_page, whole, left, right):
            pieces += (text[done:at], between)
            done = at
    return "".join([*pieces, text[done:]])


def _fused(words: Sequence[re.Match[str]], parts: Sequence[re.Match[str]]) -> Iterator[tuple[int, int, int]]:
    """Places in words that are several parts: in the text, and in the whole the last sign before and the first after.

    Args:
        words: the words of the text.
        parts: the words of the whole, in the same order, with others in between that are not in the text.
    """
    plain = [_plain(part[0]) for part in parts]
    following = missed = 0
    for word in words:
        first, last = _found(_plain(word[0]), plain, following)
        if last == first:
            missed += 1
            if missed > _MOST_MISSED:
                return
            continue
        at = word.start()
        for number in range(first, last - 1):
            at = _behind(word, at, plain[number])
            yield at, parts[number].end() - 1, parts[number + 1].start()
        following = last


def _found(wanted: str, plain: Sequence[str], start: int) -> tuple[int, int]:
    """The first parts from `start` on that make up the word; none where there are no such parts."""
    for first in range(start, len(plain)):
        joined, last = plain[first], first + 1
        while last < len(plain) and len(joined) < len(wanted) and wanted.startswith(joined):
            joined += plain[last]
            last += 1
        if joined == wanted:
            return first, last
    return start, start


def _plain(word: str) -> str:
    return _DIFFERENT.sub("", word)


def _behind(word: re.Match[str], at: int, part: str) -> int:
    """The place in the text behind `part`, which begins at `at`, whatever signs lie between its letters."""
    seen = 0
    while seen < len(part):
        seen += len(_plain(word.string[at]))
        at += 1
    return at


def _between(text_page: Any, whole: str, left: int, right: int) -> str:
    """What belongs between two signs: nothing where one touches the other."""
    before, after = _box(text_page, whole, left), _box(text_page, whole, right)
    if before is None or after is None:
        return " "
    if after.bottom >= before.top or before.bottom >= after.top:
        return "\r\n"
    height = min(before.top - before.bottom, after.top - after.bottom)
    return "" if -height <= after.left - before.right <= _GAP * height else " "


def _box(text_page: Any, whole: str, place: int) -> Any:
    """The place of a sign of the whole text on the page, with the room that its font gives it."""
    number = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, place)
    if number < 0 or pdfium.FPDFText_GetUnicode(text_page, number) != ord(whole[place]):
        return None
    box = pdfium.FS_RECTF()
    return box if pdfium.FPDFText_GetLooseCharBox(text_page, number, byref(box)) else None
