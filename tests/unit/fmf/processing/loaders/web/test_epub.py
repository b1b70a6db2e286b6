"""Books are read chapter by chapter, in the order of reading."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.web import epub as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import source_of
from unit.fmf.processing.zips import zipped

CONTAINER = (
    "<?xml version='1.0'?><container xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><rootfiles>"
    "<rootfile full-path='OPS/book.opf' media-type='application/oebps-package+xml'/></rootfiles></container>"
)
PACKAGE = (
    "<?xml version='1.0'?><package xmlns='http://www.idpf.org/2007/opf' xmlns:dc='http://purl.org/dc/elements/1.1/'>"
    "<metadata><dc:title>All about plums</dc:title><dc:creator>Ann Example</dc:creator><dc:language>en</dc:language>"
    "</metadata><manifest><item id='b' href='two%20b.xhtml' media-type='application/xhtml+xml'/>"
    "<item id='a' href='text/one.xhtml' media-type='application/xhtml+xml'/>"
    "<item id='c' href='cover.png' media-type='image/png'/><item id='n' href='gone.xhtml' "
    "media-type='application/xhtml+xml'/></manifest><spine><itemref idref='c'/><itemref idref='a'/>"
    "<itemref idref='b'/><itemref idref='n'/><itemref idref='nowhere'/></spine></package>"
)
MEMBERS = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OPS/book.opf": PACKAGE,
    "OPS/text/one.xhtml": "<?xml version='1.0'?><!DOCTYPE html><html><head><title>One</title></head>"
    "<body><h1>First</h1><p>Größe &amp; more</p></body></html>",
    "OPS/two b.xhtml": "<html><body><h1>Second</h1><p>A plum.</p></body></html>",
}


def load(members: dict[str, str], **text: bool):
    with source_of(zipped(members), "a.epub") as source:
        loaded = loader.load(source, ProcessingConfig(text=text))
        return list(loaded.pieces), loaded


class TestExam(LoaderExam):
    words: ClassVar = {"a.epub": ["# First", "Größe & more", "# Second", "A plum."]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.epub": zipped(MEMBERS)}


def test_chapters_are_parts_in_the_order_of_reading():
    pieces, loaded = load(MEMBERS)
    marks = [Mark("part", 1, "One", within=True), Mark("part", 2, within=True)]
    assert [piece for piece in pieces if isinstance(piece, Mark)] == marks
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert text == "# First\n\nGröße & more\n\n# Second\n\nA plum.\n\n"
    assert (loaded.title, loaded.markdown) == ("All about plums", True)
    assert loaded.metadata == {"author": "Ann Example", "language": "en", "chapters": 2}
    assert not load(MEMBERS, preserve_markdown=False)[1].markdown


LOCK = (
    "<encryption xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><EncryptedData><CipherData>"
    "<CipherReference URI='{}'/></CipherData></EncryptedData></encryption>"
)


def test_locked_chapters_are_refused_and_locked_fonts_are_not():
    with pytest.raises(ProcessingError, match="it is encrypted"):
        load({**MEMBERS, "META-INF/encryption.xml": LOCK.format("OPS/text/one.xhtml")})
    assert load({**MEMBERS, "META-INF/encryption.xml": LOCK.format("OPS/font.otf")})[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"META-INF/container.xml": "<container/>"}, "does not say where its contents are"),
        ({"META-INF/container.xml": "<container"}, "is damaged"),
        ({"OPS/book.opf": "<package/>"}, "there are no chapters"),
        ({"OPS/book.opf": "<!DOCTYPE p [<!ENTITY a 'b'>]><package/>"}, "declares a document type"),
    ],
)
def test_what_is_no_book_is_one_clear_error(changed, message):
    with pytest.raises(ProcessingError, match=message) as caught:
        load({**MEMBERS, **changed})
    assert "memory://a.epub" in caught.value.message
