"""DOCX, PPTX, XLSX and their like: archives that explode, XML that grows, parts that are not there."""

from __future__ import annotations

from collections.abc import Callable

from bad_input.case import Case, case, fails, ok
from bad_input.made import ole, ooxml, xml, zips
from bad_input.made.ooxml import cell, paragraph, relations, row, sheet_xml
from bad_input.seeds import epub, odt

PASSWD = ("root:", "/bin/")
PLUM = paragraph("A plum is a fruit.")
Maker = Callable[[], bytes]


def _bombs() -> list[Case]:
    """What is wrong with the archive itself."""
    body = ooxml.document_xml(PLUM).encode()
    sheet = sheet_xml(row(1, cell("A1", "plum"))).encode()
    half = body.index(b"<w:sectPr/>")
    flat = zips.bomb("word/document.xml", 300, body[:half], body[half:])
    cells = zips.bomb(
        "xl/worksheets/sheet1.xml", 300, sheet[: sheet.index(b"</sheetData>")], sheet[sheet.index(b"</sheetData>") :]
    )
    media = zips.bomb("word/media/image1.png", 300)
    quine = zips.zipped({"word/embeddings/inner.docx": ooxml.docx(PLUM)})
    return [
        case(
            "a flat bomb as a document",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"word/document.xml": flat}),
            fails("a.docx", "max_archive_ratio"),
        ),
        case(
            "a flat bomb as a workbook",
            "a.xlsx",
            lambda: ooxml.xlsx("", parts={"xl/worksheets/sheet1.xml": cells}),
            fails("a.xlsx", "max_archive_ratio"),
        ),
        case(
            "a flat bomb as a presentation",
            "a.pptx",
            lambda: zips.with_parts(ooxml.pptx(), {"ppt/slides/slide1.xml": zips.bomb("ppt/slides/slide1.xml", 300)}),
            fails("a.pptx", "max_archive_ratio"),
        ),
        case(
            "a flat bomb as a picture that nobody reads",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"word/media/image1.png": media}),
            fails("a.docx", "max_archive_ratio"),
        ),
        case("a flat bomb as an archive", "a.zip", lambda: zips.archive(zips.bomb("a.txt", 300)), skips_zip()),
        case(
            "a flat bomb as a book",
            "a.epub",
            lambda: zips.with_parts(epub("x"), {"c.xhtml": zips.bomb("c.xhtml", 300)}),
            fails("a.epub"),
        ),
        case(
            "a flat bomb as an OpenDocument",
            "a.odt",
            lambda: zips.with_parts(odt("x"), {"content.xml": zips.bomb("content.xml", 300)}),
            fails("a.odt"),
        ),
        case("archives in archives, twenty deep", "a.zip", lambda: zips.nested(20, b"plum"), skips_zip()),
        case(
            "one entry under 2,000 names",
            "a.docx",
            lambda: zips.archive(zips.bomb("word/document.xml", 1), same_bytes=2_000),
            fails("a.docx"),
        ),
        case(
            "a document in a document in a document",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"word/embeddings/a.docx": quine}),
            ok("A plum"),
        ),
        case("a size that is a lie", "a.docx", _lying, fails("a.docx")),
        case("a checksum that is a lie", "a.docx", _wrong_sum, fails("a.docx")),
        case(
            "entries that leave the folder",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"../../../tmp/evil.xml": b"<x/>"}),
            ok("A plum"),
        ),
        case(
            "the same part twice",
            "a.docx",
            lambda: zips.archive(
                *_entries(ooxml.docx(PLUM)), zips.entry("word/document.xml", ooxml.document_xml(paragraph("second")))
            ),
            ok(),
        ),
        case(
            "an entry with a password",
            "a.docx",
            lambda: zips.archive(
                *(zips.entry(each.name, each.packed, method=0, flags=1) for each in _entries(ooxml.docx(PLUM)))
            ),
            fails("a.docx"),
        ),
        case(
            "a packing that nobody knows",
            "a.docx",
            lambda: zips.archive(zips.entry("[Content_Types].xml", b"x", method=99)),
            fails("a.docx"),
        ),
        case("junk before the archive", "a.docx", lambda: b"junk" * 100 + ooxml.docx(PLUM), ok("A plum")),
        case("junk behind the archive", "a.docx", lambda: ooxml.docx(PLUM) + b"\0" * 100, ok("A plum")),
        case(
            "20,000 empty entries",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={f"x/{number}": b"" for number in range(20_000)}),
            fails("a.docx", "parts"),
        ),
    ]


