"""Which of the first rows of a table names its columns: a title may stand above that row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fmf.processing.tables import Cells

_LOOKED_AT: Final = 12
"""Rows below the first one that are looked at."""
_NO_NAME: Final = re.compile(r"(?:[\d\s.,:;/%+\-$€£]|(?<=\d)[TZe])*|true|false")
"""Numbers, dates and times as text, and yes and no."""


@dataclass(frozen=True, slots=True)
class Header:
    """The row that names the columns, and what was read around it."""

    number: int
    cells: Cells
    titles: list[tuple[int, str]] = field(default_factory=list)
    """The lines above it that are titles, with their numbers."""
    behind: list[Cells] = field(default_factory=list)
    """The rows behind it that were read already."""


def header_below(number: int, first: Cells, take: Callable[[int], Sequence[Cells]]) -> Header:
    """The header of a table whose first row with text is `first`: that row, unless it and what follows are titles.

    A title is a row with text in its first cell alone. The header is then the first row with more; it must hold
    different words and no numbers, as many as any row behind it that is looked at, and each of those more than one
    cell. Where a title might be the name of the only column that has one, an empty row below it, words in a row that
    has no other cell, or numbers below the header must tell.

    Args:
        number: the number of `first`.
        first: a row that is not empty.
        take: gives that many of the rows that follow, fewer at the end.
    """
    if len(_filled(first)) != 1:
        return Header(number, first)
    rows = [first, *take(_LOOKED_AT)]
    at = _place(rows)
    titles = [(number + above, str(_filled(row)[0])) for above, row in enumerate(rows[:at]) if _filled(row)]
    return Header(number + at, rows[at], titles, rows[at + 1 :])


def _place(rows: Sequence[Cells]) -> int:
    """Where the header is among the rows; 0 where nothing tells that the first one is a title."""
    at = next((place for place, row in enumerate(rows) if len(_filled(row)) > 1), 0)
    above, names = rows[:at], _filled(rows[at])
    body = [row for row in rows[at + 1 :] if _filled(row)]
    if not at or not body or any(_filled(row) and row[0] in {None, ""} for row in above):
        return 0
    widths = [len(_filled(row)) for row in body]
    if (
        min(widths) < 2
        or max(widths) > len(names)
        or len({*map(str, names)}) < len(names)
        or not all(map(_is_name, names))
    ):
        return 0
    apart = any(not _filled(row) for row in above)
    words = all(len(row) == 1 and " " in str(row[0]).strip() for row in above if _filled(row))
    return at if apart or words or _has_numbers(body) else 0


def _has_numbers(body: Sequence[Cells]) -> bool:
    """Whether some column holds numbers or dates alone."""
    for column in range(max(map(len, body))):
        cells = [row[column] for row in body if column < len(row) and row[column] not in {None, ""}]
        if cells and not any(map(_is_name, cells)):
            return True
    return False


def _filled(row: Cells) -> list[Any]:
    return [cell for cell in row if cell is not None and cell != ""]


def _is_name(cell: Any) -> bool:
    return isinstance(cell, str) and not _NO_NAME.fullmatch(cell)
