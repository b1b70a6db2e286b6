"""Rows of cells: one small protocol for every format of table, and their text as Markdown or lines with tabs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.config.models import ProcessingConfig
from fmf.processing.cells import texts_of
from fmf.processing.loaders.base import Mark
from fmf.processing.source import Source
from fmf_core.registry import Entry, Registry

MOST_ROWS: Final = 1024
"""Rows of one run, at most."""
_MOST_CELLS: Final = 1 << 15
_BLOCK: Final = 1 << 16
_LINE_END: Final = re.compile(r"\r\n?|\n")
_SPECIAL: Final = re.compile(r"[|\r\n]")
_SEPARATOR: Final = re.compile(r"[\t\r\n]")

Cells = Sequence[Any]
"""One row: texts, numbers, booleans, dates and times, `None`; or what a nested column holds."""


@dataclass(slots=True)
class TableRows:
    """One table of a file: its columns, and its rows as they are read; only a part of them is in memory at a time."""

    names: list[str]
    """The names of the columns: unique, none empty, line ends and runs of blanks are one blank."""
    header_row: int
    """The number of the row that holds the names; 0 where the names are no row of the source."""
    runs: Iterator[tuple[int, list[Cells]]]
    """Rows that follow one another in the source: the number of the first of them, and the rows.

    A row has as many cells as there are names, or more. Rows without any text are left out, so numbers may jump. Can be
    gone through once; may raise `ProcessingError`.
    """
    sheet: str | None = None
    """The name of the sheet, in a workbook."""
    number: int = 1
    """The number of the sheet or table in its file."""
    textual: bool = False
    """Whether every cell is a text."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values, complete once the rows have ended."""

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Each row with its number, as a reader of the source counts."""
        for first, run in self.runs:
            yield from enumerate(run, first)


TableReader = Callable[[Source, ProcessingConfig], Iterator[TableRows]]
"""Opens a file and gives its tables, one after the other: of a workbook, a table for each sheet that holds anything.

Each must be gone through to its end before the next one is asked for. Raises `ProcessingError` for what it cannot read.
"""

table_readers: Registry[TableReader] = Registry(
    "table format",
    {
        "csv": Entry("fmf.processing.loaders.csv:tables"),
        "xlsx": Entry("fmf.processing.loaders.xlsx:tables", "documents"),
        "parquet": Entry("fmf.processing.loaders.parquet:tables", "parquet"),
    },
)
"""Readers of rows by the name of the kind of file, for those kinds that have rows."""


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


def rows_at_once(width: int) -> int:
    """How many rows of that many cells make a run."""
    return max(1, min(MOST_ROWS, _MOST_CELLS // max(width, 1)))


def runs_of(first: int, rows: Sequence[Cells]) -> Iterator[tuple[int, list[Cells]]]:
    """The rows that hold anything, in runs; `first` is the number of the first row.

    Empty is a cell with `None` or an empty text.
    """
    if all(map(any, rows)):
        yield first, list(rows)
        return
    run: list[Cells] = []
    for number, row in enumerate(rows, first):
        if any(row) or any(cell is not None and cell != "" for cell in row):
            run.append(row)
        elif run:
            yield number - len(run), run
            run = []
    if run:
        yield first + len(rows) - len(run), run


def rendered(table: TableRows, *, markdown: bool) -> Iterator[str | Mark]:
    """The table as text, with marks of its rows: a Markdown table, or lines with tabs between the cells.

    A table without columns has no text. In Markdown, line ends inside a cell become `<br>` and a `|` in it is escaped;
    between tabs, tabs and line ends inside a cell become blanks.
    """
    lines = _markdown_lines if markdown else _tabbed_lines
    if not table.names:
        return
    if table.header_row:
        yield Mark("rows", table.header_row)
    yield lines([table.names]) + ("|" + " --- |" * len(table.names) + "\n" if markdown else "")
    due = 0 if markdown or not table.header_row else table.header_row + 1
    for first, rows in table.runs:
        if first != due:
            yield Mark("rows", first)
        yield lines(rows if table.textual else texts_of(rows))
        due = first + len(rows)


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


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A whole small table as Markdown; the first row is its header, shorter rows are filled up."""
    width = max(map(len, rows), default=0)
    evened = [[*row, *[""] * (width - len(row))] for row in rows]
    return _markdown_lines(evened[:1]) + "|" + " --- |" * width + "\n" + _markdown_lines(evened[1:])


def _markdown_lines(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    text = " |\n| ".join(map(" | ".join, rows))
    # As many as the form has of its own: no cell holds any. An empty row has no cell and no `|` between cells.
    borders = sum(map(len, rows)) + len(rows) - 2
    if text.count("|") != borders or text.count("\n") != len(rows) - 1 or "\r" in text:
        text = " |\n| ".join(" | ".join(_escaped(row)) for row in rows)
    return f"| {text} |\n"


def _escaped(cells: Sequence[str]) -> Iterable[str]:
    if not _SPECIAL.search("".join(cells)):
        return cells
    return [_LINE_END.sub("<br>", cell.replace("|", "\\|")) for cell in cells]


def _tabbed_lines(rows: Sequence[Sequence[str]]) -> str:
    text = "\n".join(map("\t".join, rows))
    tabs = sum(map(len, rows)) - len(rows)
    if text.count("\t") != tabs or text.count("\n") != len(rows) - 1 or "\r" in text:
        text = "\n".join("\t".join(_in_a_line(row)) for row in rows)
    return text + "\n"


def _in_a_line(cells: Sequence[str]) -> Iterable[str]:
    if not _SEPARATOR.search("".join(cells)):
        return cells
    return [" ".join(cell.split()) if _SEPARATOR.search(cell) else cell for cell in cells]
