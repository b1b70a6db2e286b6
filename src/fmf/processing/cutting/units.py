"""Where a section, a paragraph, a sentence or a row ends, for chunks that never hold two of them."""

from __future__ import annotations

import re
from typing import Final

from fmf.processing.cutting.sentences import PARAGRAPH, SECTION, SENTENCE, ends, is_heading, line_start
from fmf.processing.fences import Fences

LEAST: Final = {"by_heading": SECTION, "by_paragraph": PARAGRAPH, "by_sentence": SENTENCE}
"""How good a place has to be to end the unit of a strategy."""
BY_ROW: Final = "by_row"
_RULE: Final = re.compile(r"\|[ \t]*+:?-{3,}+:?[ \t]*+\|")
_VISIBLE: Final = re.compile(r"\S")


def unit_end(strategy: str, text: str, start: int, stop: int, *, fences: Fences, markdown: bool) -> int | None:
    """Where the unit ends that goes on at `start`; `None` if that is behind `stop`.

    Args:
        strategy: one of `LEAST`, or `BY_ROW`.
        text: the text.
        start: where the last unit ended, or some place inside of a unit.
        stop: where the search ends; only white space may stand between it and a place behind it.
        fences: where code is.
        markdown: whether headings, tables and fenced code mean something.
    """
    if strategy == BY_ROW:
        return _row_end(text, start, stop, fences) if markdown else _line_end(text, start, stop)
    return _good_end(LEAST[strategy], text, start, stop, fences=fences, markdown=markdown)


def _good_end(least: int, text: str, start: int, stop: int, *, fences: Fences, markdown: bool) -> int | None:
    for quality, at in ends(text, start, stop, markdown=markdown):
        if quality < least or fences.at(at) or text[start:at].isspace():
            continue
        if quality == SECTION > least and _under_heading(text, at):
            continue
        if markdown and least == SENTENCE and text[at : at + 1] == "|" and _in_table_head(text, at):
            continue
        return at
    return None


def _in_table_head(text: str, at: int) -> bool:
    """Whether the row that ends at `at`, where another begins, belongs to that: the header, or the rule below it."""
    before = line_start(text, at - 1)
    return _RULE.match(text, at) is not None or (before is not None and _RULE.match(text, before) is not None)


def _under_heading(text: str, at: int) -> bool:
    """Whether the last visible line before `at` is a heading, which belongs to what follows it."""
    return _heading_above(text, at) is not None


def _heading_above(text: str, at: int) -> int | None:
    """Where the last visible line before `at` begins, if it is a heading."""
    end = at
    while end and text[end - 1].isspace():
        end -= 1
    begin = text.rfind("\n", 0, end) + 1
    return begin if is_heading(text, begin) else None


def _line_end(text: str, start: int, stop: int) -> int | None:
    visible = _VISIBLE.search(text, start, stop)
    return (text.find("\n", visible.start(), stop) + 1 or None) if visible else None


def _row_end(text: str, start: int, stop: int, fences: Fences) -> int | None:
    """A row ends with its line; what stands between tables ends where the next one begins, or the headings above it."""
    visible = _VISIBLE.search(text, start, stop)
    if visible is None:
        return None
    at = visible.start()
    line = line_start(text, at)
    if line is not None and not fences.at(at) and text.startswith("|", line):
        return _table_row_end(text, line, at, stop) or None
    begin = at
    while (newline := text.find("\n|", at, stop)) >= 0:
        at = newline + 1
        if not fences.at(newline):
            end = _headings_end(text, begin, at)
            return end if end > begin else _table_row_end(text, at, at, stop) or None
    return None


def _headings_end(text: str, begin: int, table: int) -> int:
    """Where what stands above a table ends: before the headings right above it; `begin` if there is nothing else."""
    at = table
    while at > begin and (heading := _heading_above(text, at)) is not None:
        at = max(heading, begin)
    return at


def _table_row_end(text: str, line: int, at: int, stop: int) -> int:
    """The end of the row at `at`, 0 if it is behind `stop`; a header and the rule below it belong to the first row."""
    end = text.find("\n", at, stop) + 1
    rule = _RULE.match(text, line) is not None
    if end and _RULE.match(text, end):
        end = text.find("\n", end, stop) + 1
        rule = True
    return text.find("\n", end, stop) + 1 if rule and end and text.startswith("|", end) else end
