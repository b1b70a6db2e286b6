"""Words of a printed page become whole again, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.pdf.tidy import DIVIDED, tidy


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("e\ufb03cient \ufb01les, o\ufb00 \ufb02oor", "efficient files, off floor"),
        (f"embed{DIVIDED}dings", "embeddings"),
        ("embed-\ndings are", "embeddings are"),
        ("embed\u2010\ndings", "embeddings"),
        ("embed\u00ad\ndings and co\u00adoperate", "embeddings and cooperate"),
        (f"Lucene{DIVIDED}BM25", "Lucene-BM25"),
        (f"COVID{DIVIDED}19", "COVID-19"),
        (f"Haus{DIVIDED}und Garten", "Haus- und Garten"),
        (f"a well-known case, well{DIVIDED}known", "a well-known case, well-known"),
        (f"a dual way, an encoder, a dual{DIVIDED}encoder", "a dual way, an encoder, a dual-encoder"),
        (
            f"dualencoder, a dual way, an encoder, a dual{DIVIDED}encoder",
            "dualencoder, a dual way, an encoder, a dualencoder",
        ),
        ("1990-\n1995", "1990-\n1995"),
        ("- one\n- two", "- one\n- two"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\0b\x1fc\td\ufeff", "abc\td"),
    ],
)
def test_what_a_page_becomes(page, text):
    assert tidy(page) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="-\u2010\u00ad\r\x02", exclude_categories=["Cc", "Cf"])))
def test_text_without_hyphens_and_ligatures_stays_as_it_is(text):
    plain = "".join(sign for sign in text if not "\ufb00" <= sign <= "\ufb06" and sign not in "\ufffe\uffff")
    assert tidy(plain) == plain


@given(st.lists(st.sampled_from(["word", "-", "\n", DIVIDED, "\u00ad", "Big", "7", " ", "und"]), max_size=30))
def test_no_letter_is_lost_whatever_is_divided(parts):
    page = "".join(parts)
    letters = [sign for sign in page if sign.isalnum()]
    assert [sign for sign in tidy(page) if sign.isalnum()] == letters
    assert DIVIDED not in tidy(page)
