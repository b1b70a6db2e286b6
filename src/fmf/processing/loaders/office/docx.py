"""Word documents (docx, docm and their templates): read paragraph by paragraph into Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from fmf.config.processing import ProcessingConfig
from fmf.processing.archive import Archive
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.office.blocks import Blocks, gathered, in_a_cell
from fmf.processing.loaders.office.package import Relationship, main_part, properties, relationships
from fmf.processing.loaders.office.word_styles import Styles
from fmf.processing.markup import MarkupError, attribute, local, outermost
from fmf.processing.source import Source
from fmf.processing.unreadable import damaged

_KIND: Final = "docx"
_BLOCKS: Final = frozenset({"p", "tbl", "AlternateContent"})
_SILENT: Final = frozenset({"pPr", "rPr", "instrText", "delText", "delInstrText", "sectPr", "tblPr", "rt", "Fallback"})
"""Elements whose text is no text of the document."""
_REMOVED: Final = frozenset({"del", "moveFrom"})
_PRIVATE: Final = range(0xE000, 0xF900)
_WIDEST: Final = 1000


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The document as Markdown: headings, lists with their numbers, tables; then its headers, footers, notes, comments.

    Without `preserve_markdown` it is plain lines, with tabs between cells.
    Of tracked changes, what was inserted is there and what was deleted is not. A text box follows the paragraph that
    it is tied to. The title is that of the document's properties, else the file's name.
    """
    archive = Archive(source, settings.limits, _KIND)
    facts = properties(archive)
    title = facts.pop("title", None)
    metadata: dict[str, Any] = dict(facts)
    markdown = settings.text.preserve_markdown
    pieces = gathered(_pieces(archive, metadata, markdown=markdown))
    return Loaded(pieces, title=title or source.ref.name, markdown=markdown, metadata=metadata)


def _pieces(archive: Archive, metadata: dict[str, Any], *, markdown: bool) -> Iterator[str | Mark]:
    body = main_part(archive, "word/document.xml")
    others = list(relationships(archive, body).values())
    parts = {other.kind: other.target for other in others if not other.external}
    styles = Styles(archive, parts.get("styles"), parts.get("numbering"))
    story = _Story(styles, Blocks(markdown=markdown), metadata)
    yield from story.pieces(_elements(archive, body, _BLOCKS))
    yield from _running_titles(archive, others, story)
    for kind, element in (("footnotes", "footnote"), ("endnotes", "endnote"), ("comments", "comment")):
        if kind in parts and parts[kind] in archive:
            yield from _notes(kind, _elements(archive, parts[kind], {element}), story)


def _running_titles(archive: Archive, others: Iterable[Relationship], story: _Story) -> Iterator[str | Mark]:
    """The headers, then the footers; each text once, however many sections show it."""
    for kind in ("header", "footer"):
        seen: set[str] = set()
        for part in sorted(other.target for other in others if other.kind == kind and other.target in archive):
            text = "".join(story.texts(_elements(archive, part, _BLOCKS)))
            if text and text not in seen:
                seen.add(text)
                yield Mark("part", len(seen), kind)
                yield text


def _notes(kind: str, elements: Iterable[Element], story: _Story) -> Iterator[str | Mark]:
    begun = False
    for element in elements:
        text = in_a_cell(story.inside(element))
        if attribute(element, "type") in {"separator", "continuationSeparator", "continuationNotice"} or not text:
            continue
        if not begun:
            yield Mark("part", name=kind)
            begun = True
        name = attribute(element, "author") or "" if kind == "comments" else f"[^{_note(kind, element)}]"
        yield f"{name}: {text}\n\n" if name else f"{text}\n\n"


def _note(kind: str, element: Element) -> str:
    """How the text refers to a note."""
    return f"{'e' if kind == 'endnotes' else ''}{attribute(element, 'id') or ''}"


def _elements(archive: Archive, part: str, wanted: Iterable[str]) -> Iterator[Element]:
    try:
        yield from outermost(archive.blocks(part), frozenset(wanted))
    except MarkupError as error:
        raise damaged(archive.source, _KIND, MarkupError(f"{part}: {error}")) from error


