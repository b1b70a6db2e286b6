"""Exact token counts in the vocabularies of current models."""

from __future__ import annotations

from collections.abc import Sequence

from fmf.errors import ConfigError
from fmf_core.nearest import known_hint

TOKENIZERS = ("o200k_base", "cl100k_base", "o200k_harmony")
"""The vocabularies that can be counted in."""

_NO_LIMIT = 1 << 31


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


def count(texts: Sequence[str], tokenizer: str) -> list[int]:
    """How many tokens each text has; texts must not hold lone surrogates, and special tokens count as ordinary text."""
    # The vocabularies take 0.3 s and 60 MB to load.
    import toktok

    return toktok.batch_count(list(texts), known(tokenizer), 1)  # type: ignore[no-any-return]


def truncate(text: str, max_tokens: int, tokenizer: str) -> tuple[str, int]:
    """The longest beginning of `text` of at most that many tokens and whole characters, and the tokens of all of it."""
    import toktok

    return toktok.truncate(text, max_tokens, known(tokenizer))  # type: ignore[no-any-return]


def count_one(text: str, tokenizer: str) -> int:
    """How many tokens `text` has; quicker than `count` for a single text."""
    return truncate(text, _NO_LIMIT, tokenizer)[1]
