"""Workbooks of spreadsheet programs (xlsx, xlsm, xlsb, xls, ods): every sheet a table, its values as they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum
from python_calamine import SheetVisibleEnum as Visible

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.archive import Archive
from fmf.processing.cells import text_of
from fmf.processing.headers import Header, header_below
from fmf.processing.kinds import ole
from fmf.processing.kinds.detect import spelled
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.office.package import sheet_parts
from fmf.processing.loaders.office.sheet_facts import SheetFacts, facts_of
from fmf.processing.loaders.table_text import rendered
from fmf.processing.panics import is_panic
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.tables import Cells, TableRows, rows_at_once, runs_of, unique_names
from fmf.processing.unreadable import damaged, encrypted, unreadable

_KIND: Final = "xlsx"
_LOCKED: Final = re.compile(rb"\x09\x08\x10\0\0\x06\x05\0.{12}(?:\x86\0\0\0)?\x2f\0", re.DOTALL)
"""The first records of an old workbook with a password, which its reader takes for no workbook at all."""
_CELL_BYTES: Final = 32
"""What one cell takes, empty ones between others included."""
_EXACT: Final = 1e15
"""Up to here every whole number is itself as a floating-point number; further up, its digits end in zeros."""
_WHOLE: Final = 1e18
"""Below this, what has no fraction is a whole number; further up, JSON does not know all of them."""


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """Every sheet that holds anything, in the order of the workbook, hidden ones included, as a table.

    With `include_sheet_names` the name of the sheet stands above it. The metadata lists the sheets with their rows and
    columns, and says which are hidden, how many formulas there are, and how many have no saved result.
    """
    metadata: dict[str, Any] = {"sheets": []}
    workbook = _Workbook(source, settings, metadata)
    to_markdown = settings.tables.to_markdown
    pieces = _pieces(workbook, names=settings.tables.include_sheet_names, markdown=to_markdown)
    return Loaded(pieces, title=source.ref.name, markdown=to_markdown, metadata=metadata)


def tables(source: Source, settings: ProcessingConfig) -> Iterator[TableRows]:
    """A table for each sheet that holds anything; cells are texts, whole and other numbers, booleans, dates and times.

    An empty cell is an empty text. What is merged over several rows stands in each of them, in its first column.
    """
    return _Workbook(source, settings, {"sheets": []}).tables()


def _pieces(workbook: _Workbook, *, names: bool, markdown: bool) -> Iterator[str | Mark]:
    first = True
    for table in workbook.tables(textual=True):
        if not first:
            yield "\n"
        first = False
        name = " ".join((table.sheet or "").split())
        yield Mark("sheet", table.number, name or None)
        if names:
            yield f"## {name}\n\n"
        yield from rendered(table, markdown=markdown)


class _Workbook:
    """An open workbook."""

    def __init__(self, source: Source, settings: ProcessingConfig, metadata: dict[str, Any]) -> None:
        self._source = source
        self._settings = settings
        self._metadata = metadata
        self._kind = spelled(source.ref.name, _KIND)
        self._facts = self._look()
        with self._errors():
            source.stream.seek(0)
            self._book = CalamineWorkbook.from_filelike(source.stream)

    def tables(self, *, textual: bool = False) -> Iterator[TableRows]:
        """See the function of that name; `textual` makes every cell a text."""
        with self._errors():
            for number, sheet in enumerate(self._book.sheets_metadata, 1):
                noted: dict[str, Any] = {"name": sheet.name}
                if sheet.visible != Visible.Visible:
                    noted["hidden"] = True
                self._metadata["sheets"].append(noted)
                if sheet.typ != SheetTypeEnum.WorkSheet:
                    noted["kind"] = "chart" if sheet.typ == SheetTypeEnum.ChartSheet else "macro"
                    continue
                table = self._table(number, sheet.name, noted, textual=textual)
                if table:
                    yield table

    def _table(self, number: int, name: str, noted: dict[str, Any], *, textual: bool) -> TableRows | None:
        facts = self._facts.get(name, SheetFacts())
        rows = _Rows(self._book.get_sheet_by_name(name), facts, _texts if textual else _values)
        noted["rows"] = 0
        header = rows.header(self._settings.tables.header_row)
        if header is None:
            return None
        names = unique_names([text_of(cell) for cell in header.cells])
        noted["columns"] = names
        if header.titles:
            noted["titles"] = [title for _, title in header.titles]
        if rows.merged:
            noted["merged"] = rows.merged
        counted = self._counted(rows, noted)
        table = TableRows(names, header.number, counted, sheet=name, number=number, textual=textual, metadata=noted)
        table.titles = header.titles
        return table

    def _counted(self, rows: _Rows, noted: dict[str, Any]) -> Iterator[tuple[int, list[Cells]]]:
        with self._errors():
            for first, run in rows.runs():
                noted["rows"] += len(run)
                yield first, run

    def _look(self) -> dict[str, SheetFacts]:
        """What the XML of the sheets says, where there is any; nothing is opened that could not be held."""
        if self._source.head.startswith(ole.MAGIC):
            if ole.kind_of(self._source.window) == "encrypted" or _LOCKED.search(self._source.head):
                raise encrypted(self._source, self._kind)
            return {}
        archive = Archive(self._source, self._settings.limits, self._kind)
        found: dict[str, SheetFacts] = {}
        for name, part in sheet_parts(archive):
            try:
                facts = facts_of(archive.blocks(part))
            except ValueError as error:
                raise damaged(self._source, self._kind, error) from error
            self._check_spread(name, facts)
            found[name] = facts
        formulas = sum(facts.formulas for facts in found.values())
        if formulas:
            self._metadata["formulas"] = formulas
        if missing := sum(facts.formulas_without_value for facts in found.values()):
            self._metadata["formulas_without_value"] = missing
        return found

    def _check_spread(self, name: str, facts: SheetFacts) -> None:
        needed = facts.last_row * facts.last_column * _CELL_BYTES / MEGABYTE
        if needed > self._settings.limits.max_memory_mb:
            raise unreadable(
                self._source,
                self._kind,
                f"its sheet {name!r} spreads over {facts.last_row:,} rows and {facts.last_column:,} columns, which "
                f"takes {needed:,.0f} MB, and {self._settings.limits.max_memory_mb:g} MB are allowed",
                hint="delete the cells that stand far away from the others, raise processing.limits.max_memory_mb in "
                "fmf.yaml, or exclude the file",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ProcessingError:
            raise
        except PasswordError as error:
            raise encrypted(self._source, self._kind) from error
        except (CalamineError, OSError, ValueError, OverflowError) as error:
            raise damaged(self._source, self._kind, error) from error
        except BaseException as error:
            if not is_panic(error):
                raise
            raise damaged(self._source, self._kind, error) from None


def _whole(number: float) -> int:
    return int(number) if -_EXACT < number < _EXACT else int(Decimal(repr(number)))


def _values(row: Sequence[Any]) -> list[Any]:
    return [_whole(v) if v.__class__ is float and v.is_integer() and -_WHOLE < v < _WHOLE else v for v in row]


def _texts(row: Sequence[Any]) -> list[Any]:
    """The texts of `_values`, in one pass."""
    return [v if v.__class__ is str else _number(v) if v.__class__ is float else text_of(v) for v in row]


def _number(number: float) -> str:
    return str(_whole(number)) if number.is_integer() and -_WHOLE < number < _WHOLE else repr(number)


class _Rows:
    """The rows of a sheet as the reader gives them, with errors and merged cells put in; the first row is 1."""

    def __init__(self, sheet: CalamineSheet, facts: SheetFacts, cells: Callable[[Sequence[Any]], list[Any]]) -> None:
        self._left = sheet.start[1] if sheet.start else 0
        self._width = sheet.width
        self._rows = sheet.iter_rows()
        self._cells = cells
        self._errors = facts.errors
        self._number = 0
        self._behind: tuple[int, list[Cells]] = 1, []
        merged = sheet.merged_cell_ranges or []
        self.merged = len(merged)
        """How many ranges of cells are merged."""
        tall = sorted((start, end) for start, end in merged if end[0] > start[0])
        self._waiting = iter(tall)
        self._next = next(self._waiting, None)
        self._open: list[tuple[int, int, Any]] = []  # last row, column and value of what is merged downwards

    def header(self, wanted: int) -> Header | None:
        """The first row that holds anything from row `wanted` on and is no title."""
        while rows := self._take(1):
            if self._number >= wanted and any(cell != "" for cell in rows[0]):
                header = header_below(self._number, rows[0], self._take)
                self._behind = header.number + 1, header.behind
                return header
        return None

    def runs(self) -> Iterator[tuple[int, list[Cells]]]:
        if self._behind[1]:
            yield from runs_of(*self._behind)
        size = rows_at_once(self._width)
        while rows := self._take(size):
            yield from runs_of(self._number - len(rows) + 1, rows)

    def _take(self, size: int) -> list[list[Any]]:
        first = self._number
        rows = list(map(self._cells, islice(self._rows, size)))
        self._number += len(rows)
        if self._errors:
            for at, row in enumerate(rows, first):
                for column, text in self._errors.get(at, {}).items():
                    if 0 <= column - self._left < len(row):
                        row[column - self._left] = text
        if self._next or self._open:
            for at, row in enumerate(rows, first):
                self._fill(at, row)
        return rows

    def _fill(self, at: int, row: list[Any]) -> None:
        """Put what is merged down to this row into it, unless it holds nothing else."""
        self._open = [merged for merged in self._open if merged[0] >= at]
        if any(cell != "" for cell in row):
            for _, column, value in self._open:
                if row[column] == "":
                    row[column] = value
        while self._next and self._next[0][0] <= at:
            (top, column), (bottom, _) = self._next
            if top == at and 0 <= column - self._left < len(row):
                self._open.append((bottom, column - self._left, row[column - self._left]))
            self._next = next(self._waiting, None)
