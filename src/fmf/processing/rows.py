"""The rows of a table as records of their own: each with its number, its sheet and its values by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from fnmatch import fnmatchcase
from typing import Any, Final

from fmf.artefacts.lines import encode_line
from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.cells import text_of
from fmf.processing.kinds.detect import Kind
from fmf.processing.source import Source
from fmf.processing.tables import TableRows, unique_names
from fmf.processing.wanted import table_reader
from fmf.types import ChunkLines, Document, Row, TableWish
from fmf_core.errors import Code
from fmf_core.nearest import known_hint
from fmf_core.redact import blank_known, knows_secrets

_BATCH: Final = 256
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def row_lines(
    source: Source, kind: Kind, settings: ProcessingConfig, document: Document, wish: TableWish
) -> Iterator[ChunkLines]:
    """Every row that holds anything, as lines of `row_id`, `doc_id`, `source_uri`, `sheet`, `row` and `values`.

    Args:
        source: the file.
        kind: what it is.
        settings: the section `processing` of the configuration.
        document: what is known of the file.
        wish: which sheets of it are wanted, and which columns each must have.

    Raises:
        Skipped: files of that kind have no rows.
        ProcessingError: a column is missing, no sheet is wanted, or the file cannot be read.
    """
    read = table_reader(kind.name)
    if wish.header_row is not None:
        tables = settings.tables.model_copy(update={"header_row": wish.header_row})
        settings = settings.model_copy(update={"tables": tables})
    left_out: list[str] = []
    found = 0
    for table in read(source, settings):
        if table.sheet is not None and not _is_wanted(table.sheet, wish.sheets):
            left_out.append(table.sheet)
            continue
        found += 1
        _check(table, document, wish.columns)
        names = unique_names([blank_known(name) for name in table.names])
        lines, count = bytearray(), 0
        for number, cells in table.rows():
            if len(cells) > len(names):
                names = unique_names([*names, *[""] * (len(cells) - len(names))])
            values = dict(zip(names[: max(len(cells), len(table.names))], map(_plain, cells), strict=False))
            lines += encode_line(_row(table, number, values, document))
            count += 1
            if count == _BATCH:
                yield ChunkLines(bytes(lines), count)
                lines, count = bytearray(), 0
        if count:
            yield ChunkLines(bytes(lines), count)
    if left_out and not found:
        raise _no_sheet(document, wish.sheets, left_out)


def _is_wanted(sheet: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(sheet, pattern) for pattern in patterns)


def _row(table: TableRows, number: int, values: dict[str, Any], document: Document) -> Row:
    return {
        "row_id": f"{document.doc_id}-{table.number}-{number:07d}",
        "doc_id": document.doc_id,
        "source_uri": document.source_uri,
        "sheet": table.sheet,
        "row": number,
        "values": values,
    }


def _plain(value: Any) -> Any:
    """A value that JSON knows; dates and times as ISO 8601, and as text what has no other form.

    A number that is a registered secret is blanked; texts are, when they are written.
    """
    if type(value) in _PLAIN:
        return value if isinstance(value, str) or value is None else _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return text_of(value)


def _number(value: float) -> Any:
    if not knows_secrets():
        return value
    text = str(value)
    blanked = blank_known(text)
    return value if blanked == text else blanked


def _check(table: TableRows, document: Document, columns: Sequence[str]) -> None:
    missing = next((column for column in columns if column not in table.names), None)
    if missing is not None:
        where = f", sheet {table.sheet!r}," if table.sheet else ""
        raise ProcessingError(
            f"{document.source_uri}{where} has no column {missing!r}",
            op="processing.rows",
            code=Code.INVALID,
            hint=f"{known_hint(missing, table.names, what='its columns')}; {_how_to_choose(table)}",
        )


def _how_to_choose(table: TableRows) -> str:
    if not table.header_row:
        return "the file names them itself"
    told = f"its header is row {table.header_row}: inputs.table.header_row of the chain names another one"
    return told if table.sheet is None else f"{told}, inputs.table.sheets the sheets to read"


def _no_sheet(document: Document, patterns: Sequence[str], sheets: Sequence[str]) -> ProcessingError:
    return ProcessingError(
        f"{document.source_uri} has no sheet that fits inputs.table.sheets: {', '.join(patterns)}",
        op="processing.rows",
        code=Code.INVALID,
        hint=known_hint(patterns[0], sheets, what="its sheets"),
    )
