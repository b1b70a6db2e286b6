"""Tables as text: Markdown, or lines with a tab between the cells, with marks of the rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fmf.processing.cells import texts_of
from fmf.processing.loaders.base import Mark
from fmf.processing.tables import TableRows

_LINE_END: Final = re.compile(r"\r\n?|\n")
_SPECIAL: Final = re.compile(r"[|\r\n]")
_MARKUP: Final = re.compile(r"^(\d{0,9})([#>|`~=+*.)-])")
_ESCAPE: Final = r"\1\\\2"
_SEPARATOR: Final = re.compile(r"[\t\r\n]")


def rendered(table: TableRows, *, markdown: bool) -> Iterator[str | Mark]:
    """The table as text, with marks of its rows: a Markdown table, or lines with tabs between the cells.

    Its titles stand above it. A table without columns has no text. In Markdown, line ends inside a cell become `<br>`
    and a `|` in it is escaped; between tabs, tabs and line ends inside a cell become blanks.
    """
    lines = _markdown_lines if markdown else tabbed_lines
    if not table.names:
        return
    for number, title in table.titles:
        yield Mark("rows", number)
        yield _title_line(title, markdown=markdown)
    if table.header_row:
        yield Mark("rows", table.header_row)
    yield lines([table.names]) + ("|" + " --- |" * len(table.names) + "\n" if markdown else "")
    due = 0 if markdown or not table.header_row else table.header_row + 1
    for first, rows in table.runs:
        if first != due:
            yield Mark("rows", first)
        yield lines(rows if table.textual else texts_of(rows))
        due = first + len(rows)


def _title_line(title: str, *, markdown: bool) -> str:
    """A paragraph, which is no heading, list or table whatever it begins with; between tabs, a line."""
    line = " ".join(title.split())
    return f"{_MARKUP.sub(_ESCAPE, line)}\n\n" if markdown else f"{line}\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A whole small table as Markdown; the first row is its header, shorter rows are filled up."""
    width = max(map(len, rows), default=0)
    evened = [[*row, *[""] * (width - len(row))] for row in rows]
    return _markdown_lines(evened[:1]) + "|" + " --- |" * width + "\n" + _markdown_lines(evened[1:])


def _markdown_lines(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    text = " |\n| ".join(map(" | ".join, rows))
    # As many as the form has of its own: no cell holds any. An empty row has no cell and no `|` between cells.
    borders = sum(map(len, rows)) + len(rows) - 2
    if text.count("|") != borders or text.count("\n") != len(rows) - 1 or "\r" in text:
        text = " |\n| ".join(" | ".join(_escaped(row)) for row in rows)
    return f"| {text} |\n"


def _escaped(cells: Sequence[str]) -> Iterable[str]:
    if not _SPECIAL.search("".join(cells)):
        return cells
    return [_LINE_END.sub("<br>", cell.replace("|", "\\|")) for cell in cells]


def tabbed_lines(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines with tabs between the cells; tabs and line ends inside a cell become blanks."""
    text = "\n".join(map("\t".join, rows))
    tabs = sum(map(len, rows)) - len(rows)
    if text.count("\t") != tabs or text.count("\n") != len(rows) - 1 or "\r" in text:
        text = "\n".join("\t".join(_in_a_line(row)) for row in rows)
    return text + "\n"


def _in_a_line(cells: Sequence[str]) -> Iterable[str]:
    if not _SEPARATOR.search("".join(cells)):
        return cells
    return [" ".join(cell.split()) if _SEPARATOR.search(cell) else cell for cell in cells]
