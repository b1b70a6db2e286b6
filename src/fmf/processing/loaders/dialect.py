"""Which characters separate and quote the cells of a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

_ROWS = 200
_SURE = 0.7


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    quoted: bool = True
    """Whether quotation marks hold a cell together; otherwise they are characters like any other."""
    announced: bool = False
    """Whether the first line only names the delimiter, as in `sep=;`."""

    def options(self) -> dict[str, Any]:
        """Arguments for `csv.reader`."""
        return {"delimiter": self.delimiter, "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE}


def sniff(sample: str, *, tabs: bool = False) -> Dialect:
    """The dialect that cuts most rows of the sample into the same number of cells, and more than one.

    Args:
        sample: the first characters of the file; the last row may be cut off.
        tabs: whether the file's name says that tabs separate, which decides when nothing else does.
    """
    if sample[:4].lower() == "sep=" and sample[5:6] in {"\r", "\n"}:
        return Dialect(sample[4], announced=True)
    lines = sample.splitlines(keepends=True)
    lines = lines[:-1] or lines
    usual = Dialect("\t" if tabs else ",")
    others = [Dialect(delimiter) for delimiter in (",", ";", "\t", "|") if delimiter != usual.delimiter]
    unquoted = [Dialect(each.delimiter, quoted=False) for each in (usual, *others)] if '"' in sample else []
    return max((usual, *others, *unquoted), key=lambda dialect: _evenness(lines, dialect, usual))


def _evenness(lines: list[str], dialect: Dialect, usual: Dialect) -> tuple[float, int]:
    """The share of rows that have the most frequent number of cells, and that number."""
    try:
        rows = [len(row) for row in islice(csv.reader(lines, **dialect.options()), _ROWS) if any(row)]
    except csv.Error:
        return 0.0, 0
    if not rows:
        return 0.0, 0
    width, times = Counter(rows).most_common(1)[0]
    share = times / len(rows)
    return (share, width) if width > 1 and (dialect == usual or share >= _SURE) else (0.0, 0)
