"""Rows become text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.tables import in_blocks, markdown_table, tabbed_lines, unique_names


def test_names_of_columns_are_unique_and_never_empty():
    assert unique_names(["id", "", "id", " a\nb ", "id_2", "id"]) == ["id", "column_2", "id_2", "a b", "id_2_2", "id_3"]
    assert len(set(unique_names([""] * 500 + ["x"] * 500))) == 1000


@given(st.lists(st.text(max_size=5)))
def test_any_names_become_unique(cells):
    names = unique_names(cells)
    assert len(set(names)) == len(names) == len(cells)
    assert all(name.strip() for name in names)


def test_a_markdown_table_escapes_what_would_break_it():
    lines = list(markdown_table(["a", "b"], [["1|2", "x\r\ny"], ["plain", ""]]))
    assert lines == ["| a | b |\n", "| --- | --- |\n", "| 1\\|2 | x<br>y |\n", "| plain |  |\n"]


def test_tabbed_lines_stay_lines():
    assert list(tabbed_lines(["a", "b"], [["1\t2", "x\ny"], ["3", "4"]])) == ["a\tb\n", "1 2\tx y\n", "3\t4\n"]


@given(st.lists(st.text(max_size=40000), max_size=6))
def test_blocks_hold_the_same_text(lines):
    assert "".join(in_blocks(lines)) == "".join(lines)
