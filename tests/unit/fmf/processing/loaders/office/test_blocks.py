"""Blocks of Markdown, and the white space between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.office.blocks import Blocks, gathered, in_a_cell, plain
from fmf.processing.reader import Reader
from unit.fmf.processing.memory import MemoryConnector
from unit.fmf.processing.office import docx, par, pptx, shape, table
from unit.fmf.processing.zips import zipped

MARKS = st.builds(Mark, st.just("page"), st.integers(1, 3))


def test_blocks_stand_apart_and_items_of_a_list_do_not():
    blocks = Blocks(markdown=True)
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


def test_without_markdown_nothing_is_marked_or_escaped():
    blocks = Blocks(markdown=False)
    parts = [blocks.heading(2, "a"), blocks.paragraph("# p"), blocks.item(0, "-", "| one")]
    parts += [blocks.table([["a", "b|c"], ["d\te", ""]]), blocks.end()]
    assert "".join(parts) == "a\n\n# p\n\n- | one\n\na\tb|c\nd e\t\n\n"


ODT = (
    '<d xmlns:text="t" xmlns:table="u"><text:p># Brakes</text:p><table:table><table:table-row><table:table-cell>'
    "<text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>"
    "</table:table></d>"
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.docx", docx(par("# Brakes") + table(["a", "b"]))),
        ("a.odt", zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": ODT})),
        ("a.rtf", b"{\\rtf1 # Brakes\\par\\trowd a\\cell b\\cell\\row}"),
        ("a.pptx", pptx(shape("# Brakes"))),
    ],
)
def test_documents_become_plain_lines_where_markdown_is_not_wanted(name, data):
    connector = MemoryConnector({name: data})
    for markdown, brakes, cells in ((True, "\\# Brakes", "| a | b |"), (False, "# Brakes", "a\tb")):
        settings = ProcessingConfig.model_validate({"text": {"preserve_markdown": markdown}})
        text = Reader(connector, settings).read_whole(connector.ref(name)).text
        assert text.startswith(f"{brakes}\n\n")
        assert cells in text or name == "a.pptx"


def test_what_is_empty_is_nothing():
    blocks = Blocks(markdown=True)
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
