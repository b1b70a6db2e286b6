"""Values of cells as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from fmf.processing.cells import column_texts, text_of, texts_of


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (12345678901234567890, "12345678901234567890"),
        (0.25, "0.25"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.10"), "0.10"),
        (date(2024, 2, 15), "2024-02-15"),
        (datetime(2024, 2, 15, 10, 30), "2024-02-15T10:30:00"),
        (datetime(2024, 2, 15, 10, 30, tzinfo=UTC), "2024-02-15T10:30:00+00:00"),
        (time(10, 30), "10:30:00"),
        (timedelta(hours=37, minutes=30), "37:30:00"),
        (timedelta(seconds=-1.5), "-0:00:01.5"),
        (b"\0\1", "<2 bytes>"),
        ([1, None, "x"], '[1,null,"x"]'),
        ({"a": date(2024, 1, 2), "b": b"\1", "c": Decimal("1.5")}, '{"a":"2024-01-02","b":"AQ==","c":"1.5"}'),
        ((1, timedelta(minutes=1)), '[1,"0:01:00"]'),
        (Odd(), "odd"),
    ],
)
def test_values_as_text(value, text):
    assert text_of(value) == text
    assert texts_of([[value, "x"]]) == [[text, "x"]]
    assert column_texts([value, value]) == [text, text]
    assert column_texts([value, "x", None]) == [text, "x", ""]
