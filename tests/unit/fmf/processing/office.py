"""Word and PowerPoint files for tests, made of their XML."""

from __future__ import annotations

from unit.fmf.processing.zips import zipped

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
    "<dc:title>{title}</dc:title><dc:creator>Ann</dc:creator><dcterms:created>2024-02-15T10:30:00Z</dcterms:created>"
    "</cp:coreProperties>"
)


def relations(targets: dict[str, tuple[str, str]]) -> str:
    """A list of relationships: id to kind and target."""
    made = "".join(
        f'<Relationship Id="{identity}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for identity, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{made}</Relationships>'


def docx(body: str, parts: dict[str, str] | None = None, *, title: str = "") -> bytes:
    """A Word file: the inside of its body, and further parts by their names, such as `styles` or `header1`."""
    parts = parts or {}
    targets = {f"r{number}": (name.rstrip("0123456789"), f"{name}.xml") for number, name in enumerate(parts)}
    members = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
        "docProps/core.xml": _CORE.format(title=title),
        "word/document.xml": f"<w:document {W} {A} {MC}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relations(targets),
        **{f"word/{name}.xml": content for name, content in parts.items()},
    }
    return zipped(members)


def par(text: str, style: str = "", properties: str = "") -> str:
    """A paragraph of a Word file."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    shape = f"<w:pPr>{named}{properties}</w:pPr>" if named or properties else ""
    return f'<w:p>{shape}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows: list[str]) -> str:
    """A table of a Word file; the cells are XML, or texts."""
    made = "".join(
        "<w:tr>" + "".join(f"<w:tc>{c if c.startswith('<') else par(c)}</w:tc>" for c in row) + "</w:tr>"
        for row in rows
    )
    return f"<w:tbl>{made}</w:tbl>"


def pptx(*slides: str, notes: dict[int, str] | None = None, more: dict[str, str] | None = None) -> bytes:
    """A PowerPoint file: the shapes of each slide, notes by the number of their slide, and further members."""
    numbers = range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="s{number}"/>' for number in numbers)
    members = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": relations({"r1": ("officeDocument", "ppt/presentation.xml")}),
        "docProps/core.xml": _CORE.format(title=""),
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"s{number}": ("slide", f"slides/slide{number}.xml") for number in numbers}
        ),
    }
    for number, shapes in enumerate(slides, 1):
        hidden = ' show="0"' if shapes.startswith("hidden:") else ""
        shapes = shapes.removeprefix("hidden:")
        members[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {P} {A} {R} {MC}{hidden}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
        if text := (notes or {}).get(number):
            members[f"ppt/slides/_rels/slide{number}.xml.rels"] = relations(
                {"n": ("notesSlide", f"../notesSlides/notesSlide{number}.xml")}
            )
            members[f"ppt/notesSlides/notesSlide{number}.xml"] = (
                f"<p:notes {P} {A}><p:cSld><p:spTree>{shape('x', 'sldImg')}{shape(text, 'body')}{shape('7', 'sldNum')}"
                "</p:spTree></p:cSld></p:notes>"
            )
    return zipped({**members, **(more or {})})


def shape(text: str, kind: str = "", properties: str = "") -> str:
    """A shape of a slide with a paragraph for each line; `kind` is what it is a placeholder for."""
    placeholder = f'<p:ph type="{kind}"/>' if kind else ""
    made = "".join(f"<a:p>{properties}<a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="n"/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>'
        f"<p:txBody>{made}</p:txBody></p:sp>"
    )
