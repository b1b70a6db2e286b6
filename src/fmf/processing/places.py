"""Where in its source each stretch of a document's text stands: pages, slides, sheets, rows, headings and tables."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from fmf.processing.fences import Fence, bare_heading, code_spans
from fmf.processing.loaders.base import Mark

MOST_PARTS: Final = 2_000
"""So many parts of a document are told of in its structure; further ones are left out of it."""
_LONGEST_TITLE: Final = 300
_LONGEST_LINE: Final = 1 << 16
_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(\S[^\n]*)")
_TABLE: Final = re.compile(r"(?:\|[^\n]*(?:\n|\Z))++")


@dataclass(slots=True)
class _Part:
    """A part of the source that is open, or has ended."""

    kind: str
    start: int
    number: int | None = None
    name: str | None = None
    end: int | None = None
    newlines: int = 0
    """How many lines ended before it."""
    inside: _Part | None = None
    """The part that it stands in."""
    within: bool = False
    heading: tuple[str, ...] = ()

    def has(self, at: int) -> bool:
        return self.start <= at and (self.end is None or self.end > at)


class Places:
    """Takes a document's text and the marks in it, and tells of any later stretch where it stands.

    A mark holds up to the next of its kind, or of a kind that it stands in: a new slide ends the notes of the one
    before. Headings and tables are found in the text where it is Markdown. No heading holds beyond a slide, a sheet or
    a part that stands for itself.

    Args:
        markdown: whether the text is Markdown.
    """

    def __init__(self, *, markdown: bool) -> None:
        self._markdown = markdown
        self._chars = 0
        self._parts: list[_Part] = []
        self._open: list[_Part] = []
        self._headings: list[_Part] = []
        self._levels: list[_Part] = []  # those that are open, from the outermost
        self._lines: deque[tuple[int, int, str]] = deque()
        self._newlines = 0
        self._counted: deque[tuple[int, int]] = deque(maxlen=4)
        self._held = ""
        self._fence: Fence | None = None
        self._table: _Part | None = None
        self._structure: list[dict[str, Any]] = []
        self.left_out = 0
        """How many parts the structure does not tell of."""

    def mark(self, mark: Mark) -> None:
        """Note that `mark` stands at the end of the text so far."""
        if mark.kind == "heading":
            self._heading(mark.number or 1, mark.name or "", self._chars)
            return
        ended = (at for at, part in enumerate(self._open) if part.kind == "rows" or _ends(mark, part))
        self._end(next(ended, None))
        if mark.apart:
            self._end_section()
        around = self._open[-1] if self._open else None
        part = _Part(mark.kind, self._chars, mark.number, mark.name, newlines=self._newlines, inside=around)
        part.within = mark.within
        self._open.append(part)
        self._parts.append(part)

    def _end(self, first: int | None) -> None:
        """End the open parts from that one on."""
        if first is not None:
            for part in self._open[first:]:
                self._close(part, self._chars)
            del self._open[first:]

    def _end_section(self) -> None:
        """End the headings, the table and the fenced code that are open."""
        if self._markdown:
            self._scan("", final=True)
        if self._table:
            self._close(self._table, self._chars)
        for part in self._levels:
            self._close(part, self._chars)
        if self._headings:
            self._headings.append(_Part("heading", self._chars))
        self._levels, self._table, self._fence = [], None, None

    def feed(self, text: str) -> None:
        """Note the next piece of the text."""
        self._lines.append((self._chars, self._newlines, text))
        self._newlines += text.count("\n")
        self._chars += len(text)
        if self._markdown:
            self._scan(text, final=False)

    def finish(self) -> list[dict[str, Any]]:
        """The structure of the whole text: kind, start and end of each part, with its number, name, level or title."""
        if self._markdown:
            self._scan("", final=True)
        for part in [*self._open, *self._levels]:
            self._close(part, self._chars)
        if self._table:
            self._close(self._table, self._chars)
        self._structure.sort(key=lambda part: (part["start"], -part["end"]))
        return self._structure

    def of(self, start: int, end: int) -> dict[str, Any]:
        """Where `text[start:end]` stands; forgets what ends before `start`, so ask in order.

        `page`, `slide`, `sheet`, `row` and `part` say where its first character stands, in the innermost part of that
        kind; `last_page` and so on where its last one does, unless that is the same. What it stands in none of is left
        out. What stands above a table, in the same sheet or part, counts as the first of the table's rows that it goes
        on to. `heading` holds the headings above its start, from the outermost.
        """
        self._parts = [part for part in self._parts if part.end is None or part.end > start]
        while len(self._lines) > 1 and self._lines[1][0] <= start:
            self._lines.popleft()
        place = self._in_parts(start, end) if self._parts else {}
        if self._headings and (heading := self._heading_at(start)):
            place["heading"] = list(heading)
        return place

    def _in_parts(self, start: int, end: int) -> dict[str, Any]:
        first = {part.kind: part for part in self._parts if part.has(start)}
        last = {part.kind: part for part in self._parts if part.has(end - 1)}
        rows, last_rows = first.pop("rows", None) or self._below(start, end), last.pop("rows", None)
        place = {kind: _value(part) for kind, part in first.items()}
        if rows:
            place["row"] = self._row(rows, max(start, rows.start))
        place |= {f"last_{kind}": _value(part) for kind, part in last.items() if part is not first.get(kind)}
        if last_rows:
            row = self._row(last_rows, end - 1)
            # The same number in another table is another row.
            if rows is None or last_rows.inside is not rows.inside or row != place["row"]:
                place["last_row"] = row
        return place

    def _below(self, start: int, end: int) -> _Part | None:
        """The first rows in `text[start:end]`, if they stand in the same part as its start."""
        around: _Part | None = None
        for part in self._parts:
            if part.start >= end:
                break
            if part.kind == "rows":
                return part if part.inside is around else None
            if part.has(start):
                around = part
        return None

    def _row(self, rows: _Part, at: int) -> int:
        return (rows.number or 1) + self._newlines_before(at) - rows.newlines

    def _newlines_before(self, at: int) -> int:
        """How many lines ended before `at`; exact from the start of the last stretch asked for on."""
        piece = next((piece for piece in reversed(self._lines) if piece[0] <= at), None)
        if piece is None:
            return self._lines[0][1] if self._lines else 0
        begin, newlines, text = piece
        # Counted on from the nearest place that was asked for before: a piece is long, and stretches are many.
        since = begin
        for known, counted in self._counted:
            if since <= known <= at:
                since, newlines = known, counted
        found = newlines + text.count("\n", since - begin, at - begin)
        self._counted.append((at, found))
        return found

    def _heading_at(self, at: int) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        for heading in self._headings:
            if heading.start > at:
                break
            found = heading.heading
        while len(self._headings) > 1 and self._headings[1].start <= at:
            self._headings.pop(0)
        return found

    def _scan(self, text: str, *, final: bool) -> None:
        """Find the headings and tables in the lines that are whole by now."""
        text = self._held + text
        whole = len(text) if final or len(text) > _LONGEST_LINE else text.rfind("\n") + 1
        self._held, lines = text[whole:], text[:whole]
        if not lines:
            return
        base = self._chars - len(text)
        spans: list[tuple[int, int]] = []
        # Single characters first, because they are found much more quickly than three.
        if self._fence or ("`" in lines and "```" in lines) or ("~" in lines and "~~~" in lines):
            spans, self._fence = code_spans(lines, self._fence and Fence(0, self._fence.mark))
        self._find_headings(lines, base, spans)
        self._find_tables(lines, base, spans)

    def _find_headings(self, lines: str, base: int, code: list[tuple[int, int]]) -> None:
        at = lines.find("#")
        while at >= 0:
            start = lines.rfind("\n", max(0, at - 4), at) + 1
            if start or at < 4:
                found = _HEADING.match(lines, start)
                if found and not _within(code, start):
                    title = bare_heading(found[2])[:_LONGEST_TITLE]
                    self._heading(len(found[1]), title, base + start)
            line = lines.find("\n", at)
            at = lines.find("#", line) if line >= 0 else -1

    def _heading(self, level: int, title: str, at: int) -> None:
        above = [part for part in self._levels if (part.number or 0) < level]
        for part in self._levels[len(above) :]:
            self._close(part, at)
        path = (*(part.name or "" for part in above), title)
        heading = _Part("heading", at, level, title, heading=path)
        self._headings.append(heading)
        self._levels = [*above, heading]

    def _find_tables(self, lines: str, base: int, code: list[tuple[int, int]]) -> None:
        at = 0 if lines.startswith("|") else lines.find("\n|") + 1
        if self._table is not None and (at or not lines.startswith("|")):
            self._close(self._table, base)
            self._table = None
        while at or lines.startswith("|"):
            found = _TABLE.match(lines, at)
            end = found.end() if found else at
            if not _within(code, at):
                if self._table is None:
                    self._table = _Part("table", base + at)
                if end < len(lines):
                    self._close(self._table, base + end)
                    self._table = None
            at = lines.find("\n|", max(0, end - 1)) + 1
            if not at:
                return

    def _close(self, part: _Part, at: int) -> None:
        if part.end is not None:
            return
        part.end = at
        if part.kind == "rows" or at <= part.start:
            return
        if len(self._structure) >= MOST_PARTS:
            self.left_out += 1
            return
        told: dict[str, Any] = {"kind": part.kind, "start": part.start, "end": at}
        if part.kind == "heading":
            told |= {"level": part.number, "title": part.name}
        else:
            told |= {key: value for key, value in (("number", part.number), ("name", part.name)) if value is not None}
        self._structure.append(told)


def _ends(mark: Mark, part: _Part) -> bool:
    """Whether `part`, which is open, ends where `mark` stands: a part within others only ends such parts."""
    return part.kind == mark.kind and (part.within or not mark.within)


def _value(part: _Part) -> Any:
    return part.number if part.kind in {"page", "slide"} else part.name or part.number


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    """Whether `at` is in one of the spans, which are in order."""
    before = bisect_right(spans, at, key=lambda span: span[0])
    return before > 0 and at < spans[before - 1][1]
