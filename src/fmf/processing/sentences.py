"""Where a text may be cut: ends of sentences, lines and paragraphs, and places that split no visible character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

SENTENCE, PARAGRAPH, SECTION = 1, 2, 3
"""How good a place to cut is: after a sentence, item or table row; after a paragraph; before a heading."""
LOOKAHEAD = 64
"""Characters behind a place that may decide how good it is."""

_LOWER = "a-zß-öø-ÿα-ωа-яё"
_BLOCK_START = r"[ \t]*+(?:[-*+•][ \t]|[|#>]|\d{1,9}[.)][ \t]|```|~~~)"
_ENDS = re.compile(
    # A first character class of its own lets the search skip all others quickly; what it found is looked at afterwards.
    r"[.!?…。！？｡\n](?:"
    # a newline before a blank line, a list item, a table row, a heading, a quotation or a fence
    rf"(?<=\n)(?:(?:[^\S\n]*+\n)++|(?={_BLOCK_START}))"
    # closing marks, then blanks; not before a small letter, which stands after an abbreviation
    rf"|(?<=[.!?…])[.!?…]*+[\"'”’»)\]*_`]*+(?=\s)(?!\s++[{_LOWER}])(?:[^\S\n]*+\n)*+"
    # scripts that put no blank between sentences
    r"|(?<=[。！？｡])[。！？｡]*+[」』）】”’]*+(?:[^\S\n]*+\n)*+)"
)
CONTEXT = 4_200
"""Characters before a place that may decide how good it is."""
_LONGEST_LINE = 4_000
_LONGEST_CLUSTER = 40
_JOINER = "\u200d"
_JOINED_ON = re.compile(
    "[\u200c\u200d\ufe00-\ufe0f\u20e3\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
_BREAKS = (" ", "\n", "\t", "\u3000", "\u200b")
_CLAUSES = ("，", "、", "；", "：")


def ends(text: str, start: int, stop: int) -> Iterator[int]:
    """The places behind `start`, up to `stop`, that follow a sentence, a paragraph, a list item or a table row."""
    for found in _ENDS.finditer(text, start, stop + LOOKAHEAD):
        at = found.end()
        if at > stop and not text[stop:at].isspace():
            return
        if at > start and not _inside_row(text, found.start()):
            yield at


def rank(text: str, at: int, *, markdown: bool) -> int:
    """How good a place to cut `at` is, when it is one of `ends`; 0 right behind a heading."""
    before = text.rfind("\n", max(0, at - LOOKAHEAD), at)
    blank_above = before >= 0 and not text[before:at].strip() and _blank_line_above(text, before)
    if not markdown:
        return PARAGRAPH if blank_above else SENTENCE
    if text.startswith("#", at):
        return SECTION
    if blank_above and _is_heading(text, at):
        return 0
    return PARAGRAPH if blank_above else SENTENCE


def last_word_end(text: str, start: int, end: int) -> int:
    """The last place in `text[start:end]` to cut without cutting a word: before a blank or after a CJK comma; or `start`."""
    blank = max(text.rfind(mark, start + 1, end + 1) for mark in _BREAKS)
    return max(start, blank, *(text.rfind(mark, start, end) + 1 for mark in _CLAUSES))


def whole_characters(text: str, start: int, end: int) -> int:
    """The last place behind `start`, up to `end`, that is not inside a visible character; `end` where one is overlong.

    Combining marks, joined emoji, flags and Korean syllables stay whole.
    """
    for at in range(end, max(start, end - _LONGEST_CLUSTER), -1):
        if not _inside_cluster(text, at, start):
            return at
    return end


def _blank_line_above(text: str, newline: int) -> bool:
    """Whether only blanks stand between the newline and the one before."""
    above = text.rfind("\n", max(0, newline - LOOKAHEAD), newline)
    return above >= 0 and not text[above:newline].strip()


def _is_heading(text: str, at: int) -> bool:
    """Whether the last line before `at` that is not blank is a heading."""
    first = max(0, at - LOOKAHEAD)
    line = _line_start(text, first + len(text[first:at].rstrip()))
    return line is not None and text.startswith("#", line)


def _inside_row(text: str, at: int) -> bool:
    """Whether the end of a sentence stands inside a row of a Markdown table, which is better kept whole."""
    line = None if text[at] == "\n" else _line_start(text, at)
    return line is not None and text.startswith("|", line)


def _line_start(text: str, at: int) -> int | None:
    """Where the line of `at` starts, unless that is far back."""
    newline = text.rfind("\n", max(0, at - _LONGEST_LINE), at)
    return None if newline < 0 and at > _LONGEST_LINE else newline + 1


def _inside_cluster(text: str, at: int, start: int) -> bool:
    if at >= len(text):
        return False
    after, before = text[at], text[at - 1]
    if after < "\u0300":
        return before == "\r" and after == "\n"
    if before == _JOINER or _JOINED_ON.match(after) or unicodedata.category(after).startswith("M"):
        return True
    if not (_FLAG_LETTER.match(after) and _FLAG_LETTER.match(before)):
        return False
    letters = 0
    while at - letters > start and _FLAG_LETTER.match(text[at - letters - 1]):
        letters += 1
    return letters % 2 == 1
