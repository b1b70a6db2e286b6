"""Tables become text, with marks of their rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.table_text import markdown_table, rendered
from fmf.processing.tables import TableRows

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


def test_a_small_table_is_filled_up():
    assert markdown_table([["a", "b"], ["1"]]) == "| a | b |\n| --- | --- |\n| 1 |  |\n"


def test_a_table_without_columns_has_no_text():
    assert list(rendered(TableRows([], 0, iter([])), markdown=True)) == []
