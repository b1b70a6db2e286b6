"""Paragraphs, list items and tables of a document one after the other, as Markdown or as plain lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.table_text import markdown_table, tabbed_lines

_MEANING: Final = re.compile(r"^(?=[ \t]*(?:#{1,6}[ \t]|```|~~~|\|))", re.MULTILINE)
_MARKS: Final = ("#", "`", "~", "|")
_INDENT: Final = "    "
_BLOCK: Final = 1 << 15
_LINE_ENDS: Final = re.compile(r"[\r\u2028\u2029\x0b\x0c]+")
_MOST_LEVELS: Final = 6


class Blocks:
    """Puts the right white space between blocks, and knows how deep a list goes.

    Args:
        markdown: whether they become Markdown; otherwise headings are lines like any other, cells have tabs between
            them, and nothing is escaped.
    """

    def __init__(self, *, markdown: bool) -> None:
        self._markdown = markdown
        self._inside = plain if markdown else _in_lines
        self._listed: int | None = None
        self._begun = False

    def heading(self, level: int, text: str) -> str:
        """A heading, in one line; nothing where there is no text."""
        text = " ".join(text.split())
        mark = f"{'#' * min(max(level, 1), _MOST_LEVELS)} " if self._markdown else ""
        return self._block(mark + text) if text else ""

    def paragraph(self, text: str) -> str:
        """A paragraph; in Markdown, what would make it a heading, a table or code is escaped."""
        text = self._inside(text)
        return self._block(text) if text else ""

    def item(self, level: int, label: str, text: str) -> str:
        """An item of a list; `level` is 0 for the outermost."""
        text = self._inside(text)
        if not text:
            return ""
        level = min(max(level, 0), 0 if self._listed is None else self._listed + 1)
        before = "\n" if self._listed is not None else "\n\n" if self._begun else ""
        self._listed, self._begun = level, True
        indent = _INDENT * level
        inside = text.replace("\n", f"\n{indent}{' ' * (len(label) + 1)}")
        return f"{before}{indent}{label} {inside}" if label else f"{before}{indent}{inside}"

    def table(self, rows: list[list[str]]) -> str:
        """A table; its first row is the header. Nothing where no cell holds text."""
        if not any(map(any, rows)):
            return ""
        return self._block((markdown_table(rows) if self._markdown else tabbed_lines(rows)).rstrip("\n"))

    def end(self) -> str:
        """What ends the text, or this part of it."""
        ended, self._begun, self._listed = self._begun, False, None
        return "\n\n" if ended else ""

    def _block(self, text: str) -> str:
        before = "\n\n" if self._begun else ""
        self._begun, self._listed = True, None
        return before + text


def gathered(pieces: Iterable[str | Mark]) -> Iterator[str | Mark]:
    """The same text and marks, in fewer, larger pieces."""
    block: list[str] = []
    chars = 0
    for piece in pieces:
        if isinstance(piece, str):
            block.append(piece)
            chars += len(piece)
        if block and (chars >= _BLOCK or not isinstance(piece, str)):
            yield "".join(block)
            block, chars = [], 0
        if not isinstance(piece, str):
            yield piece
    if block:
        yield "".join(block)


def plain(text: str) -> str:
    """Text without blanks around its lines and at its ends, and with nothing that Markdown reads as structure."""
    text = _in_lines(text)
    return _MEANING.sub(r"\\", text) if text.startswith(_MARKS) or "\n" in text else text


def _in_lines(text: str) -> str:
    text = text.strip()
    if text.isprintable():  # it is one line
        return text
    return "\n".join(line.strip() for line in _LINE_ENDS.sub("\n", text).split("\n") if line.strip())


def in_a_cell(text: str) -> str:
    """Text as it stands in the cell of a table: no empty lines, no blanks around it."""
    text = _LINE_ENDS.sub("\n", text)
    return "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())
