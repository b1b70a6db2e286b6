"""Every chunk is exact, none is too long, and together they hold the whole text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmf.config.models import ChunkingConfig
from fmf.errors import ConfigError
from fmf.processing.chunking import Chunker, Piece
from fmf.processing.tokens import count

ENGLISH = (
    "The ledger was closed on Friday. Nobody had signed it, and so Mr. Brown wrote to London at once! "
    "What did he say? He said that the 3.5 percent were missing; i.e. the whole of the interest. "
)
CJK = "東京は日本の首都である。人口は多い、交通も便利だ。雪が降った！何もない？そうだ、京都へ行こう。"
EMOJI = "👩‍👩‍👧‍👦🇩🇪🇫🇷👍🏽é🧠"


def chunks(text: str, max_tokens: int = 40, overlap: int = 0, *, markdown: bool = False, cuts: int = 0) -> list[Piece]:
    chunker = Chunker(ChunkingConfig(max_tokens=max_tokens, overlap=overlap), markdown=markdown)
    step = cuts or max(1, len(text))
    found = [piece for at in range(0, len(text), step) for piece in chunker.feed(text[at : at + step])]
    return found + list(chunker.finish())


def check(text: str, pieces: list[Piece], max_tokens: int) -> None:
    assert [piece.tokens for piece in pieces] == count([piece.text for piece in pieces], "o200k_base")
    reached = 0
    for before, piece in zip([None, *pieces], pieces, strict=False):
        assert piece.text == text[piece.start : piece.end]
        assert piece.text.strip()
        assert piece.tokens <= max_tokens
        assert before is None or (piece.start > before.start and piece.end > before.end)
        assert not text[reached : piece.start].strip()
        reached = piece.end
    assert not text[reached:].strip()


WORDS = st.sampled_from(
    [
        *ENGLISH.split(" "),
        *CJK,
        EMOJI,
        "\n",
        "\n\n",
        "\n\n\n",
        "# Title\n",
        "- item\n",
        "| a | b |\n",
        "```\n",
        "~~~\n",
        "\t",
        "   ",
    ]
    + ["x" * 50, "\x00", "\x1c", "\u2028", "\u200d", "\ufe0f", "\u0301", "....", "?!", "\r", "ﬁ", "1234567890", "é"]
)
TEXTS = st.one_of(
    st.text(max_size=400), st.lists(WORDS, max_size=150).map(" ".join), st.lists(WORDS, max_size=150).map("".join)
)


@settings(deadline=None)
@given(TEXTS, st.integers(4, 60), st.integers(0, 59), st.booleans())
@example(EMOJI * 3, 4, 3, False)
@example("\n" * 300 + "a", 4, 3, True)
def test_any_text_is_covered_by_exact_chunks_within_the_limit(text, max_tokens, overlap, markdown):
    check(text, chunks(text, max_tokens, min(overlap, max_tokens - 1), markdown=markdown), max_tokens)


@settings(deadline=None)
@given(TEXTS, st.integers(4, 40), st.integers(0, 39), st.booleans(), st.integers(1, 50), st.integers(1, 300))
def test_the_pieces_in_which_a_text_is_fed_change_nothing(text, max_tokens, overlap, markdown, cuts, block):
    overlap = min(overlap, max_tokens - 1)
    long_text = text * 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmf.processing.chunking._BLOCK", block)
        patch.setattr("fmf.processing.chunking.CONTEXT", 4_200)
        fed = chunks(long_text, max_tokens, overlap, markdown=markdown, cuts=cuts)
    assert fed == chunks(long_text, max_tokens, overlap, markdown=markdown)
