"""Token counts in the vocabularies of current models: exact, or an estimate where the vocabulary is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final

from fmf.errors import ConfigError
from fmf_core.nearest import known_hint

EXACT: Final = ("o200k_base", "cl100k_base", "o200k_harmony")
"""The vocabularies that are counted in exactly."""
CHARACTERS: Final = "characters"
"""The tokenizer that estimates."""
TOKENIZERS: Final = (*EXACT, CHARACTERS)
"""All that `processing.text.chunking.tokenizer` may be."""
CHARACTERS_A_TOKEN: Final = 4
"""What `CHARACTERS` takes for the length of a token: about right for English, too much for most other scripts."""

_NO_LIMIT: Final = 1 << 31
_FEW: Final = 8
"""Texts that are counted one by one: a count of many takes 12 us beforehand, a tenth of all that a small file takes."""


def known(tokenizer: str) -> str:
    """`tokenizer` itself.

    Raises:
        ConfigError: it is none of `TOKENIZERS`.
    """
    if tokenizer not in TOKENIZERS:
        raise ConfigError(
            f"unknown tokenizer {tokenizer!r}",
            op="processing.count",
            hint=known_hint(tokenizer, TOKENIZERS, what="set processing.text.chunking.tokenizer to one of"),
        )
    return tokenizer


def estimate(characters: int) -> int:
    """How many tokens that many characters are taken for."""
    return -(-characters // CHARACTERS_A_TOKEN)


def count(texts: Sequence[str], tokenizer: str) -> list[int]:
    """How many tokens each text has; texts must not hold lone surrogates, and special tokens count as ordinary text."""
    if known(tokenizer) == CHARACTERS:
        return [estimate(len(text)) for text in texts]
    if len(texts) < _FEW:
        return [count_one(text, tokenizer) for text in texts]
    return _toktok()[0](list(texts), tokenizer, 1)  # type: ignore[no-any-return]


def truncate(text: str, max_tokens: int, tokenizer: str) -> tuple[str, int]:
    """The longest beginning of `text` of at most that many tokens and whole characters, and the tokens of all of it."""
    return truncation(tokenizer)(text, max_tokens)


@cache
def truncation(tokenizer: str) -> Callable[[str, int], tuple[str, int]]:
    """`truncate` in one vocabulary; quicker for many short texts."""
    if known(tokenizer) == CHARACTERS:
        return lambda text, max_tokens: (text[: max_tokens * CHARACTERS_A_TOKEN], estimate(len(text)))
    return partial(_toktok()[1], encoding=tokenizer)


def count_one(text: str, tokenizer: str) -> int:
    """How many tokens `text` has; quicker than `count` for a single text."""
    return truncate(text, _NO_LIMIT, tokenizer)[1]


@cache
def _toktok() -> tuple[Callable[..., Any], Callable[..., Any]]:
    # The vocabularies take 0.3 s and 60 MB to load.
    import toktok

    return toktok.batch_count, toktok.truncate
