"""Styles and numbering of a Word document: which paragraphs are headings, and what stands before list items."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element

from fmf.processing.archive import Archive
from fmf.processing.loaders.office.package import part_tree
from fmf.processing.markup import attribute, local

_HEADING_NAME: Final = re.compile(r"heading (\d)", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"%(\d)")
_ROMAN: Final = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"),
    (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_BODY_LEVEL: Final = 9
_MOST_LEVELS: Final = 9
_DEEPEST_STYLES: Final = 20
_MOST_KNOWN: Final = 8
_LONGEST_KNOWN: Final = 1 << 19


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What the properties of a paragraph, or of its style, say."""

    heading: int | None = None
    """The level, from 1."""
    list_id: str | None = None
    list_level: int = 0


@dataclass(slots=True)
class _Level:
    """One level of a list."""

    form: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class _List:
    """One list definition with its counters."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0] * _MOST_LEVELS)


_known: dict[bytes, dict[str, Paragraph]] = {}
"""The styles of some documents that were read, by the hash of their part."""


class Styles:
    """The styles and lists of one document."""

    def __init__(self, archive: Archive, styles: str | None, numbering: str | None) -> None:
        self._styles: dict[str, Paragraph] = {}
        self._lists: dict[str, _List] = {}
        self._restarts: dict[str, dict[int, int]] = {}
        if numbering and numbering in archive:
            self._read_numbering(part_tree(archive, numbering))
        if styles and styles in archive:
            self._styles = _styles_of(archive, styles)

    def paragraph(self, properties: Element | None) -> Paragraph:
        """What holds for a paragraph with these `pPr`."""
        if properties is None:
            return self._styles.get("", Paragraph())
        style = outline = numbers = None
        for child in properties:
            name = local(child.tag)
            if name == "pStyle":
                style = attribute(child, "val")
            elif name == "outlineLvl":
                outline = _number(child)
            elif name == "numPr":
                numbers = child
        base = self._styles.get(style or "", Paragraph())
        return base if outline is None and numbers is None else _merged(base, outline, numbers)

    def label(self, paragraph: Paragraph) -> str | None:
        """What stands before the next item of the paragraph's list: `-` for a bullet, else its number; counts on."""
        found = self._lists.get(paragraph.list_id or "")
        if found is None or paragraph.list_id in {None, "0"}:
            return None
        for place, start in self._restarts.pop(paragraph.list_id or "", {}).items():
            found.counts[place:] = [0] * (_MOST_LEVELS - place)
            found.levels.setdefault(place, _Level()).start = start
        at = min(max(paragraph.list_level, 0), _MOST_LEVELS - 1)
        level = found.levels.get(at, _Level())
        if level.form == "bullet":
            return "-"
        for above in range(at):
            found.counts[above] = found.counts[above] or found.levels.get(above, _Level()).start
        found.counts[at] = found.counts[at] + 1 if found.counts[at] else level.start
        found.counts[at + 1 :] = [0] * (_MOST_LEVELS - at - 1)
        if level.form == "none":
            return ""
        return _PLACEHOLDER.sub(lambda place: _counted(found, int(place[1]) - 1), level.text) or f"{found.counts[at]}."

    def _read_numbering(self, root: Element) -> None:
        abstract: dict[str, _List] = {}
        for element in root:
            name = local(element.tag)
            if name == "abstractNum":
                made = _List()
                for level in element:
                    if local(level.tag) == "lvl":
                        made.levels[_whole(attribute(level, "ilvl"))] = _level(level)
                abstract[attribute(element, "abstractNumId") or ""] = made
            elif name == "num":
                self._read_number(element, abstract)

    def _read_number(self, element: Element, abstract: dict[str, _List]) -> None:
        number = attribute(element, "numId") or ""
        for child in element:
            if local(child.tag) == "abstractNumId":
                self._lists[number] = abstract.get(attribute(child, "val") or "", _List())
            elif local(child.tag) == "lvlOverride":
                at = min(_whole(attribute(child, "ilvl")), _MOST_LEVELS - 1)
                for each in child:
                    if local(each.tag) == "startOverride":
                        self._restarts.setdefault(number, {})[at] = _number(each) or 1


