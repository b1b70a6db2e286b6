"""Presentations become Markdown, slide by slide."""

from __future__ import annotations

import io
from typing import ClassVar

import pptx as powerpoint
import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.office import pptx as loader
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.office import A, pptx, relations, shape
from unit.fmf.processing.zips import rezipped, zipped


def load(data: bytes):
    with source_of(data, "a.pptx") as source:
        loaded = loader.load(source, ProcessingConfig())
        return list(loaded.pieces), loaded


def text_of(data: bytes) -> str:
    return "".join(piece for piece in load(data)[0] if isinstance(piece, str))


def made_by_library() -> bytes:
    deck = powerpoint.Presentation()
    for title in ("Brakes", "Lamps"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"{title} squeal: Grüße"
        slide.notes_slide.notes_text_frame.text = f"Say {title}"
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


class TestPresentationsSitTheExam(LoaderExam):
    words: ClassVar = {"a.pptx": ["# Brakes", "Grüße", "Say Brakes", "# Lamps", "Say Lamps"]}
    damages: ClassVar = 6

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.pptx": made_by_library(), "b.pptx": pptx(shape("One"), shape("Two"))}

    def make_large_file(self):
        return "large.pptx", pptx(*[shape("some words\n" * 200) for _ in range(50)])


def test_slides_come_in_their_order_with_marks_and_notes():
    data = pptx(shape("First", "title"), shape("Second"), notes={1: "Smile\nand wave"})
    relation = relations({"s1": ("slide", "slides/slide2.xml"), "s2": ("slide", "slides/slide1.xml")})
    assert load(data)[0] == [
        Mark("slide", 1),
        "# First\n\n",
        Mark("part", None, "notes", within=True),
        "Smile\n\nand wave\n\n",
        Mark("slide", 2),
        "Second\n\n",
    ]
    swapped = rezipped(data, {"ppt/_rels/presentation.xml.rels": relation})
    assert load(swapped)[0][:3] == [Mark("slide", 1), "Second\n\n", Mark("slide", 2)]


def test_the_title_stands_first_and_furniture_is_left_out():
    data = pptx(shape("Body") + shape("3", "sldNum") + shape("May", "dt") + shape("The title", "ctrTitle"))
    assert text_of(data) == "# The title\n\nBody\n\n"


def test_hidden_slides_are_read_and_noted():
    pieces, loaded = load(pptx(shape("a"), "hidden:" + shape("b")))
    assert pieces[-1] == "b\n\n"
    assert loaded.metadata["hidden_slides"] == [2]
    assert loaded.metadata["slides"] == 2


def test_bullets_and_levels_are_lists():
    bullet, second = '<a:pPr><a:buChar char="o"/></a:pPr>', '<a:pPr lvl="1"/>'
    none = '<a:pPr lvl="1"><a:buNone/></a:pPr>'
    shapes = shape("one", "", bullet) + shape("under", "", second) + shape("plain", "", none)
    assert text_of(pptx(shapes)) == "- one\n    - under\n\nplain\n\n"


def test_groups_tables_pictures_and_drawings_of_words_are_read():
    def cell(text: str, merged: str = "") -> str:
        return f"<a:tc{merged}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    below = ' vMerge="1"'
    grid = (
        f"<a:tbl><a:tr>{cell('a')}{cell('b|c')}</a:tr><a:tr>{cell('tall')}{cell('1')}</a:tr>"
        f"<a:tr>{cell('', below)}{cell('2')}</a:tr></a:tbl>"
    )
    shapes = (
        f"<p:grpSp><p:grpSpPr/><p:grpSp>{shape('deep')}</p:grpSp></p:grpSp>"
        f"<p:graphicFrame><a:graphic><a:graphicData>{grid}</a:graphicData></a:graphic></p:graphicFrame>"
        '<p:pic><p:nvPicPr><p:cNvPr id="1" name="n" descr="A red car"/></p:nvPicPr></p:pic>'
        '<p:graphicFrame><dgm:relIds xmlns:dgm="d" r:dm="d1"/></p:graphicFrame>'
        f"<mc:AlternateContent><mc:Choice>{shape('new')}</mc:Choice><mc:Fallback>{shape('old')}</mc:Fallback>"
        "</mc:AlternateContent>"
    )
    more = {
        "ppt/slides/_rels/slide1.xml.rels": relations({"d1": ("diagramData", "../diagrams/data1.xml")}),
        "ppt/diagrams/data1.xml": f"<d {A}><a:p><a:r><a:t>step one</a:t></a:r></a:p></d>",
    }
    assert text_of(pptx(shapes, more=more)) == (
        "deep\n\n| a | b\\|c |\n| --- | --- |\n| tall | 1 |\n| tall | 2 |\n\n[picture: A red car]\n\n"
        "- step one\n\nnew\n\n"
    )


def test_a_slide_without_text_is_a_mark_alone():
    assert text_of(pptx("", shape("b"))) == "b\n\n"


@pytest.mark.parametrize("slide", ["<broken", '<!DOCTYPE x [<!ENTITY a "b">]><x/>', "<a>" * 400 + "</a>" * 400])
def test_broken_and_dangerous_slides_are_one_error(slide):
    with pytest.raises(ProcessingError, match=r"ppt/slides/slide1\.xml"):
        load(rezipped(pptx(shape("x")), {"ppt/slides/slide1.xml": slide}))


def test_a_package_without_a_presentation_is_one_error():
    with pytest.raises(ProcessingError, match=r"part ppt/presentation\.xml is missing"):
        load(zipped({"a.txt": "x"}))
