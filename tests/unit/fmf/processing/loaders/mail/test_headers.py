"""Headers become lines of text, whatever was put into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.mail.headers import header_text, iso_date


def raw(data: bytes) -> str:
    return data.decode("ascii", "surrogateescape")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Plain", "Plain"),
        ("folded\r\n  over lines", "folded over lines"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ==?= aus =?iso-8859-1?Q?K=F6ln?=", "Grüße aus Köln"),
        ("=?utf-8?b?4piY?= =?utf-8?b?4pi/?=", "☘☿"),
        ("=?utf-8?q?=E2=98?=\r\n =?utf-8?q?=98?=", "☘"),
        ("=?iso-2022-jp?B?GyRCRWw1fhsoQg==?=", "東京"),
        ("=?utf-8*en?q?a_b?= c", "a b c"),
        ("=?plum?q?a=C3=BC?=", "aü"),
        ("=?utf-8?q?a=FC?=", "aü"),
        ("=?utf-8?b?!?=", ""),
        (raw("Grüße".encode()), "Grüße"),
        (raw("Schöne Grüße aus München und Köln".encode("latin-1")), "Schöne Grüße aus München und Köln"),
        ("a\x00b\x07c\u202e", "abc"),
        ('"Ann Example" <a@example.org>', '"Ann Example" <a@example.org>'),
        ("", ""),
    ],
)
def test_values_are_lines_of_text(value, text):
    assert header_text(value) == text


@given(st.text(alphabet="=?utf-8QqBb_= AÄ\udcff\n\0", max_size=60))
def test_any_value_is_a_line_that_can_be_written(value):
    text = header_text(value)
    text.encode()
    assert text == " ".join(text.split())
    assert "\ufffd" not in text


def test_long_values_are_cut():
    assert len(header_text("x" * 1_000_000)) < 11_000
    assert header_text("x" * 1_000_000).endswith(" ...")


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("Sat, 28 Nov 2026 17:25:48 +0100", "2026-11-28T17:25:48+01:00"),
        ("Fri, 99 Foo 20266 99:99:99 +9999", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_iso_dates_or_nothing(value, date):
    assert iso_date(value) == date
