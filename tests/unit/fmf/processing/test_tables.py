"""Rows travel in runs, and every format of table has a reader of them."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig, TablesConfig
from fmf.processing.tables import MOST_ROWS, rows_at_once, runs_of, table_readers, unique_names
from unit.fmf.processing.memory import source_of


def test_names_of_columns_are_unique_and_never_empty():
    assert unique_names(["id", "", "id", " a\nb ", "id_2", "id"]) == ["id", "column_2", "id_2", "a b", "id_2_2", "id_3"]
    assert len(set(unique_names([""] * 500 + ["x"] * 500))) == 1000


@given(st.lists(st.text(max_size=5)))
def test_any_names_become_unique(cells):
    names = unique_names(cells)
    assert len(set(names)) == len(names) == len(cells)
    assert all(name.strip() for name in names)


@given(
    st.lists(st.lists(st.sampled_from(["", None, 0, False, "x"]), min_size=2, max_size=2), max_size=12),
    st.integers(1, 9),
)
def test_runs_leave_out_what_is_empty_and_keep_the_numbers(rows, first):
    kept = [
        (number, row) for number, row in enumerate(rows, first) if any(cell is not None and cell != "" for cell in row)
    ]
    found = [(number, row) for start, run in runs_of(first, rows) for number, row in enumerate(run, start)]
    assert found == kept


def test_wide_rows_come_in_short_runs():
    assert rows_at_once(0) == rows_at_once(3) == MOST_ROWS
    assert rows_at_once(1 << 20) == 1
    assert 1 < rows_at_once(10_000) < 10


def test_every_format_of_table_has_a_reader_of_its_rows():
    assert {*table_readers.names()} - {"gzip"} == set(
        get_args(get_args(TablesConfig.model_fields["formats"].annotation)[0])
    )
    with source_of(b"a,b\n1,2\n", "a.csv") as source:
        [found] = table_readers.get("csv")(source, ProcessingConfig())
        assert list(found.rows()) == [(2, ["1", "2"])]
    for name in table_readers.names():
        assert callable(table_readers.get(name))
