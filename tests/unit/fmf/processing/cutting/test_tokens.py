"""Counts are exact."""

from __future__ import annotations

import pytest

from fmf.errors import ConfigError
from fmf.processing.cutting.tokens import EXACT, TOKENIZERS, count, count_one, known, truncate


@pytest.mark.parametrize("tokenizer", EXACT)
def test_counts_agree(tokenizer):
    texts = ["", "hello world", "<|endoftext|>", "日本語 テスト", "🧠" * 5]
    counts = count(texts, tokenizer)
    assert counts[:2] == [0, 2]
    assert counts[2] > 1
    assert [count_one(text, tokenizer) for text in texts] == counts
    assert truncate("hello world", 1, tokenizer) == ("hello", 2)


def test_characters_are_an_estimate_of_four_a_token():
    texts = ["", "a", "abcd", "abcde"]
    assert count(texts, "characters") == [count_one(text, "characters") for text in texts] == [0, 1, 1, 2]
    assert truncate("hello world", 2, "characters") == ("hello wo", 3)


def test_an_unknown_tokenizer_lists_the_known():
    with pytest.raises(ConfigError) as caught:
        known("o200k")
    assert "did you mean 'o200k_base'" in caught.value.hint
    assert all(name in caught.value.hint for name in TOKENIZERS)


def test_an_unknown_vocabulary_is_refused_by_every_count():
    for call in (lambda: count(["a"], "o200k"), lambda: count_one("a", "o200k"), lambda: truncate("a", 1, "o200k")):
        with pytest.raises(ConfigError, match="unknown tokenizer") as caught:
            call()
        assert "did you mean 'o200k_base'?" in caught.value.hint
