"""Presentations (pptx, pptm, ppsx, potx): slide by slide into Markdown, with their notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from fmf.config.processing import ProcessingConfig
from fmf.processing.archive import Archive
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.office.blocks import Blocks, in_a_cell
from fmf.processing.loaders.office.package import (
    Relationship,
    id_of,
    main_part,
    part_tree,
    properties,
    relationships,
)
from fmf.processing.markup import attribute, local
from fmf.processing.source import Source

_KIND: Final = "pptx"
_TITLES: Final = frozenset({"title", "ctrTitle"})
_FURNITURE: Final = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})
"""Placeholders that every slide repeats."""
_SILENT: Final = frozenset({"pPr", "rPr", "endParaRPr", "Fallback"})
_BULLETS: Final = frozenset({"buChar", "buAutoNum", "buBlip"})


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The slides in their order: title as a heading, texts, tables, what stands for pictures, then the speaker's notes.

    They become Markdown; without `preserve_markdown` they are plain lines, with tabs between cells. The metadata says
    how many slides there are and which are hidden; they are read too.
    """
    archive = Archive(source, settings.limits, _KIND)
    facts = properties(archive)
    title = facts.pop("title", None)
    slides = list(_slides(archive))
    metadata: dict[str, Any] = {**facts, "slides": len(slides)}
    markdown = settings.text.preserve_markdown
    pieces = _pieces(archive, slides, Blocks(markdown=markdown), metadata)
    return Loaded(pieces, title=title or source.ref.name, markdown=markdown, metadata=metadata)


def _slides(archive: Archive) -> Iterator[str]:
    """The parts of the slides, in the order in which they are shown."""
    main = main_part(archive, "ppt/presentation.xml")
    targets = relationships(archive, main)
    for listing in part_tree(archive, main):
        if local(listing.tag) == "sldIdLst":
            for slide in listing:
                # One that is not there is missed when it is opened: a deck without it would be half a deck in silence.
                if target := targets.get(id_of(slide)):
                    yield target.target


def _pieces(archive: Archive, slides: list[str], blocks: Blocks, metadata: dict[str, Any]) -> Iterator[str | Mark]:
    for number, part in enumerate(slides, 1):
        yield Mark("slide", number)
        root = part_tree(archive, part)
        if attribute(root, "show") in {"0", "false"}:
            metadata.setdefault("hidden_slides", []).append(number)
        targets = relationships(archive, part)
        yield "".join(_Slide(archive, targets, blocks).texts(root)) + blocks.end()
        for target in targets.values():
            if target.kind == "notesSlide" and target.target in archive:
                notes = "".join(_notes(part_tree(archive, target.target), blocks)) + blocks.end()
                if notes:
                    yield Mark("part", name="notes", within=True)
                    yield notes


def _notes(root: Element, blocks: Blocks) -> Iterator[str]:
    """What the speaker noted; the placeholder of the slide's picture and numbers are left out."""
    for shape in root.iter():
        if local(shape.tag) == "sp" and _placeholder(shape) not in _FURNITURE:
            for paragraph in _paragraphs(shape):
                yield blocks.paragraph(_text(paragraph))