def skips_zip() -> object:
    """Archives are not opened."""
    from bad_input.case import skips

    return skips(".zip")


def _entries(data: bytes) -> list[zips.Entry]:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as old:
        return [zips.entry(name, old.read(name)) for name in old.namelist()]


def _lying() -> bytes:
    """An entry that says it is small."""
    true = zips.bomb("word/document.xml", 200)
    small = zips.Entry(true.name, true.packed, 1_000, true.crc)
    return ooxml.docx(PLUM, parts={"word/document.xml": small})


def _wrong_sum() -> bytes:
    made = zips.entry("word/document.xml", ooxml.document_xml(PLUM))
    return ooxml.docx(PLUM, parts={made.name: zips.Entry(made.name, made.packed, made.size, 1)})


def _locked(ending: str) -> Case:
    return case(f"{ending} with a password", f"a.{ending}", ole.encrypted_package, fails(f"a.{ending}", "encrypted"))


def _xml(what: str, declared: Callable[[str], str], named: str, expected: object) -> list[Case]:
    """The same hostile XML in each kind of document."""

    def document() -> bytes:
        return ooxml.docx(PLUM + f"<w:p><w:r><w:t>{named}</w:t></w:r></w:p>", declared=declared("w:document"))

    def workbook() -> bytes:
        cells = f'<c r="A1" t="inlineStr"><is><t>plum {named}</t></is></c>'
        return ooxml.xlsx(sheet_xml(row(1, cells), declared=declared("worksheet")))

    def presentation() -> bytes:
        import io
        import zipfile

        with zipfile.ZipFile(io.BytesIO(ooxml.pptx())) as deck:
            slide = deck.read("ppt/slides/slide1.xml").decode()
        start = slide.index("<p:sld")
        slide = (slide[:start] + declared("p:sld") + slide[start:]).replace("Plums are fruit.", f"plum {named}")
        return zips.with_parts(ooxml.pptx(), {"ppt/slides/slide1.xml": slide})

    def open_document() -> bytes:
        return odt(f"<text:p>plum {named}</text:p>", declared=declared("office:document-content"))

    makers: dict[str, Maker] = {"docx": document, "xlsx": workbook, "pptx": presentation, "odt": open_document}
    return [case(f"{what} in {ending}", f"a.{ending}", make, expected(ending)) for ending, make in makers.items()]


def _hostile_xml() -> list[Case]:
    return [
        *_xml("billion laughs", xml.laughs, "&e9;", lambda ending: fails(f"a.{ending}")),
        *_xml("quadratic blow-up", xml.quadratic, "&long;" * 3_000, lambda ending: fails(f"a.{ending}")),
        *_xml(
            "an entity that is /etc/passwd", xml.outside, "&file;", lambda ending: fails(f"a.{ending}", lacks=PASSWD)
        ),
        *_xml(
            "a remote parameter entity",
            xml.parameter,
            "",
            lambda ending: ok("plum") if ending == "xlsx" else fails(f"a.{ending}"),
        ),
    ]


