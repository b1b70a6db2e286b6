"""Rows of cells: one small protocol for every format of table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.source import Source
from fmf_core.registry import Entry, Registry

MOST_ROWS: Final = 1024
"""Rows of one run, at most."""
_MOST_CELLS: Final = 1 << 15

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
    titles: list[tuple[int, str]] = field(default_factory=list)
    """Lines above the header that are titles of the table, with the numbers of their rows."""
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
        "xlsx": Entry("fmf.processing.loaders.office.xlsx:tables", "documents"),
        "parquet": Entry("fmf.processing.loaders.parquet:tables", "parquet"),
        "gzip": Entry("fmf.processing.loaders.gzip:tables"),
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
