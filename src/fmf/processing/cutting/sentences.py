"""Where a text may be cut: ends of sentences, lines and paragraphs, and places that split no visible character."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fmf.processing.cutting.combining import MARK

UNDER_HEADING, SENTENCE, PARAGRAPH, SECTION = range(4)
"""How good a place to cut is: right behind a heading; after a sentence or row; after a paragraph; before a heading."""
LOOKAHEAD = 64
"""Characters behind a place that may decide how good it is."""

_STOPS = ".!?\u2026"
_WIDE_STOPS = "\u3002\uff01\uff1f\uff61"
_CLOSERS = "\"'\u201d\u2019\u00bb)\\]*_`"
_WIDE_CLOSERS = "\u300d\u300f\uff09\u3011\u201d\u2019"
_LOWER = "a-z\u00df-\u00f6\u00f8-\u00ff\u03b1-\u03c9\u0430-\u045f"
_BLOCK_START = r"[ \t]*+(?:[-*+\u2022][ \t]|[|#>]|\d{1,9}[.)][ \t]|```|~~~)"
_SHORT = ("[A-Z]", "Mr|Ms|Dr|St|Nr|vs|Sr|Jr|Bd|Hr|Fr", "Mrs|Fig|Art|Abs", "Prof")
"""Abbreviations by their length, since what looks back is of one length; few of them, since each look takes time."""
# Neither \b nor \w, which know more letters in newer versions of Python.
_LETTER = "0-9A-Za-z_\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0370-\u1fff\u2c00-\ud7ff"
_NOT_SHORT = "".join(rf"(?<!(?<![{_LETTER}])(?:{words})\.)" for words in _SHORT)
_NEWLINES = r"(?:[^\S\n]*+\n)"
_ENDS = re.compile(
    # A first character class of its own lets the search skip all others quickly; what it found is looked at afterwards.
    rf"[{_STOPS}{_WIDE_STOPS}\n](?:"
    # a newline before a blank line, a list item, a table row, a heading, a quotation or a fence
    rf"(?<=\n)(?:{_NEWLINES}++|(?={_BLOCK_START}))"
    # closing marks, then blanks; not after an abbreviation, nor before a small letter; of a run only the first is tried
    # (what may follow at all comes first, since it is quickly seen: 4.1 to 3.9 ns a character of JSON)
    rf"|(?<=[{_STOPS}])(?=[\s{_STOPS}{_CLOSERS}])(?<![{_STOPS}]{{2}}){_NOT_SHORT}"
    rf"[{_STOPS}]*+[{_CLOSERS}]*+(?=\s)(?!\s++[{_LOWER}]){_NEWLINES}*+"
    # scripts that put no blank between sentences
    rf"|(?<=[{_WIDE_STOPS}])(?<![{_WIDE_STOPS}]{{2}})[{_WIDE_STOPS}]*+[{_WIDE_CLOSERS}]*+{_NEWLINES}*+)"
)
_HEADING = re.compile(r"#{1,6}(?:\s|\Z)")
_LABEL = re.compile(r"[ \t]*+(?:[-*+\u2022>#]++[ \t]++)*+\(?(?:[0-9]{1,9}\.)*+(?:[0-9]{1,9}|[a-z]|[ivx]{1,5})")
"""What stands in its line before the point of `1.`, `2.1.`, `b.` or `iv.`: the label of an item."""
_LONGEST_LABEL = 16
_BEFORE_NUMBER = re.compile(
    rf"(?<![{_LETTER}])(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Nos?|Vol|pp?|Figs?|Eqs?|Secs?|Ch|Tab|ca)\Z"
)
"""What a number follows that belongs to it."""
_LONGEST_BEFORE_NUMBER = 5
_DIGITS = frozenset("0123456789")
CONTEXT = 4_200
"""Characters before a place that may decide how good it is."""
_LONGEST_LINE = 4_000
_NEAR = 300
_BLANK_LINE = re.compile(r"\n(?<=[ \t\r]\n)")
"""How a line that looks blank may end; such lines are left to the search that knows them all."""
_LONGEST_CLUSTER = 40
_JOINER = "\u200d"
_JOINED_ON = re.compile(
    "[\u200c\u200d\ufe00-\ufe0f\u20e3\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
_BREAKS = (" ", "\n", "\t", "\u3000", "\u200b")
_CLAUSES = ("\uff0c", "\u3001", "\uff1b", "\uff1a")


def ends(text: str, start: int, stop: int, *, markdown: bool = False) -> Iterator[tuple[int, int]]:
    """The ends of sentences, paragraphs, items and rows behind `start`, up to `stop`: how good each is, and where.

    Only white space may stand between `stop` and a place behind it.
    """
    for found in _ENDS.finditer(text, start, stop + LOOKAHEAD):
        first, at = found.span()
        if at > stop and not text[stop:at].isspace():
            break
        if markdown and text[at : at + 1] == "#" and is_heading(text, at):
            yield SECTION, at
            continue
        line = line_start(text, first)
        mark = text[first]
        if mark != "\n":
            if line is not None and text[line] == "|":
                continue
            # Only what may be such a point is looked at, since that takes time.
            may_go_on = mark == "." and (first - (line or 0) < _LONGEST_LABEL or text[at + 1 : at + 2] in _DIGITS)
            if may_go_on and _goes_on(text, line, first, at):
                continue
        if markdown and line is not None and text[line] == "#" and is_heading(text, line):
            yield UNDER_HEADING, at
        else:
            paragraph = text[at - 1] == "\n" and text.find("\n", first, at - 1) >= 0
            yield (PARAGRAPH if paragraph else SENTENCE), at


def _goes_on(text: str, line: int | None, point: int, at: int) -> bool:
    """Whether the sentence goes on at `at`: the point belongs to the label of an item, or to a number behind it."""
    if text[at - 1] == "\n":
        return False
    if line is not None and point - line < _LONGEST_LABEL and _LABEL.fullmatch(text, line, point):
        return True
    before = max(0, point - _LONGEST_BEFORE_NUMBER)
    return text[at + 1 : at + 2] in _DIGITS and _BEFORE_NUMBER.search(text, before, point) is not None


def best_end(text: str, start: int, stop: int, *, markdown: bool = False) -> tuple[int, int]:
    """The best of `ends`, and the last of several; `(UNDER_HEADING, 0)` if there is none."""
    reach, most = stop, min(len(text), stop + LOOKAHEAD)
    while reach < most and text[reach].isspace():
        reach += 1
    if markdown:
        at = text.rfind("\n#", start, reach + 1) + 1
        if at and is_heading(text, at):
            return SECTION, at
    at = text.rfind("\n\n", start, reach)
    while at >= 0 and markdown and is_heading(text, text.rfind("\n", 0, at) + 1):
        at = text.rfind("\n\n", start, at)
    if not _BLANK_LINE.search(text, max(start, at) + 1, reach):
        if at >= 0:
            return PARAGRAPH, at + 2
        near = [end for end in ends(text, max(start, stop - _NEAR), stop, markdown=markdown) if end[0] > UNDER_HEADING]
        if near:
            return near[-1]
    return max(ends(text, start, stop, markdown=markdown), default=(UNDER_HEADING, 0))


def is_heading(text: str, at: int) -> bool:
    """Whether a heading of Markdown starts there, at the start of a line."""
    return text.startswith("#", at) and _HEADING.match(text, at) is not None


def last_word_end(text: str, start: int, end: int) -> int:
    """The last place in `text[start:end]` that cuts no word: before a blank, after a CJK comma; `start` if none."""
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


def line_start(text: str, at: int) -> int | None:
    """Where the line of `at` starts, unless that is far back."""
    newline = text.rfind("\n", max(0, at - _LONGEST_LINE), at)
    return None if newline < 0 and at > _LONGEST_LINE else newline + 1


def _inside_cluster(text: str, at: int, start: int) -> bool:
    if at >= len(text):
        return False
    after, before = text[at], text[at - 1]
    if after < "\u0300":
        return before == "\r" and after == "\n"
    if before == _JOINER or _JOINED_ON.match(after) or MARK.match(after):
        return True
    if not (_FLAG_LETTER.match(after) and _FLAG_LETTER.match(before)):
        return False
    letters = 0
    while at - letters > start and _FLAG_LETTER.match(text[at - letters - 1]):
        letters += 1
    return letters % 2 == 1
