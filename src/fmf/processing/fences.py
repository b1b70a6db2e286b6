"""Fenced code in Markdown: where a fence opens and whether it closes soon."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_LINE = re.compile(r"\n(?=[ \t>`~])[ \t>]*+(?P<mark>`{3,}|~{3,})(?P<rest>[^\n]*)")
_FIRST_LINE = re.compile(_LINE.pattern.removeprefix(r"\n"))


@dataclass(frozen=True, slots=True)
class Fence:
    """A code fence that is open."""

    start: int
    """Where its first line begins, in the text at hand."""
    mark: str
    """Its backticks or tildes."""


class _Change(NamedTuple):
    """A line that opens a fence or closes the one that is open."""

    start: int
    end: int
    mark: str
    opened: bool


class Fences:
    """Where in a text fenced code is open; the text is looked through once.

    Args:
        text: the text.
        start: nothing is asked about places before it.
        fence: the one that is open there.
        parts: where parts begin behind `start`, in order; no fence is open beyond.
    """

    def __init__(self, text: str = "", start: int = 0, fence: Fence | None = None, parts: Sequence[int] = ()) -> None:
        self._starts: list[int] = []
        self._open = [fence]
        for begin, end in itertools.pairwise((start, *parts, len(text))):
            lines = list(_changes(text, begin, end, self._open[-1]))
            self._starts += [line.start for line in lines]
            self._open += [Fence(line.start, line.mark) if line.opened else None for line in lines]
            if end < len(text) and self._open[-1]:
                self._starts.append(end - 1)
                self._open.append(None)

    def at(self, place: int) -> Fence | None:
        """The fence that is open at `place`."""
        return self._open[bisect_left(self._starts, place)]


def fence_end(text: str, fence: Fence, start: int, end: int) -> int | None:
    """Where the line that closes `fence` ends, when that is in `text[start:end]`; `start` is behind its first line."""
    for line in _changes(text, start, end, fence):
        if not line.opened:
            return line.end
    return None


def code_spans(text: str, fence: Fence | None) -> tuple[list[tuple[int, int]], Fence | None]:
    """Where fenced code is in `text`, its fences included, and the fence that is open at the end.

    Args:
        text: whole lines.
        fence: the one that is open at the start.
    """
    spans, start = [], 0
    for line in _changes(text, 0, len(text), fence):
        if line.opened:
            start, fence = line.start, Fence(line.start, line.mark)
        else:
            spans.append((start, line.end))
            fence = None
    if fence:
        spans.append((start, len(text)))
    return spans, fence


def _changes(text: str, start: int, end: int, fence: Fence | None) -> Iterator[_Change]:
    """The lines of `text[start:end]` that open a fence or close the one that is open."""
    # Single characters, because they are found much more quickly than three.
    first = min((at for mark in "`~" if (at := text.find(mark, start, end)) >= 0), default=-1)
    if first < 0:
        return
    mark = fence.mark if fence else ""
    for line in _lines(text, start, first, end):
        if not mark:
            if line["mark"][0] == "`" and "`" in line["rest"]:
                continue
            mark = line["mark"]
            yield _Change(line.start("mark") - _before(line), line.end(), mark, opened=True)
        elif line["mark"].startswith(mark) and not line["rest"].strip():
            mark = ""
            yield _Change(line.start("mark") - _before(line), line.end(), line["mark"], opened=False)


def _lines(text: str, start: int, first: int, end: int) -> Iterator[re.Match[str]]:
    """The lines of `text[start:end]` with the mark of a fence; the first mark is at `first`."""
    if not start and (line := _FIRST_LINE.match(text, 0, end)):
        yield line
    newline = text.rfind("\n", max(0, start - 1), first)
    if newline >= 0:
        yield from _LINE.finditer(text, newline, end)
        return
    newline = text.find("\n", first, end)
    if newline >= 0:
        yield from _LINE.finditer(text, newline, end)


def _before(line: re.Match[str]) -> int:
    """How many characters of the line stand before its mark."""
    return line.start("mark") - line.start() - line[0].startswith("\n")


def bare_heading(text: str) -> str:
    """The text of a heading without the `#` that may close it, and the blanks around."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text
