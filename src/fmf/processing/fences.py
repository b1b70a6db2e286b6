"""Fenced code in Markdown: where a fence opens and whether it closes soon."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^[ \t>]*(?P<mark>`{3,}|~{3,})(?P<rest>[^\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """A code fence that is open."""

    start: int
    """Where its first line begins, in the text at hand."""
    mark: str
    """Its backticks or tildes."""


def fence_at(text: str, start: int, end: int, fence: Fence | None) -> Fence | None:
    """The fence that is open at `end`, when `fence` is the one that is open at `start`."""
    for line, opened in _changes(text, start, end, fence):
        fence = Fence(line.start(), line["mark"]) if opened else None
    return fence


def fence_end(text: str, fence: Fence, start: int, end: int) -> int | None:
    """Where the line that closes `fence` ends, when that is in `text[start:end]`; `start` is behind its first line."""
    for line, opened in _changes(text, start, end, fence):
        if not opened:
            return line.end()
    return None


def code_spans(text: str, fence: Fence | None) -> tuple[list[tuple[int, int]], Fence | None]:
    """Where fenced code is in `text`, its fences included, and the fence that is open at the end.

    Args:
        text: whole lines.
        fence: the one that is open at the start.
    """
    spans, start = [], 0
    for line, opened in _changes(text, 0, len(text), fence):
        if opened:
            start, fence = line.start(), Fence(line.start(), line["mark"])
        else:
            spans.append((start, line.end()))
            fence = None
    if fence:
        spans.append((start, len(text)))
    return spans, fence


def _changes(text: str, start: int, end: int, fence: Fence | None) -> list[tuple[re.Match[str], bool]]:
    """The lines of `text[start:end]` that open a fence or close the one that is open."""
    if text.find("```", start, end) < 0 and text.find("~~~", start, end) < 0:
        return []
    mark = fence.mark if fence else ""
    changes = []
    for line in _LINE.finditer(text, start, end):
        if not mark:
            if line["mark"][0] == "`" and "`" in line["rest"]:
                continue
            mark = line["mark"]
            changes.append((line, True))
        elif line["mark"].startswith(mark) and not line["rest"].strip():
            mark = ""
            changes.append((line, False))
    return changes
