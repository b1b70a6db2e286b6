"""Columns that run into each other are told from tables and from columns in their order."""

from __future__ import annotations

from fmf.processing.pdf.order import Box, mixes_columns


def row(y: float, *spans: tuple[float, float]) -> list[Box]:
    return [Box(left, y, right, y + 10) for left, right in spans]


def test_halves_of_lines_that_fill_two_columns_are_mixed():
    boxes = [box for y in range(700, 500, -14) for box in row(y, (72, 280), (320, 530))]
    assert mixes_columns([*row(740, (72, 530)), *boxes])


def test_one_column_behind_the_other_is_in_order():
    left = [box for y in range(700, 500, -14) for box in row(y, (72, 280))]
    right = [box for y in range(700, 500, -14) for box in row(y, (320, 530))]
    assert not mixes_columns([*left, *right])


def test_the_cells_of_a_table_are_in_order():
    terms = [box for y in range(700, 500, -14) for box in row(y, (72, 110), (320, 530))]
    numbers = [box for y in range(700, 500, -14) for box in row(y, (72, 90), (200, 215), (320, 340))]
    assert not mixes_columns(terms)
    assert not mixes_columns(numbers)


def test_few_lines_are_left_alone():
    assert not mixes_columns([box for y in range(700, 650, -14) for box in row(y, (72, 280), (320, 530))])
    assert not mixes_columns([])


def test_short_cells_of_one_length_are_a_table():
    assert not mixes_columns([box for y in range(700, 500, -14) for box in row(y, (72, 120), (320, 370))])
