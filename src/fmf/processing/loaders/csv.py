"""CSV and TSV: any dialect, streamed row by row into a table of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.decode import decoded, encoding_of
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.dialect import sniff
from fmf.processing.source import Source
from fmf.processing.tables import markdown_table, tabbed_lines, unique_names
from fmf_core.errors import Code

LONGEST_FIELD = 10_000_000
"""Characters of one cell; a longer one is mostly a quotation mark that is never closed."""
_SAMPLE = 1 << 16


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The rows of the file as a Markdown table, or as lines with tabs between the cells where `to_markdown` is off.

    The header is row `header_row`; rows above it are left out, rows without any text too. Rows that are shorter than the
    header are filled up, longer ones kept whole; the metadata says how many there were.
    """
    encoding = encoding_of(source)
    pieces = decoded(source, encoding)
    sample: list[str] = []
    while sum(map(len, sample)) < _SAMPLE and (piece := next(pieces, "")):
        sample.append(piece)
    delimiter = sniff("".join(sample)[:_SAMPLE], tabs=source.ref.name.lower().endswith(".tsv"))
    metadata: dict[str, Any] = {"delimiter": delimiter}
    if encoding.name != "utf-8":
        metadata["encoding"] = encoding.name
    rows = _rows(source, chain(sample, pieces), delimiter)
    header = next(islice(rows, settings.tables.header_row - 1, None), None)
    if header is None:
        return Loaded(iter(()), title=source.ref.name, metadata=metadata)
    names = unique_names(header)
    metadata |= {"columns": names, "rows": 0}
    render = markdown_table if settings.tables.to_markdown else tabbed_lines
    text = render(names, _evened(rows, len(names), metadata))
    return Loaded(text, title=source.ref.name, markdown=settings.tables.to_markdown, metadata=metadata)


def _rows(source: Source, pieces: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """The rows that hold any text."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(_lines(pieces), delimiter=delimiter)
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            if any(row):
                yield row
    except csv.Error as error:
        raise ProcessingError(
            f"{source.ref.uri}: row {number + 1}, which begins near line {reader.line_num}, cannot be read: {error}",
            op="processing.csv",
            code=Code.INVALID,
            hint="look for a quotation mark that is not closed",
        ) from error


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """The lines with their ends, whichever of the three they are."""
    held: list[str] = []
    for piece in pieces:
        lines = list(io.StringIO("".join([*held[-1:], piece]) if held else piece, newline=""))
        yield from lines[:-1]
        held = lines[-1:]
    yield from held


def _evened(rows: Iterator[list[str]], width: int, metadata: dict[str, Any]) -> Iterator[Sequence[str]]:
    """The rows with as many cells as the header; notes in the metadata how many there were and which did not fit."""
    for row in rows:
        metadata["rows"] += 1
        if len(row) < width:
            metadata["short_rows"] = metadata.get("short_rows", 0) + 1
            row = row + [""] * (width - len(row))
        elif len(row) > width:
            metadata["long_rows"] = metadata.get("long_rows", 0) + 1
        yield row
