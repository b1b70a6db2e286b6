"""Books (EPUB): their chapters in the order of reading, each read as the web page that it is."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from fmf.config.processing import ProcessingConfig
from fmf.processing.archive import Archive
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.inner import inner_text, one_line
from fmf.processing.loaders.office.package import part_tree
from fmf.processing.loaders.web.html import page_of, tidy
from fmf.processing.loaders.web.html_text import head_of
from fmf.processing.markup import local
from fmf.processing.source import Source
from fmf.processing.unreadable import encrypted, unreadable

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_PAGES: Final = frozenset({"application/xhtml+xml", "text/html", "application/html"})
_MOST_WORDS: Final = 300


@dataclass
class _Book:
    """What the package says of the book."""

    chapters: list[str] = field(default_factory=list)
    """The names of the pages in the archive, in the order of reading."""
    title: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """The chapters, each behind a mark with its number and title; the title of the book is that of its package.

    Raises:
        ProcessingError: it is no book, damaged, a bomb, or locked.
    """
    archive = Archive(source, settings.limits, "epub")
    book = _book(archive, source)
    if _ENCRYPTION in archive and _locked(part_tree(archive, _ENCRYPTION), book.chapters):
        raise encrypted(source, "epub")
    if not book.chapters:
        raise unreadable(source, "epub", "there are no chapters in it")
    metadata: dict[str, Any] = {**book.facts, "chapters": len(book.chapters)}
    pieces = _pieces(archive, source, settings, book, metadata)
    return Loaded(
        pieces, title=book.title or source.ref.name, markdown=settings.text.preserve_markdown, metadata=metadata
    )


def _book(archive: Archive, source: Source) -> _Book:
    root = part_tree(archive, _CONTAINER)
    package = next((each.get("full-path", "") for each in root.iter() if local(each.tag) == "rootfile"), "")
    if package not in archive:
        raise unreadable(source, "epub", "it does not say where its contents are")
    book, items = _Book(), dict[str, Element]()
    order: list[str] = []
    for each in part_tree(archive, package).iter():
        name = local(each.tag)
        words = " ".join((each.text or "").split())[:_MOST_WORDS]
        if name == "item":
            items[each.get("id", "")] = each
        elif name == "itemref":
            order.append(each.get("idref", ""))
        elif name == "title" and not book.title:
            book.title = words
        elif name in {"creator", "language", "publisher", "date"} and words:
            book.facts.setdefault({"creator": "author", "date": "created"}.get(name, name), words)
    folder = posixpath.dirname(package)
    for item in (items[each] for each in order if each in items):
        name = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        if item.get("media-type") in _PAGES and name in archive:
            book.chapters.append(name)
    return book


def _locked(root: Element, chapters: list[str]) -> bool:
    """Whether what is encrypted are chapters; fonts often are, and do not matter."""
    locked = {unquote(each.get("URI", "")) for each in root.iter() if local(each.tag) == "CipherReference"}
    return bool(locked.intersection(chapters))


def _pieces(
    archive: Archive, source: Source, settings: ProcessingConfig, book: _Book, metadata: dict[str, Any]
) -> Iterator[str | Mark]:
    for number, name in enumerate(book.chapters, 1):
        data = b"".join(archive.blocks(name))
        if not data:
            continue
        text = "".join(inner_text(source, name, data, settings, markup=True))
        page = page_of(text, settings)
        if "reduced" in page.notes:
            metadata["reduced_chapters"] = metadata.get("reduced_chapters", 0) + 1
        # A chapter may go on in the next file.
        yield Mark("part", number, one_line(head_of(text).title) or None, within=True)
        yield from tidy(page, settings)
        yield "\n"
