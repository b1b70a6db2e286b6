"""Documents, workbooks and presentations of Office, from the XML that a case gives."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from xml.sax.saxutils import escape

from bad_input.made.zips import Entry, archive, entry

XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument"
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Parts = Mapping[str, "str | bytes | Entry | None"]


def package(parts: Parts) -> bytes:
    """An archive of the parts that are there."""
    made = (each if isinstance(each, Entry) else entry(name, each) for name, each in parts.items() if each is not None)
    return archive(*made)


def content_types(overrides: Mapping[str, str]) -> str:
    """The part that says what each other part is."""
    rows = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in overrides.items())
    return (
        f'{XML}<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        f'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{rows}</Types>'
    )


def relations(*rows: tuple[str, str], mode: str = "") -> str:
    """The part that says what belongs to another part: pairs of a kind and a target."""
    attribute = f' TargetMode="{mode}"' if mode else ""
    made = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{escape(target)}"{attribute}/>'
        for number, (kind, target) in enumerate(rows, 1)
    )
    return f'{XML}<Relationships xmlns="{_RELS}">{made}</Relationships>'


def paragraph(text: str) -> str:
    """A paragraph of a document."""
    return f'<w:p><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def document_xml(body: str, *, declared: str = "") -> str:
    """The main part of a document; `declared` is a DOCTYPE."""
    return f'{XML}{declared}<w:document xmlns:w="{W}"><w:body>{body}<w:sectPr/></w:body></w:document>'


def docx(body: str, *, declared: str = "", parts: Parts | None = None) -> bytes:
    """A document whose body is the XML `body`; `parts` replace, add and, with None, take away."""
    kind = f"{_MAIN}.wordprocessingml.document.main+xml"
    return package(
        {
            "[Content_Types].xml": content_types({"word/document.xml": kind}),
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/document.xml": document_xml(body, declared=declared),
            **(parts or {}),
        }
    )


def cell(reference: str, value: str, *, formula: str | None = None) -> str:
    """A cell with text, which stands in it."""
    if formula is not None:
        return f'<c r="{reference}" t="str"><f>{escape(formula)}</f><v>{escape(value)}</v></c>'
    return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def row(number: int, cells: str) -> str:
    """A row of a sheet."""
    return f'<row r="{number}">{cells}</row>'


def sheet_xml(rows: str, *, before: str = "", after: str = "", declared: str = "") -> str:
    """A sheet of the rows `rows`."""
    return f'{XML}{declared}<worksheet xmlns="{S}">{before}<sheetData>{rows}</sheetData>{after}</worksheet>'


def xlsx(*sheets: str, names: tuple[str, ...] = (), parts: Parts | None = None, states: tuple[str, ...] = ()) -> bytes:
    """A workbook of whole sheets, each the XML of one."""
    names = names or tuple(f"Sheet{number}" for number in range(1, len(sheets) + 1))
    states = states or ("visible",) * len(sheets)
    listed = "".join(
        f'<sheet name="{escape(name, {chr(34): "&quot;", chr(10): "&#10;"})}" sheetId="{number}" state="{state}" '
        f'r:id="rId{number}"/>'
        for number, (name, state) in enumerate(zip(names, states, strict=True), 1)
    )
    kinds = {"xl/workbook.xml": f"{_MAIN}.spreadsheetml.sheet.main+xml"}
    kinds |= {
        f"xl/worksheets/sheet{number}.xml": f"{_MAIN}.spreadsheetml.worksheet+xml"
        for number in range(1, len(sheets) + 1)
    }
    workbook = f'{XML}<workbook xmlns="{S}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'
    rows = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    return package(
        {
            "[Content_Types].xml": content_types(kinds),
            "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": workbook,
            "xl/_rels/workbook.xml.rels": relations(*rows, ("sharedStrings", "sharedStrings.xml")),
            **{f"xl/worksheets/sheet{number}.xml": sheet for number, sheet in enumerate(sheets, 1)},
            **(parts or {}),
        }
    )


def simple_xlsx(text: str = "plum") -> bytes:
    """A workbook with one sheet of two columns and two rows."""
    rows = row(1, cell("A1", "fruit") + cell("B1", "count")) + row(2, cell("A2", text) + '<c r="B2"><v>7</v></c>')
    return xlsx(sheet_xml(rows))


@cache
def pptx() -> bytes:
    """A presentation of two slides with a title, text, a table and a note."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for title in ("Plums", "Pears"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"{title} are fruit."
        table = slide.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
        for at, text in enumerate(("kind", "count", title, "7")):
            table.cell(at // 2, at % 2).text = text
        slide.notes_slide.notes_text_frame.text = f"Remember the {title}."
    stream = io.BytesIO()
    deck.save(stream)
    return stream.getvalue()
