"""Rows of cells as text: a Markdown table or lines with tabs, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_BLOCK: Final = 1 << 16
_LINE_END: Final = re.compile(r"\r\n?|\n")
_SPECIAL: Final = re.compile(r"[|\r\n]")
_SEPARATOR: Final = re.compile(r"[\t\r\n]")


def unique_names(cells: Sequence[str]) -> list[str]:
    """Names for columns: an empty one is called after its number, one that was there before gets a number behind it."""
    names: list[str] = []
    taken: set[str] = set()
    again: dict[str, int] = {}
    for number, cell in enumerate(cells, 1):
        wanted = name = " ".join(cell.split()) or f"column_{number}"
        while name in taken:
            again[wanted] = again.get(wanted, 1) + 1
            name = f"{wanted}_{again[wanted]}"
        taken.add(name)
        names.append(name)
    return names


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table, one at a time; line ends inside a cell become `<br>`, a `|` in it is escaped."""
    yield _markdown_row(names)
    yield "|" + " --- |" * len(names) + "\n"
    for row in rows:
        yield _markdown_row(row)


def tabbed_lines(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table with a tab between the cells; tabs and line ends inside a cell become blanks."""
    yield _tabbed_row(names)
    for row in rows:
        yield _tabbed_row(row)


def in_blocks(lines: Iterable[str]) -> Iterator[str]:
    """The same text in fewer, larger pieces."""
    block: list[str] = []
    chars = 0
    for line in lines:
        block.append(line)
        chars += len(line)
        if chars >= _BLOCK:
            yield "".join(block)
            block.clear()
            chars = 0
    if block:
        yield "".join(block)


def _markdown_row(cells: Sequence[str]) -> str:
    if _SPECIAL.search("".join(cells)):
        cells = [_LINE_END.sub("<br>", cell.replace("|", "\\|")) for cell in cells]
    return f"| {' | '.join(cells)} |\n"


def _tabbed_row(cells: Sequence[str]) -> str:
    if _SEPARATOR.search("".join(cells)):
        cells = [" ".join(cell.split()) for cell in cells]
    return "\t".join(cells) + "\n"
