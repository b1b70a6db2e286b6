"""Rows of cells as text: a Markdown table or lines with tabs, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def unique_names(cells: Sequence[str]) -> list[str]:
    """Names for columns: an empty one is called after its number, one that was there before gets a number behind it."""
    names: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(cells, 1):
        wanted = " ".join(cell.split()) or f"column_{number}"
        name, again = wanted, 1
        while name in taken:
            again += 1
            name = f"{wanted}_{again}"
        taken.add(name)
        names.append(name)
    return names


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table, one at a time; line ends inside a cell become `<br>`, a `|` in it is escaped."""
    yield _row(names) + "|" + " --- |" * len(names) + "\n"
    for row in rows:
        yield _row(row)


def tabbed_lines(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table with a tab between the cells; tabs and line ends inside a cell become blanks."""
    for row in (names, *[]):
        yield _tabbed(row)
    for row in rows:
        yield _tabbed(row)


def _row(cells: Sequence[str]) -> str:
    line = " | ".join(cells)
    if line.count("|") != max(0, len(cells) - 1) or "\n" in line or "\r" in line or "\\" in line:
        line = " | ".join(map(_cell, cells))
    return f"| {line} |\n"


def _cell(text: str) -> str:
    text = text.strip().replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("\r\n", "<br>").replace("\n", "<br>").replace("\r", "<br>")


def _tabbed(cells: Sequence[str]) -> str:
    line = "\t".join(cells)
    if line.count("\t") != max(0, len(cells) - 1) or "\n" in line or "\r" in line:
        line = "\t".join(" ".join(cell.split()) for cell in cells)
    return f"{line}\n"