def _styles_of(archive: Archive, part: str) -> dict[str, Paragraph]:
    """The styles of paragraphs by their ids; the default one also under the empty name."""
    # Documents made from one template have the same styles, which take longer to read than a short document.
    content = b"".join(archive.blocks(part))
    key = hashlib.sha256(content).digest()
    found = _known.get(key)
    if found is None:
        found = _read_styles(part_tree(archive, part, content))
        if len(content) <= _LONGEST_KNOWN:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[key] = found
    return found


def _read_styles(root: Element) -> dict[str, Paragraph]:
    elements = {attribute(style, "styleId") or "": style for style in root if local(style.tag) == "style"}
    found: dict[str, Paragraph] = {}
    for name, style in elements.items():
        if attribute(style, "type") == "paragraph":
            found[name] = _resolved(elements, name, 0)
            if attribute(style, "default") in {"1", "true", "on"}:
                found[""] = found[name]
    return found


def _resolved(elements: dict[str, Element], name: str, depth: int) -> Paragraph:
    style = elements.get(name)
    if style is None or depth > _DEEPEST_STYLES:
        return Paragraph()
    base, heading, outline, numbers = Paragraph(), None, None, None
    for child in style:
        kind = local(child.tag)
        if kind == "basedOn":
            base = _resolved(elements, attribute(child, "val") or "", depth + 1)
        elif kind == "name":
            heading = _heading_of(attribute(child, "val") or "")
        elif kind == "pPr":
            outline = next((_number(each) for each in child if local(each.tag) == "outlineLvl"), None)
            numbers = next((each for each in child if local(each.tag) == "numPr"), None)
    found = _merged(base, outline, numbers)
    return Paragraph(heading, found.list_id, found.list_level) if heading else found


def _merged(base: Paragraph, outline: int | None, numbers: Element | None) -> Paragraph:
    heading = base.heading if outline is None else outline + 1 if outline < _BODY_LEVEL else None
    list_id, level = base.list_id, base.list_level
    for child in numbers if numbers is not None else ():
        if local(child.tag) == "numId":
            list_id = attribute(child, "val")
        elif local(child.tag) == "ilvl":
            level = _number(child) or 0
    return Paragraph(heading, list_id, level)


def _heading_of(name: str) -> int | None:
    if name.lower() == "title":
        return 1
    found = _HEADING_NAME.fullmatch(name)
    return int(found[1]) if found else None


def _level(element: Element) -> _Level:
    level = _Level()
    for child in element:
        name, value = local(child.tag), attribute(child, "val") or ""
        if name == "numFmt":
            level.form = value
        elif name == "lvlText":
            level.text = value
        elif name == "start":
            level.start = _whole(value, 1)
    return level


def _counted(found: _List, level: int) -> str:
    if not 0 <= level < _MOST_LEVELS:
        return ""
    form = found.levels.get(level, _Level()).form
    return numeral(found.counts[level] or found.levels.get(level, _Level()).start, form)


def numeral(number: int, form: str) -> str:
    """`number` written as letters, in Roman or in Arabic figures, as the form of a list says."""
    if form in {"lowerLetter", "upperLetter"} and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 9)
        return letters.upper() if form == "upperLetter" else letters
    if form in {"lowerRoman", "upperRoman"} and 0 < number < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (number // value)
            number %= value
        return text.upper() if form == "upperRoman" else text
    return f"{number:02}" if form == "decimalZero" else str(number)


def _number(element: Element) -> int | None:
    value = attribute(element, "val")
    return _whole(value) if value is not None else None


def _whole(value: str | None, otherwise: int = 0) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else otherwise
