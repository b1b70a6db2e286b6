"""OpenDocument texts (odt, ott): read block by block into Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from fmf.config.processing import ProcessingConfig
from fmf.processing.archive import Archive
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.office.blocks import Blocks, gathered, in_a_cell
from fmf.processing.loaders.office.package import part_tree
from fmf.processing.markup import MarkupError, attribute, local, outermost
from fmf.processing.source import Source
from fmf.processing.unreadable import damaged, encrypted

_KIND: Final = "odt"
_CONTENT: Final = "content.xml"
_BLOCKS: Final = frozenset({"p", "h", "list", "table", "list-style", "tracked-changes", "forms"})
_SILENT: Final = frozenset({"tracked-changes", "forms", "sequence-decls", "list-style", "ruby-text", "title"})
_CHARACTERS: Final = {"tab": "\t", "line-break": "\n", "soft-page-break": ""}
_MOST_BLANKS: Final = 200
_MOST_REPEATS: Final = 1000
_MOST_SPANNED: Final = 1_000_000
_MOST_CELLS: Final = 1_000_000
_META: Final = {"title": "title", "initial-creator": "author", "creator": "author", "creation-date": "created",
                "date": "modified"}  # fmt: skip


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The document as Markdown: headings, lists, tables; then its notes and comments.

    Without `preserve_markdown` it is plain lines, with tabs between cells.
    Of tracked changes, what was inserted is there and what was deleted is not. The title is that of the document's
    properties, else the file's name.
    """
    archive = Archive(source, settings.limits, _KIND)
    if "META-INF/manifest.xml" in archive:
        manifest = part_tree(archive, "META-INF/manifest.xml")
        if any(local(element.tag) == "encryption-data" for element in manifest.iter()):
            raise encrypted(source, _KIND)
    metadata: dict[str, Any] = {}
    if "meta.xml" in archive:
        for element in part_tree(archive, "meta.xml").iter():
            name, text = _META.get(local(element.tag)), " ".join((element.text or "").split())
            if name and text:
                metadata.setdefault(name, text)
    title = metadata.pop("title", None)
    markdown = settings.text.preserve_markdown
    pieces = gathered(_pieces(archive, _Story(Blocks(markdown=markdown))))
    return Loaded(pieces, title=title or source.ref.name, markdown=markdown, metadata=metadata)


def _pieces(archive: Archive, story: _Story) -> Iterator[str | Mark]:
    try:
        for element in outermost(archive.blocks(_CONTENT), _BLOCKS):
            yield from story.block(element)
    except MarkupError as error:
        raise damaged(archive.source, _KIND, MarkupError(f"{_CONTENT}: {error}")) from error
    yield story.blocks.end()
    for name, texts in (("notes", story.notes), ("comments", story.comments)):
        if texts:
            yield Mark("part", name=name)
            yield "".join(f"{text}\n\n" for text in texts)


