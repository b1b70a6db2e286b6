"""The text of HTML as lines, from a stream of its tags; for plain text, and for pages that no tree can be made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.processing.loaders.web.tags import Tag, Tags

_BLOCK: Final = 1 << 16
_NO_TEXT: Final = frozenset({"script", "style", "noscript", "template", "iframe", "noembed", "noframes", "title"})
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "param"}
)
_TABLE: Final = frozenset({"table", "tbody", "tfoot", "thead", "tr"})
_APART: Final = frozenset(
    {"article", "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "section"}
) | {"table", "ul"}
"""Blocks with a blank line before and after them."""
_PARAGRAPHS: Final = _APART | _TABLE | {
    *("address", "aside", "body", "button", "caption", "dd", "details", "dialog", "div", "dt", "fieldset"),
    *("figcaption", "footer", "form", "header", "html", "legend", "li", "main", "menu", "nav", "optgroup", "option"),
    *("select", "summary", "textarea", "xmp"),
}  # fmt: skip
_WRITTEN: Final = _PARAGRAPHS | {"br", "img", "input", "td", "th"}
"""Those that stand for something in the text."""
_ENDS_BY_ITSELF: Final = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option", "thead", "tbody", "tfoot"})
_HIDDEN: Final = re.compile(r"(?:^|\s)hidden(?=[\s=/]|$)|display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_WORD: Final = re.compile(r"[^\W_]{3,}")
_END: Final = 1536
_MOST_WORDS: Final = 1000


@dataclass
class Head:
    """What a page says of itself."""

    title: str = ""
    language: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    """The contents of meta elements by their names, in small letters."""
    done: bool = False
    """Whether the body has begun."""

    def look_at(self, tag: Tag) -> None:
        """Take notice of a tag."""
        if tag.name == "html" and not self.language:
            values = tag.attributes()
            self.language = values.get("lang", "") or values.get("xml:lang", "")
        elif tag.name == "meta" and len(self.metas) < _MOST_WORDS:
            values = tag.attributes()
            if name := values.get("name") or values.get("property") or values.get("itemprop"):
                self.metas.setdefault(name.lower(), values.get("content", ""))
        elif tag.name == "body" or (tag.closes and tag.name == "head"):
            self.done = True

    def metadata(self) -> dict[str, Any]:
        """What is noted of it, where it is there."""
        wanted = {
            "language": (self.language, self.metas.get("language")),
            "author": (self.metas.get("author"), self.metas.get("article:author"), self.metas.get("dc.creator")),
            "description": (self.metas.get("description"), self.metas.get("og:description")),
            "keywords": (self.metas.get("keywords"),),
            "created": (self.metas.get("article:published_time"), self.metas.get("date"), self.metas.get("dc.date")),
        }
        found = {key: next((_tidy(value) for value in values if value), "") for key, values in wanted.items()}
        return {key: value[:_MOST_WORDS] for key, value in found.items() if value}


def head_of(text: str) -> Head:
    """What the page says of itself, from its first characters."""
    head, tags = Head(), Tags()
    in_title, seen_title = False, False
    for part in tags.read([text]):
        if isinstance(part, str):
            if in_title:
                head.title += part
            continue
        in_title = part.name == "title" and not part.closes and not seen_title
        seen_title = seen_title or in_title
        head.look_at(part)
        if head.done:
            break
    head.title = _tidy(head.title)[:300]
    return head


def last_words(text: str) -> list[str]:
    """The last words that a page shows, told from its end alone; script may be among them."""
    end = text[-_END:]
    begin = end.find(">") + 1
    if len(text) <= _END or -1 < end.find("<") < begin:
        begin = 0
    lines = "".join(PlainText().write([end[begin:]]))
    return _WORD.findall(lines)[-3:]


def _tidy(text: str) -> str:
    return " ".join(text.split())


@dataclass
class PlainText:
    """Writes the text of a page: blocks as lines, cells with tabs between them, items with a dash.

    Of a picture, its alternative text is written, of a link the words that are shown.

    Args:
        hidden: whether what a browser does not show is written too.
    """

    hidden: bool = False
    unclosed: str = ""
    """After the end: the element or comment in which the file ended."""

    def __post_init__(self) -> None:
        self._out: list[str] = []
        self._chars = 0
        self._blank_lines = 2
        """Line ends at the end of what was written: before the first word there is no line to end."""
        self._space = False
        self._pre = 0
        self._skipped, self._nested = "", 0
        self._cells = 0

    def write(self, pieces: Iterable[str]) -> Iterator[str]:
        """The text, in pieces of some size."""
        tags = Tags()
        for part in tags.read(pieces):
            if isinstance(part, str):
                if not self._skipped:
                    self._text(part)
            elif self._skipped:
                self._skip(part)
            elif part.inside or part.name in _NO_TEXT:
                if not self._begins_to_skip(part):
                    self._tag(part)
            elif part.name in _WRITTEN:
                self._tag(part)
            if self._chars > _BLOCK:
                yield self._taken()
        self.unclosed = tags.unclosed
        self._lines(1)
        yield self._taken()

    def _taken(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        self._chars = 0
        return text

    def _begins_to_skip(self, tag: Tag) -> bool:
        if tag.closes or tag.name in _VOID:
            return False
        without_text = tag.name in _NO_TEXT
        if not without_text and (self.hidden or not tag.inside or not _HIDDEN.search(tag.inside)):
            return False
        if not (without_text and tag.inside.endswith("/")):
            self._skipped, self._nested = tag.name, 1
        return True

    def _skip(self, tag: Tag) -> None:
        """Whether the tag ends what is skipped; what ends without a tag of its own ends with the next block."""
        if tag.name == self._skipped:
            if tag.closes or self._skipped in _ENDS_BY_ITSELF:
                self._nested -= 1
            else:
                self._nested += 1
        elif self._skipped in _ENDS_BY_ITSELF and tag.name in _PARAGRAPHS and (tag.closes or self._skipped == "p"):
            self._nested = 0
        if not self._nested:
            self._skipped = ""
            if not tag.closes and not self._begins_to_skip(tag):
                self._tag(tag)

    def _text(self, text: str) -> None:
        if self._pre:
            self._put(text)
            self._blank_lines = 1 if text.endswith("\n") else 0
            return
        words = _SPACE.sub(" ", text)
        if words == " " or not words:
            self._space = self._space or bool(words)
            return
        apart = (words[0] == " " or self._space) and not self._blank_lines and self._out[-1:] != ["\t"]
        self._space = words[-1] == " "
        words = words.strip(" ")
        self._put(f" {words}" if apart else words)
        self._blank_lines = 0

    def _put(self, text: str) -> None:
        self._out.append(text)
        self._chars += len(text)

    def _lines(self, wanted: int) -> None:
        """End the line, and leave blank ones, where that was not done."""
        self._space = False
        if self._blank_lines < wanted:
            self._put("\n" * (wanted - self._blank_lines))
            self._blank_lines = wanted

    def _tag(self, tag: Tag) -> None:
        name = tag.name
        if name in {"td", "th"}:
            if not tag.closes:
                self._cell()
        elif name == "br":
            self._space = False
            self._put("\n")
            self._blank_lines += 1
        elif name == "img" or (name == "input" and "image" in tag.inside):
            if alt := tag.attributes().get("alt", ""):
                self._text(f" {alt} ")
        elif name in _PARAGRAPHS:
            self._paragraph(tag)

    def _cell(self) -> None:
        if self._cells:
            self._space = False
            self._put("\t")
            self._blank_lines = 0
        self._cells += 1

    def _paragraph(self, tag: Tag) -> None:
        if self._cells and tag.name not in _TABLE:
            # Inside a cell a line would end the row.
            self._space = True
            return
        self._lines(2 if tag.name in _APART else 1)
        if tag.name in _TABLE:
            self._cells = 0
        elif tag.name in {"pre", "xmp"}:
            self._pre = max(0, self._pre + (-1 if tag.closes else 1))
        elif tag.name == "li" and not tag.closes:
            self._put("- ")
            self._blank_lines = 0
            self._space = False
        elif tag.name == "hr":
            self._lines(2)
