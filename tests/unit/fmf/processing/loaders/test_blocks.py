"""Blocks of Markdown, and the white space between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.blocks import Blocks, gathered, in_a_cell, plain

MARKS = st.builds(Mark, st.just("page"), st.integers(1, 3))


def test_blocks_stand_apart_and_items_of_a_list_do_not():
    blocks = Blocks()
    parts = [
        blocks.heading(9, " a\nb "),
        blocks.paragraph("p"),
        blocks.item(3, "-", "one"),
        blocks.item(3, "1.", "two\nx"),
    ]
    parts += [
        blocks.item(0, "", "bare"),
        blocks.table([["a"], ["b"]]),
        blocks.end(),
        blocks.paragraph("new"),
        blocks.end(),
    ]
    assert "".join(parts) == (
        "###### a b\n\np\n\n- one\n    1. two\n       x\nbare\n\n| a |\n| --- |\n| b |\n\nnew\n\n"
    )


def test_what_is_empty_is_nothing():
    blocks = Blocks()
    empty = [
        blocks.heading(1, " "),
        blocks.paragraph("\n"),
        blocks.item(0, "-", ""),
        blocks.table([["", ""]]),
        blocks.end(),
    ]
    assert empty == [""] * 5


def test_text_keeps_its_lines_and_loses_what_markdown_would_read():
    assert plain(" a \r\n\n  b\x0bc\u2028d ") == "a\nb\nc\nd"
    assert plain("# a\n## b\n#tag\n```\n~~~x\n| y") == "\\# a\n\\## b\n#tag\n\\```\n\\~~~x\n\\| y"
    assert plain("#tag") == "#tag"
    assert plain("a # b") == "a # b"
    assert in_a_cell(" a  b \n\n c\u2029d") == "a b\nc\nd"


@given(st.text(alphabet="#`~| a\n\r\t\u2028", max_size=12))
def test_no_line_of_a_paragraph_opens_a_heading_a_table_or_code(text):
    for line in plain(text).split("\n"):
        assert not line.startswith(("# ", "## ", "```", "~~~", "|"))
        assert line == line.strip()


@given(st.lists(st.text(max_size=9) | MARKS | st.just("x" * 40_000)))
def test_gathered_pieces_are_the_same_text_with_marks_in_the_same_places(pieces):
    def places(pieces):
        at, found, text = 0, [], ""
        for piece in pieces:
            if isinstance(piece, Mark):
                found.append((at, piece))
            else:
                at, text = at + len(piece), text + piece
        return text, found

    assert places(gathered(pieces)) == places(pieces)
