"""A title above a table is told from the row that names the columns."""

from __future__ import annotations

from datetime import date

import pytest

from fmf.processing.headers import header_below


def header(*rows):
    left = list(rows[1:])

    def take(size):
        taken, left[:] = left[:size], left[size:]
        return taken

    found = header_below(1, rows[0], take)
    assert [*found.behind, *left] == list(rows[found.number :])  # no row is lost
    return found.number, list(found.cells), found.titles


NAMES, ROW = ["id", "name"], ["1", "Ann"]


@pytest.mark.parametrize(
    "above",
    [
        [["Report May"]],
        [["Report"], []],
        [["Report", ""], ["", ""]],
        [["Report May"], ["by Ann Example"]],
        [["Report", None], [None, None]],
        [["2026"]],
    ],
)
def test_the_header_is_the_first_row_as_wide_as_the_others(above):
    number, cells, titles = header(*above, NAMES, ROW, ["2", "Bob"])
    assert (number, cells) == (len(above) + 1, NAMES)
    assert [title for _, title in titles] == [row[0] for row in above if any(row)]


@pytest.mark.parametrize(
    "rows",
    [
        [NAMES, ROW],
        [["id"], ["1"], ["2"]],
        [["key"], ["a", "b"], ["c", "d"]],  # nothing tells a title from a short header
        [["city name", ""], ["Berlin", "x"], ["Paris", "y"]],
        [["", "value"], ["a", "b"], ["c", "d"]],
        [["", "Report May"], NAMES, ROW],
        [["Report May"], ["1", "2"], ["3", "4"]],
        [["Report May"], NAMES, ROW, ["only"]],
        [["Report May"], NAMES, [*ROW, "more"]],
        [["Report May"], ["id", "id"], ROW],
        [["Report May"], NAMES],
        [["Report May"]],
    ],
)
def test_a_first_row_that_may_be_the_header_is_the_header(rows):
    assert header(*rows) == (1, list(rows[0]), [])


def test_texts_of_values_count_as_the_values_do():
    assert (
        header(["Report"], NAMES, [date(2026, 5, 1), "a"])[0] == header(["Report"], NAMES, ["2026-05-01", "a"])[0] == 2
    )
    assert header(["Report"], NAMES, [True, "a"])[0] == header(["Report"], NAMES, ["true", "a"])[0] == 2
    assert header(["Report"], NAMES, [1e-9, "a"])[0] == header(["Report"], NAMES, ["1e-09", "a"])[0] == 2
