"""Every chunk is exact, none is too long, and together they hold the whole text."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmf.config.models import ChunkingConfig
from fmf.errors import ConfigError, ProcessingError
from fmf.processing.cutting.chunking import Chunker, Piece
from fmf.processing.cutting.tokens import count

ENGLISH = (
    "The ledger was closed on Friday. Nobody had signed it, and so Mr. Brown wrote to London at once! "
    "What did he say? He said that the 3.5 percent were missing; i.e. the whole of the interest. "
)
CJK = "東京は日本の首都である。人口は多い、交通も便利だ。雪が降った！何もない？そうだ、京都へ行こう。"
EMOJI = "👩‍👩‍👧‍👦🇩🇪🇫🇷👍🏽é🧠"


def chunks(
    text: str, max_tokens: int = 40, overlap: int = 0, *, markdown: bool = False, cuts: int = 0, **settings: str
) -> list[Piece]:
    chunker = Chunker(ChunkingConfig(max_tokens=max_tokens, overlap=overlap, **settings), markdown=markdown)
    step = cuts or max(1, len(text))
    found = [piece for at in range(0, len(text), step) for piece in chunker.feed(text[at : at + step])]
    return found + list(chunker.finish())


def check(text: str, pieces: list[Piece], max_tokens: int, tokenizer: str = "o200k_base") -> None:
    assert [piece.tokens for piece in pieces] == count([piece.text for piece in pieces], tokenizer)
    reached = 0
    for before, piece in zip([None, *pieces], pieces, strict=False):
        assert piece.text == text[piece.start : piece.end]
        assert piece.text.strip()
        assert piece.tokens <= max_tokens
        assert before is None or (piece.start > before.start and piece.end > before.end)
        assert not text[reached : piece.start].strip()
        reached = piece.end
    assert not text[reached:].strip()


BLOCKS = ["\n", "\n\n", "\n\n\n", "# Title\n", "- item\n", "| a | b |\n", "```\n", "~~~\n", "\t", "   "]
ODD = ["x" * 50, "\x00", "\x1c", "\u2028", "\u200d", "\ufe0f", "\u0301", "....", "?!", "\r", "\ufb01", "1234567890"]
WORDS = st.sampled_from([*ENGLISH.split(" "), *CJK, EMOJI, *BLOCKS, *ODD])
TEXTS = st.one_of(
    st.text(max_size=400), st.lists(WORDS, max_size=150).map(" ".join), st.lists(WORDS, max_size=150).map("".join)
)


WAYS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["recursive", "by_heading", "by_paragraph", "by_sentence", "by_row"]),
        "splitter": st.sampled_from(["by_paragraph", "by_sentence", "by_word"]),
        "tokenizer": st.sampled_from(["o200k_base", "cl100k_base", "o200k_harmony", "characters"]),
        "markdown": st.booleans(),
    }
)
USUAL = {"strategy": "recursive", "splitter": "by_sentence", "tokenizer": "o200k_base"}


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(4, 60), st.integers(0, 59), WAYS)
@example(EMOJI * 3, 4, 3, {**USUAL, "markdown": False})
@example("\n" * 300 + "a", 4, 3, {**USUAL, "markdown": True})
def test_any_text_is_covered_by_exact_chunks_within_the_limit(text, max_tokens, overlap, ways):
    check(text, chunks(text, max_tokens, min(overlap, max_tokens - 1), **ways), max_tokens, ways["tokenizer"])


@settings(deadline=None)
@given(TEXTS, st.integers(4, 40), st.integers(0, 39), WAYS, st.integers(1, 50), st.integers(1, 300))
def test_the_pieces_in_which_a_text_is_fed_change_nothing(text, max_tokens, overlap, ways, cuts, block):
    overlap = min(overlap, max_tokens - 1)
    long_text = text * 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmf.processing.cutting.chunking._BLOCK", block)
        patch.setattr("fmf.processing.cutting.counted._GRAIN", 20)
        patch.setattr("fmf.processing.cutting.counted._MOST", 60)
        fed = chunks(long_text, max_tokens, overlap, cuts=cuts, **ways)
        whole = chunks(long_text, max_tokens, overlap, **ways)
    assert fed == whole


def fed_in_parts(texts: list[str], ways: dict[str, object], cuts: int = 0) -> list[Piece]:
    settings = ChunkingConfig(max_tokens=20, overlap=5, **{key: ways[key] for key in ways if key != "markdown"})
    chunker = Chunker(settings, markdown=bool(ways["markdown"]))
    found = []
    for text in texts:
        step = cuts or max(1, len(text))
        for at in range(0, len(text), step):
            found += chunker.feed(text[at : at + step])
        chunker.part()
    return found + list(chunker.finish())


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5), WAYS, st.integers(1, 50), st.integers(1, 300))
def test_no_section_paragraph_sentence_or_row_goes_on_in_the_next_part(texts, ways, cuts, block):
    whole = fed_in_parts(texts, ways)
    check("".join(texts), whole, 20, ways["tokenizer"])
    if ways["strategy"] != "recursive":
        begins = list(itertools.accumulate(map(len, texts)))
        assert not [(piece, at) for piece in whole for at in begins if piece.start < at < piece.end]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmf.processing.cutting.chunking._BLOCK", block)
        assert fed_in_parts(texts, ways, cuts) == whole


@pytest.mark.parametrize("strategy", ["by_heading", "by_paragraph", "by_sentence", "by_row"])
def test_parts_are_chunks_of_their_own(strategy):
    texts = ["# A\n", "one", "```\ntwo\n", "\nthree", " \n", "# B\n\nfour"]
    ways = {"strategy": strategy, "markdown": True}
    expected = ["# A", "one", "```\ntwo", "three", "# B\n\nfour"]
    assert [piece.text for piece in fed_in_parts(texts, ways)] == expected


def test_recursive_chunks_end_at_a_part_in_their_last_third():
    texts = ["One. Two. Three. Four. Five, six and seven\n", "Eight. Nine. Ten. Eleven. Twelve. Thirteen."]
    first, *_ = fed_in_parts(texts, {"strategy": "recursive", "markdown": True})
    assert first.text == texts[0].strip()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" ".join(["word"] * 5000) + ".", id="a sentence of 5,000 words"),
        pytest.param(CJK.replace("。", "") * 100, id="CJK without full stops"),
        pytest.param(EMOJI * 200, id="emoji"),
        pytest.param("x" * 100_000, id="one word"),
        pytest.param("." * 100_000, id="dots"),
        pytest.param(" " * 100_000 + "a" + "\n" * 100_000 + "b", id="blanks"),
        pytest.param("https://example.org/" + "abc123/" * 5000, id="an address"),
        pytest.param("| a | b |\n" * 3000, id="a table"),
        pytest.param("```\n" + "code = 1\n" * 3000 + "```\n", id="long code"),
        pytest.param("\u0301" * 3000, id="marks without a letter"),
        pytest.param("🇩🇪" * 1000, id="flags"),
    ],
)
@pytest.mark.parametrize(("max_tokens", "overlap"), [(50, 0), (50, 10), (50, 49), (800, 150)])
def test_hard_texts(text, max_tokens, overlap):
    check(text, chunks(text, max_tokens, overlap, markdown=True), max_tokens)


def test_a_short_text_is_one_chunk_and_a_blank_one_none():
    assert chunks("  One sentence.\n") == [Piece(0, 15, "  One sentence.", 4)]
    assert chunks("") == chunks(" \n\n\t ") == []


def test_chunks_end_at_sentences():
    pieces = chunks(ENGLISH * 10, 60, 0)
    assert all(piece.text.endswith((".", "!", "?")) for piece in pieces)
    assert not any(piece.text.endswith(("Mr.", "i.e.")) for piece in pieces)


PARTS = """Before any heading.

