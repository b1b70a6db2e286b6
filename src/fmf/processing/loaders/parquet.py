"""Parquet: all rows, read in small batches; nested values are JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fmf.config.processing import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.cells import column_texts
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.table_text import rendered
from fmf.processing.source import Source
from fmf.processing.tables import Cells, TableRows, rows_at_once, unique_names
from fmf.processing.unreadable import damaged, encrypted

_KIND: Final = "parquet"


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """All rows of the file as one table; row 1 is the first one, the names of the columns are no row.

    Times are ISO 8601, with their zone where the column has one; decimals keep their digits; lists, structures and maps
    are JSON; of bytes only their number is told.
    """
    metadata: dict[str, Any] = {}
    table = _table(source, metadata, textual=True)
    to_markdown = settings.tables.to_markdown
    pieces = rendered(table, markdown=to_markdown)
    return Loaded(pieces, title=source.ref.name, markdown=to_markdown, metadata=metadata)


def tables(source: Source, settings: ProcessingConfig) -> Iterator[TableRows]:  # noqa: ARG001 - as for other formats
    """The one table of the file, its cells as Python values; an empty cell is `None`."""
    yield _table(source, {})


def _table(source: Source, metadata: dict[str, Any], *, textual: bool = False) -> TableRows:
    with _errors(source):
        source.stream.seek(0)
        # Read as it is needed, column by column: nothing is held that was not asked for.
        file = pq.ParquetFile(pa.PythonFile(source.stream, mode="r"), pre_buffer=False)
        names = unique_names(file.schema_arrow.names)
    binary = [name for name, field in zip(names, file.schema_arrow, strict=True) if _is_binary(field.type)]
    metadata |= {"columns": names, "rows": file.metadata.num_rows, "row_groups": file.metadata.num_row_groups}
    if binary:
        metadata["binary_columns"] = binary
    runs = _runs(source, file, len(names), _texts if textual else _values)
    return TableRows(names, 0, runs, textual=textual, metadata=metadata)


def _runs(
    source: Source, file: pq.ParquetFile, width: int, cells: Callable[[Any], list[Any]]
) -> Iterator[tuple[int, list[Cells]]]:
    number = 1
    with _errors(source):
        for batch in file.iter_batches(batch_size=rows_at_once(width), use_threads=False):
            rows: list[Cells] = list(zip(*map(cells, batch.columns), strict=True))
            if rows:
                yield number, rows
            number += batch.num_rows


def _texts(column: Any) -> list[str]:
    # Arrow writes dates as Python does, in a tenth of the time.
    return column_texts(_values(column.cast(pa.string()) if pa.types.is_date32(column.type) else column))


def _values(column: Any) -> list[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        # Nanoseconds and years that Python's own types cannot hold; Arrow writes them as text.
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


def _is_binary(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary))


@contextmanager
def _errors(source: Source) -> Iterator[None]:
    try:
        yield
    except ProcessingError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if "encrypt" in str(error).lower():
            raise encrypted(source, _KIND) from error
        raise damaged(source, _KIND, error) from error
