"""A sample to try a prompt on: the rows of a table, or of a file of JSON lines, by column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fmf.chains.single import reading
from fmf.errors import ConfigError, NothingMatchedError, ProcessingError
from fmf.processing.cells import text_of
from fmf.processing.characters.decode import decoded, encoding_of
from fmf.processing.kinds.detect import detect, ending
from fmf.processing.tables import table_readers
from fmf_core.errors import Code

if TYPE_CHECKING:
    from fmf.config.processing import ProcessingConfig
    from fmf.processing.source import Source

_JSON_LINES: Final = ("jsonl", "ndjson")
_LONGEST_LINE: Final = 10_000_000


class SampleRow(NamedTuple):
    """One row of a sample."""

    number: int
    """The row or the line, as a reader of the file counts."""
    values: dict[str, Any]
    """What stands in each column; of a table the cells as texts."""


def sample_rows(path: str, processing: ProcessingConfig) -> Iterator[SampleRow]:
    """The rows of the first table of a file (CSV, TSV, workbook, Parquet), or of a file of JSON lines, one by one.

    Raises:
        ConfigError: there is no such file, it cannot be opened, or it is neither.
        NothingMatchedError: it has no rows.
        ProcessingError: it is too large, or damaged from some row on.
    """
    with reading(path, processing.limits.max_file_mb, "--sample") as source:
        rows = _lines_of(source) if ending(source.ref.name) in _JSON_LINES else _rows_of(source, processing)
        empty = True
        for row in rows:
            empty = False
            yield row
    if empty:
        raise NothingMatchedError(
            f"the sample {path!r} has no rows", op="prompts.sample", hint="give a file with a header and rows below it"
        )


def _rows_of(source: Source, processing: ProcessingConfig) -> Iterator[SampleRow]:
    kind = detect(source.ref.name, source.head)
    if kind is None or kind.name not in table_readers:
        raise ConfigError(
            f"the sample {source.ref.id!r} is no table",
            op="prompts.sample",
            hint=f"give {', '.join(table_readers.names())} or JSON lines, whose names end in .jsonl",
        )
    for table in table_readers.get(kind.name)(source, processing):
        for number, cells in table.rows():
            texts = ("" if cell is None else text_of(cell) for cell in cells)
            yield SampleRow(number, dict(zip(table.names, texts, strict=False)))
        return


def _lines_of(source: Source) -> Iterator[SampleRow]:
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
            raise _broken(source, number, f"is no JSON: {reason}") from error
        if not isinstance(values, dict):
            raise _broken(source, number, "is no object of columns and values")
        yield SampleRow(number, values)


def _lines(source: Source) -> Iterator[str]:
    rest = ""
    for piece in decoded(source, encoding_of(source)):
        *whole, rest = (rest + piece).split("\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            raise ProcessingError(
                f"the sample {source.ref.id!r} has a line of more than {_LONGEST_LINE:,} characters",
                op="prompts.sample",
                code=Code.INVALID,
                hint="write one object a line",
            )
    yield rest


def _broken(source: Source, number: int, what: str) -> ProcessingError:
    return ProcessingError(
        f"line {number} of the sample {source.ref.id!r} {what}",
        op="prompts.sample",
        code=Code.INVALID,
        hint='write one object a line: {"text": "...", "label": "..."}',
    )