class _Slide:
    """One slide as Markdown."""

    def __init__(self, archive: Archive, targets: dict[str, Relationship], blocks: Blocks) -> None:
        self._archive = archive
        self._targets = targets
        self._blocks = blocks

    def texts(self, root: Element) -> Iterator[str]:
        """The title, wherever it stands, then everything else in the order of the slide."""
        shapes = [shape for tree in root.iter() if local(tree.tag) == "spTree" for shape in _shapes(tree)]
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        for shape in titles:
            yield self._blocks.heading(1, " ".join(_text(paragraph) for paragraph in _paragraphs(shape)))
        for shape in shapes:
            if _placeholder(shape) not in _TITLES | _FURNITURE:
                yield from self._shape(shape)

    def _shape(self, shape: Element) -> Iterator[str]:
        name = local(shape.tag)
        if name == "pic":
            text = " ".join((_described(shape) or "").split())
            yield self._blocks.paragraph(f"[picture: {text}]") if text else ""
        elif name == "graphicFrame":
            yield from self._graphic(shape)
        else:
            for paragraph in _paragraphs(shape):
                yield self._paragraph(paragraph)

    def _paragraph(self, paragraph: Element) -> str:
        text = _text(paragraph)
        shape = next((child for child in paragraph if local(child.tag) == "pPr"), None)
        level = attribute(shape, "lvl") if shape is not None else None
        depth = int(level) if level and level.isascii() and level.isdigit() and len(level) < 3 else 0
        listed = shape is not None and any(local(child.tag) in _BULLETS for child in shape)
        plain = shape is not None and any(local(child.tag) == "buNone" for child in shape)
        if (listed or depth) and not plain:
            return self._blocks.item(depth, "-", text)
        return self._blocks.paragraph(text)

    def _graphic(self, frame: Element) -> Iterator[str]:
        for element in frame.iter():
            name = local(element.tag)
            if name == "tbl":
                yield self._blocks.table(list(_grid(element)))
            elif name == "relIds":  # a drawing made of words; they stand in a part of their own
                target = next((self._targets[value] for key, value in element.attrib.items()
                               if local(key) == "dm" and value in self._targets), None)  # fmt: skip
                if target and target.target in self._archive:
                    for paragraph in _paragraphs(part_tree(self._archive, target.target)):
                        yield self._blocks.item(0, "-", _text(paragraph))
        if text := " ".join((_described(frame) or "").split()):
            yield self._blocks.paragraph(f"[picture: {text}]")


def _shapes(tree: Element) -> Iterator[Element]:
    """The shapes, those inside groups too, in the order of the slide."""
    for child in tree:
        name = local(child.tag)
        if name in {"sp", "pic", "graphicFrame", "cxnSp"}:
            yield child
        elif name == "AlternateContent":
            yield from _shapes(next(iter(child), child))
        elif name in {"grpSp", "Choice"}:
            yield from _shapes(child)


def _placeholder(shape: Element) -> str | None:
    """What the shape stands for: `title`, `body`, `sldNum` ...; nothing for a shape of its own."""
    for properties_of in shape:
        if local(properties_of.tag).startswith("nv"):
            for element in properties_of.iter():
                if local(element.tag) == "ph":
                    return attribute(element, "type") or "body"
    return None


def _described(shape: Element) -> str | None:
    """What somebody wrote about a picture for those who cannot see it."""
    for element in shape.iter():
        if local(element.tag) == "cNvPr":
            return attribute(element, "descr")
    return None


def _paragraphs(shape: Element) -> Iterator[Element]:
    return (element for element in shape.iter() if local(element.tag) == "p")


def _text(paragraph: Element) -> str:
    out: list[str] = []
    _collect(paragraph, out)
    return "".join(out)


def _collect(element: Element, out: list[str]) -> None:
    for child in element:
        name = local(child.tag)
        if name == "t":
            out.append(child.text or "")
        elif name == "br":
            out.append("\n")
        elif name == "tab":
            out.append("\t")
        elif name not in _SILENT:
            _collect(child, out)


def _grid(table: Element) -> Iterator[list[str]]:
    """The texts of the cells; what is merged downwards stands in each of its rows, what is merged across once."""
    above: dict[int, str] = {}
    for row in table:
        if local(row.tag) != "tr":
            continue
        texts: list[str] = []
        for cell in row:
            if local(cell.tag) != "tc":
                continue
            text = in_a_cell("\n".join(_text(paragraph) for paragraph in _paragraphs(cell)))
            if attribute(cell, "vMerge") in {"1", "true"}:
                text = text or above.get(len(texts), "")
            above[len(texts)] = text
            texts.append(text)
        yield texts