class _Story:
    """Turns paragraphs and tables into text; numbers of lists go on from one to the next."""

    def __init__(self, styles: Styles, blocks: Blocks, metadata: dict[str, Any]) -> None:
        self._styles = styles
        self._metadata = metadata
        self._blocks = blocks

    def pieces(self, elements: Iterable[Element]) -> Iterator[str]:
        """The text of blocks, and what ends it."""
        for element in elements:
            yield from self._block(element)
        yield self._blocks.end()

    def texts(self, elements: Iterable[Element]) -> Iterator[str]:
        """The same, without what is nothing but white space."""
        return (piece for piece in self.pieces(elements) if piece)

    def inside(self, element: Element) -> str:
        """The text of all blocks inside an element, a line each."""
        return "\n".join(self._lines(element))

    def _block(self, element: Element) -> Iterator[str]:
        name = local(element.tag)
        if name == "p":
            yield from self._paragraph(element)
        elif name == "tbl":
            yield from self._table(element)
        elif name == "AlternateContent":
            for child in _chosen(element):
                yield from self._block(child)
        elif name not in _SILENT and name not in _REMOVED:
            for child in element:
                yield from self._block(child)

    def _paragraph(self, element: Element) -> Iterator[str]:
        boxes: list[Element] = []
        text = self._text(element, boxes)
        shape = self._styles.paragraph(next((child for child in element if local(child.tag) == "pPr"), None))
        if text.strip():
            label = self._styles.label(shape) if shape.list_id else None
            if shape.heading:
                number = f"{label} " if label and label != "-" else ""
                yield self._blocks.heading(shape.heading, number + text)
            elif label is None:
                yield self._blocks.paragraph(text)
            else:
                yield self._blocks.item(shape.list_level, label, text)
        for box in boxes:
            for child in box:
                yield from self._block(child)

    def _table(self, element: Element) -> Iterator[str]:
        rows = list(_rows(element))
        if len(rows) == 1 and len(rows[0]) == 1:  # a frame around something, no table
            for child in rows[0][0]:
                yield from self._block(child)
        else:
            yield self._blocks.table(self._grid(rows))

    def _grid(self, rows: list[list[Element]]) -> list[list[str]]:
        """The texts of the cells; what is merged downwards stands in each of its rows, what is merged across once."""
        grid: list[list[str]] = []
        above: dict[int, str] = {}
        for row in rows:
            texts: list[str] = []
            for cell in row:
                text = in_a_cell(self.inside(cell))
                span, merged = _cell_shape(cell)
                if merged == "continue":
                    text = text or above.get(len(texts), "")
                else:
                    above[len(texts)] = text
                texts += [text, *[""] * (span - 1)]
            grid.append(texts)
        return grid

    def _lines(self, element: Element) -> Iterator[str]:
        for child in element:
            name = local(child.tag)
            if name == "p":
                boxes: list[Element] = []
                text = self._text(child, boxes)
                shape = self._styles.paragraph(next((each for each in child if local(each.tag) == "pPr"), None))
                label = self._styles.label(shape) if shape.list_id and text.strip() else None
                yield f"{label} {text}" if label else text
                for box in boxes:
                    yield from self._lines(box)
            elif name == "tbl":
                for row in _rows(child):
                    yield " / ".join(" ".join(self.inside(cell).split()) for cell in row)
            elif name == "AlternateContent":
                yield from self._lines(_chosen(child))
            elif name not in _SILENT and name not in _REMOVED:
                yield from self._lines(child)

    def _text(self, element: Element, boxes: list[Element]) -> str:
        out: list[str] = []
        self._run(element, out, boxes)
        return "".join(out)

    def _run(self, element: Element, out: list[str], boxes: list[Element]) -> None:
        for child in element:
            name = local(child.tag)
            if name == "t":
                out.append(child.text or "")
            elif name in _SILENT:
                continue
            elif name in _REMOVED:
                self._count("deletions")
            elif name == "txbxContent":
                boxes.append(child)
            elif name == "AlternateContent":
                self._run(_chosen(child), out, boxes)
            elif write := _CHARACTERS.get(name):
                out.append(write(child))
            else:
                if name in {"ins", "moveTo"}:
                    self._count("insertions")
                self._run(child, out, boxes)

    def _count(self, what: str) -> None:
        self._metadata[what] = self._metadata.get(what, 0) + 1


def _break(element: Element) -> str:
    return "" if attribute(element, "type") in {"page", "column"} else "\n"


def _symbol(element: Element) -> str:
    """A character of a symbol font: those of the private area mean nothing elsewhere."""
    try:
        code = int(attribute(element, "char") or "", 16)
        return "" if code in _PRIVATE else chr(code)
    except (ValueError, OverflowError):
        return ""


def _picture(element: Element) -> str:
    """What somebody wrote about a picture for those who cannot see it."""
    text = " ".join((attribute(element, "descr") or "").split())
    return f"[picture: {text}]" if text else ""


_CHARACTERS: Final[dict[str, Callable[[Element], str]]] = {
    "tab": lambda _: "\t",
    "ptab": lambda _: "\t",
    "br": _break,
    "cr": lambda _: "\n",
    "noBreakHyphen": lambda _: "-",
    "sym": _symbol,
    "docPr": _picture,
    "footnoteReference": lambda element: f"[^{_note('footnotes', element)}]",
    "endnoteReference": lambda element: f"[^{_note('endnotes', element)}]",
}
"""What stands for characters, by the name of the element."""


def _chosen(element: Element) -> Element:
    """The first form of something that is there in several forms."""
    forms = {local(child.tag): child for child in reversed(element)}
    return forms.get("Choice", forms.get("Fallback", Element("none")))


def _rows(table: Element) -> Iterator[list[Element]]:
    """The cells of each row that was not deleted."""
    for row in _within(table, "tr"):
        shape = next((child for child in row if local(child.tag) == "trPr"), None)
        if shape is None or not any(local(child.tag) == "del" for child in shape):
            yield list(_within(row, "tc"))


def _within(element: Element, wanted: str) -> Iterator[Element]:
    """The children of that name, and those inside controls."""
    for child in element:
        name = local(child.tag)
        if name == wanted:
            yield child
        elif name in {"sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"}:
            yield from _within(child, wanted)


def _cell_shape(cell: Element) -> tuple[int, str | None]:
    """Over how many columns a cell goes, and whether it begins (`restart`) or continues a cell of several rows."""
    span, merged = 1, None
    for child in next((child for child in cell if local(child.tag) == "tcPr"), ()):
        name, value = local(child.tag), attribute(child, "val")
        if name == "gridSpan" and value and value.isdigit():
            span = min(max(int(value[:6]), 1), _WIDEST)
        elif name == "vMerge":
            merged = value or "continue"
    return span, merged
