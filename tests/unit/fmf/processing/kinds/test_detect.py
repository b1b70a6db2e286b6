"""Kinds of file by name and first bytes."""

from __future__ import annotations

import pytest

from fmf.processing.kinds.detect import KINDS, Kind, detect, detected, ending
from fmf.processing.loaders.base import kind_of, loaders
from fmf_core.errors import PluginRegistrationError
from unit.fmf.processing.office import docx, par, pptx, shape
from unit.fmf.processing.zips import zipped

DOCX = docx(par("x"))
XLSX = zipped({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.txt", b"text", "text"),
        ("A.TXT", b"text", "text"),
        ("a.md", b"", "markdown"),
        ("a.tsv", b"", "csv"),
        ("data.json", b"{}", "json"),
        ("data.ndjson", b"{}", "jsonl"),
        ("a.docm", b"PK", "docx"),
        ("a.docx", DOCX, "docx"),
        ("renamed.bin", DOCX, "docx"),
        ("renamed.pdf", DOCX, "docx"),
        ("a.xlsx", DOCX, "docx"),
        ("notes.txt", pptx(shape("x")), "pptx"),
        ("noname", XLSX, "xlsx"),
        ("a.doc", zipped({"mimetype": "application/vnd.oasis.opendocument.text"}, compression=0), "odt"),
        ("a.zip", zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}, compression=0), "xlsx"),
        ("a.zip", zipped({"mimetype": "application/vnd.oasis.opendocument.graphics"}, compression=0), None),
        ("a.zip", zipped({"word/document.xml": "no package"}), None),
        ("a.docx", zipped({"a.txt": "no package"}), "docx"),
        ("a.doc", rb"{\rtf1 text}", "rtf"),
        ("noname", rb"{\rtf1 text}", "rtf"),
        ("list.xls", b"\n<HTML><body>", "html"),
        ("list.xls", b"a\tb\n1\t2\n", "csv"),
        ("letter.docx", b"Dear all,\n", "text"),
        ("letter.docx", b"\0\1\2", "docx"),
        ("letter.doc", b"\xd0\xcf\x11", "ole"),
        ("README", b"text", "text"),
        (".gitignore", b"*.pyc", "text"),
        ("program", b"\x7fELF\0\0", None),
        ("a.xyz", b"text", None),
        ("a.tar.gz", b"\x1f\x8b", None),
        ("a.txt", b"%PDF-1.7", "pdf"),
        ("noname", b"\x89PNG\r\n\x1a\n", "image"),
        ("a.dat", b"RIFF\0\0\0\0WEBP", "image"),
        ("a.pdf", b"anything", "pdf"),
        ("scan.dat", b"HTTP/1.1 200 OK\r\n\r\n\0%PDF-1.7\n", "pdf"),
        ("scan.dat", bytes(1024) + b"%PDF-1.7\n", "pdf"),
        ("scan.dat", bytes(1025) + b"%PDF-1.7\n", None),
        ("format.txt", b"A file begins with %PDF-1.7\nand ends with %%EOF", "text"),
        ("scan.dat", b"II+\0", "image"),
        ("scan.dat", b"BM" + bytes(12) + b"\x28\0\0\0", "image"),
        ("BMW", b"BM makes motorcycles", "text"),
        ("a.png", b"%PDF-1.7", "pdf"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n", "image"),
        ("a.html", b"<html>", "html"),
        ("a.", b"text", "text"),
        ("LICENSE-2.0", b"text", "text"),
        ("disk.001", b"\0\1\2", None),
    ],
)
def test_kinds(name, head, kind):
    found = detect(name, head)
    assert (found.name if found else None) == kind


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("a.docx", DOCX, None),
        ("a.docm", DOCX, None),
        ("a.txt", b"text", None),
        ("README", b"text", None),
        ("a.pdf", DOCX, KINDS["docx"].media_type),
        ("noname", DOCX, KINDS["docx"].media_type),
        ("list.xls", b"a\tb\n", "text/csv"),
        ("letter.doc", b"Dear all,", "text/plain"),
    ],
)
def test_what_a_file_turned_out_to_be_is_told_where_its_name_says_something_else(name, head, said):
    kind = detect(name, head)
    assert kind is not None
    assert detected(name, kind) == said


def test_endings():
    assert [ending(name) for name in ("a.B", ".x", "a", "a.b.c", "")] == ["b", "", "", "c", ""]


def test_every_kind_has_a_loader_which_the_same_extra_brings():
    for kind in KINDS.values():
        assert callable(loaders.get(kind.name))
        assert kind.extra == loaders.metadata(kind.name)["extra"]


def test_an_ending_that_nothing_here_reads_belongs_to_the_loader_of_that_name():
    assert kind_of("a.plum", b"text") is None
    loaders.add("plum", lambda source, settings: None)
    try:
        assert kind_of("A.Plum", b"\0\1") == Kind("plum", "application/octet-stream", "document")
        assert kind_of("a.txt", b"text") == KINDS["txt"]
    finally:
        loaders.remove("plum")


def test_a_loader_must_be_callable():
    with pytest.raises(PluginRegistrationError, match="cannot be called"):
        loaders.add("odd", "text")
