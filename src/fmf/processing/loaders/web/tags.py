"""HTML as a stream of tags and text: any input, of any size, at the cost of one pass and little memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from string import ascii_letters
from typing import Final, NamedTuple

_LONGEST: Final = 1 << 24
"""Characters of one tag, mostly a picture inside; a longer one is a quotation mark that is never closed."""
_STOP: Final = re.compile(r">|=\s*([\"'])")
_USUAL: Final = re.compile(
    r"([^<]*)<(/?)([A-Za-z][^\s/>=\"']*)(?=[\s/>])((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+'|(?![\"'])))*+)>"
)
"""Text and the tag behind it, unless there is anything unusual about the tag."""
_NAME: Final = re.compile(r"[A-Za-z][^\s/>]*")
_ATTRIBUTE: Final = re.compile(r"([^\s\"'>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]*)))?")
_NUMBER: Final = re.compile(r"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?")
_MOST_DIGITS: Final = 12
_CUT_ENTITY: Final = re.compile(r"&[#\w]{0,40}\Z")
_RAW: Final = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript"})
"""What stands inside these is no markup; `noscript` is one of them where scripts run."""
_COMMENT, _CDATA = "--", "]]"
_LETTERS: Final = frozenset(ascii_letters)


def characters(text: str) -> str:
    """The text with its entities as characters; references to what is no character, such as `&#0;`, are left out."""
    return unescape(without_bad_references(text)) if "&" in text else text


def without_bad_references(text: str) -> str:
    """The text without references to what is no character, for which others put a replacement."""
    return _NUMBER.sub(_kept, text) if "&#" in text else text


def _kept(reference: re.Match[str]) -> str:
    digits = reference[1] or reference[2]
    code = int(digits, 16 if reference[1] else 10) if len(digits) <= _MOST_DIGITS else 0
    return reference[0] if 0 < code < 0xD800 or 0xDFFF < code <= 0x10FFFF else ""


class Tag(NamedTuple):
    """A tag as it stands in the file."""

    name: str
    """In small letters."""
    closes: bool = False
    inside: str = ""
    """What stands between its name and its end."""

    def attributes(self) -> dict[str, str]:
        """The values by name, the first of each name; entities are characters."""
        found: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(self.inside):
            found.setdefault(name.lower(), characters("".join(values)))
        return found


@dataclass
class Tags:
    """Cuts HTML into tags and text; comments and declarations are left out.

    Whatever the input is, nothing is raised and all text comes out. A tag without its end, because of a quotation mark
    that is never closed, ends at the next `>`.
    """

    unclosed: str = ""
    """After the end: the element or comment in which the file ended, where that hid text."""

    def __post_init__(self) -> None:
        self._raw = ""
        self._quotes = True
        self._done = 0

    def read(self, pieces: Iterable[str]) -> Iterator[Tag | str]:
        """The tags and the text between them, in order; text comes with its entities resolved, in pieces of any size.

        What is inside `textarea` and `title` is text, what is inside `script`, `style` and their like too: whoever
        reads looks at the tag before.
        """
        held, size = "", 0
        for piece in pieces:
            size += len(piece)
            held += piece
            # Read on until there is twice as much as could not be cut: a long tag is looked at few times.
            if size < len(held) - size:
                continue
            yield from self._cut(held, final=False)
            held, size = held[self._done :], 0
        yield from self._cut(held, final=True)
        self.unclosed = "comment" if self._raw == _COMMENT else self._raw if self._raw in _RAW else ""

    def _cut(self, text: str, *, final: bool) -> Iterator[Tag | str]:
        """Each part of the text that is whole; `_done` says where the last one ends."""
        at = self._done = 0
        while at < len(text):
            # One search for most parts: the other way takes twice as long.
            if not self._raw and self._quotes and (usual := _USUAL.match(text, at)):
                before, slash, name, inside = usual.groups()
                at = self._done = usual.end()
                if before and (before := characters(before)):
                    yield before
                name = name.lower()
                if not slash and name in _RAW and not inside.endswith("/"):
                    self._raw = name
                yield Tag(name, bool(slash), inside)
                continue
            end, found = self._inside_raw(text, at, final=final) if self._raw else self._next(text, at, final=final)
            if end == at:
                return
            at = self._done = end
            if found:
                yield found

    def _next(self, text: str, at: int, *, final: bool) -> tuple[int, Tag | str]:
        """The part that begins at `at`; it ends there too when it is not whole."""
        if text[at] != "<":
            end = text.find("<", at)
            if end < 0:
                end = len(text)
                if not final and (cut := _CUT_ENTITY.search(text, max(at, end - 42))):
                    end = cut.start()
            return end, characters(text[at:end])
        kind = text[at + 1 : at + 3]
        if kind[:1] in _LETTERS:
            return self._tag(text, at, at + 1, final=final)
        if kind[:1] == "/" and kind[1:] in _LETTERS:
            return self._tag(text, at, at + 2, final=final)
        if kind[:1] in {"!", "?", "/"}:
            return self._declaration(text, at, final=final)
        return (at + 1, "<") if kind or final else (at, "")

    def _declaration(self, text: str, at: int, *, final: bool) -> tuple[int, Tag | str]:
        if len(text) - at < len("<![CDATA[") and not final:
            return at, ""
        if text.startswith("<!--", at):
            self._raw = _COMMENT
            return at + 2, ""  # `<!-->` is a whole comment
        if text.startswith("<![CDATA[", at):
            self._raw = _CDATA
            return at + len("<![CDATA["), ""
        end = text.find(">", at)
        return (end + 1, "") if end >= 0 else (len(text) if final else at, "")

    def _tag(self, text: str, at: int, begin: int, *, final: bool) -> tuple[int, Tag | str]:
        name = _NAME.match(text, begin)
        end = self._end_of_tag(text, begin)
        if end < 0 and (final or len(text) - at > _LONGEST):
            self._quotes = False
            end = text.find(">", begin)
        if end < 0 or name is None:
            return (len(text), "") if final else (at, "")
        closes = begin > at + 1
        tag = Tag(name[0].lower(), closes, text[name.end() : end])
        if not closes and tag.name in _RAW and not tag.inside.endswith("/"):
            self._raw = tag.name
        return end + 1, tag

    def _end_of_tag(self, text: str, at: int) -> int:
        if not self._quotes:
            return text.find(">", at)
        while stop := _STOP.search(text, at):
            if stop[0] == ">":
                return stop.start()
            close = text.find(stop[1], stop.end())
            if close < 0:
                return -1
            at = close + 1
        return -1

    def _inside_raw(self, text: str, at: int, *, final: bool) -> tuple[int, Tag | str]:
        """What stands before the end of an element whose content is no markup; comments are dropped."""
        if self._raw in {_COMMENT, _CDATA}:
            mark = self._raw + ">"
            end = text.find(mark, at)
            whole, after = end >= 0, end + len(mark)
        else:
            mark = f"</{self._raw}"
            close = re.compile(re.escape(mark) + r"(?=[\s/>])", re.IGNORECASE).search(text, at)
            whole, end = close is not None, close.start() if close else -1
            after = end
        if not whole:
            end = after = len(text) if final else max(at, len(text) - len(mark))
        found = "" if self._raw == _COMMENT else text[at:end]
        if self._raw in {"textarea", "title"}:
            found = characters(found)
        if whole:
            self._raw = ""
        return after, found