class _Story:
    """Turns the blocks of a text into Markdown."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.notes: list[str] = []
        self.comments: list[str] = []
        self._numbered: dict[str, bool] = {}

    def block(self, element: Element) -> Iterator[str]:
        """The text of a block and of what stands in it."""
        name = local(element.tag)
        if name == "list-style":
            first = next(iter(element), None)
            self._numbered[attribute(element, "name") or ""] = (
                first is not None and local(first.tag) == "list-level-style-number"
            )
        elif name in {"p", "h"}:
            yield from self._paragraph(element)
        elif name == "list":
            yield from self._list(element, 0, attribute(element, "style-name"))
        elif name == "table":
            yield self.blocks.table(self._grid(element))
        elif name not in _SILENT:
            for child in element:
                yield from self.block(child)

    def _paragraph(self, element: Element) -> Iterator[str]:
        boxes: list[Element] = []
        text = self._text(element, boxes)
        if local(element.tag) == "h":
            level = attribute(element, "outline-level") or "1"
            yield self.blocks.heading(_whole(level, 6), text)
        else:
            yield self.blocks.paragraph(text)
        for box in boxes:
            for child in box:
                yield from self.block(child)

    def _list(self, element: Element, level: int, style: str | None) -> Iterator[str]:
        numbered = self._numbered.get(style or "", False)
        number = 0
        for item in element:
            if local(item.tag) not in {"list-item", "list-header"}:
                continue
            number += 1
            first = True
            for child in item:
                name = local(child.tag)
                if name == "list":
                    yield from self._list(child, level + 1, attribute(child, "style-name") or style)
                elif name in {"p", "h"}:
                    boxes: list[Element] = []
                    label = (f"{number}." if numbered else "-") if first else ""
                    yield self.blocks.item(level, label, self._text(child, boxes))
                    first = False
                else:
                    yield from self.block(child)

    def _grid(self, table: Element) -> list[list[str]]:
        """The texts of the cells; what is merged downwards stands in each of its rows, what is merged across once.

        Empty cells at the ends of rows are left out.
        """
        grid: list[list[str]] = []
        above: dict[int, tuple[int, str]] = {}
        cells = 0
        for row in _rows(table):
            times = _whole(attribute(row, "number-rows-repeated") or "1", _MOST_REPEATS)
            texts = list(self._row(row, times, above))
            while texts and not texts[-1]:
                texts.pop()
            cells += len(texts) * times
            if cells > _MOST_CELLS:
                raise MarkupError(f"a table has more than {_MOST_CELLS:,} cells")
            grid += [texts] * (times if texts else 1)
        return grid

    def _row(self, row: Element, times: int, above: dict[int, tuple[int, str]]) -> Iterator[str]:
        """The texts of a row; `above` keeps, by column, for how many rows more a cell goes down, and its text."""
        column = 0
        for cell in row:
            name = local(cell.tag)
            if name not in {"table-cell", "covered-table-cell"}:
                continue
            text = in_a_cell("\n".join(self._lines(cell)))
            rows = _whole(attribute(cell, "number-rows-spanned") or "1", _MOST_SPANNED)
            for _ in range(_whole(attribute(cell, "number-columns-repeated") or "1", _MOST_REPEATS)):
                left, merged = above.pop(column, (0, "")) if name == "covered-table-cell" else (rows, text)
                if left > times:
                    above[column] = (left - times, merged)
                yield text or merged
                column += 1

    def _lines(self, element: Element) -> Iterator[str]:
        for child in element:
            name = local(child.tag)
            if name in {"p", "h"}:
                boxes: list[Element] = []
                yield self._text(child, boxes)
                for box in boxes:
                    yield from self._lines(box)
            elif name == "table":
                for row in self._grid(child):
                    yield " / ".join(" ".join(cell.split()) for cell in row)
            elif name not in _SILENT:
                yield from self._lines(child)

    def _text(self, element: Element, boxes: list[Element]) -> str:
        out = [element.text or ""]
        for child in element:
            out += (self._inline(child, boxes), child.tail or "")
        return "".join(out)

    def _inline(self, element: Element, boxes: list[Element]) -> str:
        name = local(element.tag)
        if name == "s":
            return " " * _whole(attribute(element, "c") or "1", _MOST_BLANKS)
        if name == "note":
            return self._note(element)
        if name == "annotation":
            self._comment(element)
        elif name in {"text-box", "table"}:
            boxes.append(element)
        elif name == "desc":
            text = " ".join((element.text or "").split())
            return f"[picture: {text}]" if text else ""
        elif name not in _SILENT:
            return _CHARACTERS[name] if name in _CHARACTERS else self._text(element, boxes)
        return ""

    def _comment(self, element: Element) -> None:
        author = next((child.text or "" for child in element if local(child.tag) == "creator"), "")
        if text := in_a_cell("\n".join(self._lines(element))):
            self.comments.append(f"{author}: {text}" if author else text)

    def _note(self, element: Element) -> str:
        mark = str(len(self.notes) + 1)
        self.notes.append("")
        for child in element:
            if local(child.tag) == "note-body":
                self.notes[int(mark) - 1] = f"[^{mark}]: " + in_a_cell("\n".join(self._lines(child)))
        return f"[^{mark}]"


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        name = local(child.tag)
        if name == "table-row":
            yield child
        elif name in {"table-header-rows", "table-rows", "table-row-group"}:
            yield from _rows(child)


def _whole(value: str, most: int) -> int:
    return min(max(int(value[:9]), 1), most) if value.isascii() and value.isdigit() else 1
