"""What the XML of a worksheet says that its reader leaves out: errors, formulas, and how far its cells spread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Final

_LONGEST_ROW: Final = 64_000_000
_SHEET_DATA: Final = re.compile(rb"<(\w+:)?sheetData\b")


@dataclass(slots=True)
class SheetFacts:
    """What was found in one worksheet."""

    last_row: int = 0
    """The number of the last row that is mentioned; the first is 1."""
    last_column: int = 0
    """The number of the last column that holds a cell; the first is 1."""
    formulas: int = 0
    formulas_without_value: int = 0
    """Formulas whose result was not saved: their cells are empty until a spreadsheet program has computed them."""
    errors: dict[int, dict[int, str]] = field(default_factory=dict)
    """Cells with an error, such as `#DIV/0!`, by row and column, both from 0."""


def facts_of(blocks: Iterable[bytes]) -> SheetFacts:
    """Read the XML of a worksheet in blocks.

    Raises:
        ValueError: one row is longer than any row can be.
    """
    facts = SheetFacts()
    patterns: _Patterns | None = None
    for rows in _whole_rows(blocks):
        if patterns is None and (begin := _SHEET_DATA.search(rows)):
            patterns = _Patterns(begin[1] or b"")
        if patterns:
            patterns.note(rows, facts)
    return facts


def _whole_rows(blocks: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for block in blocks:
        cut = block.rfind(b"</row>") + 6 if b"</row>" in block else block.rfind(b"row>") + 4
        if cut >= 6:
            yield b"".join([*held, block[:cut]])
            held, size = [block[cut:]], len(block) - cut
        else:
            held.append(block)
            size += len(block)
        if size > _LONGEST_ROW:
            raise ValueError(f"a row of a sheet has more than {_LONGEST_ROW:,} bytes")
    yield b"".join(held)


class _Patterns:
    """Patterns for the prefix that the sheet gives its elements, mostly none."""

    def __init__(self, prefix: bytes) -> None:
        self._any_cell = b"<" + prefix + b"c "
        self._usual_cell = self._any_cell + b'r="'
        self._usual = re.compile(self._usual_cell + b"([A-Z]{1,3})")
        self._columns = re.compile(rb"<" + prefix + rb'c\b[^>]*?\br="([A-Z]{1,3})\d')
        self._rows = re.compile(rb"<" + prefix + rb'row\b[^>]*?\br="(\d{1,12})"')
        self._far = re.compile(rb'r="[A-Z]{1,3}(\d{6,12})"')
        self._failed = re.compile(rb"<" + prefix + rb'c\b([^>]*\bt="e"[^>]*)>(.*?)</' + prefix + rb"c>", re.DOTALL)
        self._value = re.compile(rb"<" + prefix + rb"v[^>]*>([^<]*)<")
        self._place = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')
        self._formula = re.compile(rb"<" + prefix + rb"f[ />]")
        self._no_value = re.compile(
            rb"</" + prefix + rb"f>\s*(?:<" + prefix + rb"v\s*/>|<" + prefix + rb"v></|</" + prefix + rb"c>)"
        )

    def note(self, rows: bytes, facts: SheetFacts) -> None:
        # Where the place of every cell comes first, as most programs write it, finding it is quicker.
        usual = rows.count(self._usual_cell) == rows.count(self._any_cell)
        columns = {_column(letters) for letters in set((self._usual if usual else self._columns).findall(rows))}
        facts.last_column = max(columns | {facts.last_column})
        # A cell may claim to stand in another row than the one around it.
        numbers = [*self._rows.findall(rows), *set(self._far.findall(rows))]
        facts.last_row = max(facts.last_row, *map(int, numbers), 0)
        formulas = len(self._formula.findall(rows))
        if formulas:
            facts.formulas += formulas
            facts.formulas_without_value += len(self._no_value.findall(rows))
        if b't="e"' in rows:
            for attributes, inside in self._failed.findall(rows):
                place, value = self._place.search(attributes), self._value.search(inside)
                if place and value:
                    row = facts.errors.setdefault(int(place[2]) - 1, {})
                    row[_column(place[1]) - 1] = unescape(value[1].decode("utf-8", "replace"))


def _column(letters: bytes) -> int:
    """The number of a column by its letters; `A` is 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