# First

One sentence. And another!

A second paragraph, of
two lines.

## Below

| a | b |
| --- | --- |
| 1. One | 2 |
| 3 | 4 |

- item
- more

```py
# no heading. No end

| no | row |
```

# Empty
## Last
The end.
"""


def parts(strategy: str, text: str = PARTS, *, markdown: bool = True, max_tokens: int = 200) -> list[str]:
    pieces = chunks(text, max_tokens, 8, markdown=markdown, strategy=strategy)
    check(text, pieces, max_tokens)
    return [piece.text for piece in pieces]


def test_by_heading_every_section_is_a_chunk_that_begins_with_its_heading():
    first, *others = parts("by_heading")
    assert first == "Before any heading."
    assert [text.split("\n")[0] for text in others] == ["# First", "## Below", "# Empty", "## Last"]
    assert others[1].endswith("```")
    assert len(parts("by_heading", markdown=False)) == 1


def test_by_paragraph_a_heading_belongs_to_the_paragraph_below_it():
    assert parts("by_paragraph") == [
        "Before any heading.",
        "# First\n\nOne sentence. And another!",
        "A second paragraph, of\ntwo lines.",
        "## Below\n\n| a | b |\n| --- | --- |\n| 1. One | 2 |\n| 3 | 4 |",
        "- item\n- more",
        "```py\n# no heading. No end\n\n| no | row |\n```",
        "# Empty\n## Last\nThe end.",
    ]


def test_by_sentence_every_sentence_item_and_row_is_a_chunk():
    assert parts("by_sentence")[:4] == [
        "Before any heading.",
        "# First\n\nOne sentence.",
        "And another!",
        "A second paragraph, of\ntwo lines.",
    ]
    assert parts("by_sentence")[-4:] == [
        "- item",
        "- more",
        "```py\n# no heading. No end\n\n| no | row |\n```",
        "# Empty\n## Last\nThe end.",
    ]


def test_by_sentence_an_item_begins_with_its_number():
    text = "# L\n\n1. First thing here\n2. Second thing. With two sentences.\n10) Tenth\n\na. Alpha\n"
    expected = ["1. First thing here", "2. Second thing.", "With two sentences.", "10) Tenth", "a. Alpha"]
    assert parts("by_sentence", text) == [f"# L\n\n{expected[0]}", *expected[1:]]
    assert parts("by_sentence", text.removeprefix("# L\n\n"), markdown=False) == expected


def test_by_row_the_header_of_a_table_belongs_to_its_first_row():
    before, first, second, after = parts("by_row")
    assert before.endswith("of\ntwo lines.")
    assert first == "## Below\n\n| a | b |\n| --- | --- |\n| 1. One | 2 |"
    assert second == "| 3 | 4 |"
    assert after.startswith("- item")
    assert after.endswith("The end.")


@pytest.mark.parametrize("strategy", ["by_sentence", "by_row"])
def test_the_sheets_of_a_workbook_begin_with_their_first_row(strategy):
    sheet = "## {}\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n"
    head = "\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert parts(strategy, sheet.format("One") + "\n" + sheet.format("Two")) == [
        f"## One{head}",
        "| 3 | 4 |",
        f"## Two{head}",
        "| 3 | 4 |",
    ]


def test_by_row_every_line_of_plain_text_is_a_row():
    assert parts("by_row", "a\t1. One\n\n  b\t2\nc\t3", markdown=False) == ["a\t1. One", "  b\t2", "c\t3"]
    assert parts("by_row", "a\r\nb\r\n", markdown=False) == ["a", "b"]


@pytest.mark.parametrize("strategy", ["by_heading", "by_paragraph", "by_sentence", "by_row"])
def test_only_a_part_that_is_too_long_is_cut_and_overlaps_with_itself(strategy):
    long_part = "x " + " ".join(f"word{number}" for number in range(60))
    text = f"# A\n\nShort.\n\n# B\n\n{long_part}.\n\n# C\n\nShort.\n"
    if strategy == "by_row":
        text = f"| a. |\n| {long_part} |\n| c. |\n"
    pieces = chunks(text, 30, 8, markdown=True, strategy=strategy)
    check(text, pieces, 30)
    assert len(pieces) > 5
    assert pieces[0].end <= pieces[1].start
    assert pieces[-2].end <= pieces[-1].start
    assert all(after.start < before.end for before, after in itertools.pairwise(pieces[1:-2]))


def test_by_paragraph_as_splitter_ends_chunks_between_paragraphs():
    paragraph = "A sentence of seven words stands here. " * 3
    text = "\n\n".join([paragraph.strip()] * 12)
    assert {piece.text for piece in chunks(text, 45, 0, splitter="by_paragraph")} == {paragraph.strip()}
    long_paragraph = "A sentence of seven words stands here. " * 40
    assert all(piece.text.endswith(".") for piece in chunks(long_paragraph, 45, 0, splitter="by_paragraph"))


def test_by_word_as_splitter_fills_chunks_to_the_last_word_that_fits():
    pieces = chunks(ENGLISH * 20, 60, 10, splitter="by_word")
    assert min(piece.tokens for piece in pieces[:-1]) >= 57
    assert not any(piece.text.startswith(".") for piece in pieces)


def test_chunks_are_as_full_as_they_were():
    text = "".join(f"{ENGLISH * (number % 5 + 1)}\n\n" for number in range(60))
    pieces = chunks(text, 120, 20, markdown=True)
    assert sum(piece.tokens for piece in pieces) / len(pieces) > 85
    assert all(piece.text.endswith((".", "!", "?")) for piece in pieces)


def test_half_of_a_surrogate_pair_is_refused():
    with pytest.raises(ProcessingError, match="half of a surrogate pair"):
        chunks("a \ud83d b")


def test_the_overlap_is_whole_sentences_within_its_limit():
    text = ENGLISH * 10
    pieces = chunks(text, 100, 40)
    for before, piece in itertools.pairwise(pieces):
        shared = text[piece.start : before.end]
        assert shared
        assert count([shared], "o200k_base")[0] <= 40
        assert text[: piece.start].rstrip().endswith((".", "!", "?"))


def test_the_overlap_is_words_where_a_sentence_is_longer():
    text = " ".join(f"word{number}" for number in range(2000))
    pieces = chunks(text, 100, 20)
    for before, piece in itertools.pairwise(pieces):
        assert 10 <= count([text[piece.start : before.end]], "o200k_base")[0] <= 20
        assert piece.text.startswith("word")


def test_paragraphs_and_headings_are_better_places_than_sentences():
    paragraph = "A sentence of seven words stands here. " * 4
    text = f"{paragraph}\n\n## Section\n\n{paragraph}".strip()
    first, second = chunks(text, 45, 0, markdown=True)
    assert first.text == paragraph.strip()
    assert second.text.startswith("## Section\n\n")


def test_a_heading_never_stands_at_the_end():
    text = "".join(
        f"## Heading {number}\n\n" + "Some words follow it here. " * (number % 7 + 1) + "\n\n" for number in range(300)
    )
    for piece in chunks(text, 60, 10, markdown=True):
        assert not piece.text.splitlines()[-1].startswith("#")


def test_code_stays_whole_where_it_fits():
    code = "```py\n" + "x = 1. Y = 2\n" * 6 + "```"
    text = ("Words before the code. " * 5 + f"\n\n{code}\n\n") * 10
    pieces = chunks(text, 80, 0, markdown=True)
    assert sum(piece.text.count(code) for piece in pieces) == 10


def test_rows_of_a_table_stay_whole():
    row = "| First. Second. Third | and more. Or less |\n"
    for piece in chunks(row * 50, 60, 16, markdown=True):
        assert piece.text + "\n" == row * (piece.text.count("\n") + 1)


def test_indentation_of_the_first_line_is_kept():
    text = "def f():\n" + "    value = compute(1, 2)\n" * 60
    assert all(piece.text.startswith(("def", "    value")) for piece in chunks(text, 50, 0))


def test_joined_emoji_stay_whole():
    family = "👩‍👩‍👧‍👦"
    assert {piece.text.replace(family, "") for piece in chunks(family * 200, 60, 0)} == {""}


@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base", "o200k_harmony"])
def test_counts_are_those_of_the_tokenizer(tokenizer):
    chunker = Chunker(ChunkingConfig(max_tokens=30, overlap=5, tokenizer=tokenizer))
    pieces = [*chunker.feed((ENGLISH + CJK) * 20), *chunker.finish()]
    assert [piece.tokens for piece in pieces] == count([piece.text for piece in pieces], tokenizer)
    assert max(piece.tokens for piece in pieces) <= 30


def test_settings_that_cannot_be_met():
    with pytest.raises(ConfigError, match="unknown tokenizer 'gpt2'"):
        Chunker(ChunkingConfig(tokenizer="gpt2"))


def test_an_overlap_as_large_as_the_chunk_still_ends():
    settings = ChunkingConfig.model_construct(
        strategy="recursive", max_tokens=30, overlap=30, splitter="by_sentence", tokenizer="o200k_base"
    )
    chunker = Chunker(settings)
    pieces = [*chunker.feed(ENGLISH * 10), *chunker.finish()]
    check(ENGLISH * 10, pieces, 30)


def test_memory_does_not_grow_with_one_endless_line():
    chunker = Chunker(ChunkingConfig())
    tracemalloc.start()
    try:
        for _ in range(40):
            for _ in chunker.feed("x" * 100_000):
                pass
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
