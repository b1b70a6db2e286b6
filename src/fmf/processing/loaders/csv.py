"""CSV and TSV: any dialect, streamed row by row into a table of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.decode import decoded, encoding_of
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.dialect import Dialect, sniff
from fmf.processing.source import Source
from fmf.processing.tables import in_blocks, markdown_table, tabbed_lines, unique_names
from fmf_core.errors import Code

LONGEST_FIELD: Final = 10_000_000
"""Characters of one cell; a longer one is mostly a quotation mark that is never closed."""
_LONGEST_LINE: Final = 4 * LONGEST_FIELD
_SAMPLE: Final = 1 << 16


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The rows of the file as a Markdown table, or as lines with tabs between the cells where `to_markdown` is off.

    The header is row `header_row`; rows above it are left out, rows without any text too. Rows that are shorter than
    the header are filled up, longer ones kept whole; the metadata says how many there were.
    """
    encoding = encoding_of(source)
    pieces = decoded(source, encoding)
    sample = ""
    while len(sample) < _SAMPLE and (piece := next(pieces, "")):
        sample += piece
    dialect = sniff(sample[:_SAMPLE], tabs=source.ref.name.lower().endswith(".tsv"))
    metadata: dict[str, Any] = {"delimiter": dialect.delimiter}
    if encoding.name != "utf-8":
        metadata["encoding"] = encoding.name
    rows = _rows(source, chain([sample], pieces), dialect)
    header = next(islice(rows, settings.tables.header_row - 1, None), None)
    if header is None:
        return Loaded(iter(()), title=source.ref.name, metadata=metadata)
    names = unique_names(header)
    metadata |= {"columns": names, "rows": 0}
    to_markdown = settings.tables.to_markdown
    render = markdown_table if to_markdown else tabbed_lines
    lines = render(names, _evened(rows, len(names), metadata))
    return Loaded(in_blocks(lines), title=source.ref.name, markdown=to_markdown, metadata=metadata)


def _rows(source: Source, pieces: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    """The rows that hold any text."""
    if csv.field_size_limit() < LONGEST_FIELD:
        csv.field_size_limit(LONGEST_FIELD)
    number = 0
    reader = csv.reader(_lines(pieces), **dialect.options())
    try:
        for row in islice(reader, int(dialect.announced), None):
            number += 1
            if any(row):
                yield row
    except csv.Error as error:
        raise ProcessingError(
            f"{source.ref.uri}: row {number + 1}, which ends near line {reader.line_num}, cannot be read: {error}",
            op="processing.csv",
            code=Code.INVALID,
            hint="look for a quotation mark that is not closed, or exclude the file",
        ) from error


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """The lines with their ends, whichever of the three they are."""
    held: list[str] = []
    held_chars = 0
    for piece in pieces:
        held.append(piece)
        held_chars += len(piece)
        if "\n" in piece or "\r" in piece or (len(held) > 1 and held[-2].endswith("\r")):
            *lines, last = io.StringIO("".join(held), newline="")
            yield from lines
            held, held_chars = [last], len(last)
        if held_chars > _LONGEST_LINE:
            raise csv.Error(f"line longer than {_LONGEST_LINE:,} characters")
    yield "".join(held)


def _evened(rows: Iterator[list[str]], width: int, metadata: dict[str, Any]) -> Iterator[Sequence[str]]:
    """The rows with as many cells as the header; notes in the metadata how many there were and which did not fit."""
    for row in rows:
        metadata["rows"] += 1
        if len(row) == width:
            yield row
        elif len(row) < width:
            metadata["short_rows"] = metadata.get("short_rows", 0) + 1
            yield row + [""] * (width - len(row))
        else:
            metadata["long_rows"] = metadata.get("long_rows", 0) + 1
            yield row
