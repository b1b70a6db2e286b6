"""Word documents become Markdown, with what people see in them."""

from __future__ import annotations

import io
from typing import ClassVar

import docx as word
import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.office import docx as loader
from fmf.processing.loaders.office.word_styles import numeral
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.office import A, W, docx, par, table
from unit.fmf.processing.zips import rezipped, zipped

STYLES = (
    f"<w:styles {W}>"
    '<w:style w:type="paragraph" w:default="1" w:styleId="N"><w:name w:val="Normal"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="T"><w:name w:val="Title"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Mine"/><w:basedOn w:val="Base"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Base"><w:name w:val="Base"/>'
    '<w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="L"><w:name w:val="List"/>'
    '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style></w:styles>'
)


def level(at: int, form: str, text: str, start: int = 1) -> str:
    return (
        f'<w:lvl w:ilvl="{at}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
    )


NUMBERING = (
    f'<w:numbering {W}><w:abstractNum w:abstractNumId="0">'
    f"{level(0, 'bullet', 'o')}{level(1, 'bullet', 'o')}</w:abstractNum>"
    f'<w:abstractNum w:abstractNumId="1">{level(0, "decimal", "%1.")}{level(1, "lowerLetter", "%2)")}'
    f"{level(2, 'decimal', '%1.%2.%3', 4)}</w:abstractNum>"
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0">'
    '<w:startOverride w:val="7"/></w:lvlOverride></w:num></w:numbering>'
)
PARTS = {"styles": STYLES, "numbering": NUMBERING}


def load(data: bytes):
    with source_of(data, "a.docx") as source:
        loaded = loader.load(source, ProcessingConfig())
        return list(loaded.pieces), loaded


def text_of(body: str, parts: dict[str, str] | None = None) -> str:
    return "".join(piece for piece in load(docx(body, {**PARTS, **(parts or {})}))[0] if isinstance(piece, str))


def numbered(text: str, number: int, at: int = 0) -> str:
    return par(text, properties=f'<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{number}"/></w:numPr>')


def made_by_word_library() -> bytes:
    document = word.Document()
    document.add_heading("Brakes", 1)
    document.add_paragraph("They squeal in the rain: Grüße.")
    document.add_paragraph("first", style="List Bullet")
    grid = document.add_table(2, 2)
    for number, cell in enumerate(cell for row in grid.rows for cell in row.cells):
        cell.text = f"cell {number}"
    document.sections[0].header.paragraphs[0].text = "Secret"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


