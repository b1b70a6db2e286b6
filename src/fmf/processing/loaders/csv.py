"""CSV and TSV: any dialect, streamed row by row into a table of text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.headers import Header, header_below
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.dialect import Dialect, doubled, sniff
from fmf.processing.loaders.table_text import rendered
from fmf.processing.source import Source
from fmf.processing.tables import Cells, TableRows, rows_at_once, runs_of, unique_names
from fmf.processing.unreadable import unreadable

LONGEST_FIELD: Final = 10_000_000
"""Characters of one cell; a longer one is mostly a quotation mark that is never closed."""
_LONGEST_LINE: Final = 4 * LONGEST_FIELD
_SAMPLE: Final = 1 << 16
_RUN_CHARS: Final = 1 << 18
_FIRST_RUN: Final = 16
_END: Final = "\ud800"
"""A line behind the last one, which no file can hold; it is a row of its own unless a quotation mark is still open."""
_LINE_ENDS: Final = re.compile(r"\r\n?|\n")


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The rows of the file as a Markdown table, or as lines with tabs between the cells where `to_markdown` is off.

    The header is row `header_row`, or the first one below it with any text that is no title; titles stand above the
    table, other rows above it are left out, rows without any text too. Rows that are shorter than the header are filled
    up, longer ones kept whole; the metadata says how many there were.
    """
    metadata: dict[str, Any] = {}
    table = _table(source, settings, metadata)
    to_markdown = settings.tables.to_markdown
    pieces = rendered(table, markdown=to_markdown) if table else iter(())
    return Loaded(pieces, title=source.ref.name, markdown=to_markdown, metadata=metadata)


def tables(source: Source, settings: ProcessingConfig) -> Iterator[TableRows]:
    """The one table of the file, its cells as texts; no table where there is no header."""
    if table := _table(source, settings, {}):
        yield table


def _table(source: Source, settings: ProcessingConfig, metadata: dict[str, Any]) -> TableRows | None:
    encoding = encoding_of(source)
    pieces = decoded(source, encoding)
    sample = ""
    while len(sample) < _SAMPLE and (piece := next(pieces, "")):
        sample += piece
    dialect = sniff(sample[:_SAMPLE], tabs=source.ref.name.lower().endswith(".tsv"))
    metadata["delimiter"] = dialect.delimiter
    if dialect.escaped:
        metadata["escape"] = "\\"
    metadata |= encoding.notes()
    rows = _Rows(source, chain([sample], pieces), dialect)
    header = rows.header(settings.tables.header_row)
    if header is None:
        return None
    names = unique_names(header.cells)
    metadata |= {"columns": names, "rows": 0}
    if header.titles:
        metadata["titles"] = [title for _, title in header.titles]
    runs = _evened(rows.runs(), len(names), metadata)
    return TableRows(names, header.number, runs, textual=True, titles=header.titles, metadata=metadata)


class _Rows:
    """The rows of the file and their numbers; the first is 1, and a line that only names the delimiter is none."""

    def __init__(self, source: Source, pieces: Iterator[str], dialect: Dialect) -> None:
        if csv.field_size_limit() < LONGEST_FIELD:
            csv.field_size_limit(LONGEST_FIELD)
        self._source = source
        self._lines = _Lines(pieces)
        lines = chain.from_iterable(self._lines.batches())
        self._reader = csv.reader(map(doubled, lines) if dialect.escaped else lines, **dialect.options())
        self._number = 0
        self._behind: tuple[int, list[Cells]] = 1, []
        if dialect.announced:
            self._take(1)
            self._number = 0

    def header(self, wanted: int) -> Header | None:
        """The first row with text from row `wanted` on that is no title; further rows begin behind it."""
        while rows := self._take(1):
            if self._number >= wanted and any(rows[0]):
                header = header_below(self._number, rows[0], self._take)
                self._behind = header.number + 1, header.behind
                return header
        return None

    def runs(self) -> Iterator[tuple[int, list[Cells]]]:
        """The further rows with text, in runs of some hundred thousand characters."""
        if self._behind[1]:
            yield from runs_of(*self._behind)
        size, chars = _FIRST_RUN, self._lines.chars
        while rows := self._take(size):
            yield from runs_of(self._number - len(rows) + 1, rows)
            each = max(1, (self._lines.chars - chars) // len(rows))
            size = min(2 * size, rows_at_once(len(rows[-1])), max(1, _RUN_CHARS // each))
            chars = self._lines.chars

    def _take(self, size: int) -> list[list[str]]:
        rows: list[list[str]] = []
        try:
            rows.extend(islice(self._reader, size))
        except csv.Error as error:
            row, line = self._number + len(rows) + 1, self._reader.line_num
            why = f"row {row}, which ends near line {line}, cannot be read: {error}"
            hint = "look for a quotation mark that is not closed, or exclude the file"
            raise unreadable(self._source, "csv", why, hint=hint) from error
        if self._lines.ended and rows:
            self._check_closed(rows.pop(), self._number + len(rows) + 1)
        self._number += len(rows)
        return rows

    def _check_closed(self, last: list[str], row: int) -> None:
        """Refuse a quotation mark that is open at the end of the file: it has swallowed all rows behind it."""
        if last == [_END]:
            return
        cell = last[-1].removesuffix(_END)
        ends = len(_LINE_ENDS.findall(cell))
        line = self._reader.line_num - ends - (not cell.endswith(("\r", "\n")))
        why = f"row {row}: the quotation mark that opens in line {line} is never closed"
        hint = "close it there, or take it away; inside of a quoted cell it is written twice"
        raise unreadable(self._source, "csv", why, hint=hint)


class _Lines:
    """The lines with their ends, whichever of the three they are."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self.chars = 0
        """How many characters were looked at."""
        self.ended = False
        """Whether the line behind the last one was given out."""

    def batches(self) -> Iterator[list[str]]:
        held: list[str] = []
        held_chars = 0
        for piece in self._pieces:
            held.append(piece)
            held_chars += len(piece)
            self.chars += len(piece)
            if "\n" in piece or "\r" in piece or (len(held) > 1 and held[-2].endswith("\r")):
                *lines, last = io.StringIO("".join(held), newline="")
                yield lines
                held, held_chars = [last], len(last)
            if held_chars > _LONGEST_LINE:
                raise csv.Error(f"line longer than {_LONGEST_LINE:,} characters")
        if held_chars:
            yield ["".join(held)]
        self.ended = True
        yield [_END]


def _evened(
    runs: Iterator[tuple[int, list[Cells]]], width: int, metadata: dict[str, Any]
) -> Iterator[tuple[int, list[Cells]]]:
    """The rows with as many cells as the header; notes in the metadata how many there were and which did not fit."""
    for first, rows in runs:
        metadata["rows"] += len(rows)
        if set(map(len, rows)) == {width}:
            yield first, rows
            continue
        short = sum(len(row) < width for row in rows)
        long = sum(len(row) > width for row in rows)
        for name, count in (("short_rows", short), ("long_rows", long)):
            if count:
                metadata[name] = metadata.get(name, 0) + count
        yield first, [[*row, *[""] * (width - len(row))] for row in rows]
