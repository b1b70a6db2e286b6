"""What differs between a request and the recorded one that is most like it, so that people see it at a glance."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

MOST_COMPARED = 50
"""How many recorded requests are compared closely: those whose length is nearest."""
MOST_CHARACTERS = 20_000
"""How many characters of a request decide which recorded one is most like it: of its two ends, half each."""
WIDEST = 160
"""How many characters of a line are shown; of a longer one those around the first difference."""
MOST_LINES = 60
"""How many lines of a difference are shown."""
MOST_READ = 4_000
"""How many lines of each request are compared."""


def difference(asked: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]]) -> str:
    """A unified diff from the nearest of the `recorded` requests to the one `asked`; without any, what was asked."""
    lines = list(_lines(asked))
    nearest = _nearest(lines, [list(_lines(request)) for request in recorded])
    found = difflib.unified_diff(nearest[:MOST_READ], lines[:MOST_READ], "nearest recorded", "asked", n=2, lineterm="")
    shown = list(_shortened(list(found)))
    left_out = len(shown) - MOST_LINES
    return "\n".join(shown[:MOST_LINES] + ([f"… {left_out} more lines"] if left_out > 0 else []))


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """The lines of `value` as people read it: a setting on each line, a text of several lines on as many."""
    members = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for name, item in members:
        start = f"{indent}- " if name is None else f"{indent}{name}: "
        if isinstance(item, Mapping | list) and item:
            nested = _lines(item, f"{indent}  ")
            # As in YAML, the first setting of an item stands behind its dash.
            yield start.rstrip() if name is not None else start + next(nested).lstrip()
            yield from nested
        elif isinstance(item, str) and "\n" in item:
            yield f"{start}|"
            yield from (f"{indent}  {line}" for line in item.split("\n"))
        else:
            yield start + (item if isinstance(item, str) else json.dumps(item, ensure_ascii=False))


def _nearest(asked: list[str], recorded: list[list[str]]) -> list[str]:
    text = _ends("\n".join(asked))
    texts = [_ends("\n".join(lines)) for lines in recorded]
    likely = sorted(range(len(texts)), key=lambda number: abs(len(texts[number]) - len(text)))[:MOST_COMPARED]
    matcher = difflib.SequenceMatcher(None, "", text, autojunk=False)

    def likeness(number: int) -> float:
        matcher.set_seq1(texts[number])
        return matcher.quick_ratio()

    return recorded[max(likely, key=likeness)] if likely else []


def _ends(text: str) -> str:
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else text[:half] + text[-half:]


def _shortened(lines: list[str]) -> Iterator[str]:
    """The diff with long lines cut around what differs; removed and added lines that face each other are cut alike."""
    start = 0
    while start < len(lines):
        sign = lines[start][:1]
        if sign not in "-+" or lines[start][:3] in ("---", "+++"):
            yield _cut(lines[start], 0)
            start += 1
            continue
        end = start
        while end < len(lines) and lines[end][:1] in "-+":
            end += 1
        removed = [line for line in lines[start:end] if line.startswith("-")]
        added = [line for line in lines[start:end] if line.startswith("+")]
        places = [_first_difference(old, new) for old, new in zip_longest(removed, added, fillvalue="")]
        for group in (removed, added):
            yield from (_cut(line, place) for line, place in zip(group, places, strict=False))
        start = end


def _first_difference(old: str, new: str) -> int:
    for place, (one, other) in enumerate(zip(old[1:], new[1:], strict=False), start=1):
        if one != other:
            return place
    return min(len(old), len(new))


def _cut(line: str, place: int) -> str:
    if len(line) <= WIDEST:
        return line
    begin = max(1, min(place - WIDEST // 3, len(line) - WIDEST))
    before = "…" if begin > 1 else ""
    after = "…" if begin + WIDEST < len(line) else ""
    return f"{line[:1]}{before}{line[begin : begin + WIDEST]}{after}"
