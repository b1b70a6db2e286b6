"""Sums of grains are the counts of whole texts."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmf.errors import ProcessingError
from fmf.processing.cutting.counted import counter
from fmf.processing.cutting.tokens import EXACT, TOKENIZERS, count_one

ODD = [
    "\n",
    "\n\n",
    " ",
    "  ",
    "\t",
    "\r\n",
    "/",
    "'s",
    "'",
    ".",
    "\u3002",
    "\uff0c",
    "x" * 120,
    "12345",
    "\x1c",
    "\u00a0",
]
WORDS = [
    "The",
    "ledger",
    "was",
    "closed,",
    "SIGNED",
    "i.e.",
    "don't",
    "東京",
    "は日本",
    "가나",
    "e\u0301",
    "👩‍👩‍👧‍👦",
    *ODD,
]
TEXTS = st.lists(st.sampled_from([*WORDS, *(f" {word}" for word in WORDS)]), max_size=120).map("".join)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 300), st.integers(0, 900), st.sampled_from(EXACT), st.integers(1, 40), st.integers(20, 90))
@example("a\n\n   b" * 20, 3, 100, "cl100k_base", 1, 20)
@example(".\n/b" * 40, 3, 100, "o200k_base", 1, 20)
def test_any_part_has_the_tokens_that_it_has_by_itself(text, start, size, tokenizer, grain, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmf.processing.cutting.counted._GRAIN", grain)
        patch.setattr("fmf.processing.cutting.counted._MOST", grain + most)
        counted = counter(tokenizer)
        counted.grow(text, 0, complete=True)
        end = min(len(text), start + size)
        while end > start and text[end - 1].isspace():
            end -= 1  # white space at the end may be one token more or less; no chunk ends with it
        if end > start:
            assert counted.count(start, end) == count_one(text[start:end], tokenizer)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 200), st.integers(1, 80), st.sampled_from(TOKENIZERS))
def test_the_furthest_place_holds_the_limit_and_the_next_characters_do_not(text, start, limit, tokenizer):
    counted = counter(tokenizer)
    counted.grow(text, 0, complete=True)
    if start >= len(text.rstrip()):
        return
    place = counted.furthest(start, limit)
    assert place is not None
    # The white space at the start belongs to no chunk, and a token that is cut may become two.
    assert count_one(text[start:place].strip(), tokenizer) <= limit + 2
    if place < len(text):
        assert count_one(text[start : place + 16], tokenizer) > limit - 2


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_earliest_place_is_between_what_fits_and_what_does_not(tokenizer):
    text = "The ledger was closed on Friday, and nobody had signed it. " * 100
    counted = counter(tokenizer)
    counted.grow(text, 0, complete=True)
    found = counted.earliest(5_000, 150)
    assert found is not None
    assert count_one(text[found[0] : 5_000], tokenizer) > 150 >= count_one(text[found[1] : 5_000], tokenizer)
    assert counted.earliest(40, 150) is None


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_what_depends_on_text_yet_to_come_is_not_told(tokenizer):
    counted = counter(tokenizer)
    counted.grow("word " * 100, 0, complete=False)
    assert counted.furthest(0, 500) is None
    counted.grow("word " * 100, 0, complete=True)
    assert counted.furthest(0, 500) == 500


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_half_of_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(ProcessingError, match=r"half of a surrogate pair, U\+D83D") as caught:
        counter(tokenizer).grow("a \ud83d b", 0, complete=True)
    assert caught.value.hint
