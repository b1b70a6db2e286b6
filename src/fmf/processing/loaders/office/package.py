"""An Office package: which parts belong to which, what it says of itself, and the sheets of a workbook."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fmf.processing.archive import Archive
from fmf.processing.markup import MarkupError, attribute, local, tree
from fmf.processing.unreadable import damaged


@dataclass(frozen=True, slots=True)
class Relationship:
    """What one part of a package points to."""

    kind: str
    """The last word of its type, such as `slide` or `styles`."""
    target: str
    """The name of the other part, or an address outside the package."""
    external: bool = False


def relationships(archive: Archive, part: str) -> dict[str, Relationship]:
    """What `part` points to, by id; the empty name means the package itself.

    Raises:
        ProcessingError: the list is damaged.
    """
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    if listing not in archive:
        return {}
    found: dict[str, Relationship] = {}
    for element in part_tree(archive, listing):
        target, identity = element.get("Target"), element.get("Id")
        if target is None or identity is None:
            continue
        external = element.get("TargetMode") == "External"
        if not external:
            target = (
                target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            )
        found[identity] = Relationship((element.get("Type") or "").rpartition("/")[2], target, external)
    return found


def part_tree(archive: Archive, part: str, content: bytes | None = None) -> Element:
    """The XML of a part as a whole; its `content` where that is in memory.

    Raises:
        ProcessingError: it is missing, damaged, or holds what XML of documents must not hold.
    """
    try:
        return tree(archive.blocks(part) if content is None else [content])
    except MarkupError as error:
        raise damaged(archive.source, archive.kind, MarkupError(f"{part}: {error}")) from error


def main_part(archive: Archive, usual: str) -> str:
    """The part that holds the document itself; `usual` where the package does not say."""
    for relationship in relationships(archive, "").values():
        if relationship.kind == "officeDocument" and not relationship.external and relationship.target in archive:
            return relationship.target
    return usual


def sheet_parts(archive: Archive) -> Iterator[tuple[str, str]]:
    """The name and the part of every worksheet whose part is XML; none in a workbook of another form."""
    book = main_part(archive, "xl/workbook.xml")
    if book not in archive or not book.endswith(".xml"):
        return
    targets = relationships(archive, book)
    for sheets in part_tree(archive, book):
        if local(sheets.tag) != "sheets":
            continue
        for sheet in sheets:
            name = sheet.get("name")
            target = targets.get(id_of(sheet))
            if name and target and target.kind == "worksheet" and target.target in archive:
                yield name, target.target


def id_of(element: Element) -> str:
    """The id of a relationship that an element names; other attributes may be called `id` too."""
    found = next((value for key, value in element.attrib.items() if key.endswith("relationships}id")), None)
    return found or attribute(element, "id") or ""


def properties(archive: Archive) -> dict[str, str]:
    """What the package says of itself: `title`, `author`, `created`, `modified`, as far as it does."""
    part = next(
        (each.target for each in relationships(archive, "").values() if each.kind == "core-properties"),
        "docProps/core.xml",
    )
    if part not in archive:
        return {}
    wanted = {"title": "title", "creator": "author", "created": "created", "modified": "modified"}
    found: dict[str, str] = {}
    for element in part_tree(archive, part):
        name = wanted.get(local(element.tag))
        text = " ".join((element.text or "").split())
        if name and text:
            found[name] = text
    return found
