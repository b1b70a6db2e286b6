"""Which characters separate and quote the cells of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

_ROWS = 200
_SURE = 0.7
_SLOPPY = 0.99
_ESCAPED = re.compile(r'\\["\\]')


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    quoted: bool = True
    """Whether quotation marks hold a cell together; otherwise they are characters like any other."""
    escaped: bool = False
    """Whether a quotation mark inside of a cell stands behind a backslash, instead of being written twice."""
    announced: bool = False
    """Whether the first line only names the delimiter, as in `sep=;`."""

    def options(self) -> dict[str, Any]:
        """Arguments for `csv.reader`."""
        return {"delimiter": self.delimiter, "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE}


def sniff(sample: str, *, tabs: bool = False) -> Dialect:
    """The dialect that cuts most rows of the sample into the same number of cells, and more than one.

    Args:
        sample: the first characters of the file, or all of them.
        tabs: whether the file's name says that tabs separate, which decides when nothing else does.
    """
    if sample[:4].lower() == "sep=" and sample[5:6] in {"\r", "\n"}:
        return Dialect(sample[4], announced=True)
    usual = Dialect("\t" if tabs else ",")
    others = [Dialect(delimiter) for delimiter in ",;\t|" if delimiter != usual.delimiter and delimiter in sample]
    has_quotes = '"' in sample
    escaped = [Dialect(each.delimiter, escaped=True) for each in (usual, *others)] if '\\"' in sample else []
    lines = list(io.StringIO(sample, newline=""))
    share, width = _evenness(lines, usual, usual, has_quotes=has_quotes)
    if share == 1 and _cuts_most(lines[0], usual, others, width):
        return usual
    unquoted = [Dialect(each.delimiter, quoted=False) for each in (usual, *others)] if has_quotes else []
    return max(
        (usual, *others, *escaped, *unquoted),
        key=lambda dialect: _evenness(lines, dialect, usual, has_quotes=has_quotes),
    )


def _cuts_most(first: str, usual: Dialect, others: list[Dialect], width: int) -> bool:
    """Whether the first line is a row of its own, and no other dialect cuts it into more than `width` cells."""
    alone = usual.delimiter in first and first.strip(usual.delimiter + "\r\n") and '"' not in first
    return bool(alone) and all(first.count(other.delimiter) < width for other in others)


def doubled(line: str) -> str:
    r"""A line with `""` for `\"` and `\` for `\\`; any other backslash is a character of the cell."""
    return _ESCAPED.sub(lambda found: '""' if found[0] == '\\"' else "\\", line) if "\\" in line else line


def _evenness(lines: list[str], dialect: Dialect, usual: Dialect, *, has_quotes: bool) -> tuple[float, int]:
    """The share of rows that have the most frequent number of cells, and that number."""
    sloppy = False
    if dialect.quoted and has_quotes:
        widths, fault = _widths(lines, dialect, strict=True)
        # Text behind a closing quotation mark: it may have been no quotation mark.
        sloppy = not widths
        if fault:
            widths, _ = _widths(lines, dialect)
    else:
        widths, _ = _widths(lines, dialect)
    if not widths:
        return 0.0, 0
    width, times = Counter(widths).most_common(1)[0]
    share = times / len(widths)
    if width < 2 or (dialect != usual and share < _SURE):
        return 0.0, 0
    if sloppy and dialect.escaped:
        return 0.0, 0
    return share * (_SLOPPY if sloppy else 1), width


def _widths(lines: list[str], dialect: Dialect, *, strict: bool = False) -> tuple[list[int], str]:
    """How many cells the rows have, nothing when they cannot be read, and what was wrong with them."""
    rows: list[list[str]] = []
    fault = ""
    try:
        read = map(doubled, lines) if dialect.escaped else lines
        rows.extend(islice(csv.reader(read, strict=strict, **dialect.options()), _ROWS))
    except csv.Error as error:
        fault = str(error)
    widths = [len(row) for row in rows if any(row)]
    if fault:
        # The sample may end inside a cell.
        return (widths if "unexpected end" in fault else []), fault
    # The last row may be cut off.
    return (widths[:-1] or widths), fault
