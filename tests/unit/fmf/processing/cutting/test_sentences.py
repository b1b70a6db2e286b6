"""Where a text may be cut."""

from __future__ import annotations

import pytest

from fmf.processing.cutting.sentences import (
    PARAGRAPH,
    SECTION,
    SENTENCE,
    UNDER_HEADING,
    ends,
    last_word_end,
    whole_characters,
)


def parts(text: str, *, markdown: bool = False) -> list[str]:
    places = [0, *(at for _, at in ends(text, 0, len(text), markdown=markdown))]
    return [text[start:stop] for start, stop in zip(places, [*places[1:], len(text)], strict=True) if text[start:stop]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ("He said “No.” Then 3.14 e.g. that. End", ["He said “No.”", " Then 3.14 e.g. that.", " End"]),
        ("Wait... what? Yes", ["Wait... what?", " Yes"]),
        ("a wrapped\nline. Next", ["a wrapped\nline.", " Next"]),
        ("para\n\nnext\n \nlast", ["para\n\n", "next\n \n", "last"]),
        ("- a\n- b\n1. c\n> d", ["- a\n", "- b\n", "1. c\n", "> d"]),
        ("雪が降った。寒い！「本当？」はい", ["雪が降った。", "寒い！", "「本当？」", "はい"]),
        ("x\n| a. B | c |\n| d. E | f |\n", ["x\n", "| a. B | c |\n", "| d. E | f |\n"]),
        ("no end", ["no end"]),
        ("1. First thing\n2. Second. More\n", ["1. First thing\n", "2. Second.", " More\n"]),
        ("  10. Tenth\n> 2.1. Inner\n- 3. Both", ["  10. Tenth\n", "> 2.1. Inner\n", "- 3. Both"]),
        ("a. Alpha\n\n(iv. Fourth", ["a. Alpha\n\n", "(iv. Fourth"]),
        ("1.) First\n2. \n\nText", ["1.) First\n", "2. \n\n", "Text"]),
        ("It was 1984. Then\n1984.\nThen", ["It was 1984.", " Then\n1984.\n", "Then"]),
        ("On Jan. 5. Then go. No. 7 is it.", ["On Jan. 5.", " Then go.", " No. 7 is it."]),
        ("See p. 5 and Vol. 12. No. Casino. 7 of us", ["See p. 5 and Vol. 12.", " No.", " Casino.", " 7 of us"]),
    ],
)
def test_sentences_items_and_rows(text, expected):
    assert parts(text) == expected


def test_how_good_a_place_is():
    text = "# One\n\nText. More.\n\n## Two\n\nEnd. "
    qualities = [quality for quality, _ in ends(text, 0, len(text), markdown=True)]
    assert qualities == [UNDER_HEADING, SENTENCE, SECTION, UNDER_HEADING, SENTENCE]
    assert [quality for quality, _ in ends(text, 0, len(text))] == [PARAGRAPH, SENTENCE, PARAGRAPH, PARAGRAPH, SENTENCE]


def test_words_and_characters_stay_whole():
    assert last_word_end("one two three", 0, 9) == 7
    assert last_word_end("one two", 0, 3) == 3
    assert last_word_end("nowhere", 0, 5) == 0
    assert last_word_end("東京は、大きい", 0, 6) == 4
    family = "👩‍👩‍👧‍👦"
    assert [whole_characters(family, 0, at) for at in range(1, len(family))] == list(range(1, len(family)))
    text = f"ab{family}e\u0301🇩🇪🇫🇷👍🏽"
    allowed = {whole_characters(text, 0, at) for at in range(1, len(text) + 1)}
    assert allowed == {1, 2, 9, 11, 13, 15, 17}