class TestWordSitsTheExam(LoaderExam):
    words: ClassVar = {"a.docx": ["# Brakes", "Grüße", "- first", "| cell 0 | cell 1 |", "| cell 2 |", "Secret"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.docx": made_by_word_library(), "b.docx": docx(par("Words") + table(["a", "b"]), PARTS)}

    def make_large_file(self):
        return "large.docx", docx("".join(par(f"{number}: some words of a paragraph") for number in range(20_000)))


def test_headings_by_style_by_outline_and_the_title():
    body = par("Whole", "T") + par("Part", "H2") + par("Sub", "Own") + par("Direct", "", '<w:outlineLvl w:val="0"/>')
    body += par("Body", "", '<w:outlineLvl w:val="9"/>') + par("Loop", "Loop") + par("a", "none")
    assert text_of(body) == "# Whole\n\n## Part\n\n### Sub\n\n# Direct\n\nBody\n\nLoop\n\na\n\n"


def test_lists_have_their_bullets_and_numbers():
    body = numbered("b1", 1) + numbered("b2", 1, 1) + par("between") + numbered("n1", 2) + numbered("x", 2, 1)
    body += numbered("y", 2, 1) + numbered("z", 2, 2) + numbered("n2", 2) + numbered("x again", 2, 1) + numbered("s", 3)
    assert text_of(body + par("styled", "L")) == (
        "- b1\n    - b2\n\nbetween\n\n1. n1\n    a) x\n"
        "    b) y\n        1.b.4 z\n2. n2\n    a) x again\n7. s\n- styled\n\n"
    )


def test_numbered_headings_keep_their_numbers():
    body = par("Scope", "H2", '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="2"/></w:numPr>')
    assert text_of(body) == "## 1. Scope\n\n"


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [
        (4, "lowerRoman", "iv"),
        (1999, "upperRoman", "MCMXCIX"),
        (28, "lowerLetter", "bb"),
        (3, "upperLetter", "C"),
        (3, "decimalZero", "03"),
        (3, "ordinal", "3"),
        (0, "lowerLetter", "0"),
        (5000, "upperRoman", "5000"),
    ],
)
def test_numerals(number, form, text):
    assert numeral(number, form) == text


def test_tables_are_markdown_with_merged_cells_and_tables_inside():
    span = '<w:tcPr><w:gridSpan w:val="2"/></w:tcPr>'
    begin, go_on = '<w:tcPr><w:vMerge w:val="restart"/></w:tcPr>', "<w:tcPr><w:vMerge/></w:tcPr>"
    rows = [
        [span + par("wide"), "c|d"],
        [begin + par("tall"), "x", "y"],
        [go_on + "<w:p/>", par("one") + par("two"), table(["p", "q"], ["r", "s"])],
    ]
    assert text_of(table(*rows)) == (
        "| wide |  | c\\|d |\n| --- | --- | --- |\n| tall | x | y |\n| tall | one<br>two | p / q<br>r / s |\n\n"
    )


def test_a_table_of_one_cell_is_a_frame():
    assert text_of(table([par("Part", "H2") + table(["a", "b"])])) == "## Part\n\n| a | b |\n| --- | --- |\n\n"


def test_tracked_changes_are_as_if_accepted():
    body = (
        "<w:p><w:r><w:t>It </w:t></w:r><w:ins><w:r><w:t>really </w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>never </w:delText></w:r></w:del><w:r><w:t>works.</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>kept</w:t></w:r></w:p></w:tc><w:tc/></w:tr>"
        "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>gone</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    pieces, loaded = load(docx(body))
    assert "".join(pieces) == "It really works.\n\n| kept |  |\n| --- | --- |\n\n"
    assert loaded.metadata["insertions"] == 1
    assert loaded.metadata["deletions"] == 1


def test_everything_that_can_be_read_in_a_paragraph():
    body = (
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:br w:type='page'/><w:noBreakHyphen/>"
        "<w:sym w:char='F0A7'/><w:sym w:char='2713'/></w:r><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r>"
        "<w:sdt><w:sdtContent><w:r><w:t> field</w:t></w:r></w:sdtContent></w:sdt>"
        "<w:r><w:drawing><docPr descr='A  red car'/></w:drawing></w:r></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>inside</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    assert text_of(body) == "a\tb\nc-✓link field[picture: A red car]\n\ninside\n\n"


def test_text_boxes_follow_their_paragraph_once():
    box = "<w:txbxContent>" + par("In the box") + par("Head", "H2") + "</w:txbxContent>"
    either = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    assert text_of(f"<w:p><w:r><w:t>Before</w:t>{either}</w:r></w:p>") == "Before\n\nIn the box\n\n## Head\n\n"
    assert text_of(either.replace("<w:txbxContent>", "").replace("</w:txbxContent>", "")) == "In the box\n\n## Head\n\n"


def test_headers_footers_notes_and_comments_are_parts():
    def inside(kind: str, text: str) -> str:
        return f"<w:{kind} {W}>{text}</w:{kind}>"

    parts = {
        "header1": inside("hdr", par("Top")),
        "header2": inside("hdr", par("Top")),
        "footer1": inside("ftr", par("Bottom")),
        "footnotes": inside(
            "footnotes",
            '<w:footnote w:type="separator" w:id="-1"><w:p/></w:footnote>'
            f'<w:footnote w:id="2">{par(" See")}{par("below")}</w:footnote>',
        ),
        "endnotes": inside("endnotes", f'<w:endnote w:id="1">{par("End")}</w:endnote>'),
        "comments": inside("comments", f'<w:comment w:id="0" w:author="Bob">{par("Why?")}</w:comment>'),
    }
    refers = '<w:p><w:r><w:t>x</w:t><w:footnoteReference w:id="2"/><w:endnoteReference w:id="1"/></w:r></w:p>'
    pieces, _ = load(docx(refers, parts))
    assert [piece for piece in pieces if isinstance(piece, Mark)] == [
        Mark("part", 1, "header"),
        Mark("part", 1, "footer"),
        Mark("part", None, "footnotes"),
        Mark("part", None, "endnotes"),
        Mark("part", None, "comments"),
    ]
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert text == "x[^2][^e1]\n\nTop\n\nBottom\n\n[^2]: See\nbelow\n\n[^e1]: End\n\nBob: Why?\n\n"


def test_text_that_looks_like_markdown_is_escaped():
    assert (
        text_of(par("# no heading") + par("| no table |") + par("```"))
        == "\\# no heading\n\n\\| no table |\n\n\\```\n\n"
    )


def test_title_and_author_are_noted():
    _, loaded = load(docx(par("x"), title="The whole"))
    assert loaded.title == "The whole"
    assert loaded.metadata == {"author": "Ann", "created": "2024-02-15T10:30:00Z"}
    assert load(docx(par("x")))[1].title == "a.docx"


def test_documents_by_other_programs_are_found_through_their_relationships():
    data = docx(par("x"), {"styles": STYLES})
    other = rezipped(data, {"word/document.xml": "<broken"})
    with pytest.raises(ProcessingError, match=r"word/document\.xml: its XML is not well formed"):
        load(other)
    strict = data.replace(b"schemas.openxmlformats.org", b"purl.oclc.org/ooxml_______")
    assert load(strict)[0]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ('<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><x>&b;</x>', "document type"),
        ("<a>" * 300 + "</a>" * 300, "nested"),
        (f"<w:document {W} {A}><w:body>", "not well formed"),
    ],
)
def test_dangerous_and_broken_xml_is_one_error(document, said):
    with pytest.raises(ProcessingError, match=said):
        load(rezipped(docx(par("x")), {"word/document.xml": document}))


def test_a_package_without_a_document_is_one_error():
    with pytest.raises(ProcessingError, match=r"its part word/document\.xml is missing"):
        load(zipped({"a.txt": "x"}))


def test_every_document_is_read_with_its_own_styles_however_many_came_before():
    for number in [*range(20), 0]:
        style = f'<w:style w:type="paragraph" w:styleId="S{number}"><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        parts = {"styles": f"<w:styles {W}>{style}</w:styles>"}
        body = par("Brakes", style=f"S{number}") + par("Bells", style=f"S{number + 1}")
        assert text_of(body, parts) == "## Brakes\n\nBells\n\n"
