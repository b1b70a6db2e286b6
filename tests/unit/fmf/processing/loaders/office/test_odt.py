"""OpenDocument texts become Markdown."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.office import odt as loader
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.zips import rezipped, zipped

NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{place}:1.0"'
    for name, place in (("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"), ("svg", "svg"))
)
STYLES = (
    '<office:automatic-styles><text:list-style style:name="N" xmlns:style="s"><text:list-level-style-number/>'
    "</text:list-style></office:automatic-styles>"
)
META = (
    '<office:document-meta xmlns:office="o" xmlns:dc="d" xmlns:meta="m"><office:meta><dc:title>Whole</dc:title>'
    "<meta:initial-creator>Ann</meta:initial-creator><dc:creator>Bob</dc:creator><dc:date>2024-02-15</dc:date>"
    "</office:meta></office:document-meta>"
)


def odt(body: str, **members: str) -> bytes:
    content = (
        f"<office:document-content {NAMES}>{STYLES}<office:body><office:text>{body}</office:text></office:body>"
        "</office:document-content>"
    )
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, **members})


def load(data: bytes):
    with source_of(data, "a.odt") as source:
        loaded = loader.load(source, ProcessingConfig())
        return list(loaded.pieces), loaded


def text_of(body: str) -> str:
    return "".join(piece for piece in load(odt(body))[0] if isinstance(piece, str))


def grid(*rows: str) -> str:
    return "<table:table>" + "".join(f"<table:table-row>{row}</table:table-row>" for row in rows) + "</table:table>"


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell{more}><text:p>{text}</text:p></table:table-cell>"


class TestOpenDocumentSitsTheExam(LoaderExam):
    words: ClassVar = {"a.odt": ["# Brakes", "Grüße", "- one", "| a | b |"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        body = '<text:h text:outline-level="1">Brakes</text:h><text:p>Grüße</text:p><text:list><text:list-item>'
        return {"a.odt": odt(f"{body}<text:p>one</text:p></text:list-item></text:list>{grid(cell('a') + cell('b'))}")}

    def make_large_file(self):
        return "large.odt", odt("".join(f"<text:p>{number}: some words</text:p>" for number in range(20_000)))


def test_headings_paragraphs_lists_and_sections():
    items = "<text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>in</text:p></text:list-item>"
    items += "</text:list>"
    body = (
        '<text:section><text:h text:outline-level="2">Part</text:h></text:section>'
        "<text:p>a<text:s text:c='3'/>b<text:tab/>c<text:line-break/>d <text:span>e</text:span> f</text:p>"
        f"<text:list>{items}</text:list-item></text:list>"
        f'<text:list text:style-name="N">{items}</text:list-item><text:list-item><text:p>two</text:p></text:list-item>'
        "</text:list>"
    )
    assert text_of(body) == ("## Part\n\na   b\tc\nd e f\n\n- one\n    - in\n1. one\n    1. in\n2. two\n\n")


def test_tables_with_repeated_cells_and_tables_inside():
    many = ' table:number-columns-repeated="2"'
    wide = '<table:table-cell table:number-columns-repeated="16000"/>'
    inner = f"<table:table-cell>{grid(cell('p') + cell('q'))}</table:table-cell>"
    body = grid(cell("a") + cell("b", many) + wide, inner + cell("x|y"))
    assert text_of(body) == "| a | b | b |\n| --- | --- | --- |\n| p / q | x\\|y |  |\n\n"


def test_what_is_merged_downwards_stands_in_each_of_its_rows_and_what_is_merged_across_once():
    covered = "<table:covered-table-cell/>"
    body = grid(
        cell("part") + cell("number") + cell("note"),
        cell("pad", ' table:number-rows-spanned="2"') + cell("1") + cell("x"),
        covered + cell("2") + cell("y"),
        cell("both", ' table:number-rows-spanned="2" table:number-columns-spanned="2"') + covered + cell("z"),
        '<table:covered-table-cell table:number-columns-repeated="2"/>' + cell("w"),
        covered + cell("3") + cell("v"),
    )
    assert text_of(body) == (
        "| part | number | note |\n| --- | --- | --- |\n| pad | 1 | x |\n| pad | 2 | y |\n| both |  | z |\n"
        "| both |  | w |\n|  | 3 | v |\n\n"
    )


def test_a_table_that_repeats_itself_without_end_is_refused():
    row = '<table:table-row table:number-rows-repeated="1000000">'
    many = "".join(cell("x", ' table:number-columns-repeated="1000"') for _ in range(5))
    with pytest.raises(ProcessingError, match="more than 1,000,000 cells"):
        text_of(f"<table:table>{row}{many}</table:table-row></table:table>")


def test_notes_comments_boxes_pictures_and_changes():
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
        "</text:changed-region></text:tracked-changes>"
        "<text:p>x<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>See</text:p>"
        "</text:note-body></text:note>y<office:annotation><dc:creator xmlns:dc='d'>Bob</dc:creator>"
        "<text:p>Why?</text:p></office:annotation>"
        "<draw:frame><svg:title>t</svg:title><svg:desc>A red car</svg:desc></draw:frame>"
        "<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame></text:p>"
    )
    pieces, _ = load(odt(body))
    assert [piece for piece in pieces if isinstance(piece, Mark)] == [
        Mark("part", None, "notes"),
        Mark("part", None, "comments"),
    ]
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert text == "x[^1]y[picture: A red car]\n\nboxed\n\n[^1]: See\n\nBob: Why?\n\n"


def test_title_and_author_are_noted():
    _, loaded = load(odt("<text:p>x</text:p>", **{"meta.xml": META}))
    assert loaded.title == "Whole"
    assert loaded.metadata == {"author": "Ann", "modified": "2024-02-15"}


def test_encrypted_files_are_one_clear_error():
    manifest = '<manifest xmlns="m"><file-entry><encryption-data/></file-entry></manifest>'
    with pytest.raises(ProcessingError, match="it is encrypted"):
        load(odt("<text:p>x</text:p>", **{"META-INF/manifest.xml": manifest}))


@pytest.mark.parametrize("content", ["<broken", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "<a>" * 400 + "</a>" * 400])
def test_broken_and_dangerous_xml_is_one_error(content):
    with pytest.raises(ProcessingError, match=r"content\.xml: "):
        load(rezipped(odt("<text:p>x</text:p>"), {"content.xml": content}))
