"""White space is made uniform and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.characters.normalize import line_ends, normalized


def tidy(text: str, *, markdown: bool = False, cuts: int = 0) -> str:
    step = cuts or max(1, len(text))
    return "".join(normalized([text[at : at + step] for at in range(0, len(text), step)], markdown=markdown))


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("a \t\nb", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n  \nb", "a\n\nb"),
        ("  indented\n    more", "  indented\n    more"),
        ("two  blanks  inside", "two  blanks  inside"),
        ("no\u00a0break", "no\u00a0break"),
        ("end ", "end"),
        ("\n\n\nstart", "\n\nstart"),
        ("", ""),
        (" \n ", "\n"),
    ],
)
def test_line_ends_blanks_and_blank_lines(text, expected, markdown):
    assert tidy(text, markdown=markdown) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("line  \nbreak   \nagain \nno", "line  \nbreak  \nagain\nno"),
        ("a\n\n\n```py\nx = 1  \n\n\n\ny\n```\n\n\n\nb", "a\n\n```py\nx = 1  \n\n\n\ny\n```\n\nb"),
        ("~~~~\n```\n\n\n\n~~~\n\n\n~~~~\n\n\n\nb", "~~~~\n```\n\n\n\n~~~\n\n\n~~~~\n\nb"),
        ("```\nopen  \n\n\n\nfor ever", "```\nopen  \n\n\n\nfor ever"),
        ("- item\n  ```\n  a\n\n\n  b\n  ```\n", "- item\n  ```\n  a\n\n\n  b\n  ```\n"),
        ("``` not`a fence\n\n\n\nb", "``` not`a fence\n\nb"),
        ("  \n# Title #\n\n\n- a\n- b\n", "\n# Title #\n\n- a\n- b\n"),
    ],
)
def test_markdown_keeps_its_breaks_and_its_code(text, expected):
    assert tidy(text, markdown=True) == expected


TEXTS = st.lists(st.sampled_from(["a", " ", "  ", "\t", "\n", "\r", "\r\n", "```", "~~~", "# x", "- ", "é"])).map(
    "".join
)


@given(TEXTS, st.integers(1, 7), st.booleans())
def test_the_pieces_of_a_text_change_nothing(text, cuts, markdown):
    assert tidy(text, markdown=markdown, cuts=cuts) == tidy(text, markdown=markdown)


@given(TEXTS, st.booleans())
def test_once_is_enough_and_no_word_is_touched(text, markdown):
    once = tidy(text, markdown=markdown)
    assert tidy(once, markdown=markdown) == once
    assert once.split() == text.split()
    assert "\r" not in once


@given(TEXTS, st.integers(1, 7))
def test_line_ends_alone(text, cuts):
    pieces = [text[at : at + cuts] for at in range(0, len(text), cuts)]
    assert "".join(line_ends(pieces)) == text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("text", ["x" * 300_000, " " * 300_000 + "x", "\n" * 300_000 + "x", "x " * 150_000])
def test_endless_lines_and_blanks_are_not_held_for_ever(text, markdown):
    parts = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    waiting = iter(parts)
    assert next(normalized(waiting, markdown=markdown))
    assert next(waiting, None) is not None
    assert "".join(normalized(parts, markdown=markdown)).split() == text.split()