def _documents() -> list[Case]:
    table = "<w:tbl><w:tblPr/><w:tblGrid><w:gridCol/></w:tblGrid><w:tr><w:tc>"
    depth = 2_000
    deep = table * depth + PLUM + "<w:p/></w:tc></w:tr></w:tbl>" * depth
    runs = "<w:p>" + "<w:ins>" * 5_000 + "<w:r><w:t>plum</w:t></w:r>" + "</w:ins>" * 5_000 + "</w:p>"
    field = '<w:p><w:r><w:instrText>INCLUDETEXT "/etc/passwd"</w:instrText></w:r></w:p>'
    loop = "".join(
        f'<w:style w:type="paragraph" w:styleId="s{n}"><w:basedOn w:val="s{1 - n}"/></w:style>' for n in (0, 1)
    )
    styles = f'{ooxml.XML}<w:styles xmlns:w="{ooxml.W}">{loop}</w:styles>'
    related = relations(
        ("attachedTemplate", "file:///etc/passwd"), ("image", "http://127.0.0.1:9/x.png"), mode="External"
    )
    main = "word/document.xml"
    return [
        case("tables 2,000 deep", "a.docx", lambda: ooxml.docx(deep), fails("a.docx", "deep")),
        case("changes 5,000 deep", "a.docx", lambda: ooxml.docx(runs), fails("a.docx", "deep")),
        case(
            "a document without its main part", "a.docx", lambda: ooxml.docx(PLUM, parts={main: None}), fails("a.docx")
        ),
        case(
            "a document without a list of its parts",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"[Content_Types].xml": None}),
            ok("A plum"),
        ),
        case(
            "a document whose XML breaks off",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={main: ooxml.document_xml(PLUM)[:-60]}),
            fails("a.docx"),
        ),
        case(
            "a document of another namespace",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={main: "<html/>"}),
            fails("a.docx"),
        ),
        case(
            "a document in UTF-16",
            "a.docx",
            lambda: ooxml.docx(
                PLUM, parts={main: ooxml.document_xml(PLUM).replace("UTF-8", "UTF-16").encode("utf-16")}
            ),
            ok("A plum"),
        ),
        case("a document without words", "a.docx", lambda: ooxml.docx("<w:p/>"), fails("no text")),
        case("a field that wants another file", "a.docx", lambda: ooxml.docx(PLUM + field), ok("A plum", lacks=PASSWD)),
        case(
            "styles that are based on each other",
            "a.docx",
            lambda: ooxml.docx(
                '<w:p><w:pPr><w:pStyle w:val="s0"/></w:pPr><w:r><w:t>plum</w:t></w:r></w:p>',
                parts={"word/styles.xml": styles, "word/_rels/document.xml.rels": relations(("styles", "styles.xml"))},
            ),
            ok("plum"),
        ),
        case(
            "a template and a picture elsewhere",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"word/_rels/document.xml.rels": related}),
            ok("A plum", lacks=PASSWD),
        ),
        case(
            "a part that is promised and not there",
            "a.docx",
            lambda: ooxml.docx(PLUM, parts={"word/_rels/document.xml.rels": relations(("image", "media/none.png"))}),
            ok("A plum"),
        ),
        case(
            "control characters as XML entities",
            "a.docx",
            lambda: ooxml.docx("<w:p><w:r><w:t>plum &#1; &#xD800;</w:t></w:r></w:p>"),
            fails("a.docx"),
        ),
        case("a table of no columns", "a.docx", lambda: ooxml.docx(PLUM + "<w:tbl><w:tr/></w:tbl>"), ok("A plum")),
        case(
            "cells that span a million columns",
            "a.docx",
            lambda: ooxml.docx(
                PLUM + table + f'<w:tcPr><w:gridSpan w:val="1000000"/></w:tcPr>{PLUM}</w:tc></w:tr></w:tbl>'
            ),
            ok("A plum"),
        ),
        case("4,000 paragraphs", "a.docx", lambda: ooxml.docx(PLUM * 4_000), ok("A plum")),
    ]


def _presentations() -> list[Case]:
    def changed(name: str, data: bytes | str | None) -> Maker:
        return lambda: zips.with_parts(ooxml.pptx(), {name: data})

    space = (
        'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    )
    own = '<p:nvGrpSpPr><p:cNvPr id="{}" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
    head = f"<p:sld {space}><p:cSld><p:spTree>{own.format(1)}"
    group = f"<p:grpSp>{own.format(2)}"
    shape = (
        '<p:sp><p:nvSpPr><p:cNvPr id="3" name=""/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p>'
        "<a:r><a:t>plum</a:t></a:r></a:p></p:txBody></p:sp>"
    )
    tail = "</p:spTree></p:cSld></p:sld>"
    return [
        case(
            "groups 1,000 deep",
            "a.pptx",
            changed("ppt/slides/slide1.xml", head + group * 1_000 + shape + "</p:grpSp>" * 1_000 + tail),
            fails("a.pptx", "deep"),
        ),
        case(
            "a slide that is not there",
            "a.pptx",
            changed("ppt/slides/slide1.xml", None),
            fails("slide1.xml is missing"),
        ),
        case("a slide whose XML breaks off", "a.pptx", changed("ppt/slides/slide2.xml", head), fails("a.pptx")),
        case("a presentation without its main part", "a.pptx", changed("ppt/presentation.xml", None), fails("a.pptx")),
        case(
            "a slide without a tree of shapes",
            "a.pptx",
            changed("ppt/slides/slide1.xml", f"<p:sld {space}><p:cSld/></p:sld>"),
            ok("Pears"),
        ),
        case("3,000 shapes", "a.pptx", changed("ppt/slides/slide1.xml", head + shape * 3_000 + tail), ok("plum")),
    ]


def cases() -> list[Case]:
    """All of them."""
    locked = [_locked(ending) for ending in ("docx", "xlsx", "pptx")]
    return [*_bombs(), *locked, *_hostile_xml(), *_documents(), *_presentations()]
