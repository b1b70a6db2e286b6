"""Parquet files are read to their last row, in small batches."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmf.config.models import ProcessingConfig, TablesConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import parquet as loader
from fmf.processing.loaders.base import Mark
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of


def written(columns: dict, **options) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def load(data: bytes, **tables):
    with source_of(data, "a.parquet") as source:
        loaded = loader.load(source, ProcessingConfig(tables=TablesConfig(**tables)))
        pieces = list(loaded.pieces)
    return "".join(piece for piece in pieces if isinstance(piece, str)), pieces, loaded.metadata


class TestParquetSitsTheExam(LoaderExam):
    words: ClassVar = {"a.parquet": ["| name | count |", "| Grüße | 1 |", "| b |  |"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.parquet": written({"name": ["Grüße", "b"], "count": [1, None]})}

    def make_large_file(self):
        return "large.parquet", written({"id": list(range(100_000)), "text": ["some words of a row"] * 100_000})


def test_all_rows_of_all_row_groups_are_there_with_their_numbers():
    data = written({"id": list(range(1000)), "name": [f"n{number}" for number in range(1000)]}, row_group_size=300)
    text, pieces, metadata = load(data)
    assert text.count("\n") == 1002
    assert "| 999 | n999 |\n" in text
    assert metadata == {"columns": ["id", "name"], "rows": 1000, "row_groups": 4}
    assert [piece for piece in pieces if isinstance(piece, Mark)] == [Mark("rows", 1)]
    with source_of(data) as source:
        [table] = loader.tables(source, ProcessingConfig())
        rows = list(table.rows())
    assert rows[0] == (1, (0, "n0"))
    assert rows[-1] == (1000, (999, "n999"))


def test_values_of_every_kind():
    moment = datetime(2024, 2, 15, 10, 30, tzinfo=UTC)
    data = written(
        {
            "decimal": [Decimal("1.50")],
            "day": [date(2024, 2, 15)],
            "utc": pa.array([moment], pa.timestamp("ms", "UTC")),
            "nanoseconds": pa.array([1_708_000_000_123_456_789], pa.timestamp("ns")),
            "flag": [True],
            "nested": [{"a": [1, None], "b": "x|y"}],
            "bytes": [b"\xff\0"],
            "word": pa.array(["a"]).dictionary_encode(),
            "nothing": pa.array([None], pa.null()),
        }
    )
    text, _, metadata = load(data, to_markdown=False)
    line = text.split("\n")[1].split("\t")
    assert line[:3] == ["1.50", "2024-02-15", "2024-02-15T10:30:00+00:00"]
    assert line[3].startswith("2024-02-15")
    assert "123456789" in line[3]
    assert line[4:] == ["true", '{"a":[1,null],"b":"x|y"}', "<2 bytes>", "a", ""]
    assert metadata["binary_columns"] == ["bytes"]


def test_empty_rows_and_tables():
    assert load(written({"a": [None, None]}))[0].count("|  |\n") == 2
    assert load(written({"a": pa.array([], pa.int64())}))[0] == "| a |\n| --- |\n"


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"text"])
def test_what_is_no_parquet_is_one_error(data):
    with pytest.raises(ProcessingError, match="damaged or not a parquet file"):
        load(data)
