"""Rows become text."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig, TablesConfig
from fmf.processing.loaders.base import Mark
from fmf.processing.tables import (
    MOST_ROWS,
    TableRows,
    in_blocks,
    markdown_table,
    rendered,
    rows_at_once,
    runs_of,
    table_readers,
    unique_names,
)
from unit.fmf.processing.memory import source_of


def test_names_of_columns_are_unique_and_never_empty():
    assert unique_names(["id", "", "id", " a\nb ", "id_2", "id"]) == ["id", "column_2", "id_2", "a b", "id_2_2", "id_3"]
    assert len(set(unique_names([""] * 500 + ["x"] * 500))) == 1000


@given(st.lists(st.text(max_size=5)))
def test_any_names_become_unique(cells):
    names = unique_names(cells)
    assert len(set(names)) == len(names) == len(cells)
    assert all(name.strip() for name in names)


CELLS = st.text(alphabet="ab |\t\r\né", max_size=4)


def table(*runs, header_row=1, **more):
    return TableRows(["a", "b"], header_row, iter(runs), **more)


def test_a_markdown_table_escapes_what_would_break_it():
    pieces = list(rendered(table((2, [["1|2", "x\r\ny"], ["plain", ""]])), markdown=True))
    assert pieces == [
        Mark("rows", 1),
        "| a | b |\n| --- | --- |\n",
        Mark("rows", 2),
        "| 1\\|2 | x<br>y |\n| plain |  |\n",
    ]


def test_tabbed_lines_stay_lines():
    pieces = list(rendered(table((2, [["1\t2", "x\ny"], ["3", "4"]])), markdown=False))
    assert pieces == [Mark("rows", 1), "a\tb\n", "1 2\tx y\n3\t4\n"]


def test_marks_stand_where_row_numbers_jump():
    runs = [(3, [[1, 2]]), (4, [[3, 4], [5, 6]]), (9, [[7, 8]])]
    pieces = list(rendered(table(*runs), markdown=False))
    assert pieces[2:] == [Mark("rows", 3), "1\t2\n", "3\t4\n5\t6\n", Mark("rows", 9), "7\t8\n"]
    assert list(table(*runs).rows()) == [(3, [1, 2]), (4, [3, 4]), (5, [5, 6]), (9, [7, 8])]


def test_a_table_without_a_header_row_has_no_mark_for_it():
    assert list(rendered(table((1, [[1, None]]), header_row=0), markdown=False)) == ["a\tb\n", Mark("rows", 1), "1\t\n"]


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=8))
def test_every_row_is_one_line_with_its_cells(rows):
    _, _, _, text = rendered(table((2, rows), textual=True), markdown=True)
    lines = text.splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        cells = line[2:-2].replace("\\|", "\0").split(" | ") if len(row) > 1 else [line[2:-2]]
        assert "|".join(cells).replace(" ", "").count("|") == len(row) - 1
    *_, tabbed = rendered(table((2, rows), textual=True), markdown=False)
    assert [line.count("\t") for line in tabbed.split("\n")[:-1]] == [len(row) - 1 for row in rows]


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


def test_a_small_table_is_filled_up():
    assert markdown_table([["a", "b"], ["1"]]) == "| a | b |\n| --- | --- |\n| 1 |  |\n"


@given(st.lists(st.text(max_size=40000), max_size=6))
def test_blocks_hold_the_same_text(lines):
    assert "".join(in_blocks(lines)) == "".join(lines)


def test_a_table_without_columns_has_no_text():
    assert list(rendered(TableRows([], 0, iter([])), markdown=True)) == []


def test_every_format_of_table_has_a_reader_of_its_rows():
    assert set(table_readers.names()) == set(get_args(get_args(TablesConfig.model_fields["formats"].annotation)[0]))
    with source_of(b"a,b\n1,2\n", "a.csv") as source:
        [found] = table_readers.get("csv")(source, ProcessingConfig())
        assert list(found.rows()) == [(2, ["1", "2"])]
    for name in table_readers.names():
        assert callable(table_readers.get(name))
