"""Dates and names that a PDF gives of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.pdf.info import facts_of, iso_date, title_of


@pytest.mark.parametrize(
    ("date", "iso"),
    [
        ("D:20240215103000+01'00'", "2024-02-15T10:30:00+01:00"),
        ("D:20240215103000-0530", "2024-02-15T10:30:00-05:30"),
        ("D:20240215103000Z", "2024-02-15T10:30:00+00:00"),
        ("D:20240215103000Z00'00'", "2024-02-15T10:30:00+00:00"),
        ("D:202402", "2024-02-01T00:00:00"),
        ("20240215", "2024-02-15T00:00:00"),
        ("D:20241315", None),
        ("D:20240215103000+99'00'", "2024-02-15T10:30:00"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(date, iso):
    assert iso_date(date) == iso


@given(st.text())
def test_any_date_is_one_or_none(text):
    assert iso_date("D:" + text) is None or iso_date("D:" + text)[4] == "-"


def test_titles_that_are_none_are_left_out():
    assert title_of({"Title": " Annual\0 report\n2024 "}) == "Annual report 2024"
    assert title_of({"Title": "Untitled"}) is title_of({"Title": "  "}) is title_of({}) is None
    assert len(title_of({"Title": "x" * 999}) or "") == 300


def test_facts_hold_what_is_given():
    assert facts_of({"Author": "Ann", "Producer": "p", "Keywords": "", "ModDate": "D:2024"}) == {
        "author": "Ann",
        "modified": "2024-01-01T00:00:00",
    }
