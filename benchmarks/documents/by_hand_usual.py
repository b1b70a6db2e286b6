"""What a careful engineer usually writes by hand: one process, one file at a time, the library that everybody knows.

`python -P by_hand_usual.py LISTING ROOT OUT`: pypdf, openpyxl, html.parser and json where by_hand.py has the fastest
libraries; what is the same in both (pyarrow, python-docx, python-pptx, csv, email), the packing, the counting of tokens
and the JSON lines are shared with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from benchmarks.documents import by_hand


class _Text(HTMLParser):
    """Keeps the text outside scripts and style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._off = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._off += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._off -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._off:
            self.found.append(data)


def html(path: Path) -> Iterator[str]:
    parser = _Text()
    parser.feed(path.read_text(encoding="utf-8"))
    # A space, for cells of a table may stand without one.
    yield " ".join(parser.found)


def xlsx(path: Path) -> Iterator[str]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    for sheet in book.worksheets:
        yield f"## {sheet.title}\n"
        rows = sheet.iter_rows(values_only=True)
        yield from by_hand.table(["" if cell is None else str(cell) for cell in row] for row in rows)
    book.close()


def pdf(path: Path) -> Iterator[str]:
    from pypdf import PdfReader

    for page in PdfReader(path).pages:
        yield page.extract_text() + "\n\n"


def json_file(path: Path) -> Iterator[str]:
    found = json.loads(path.read_text(encoding="utf-8"))
    yield from _records(found if isinstance(found, list) else [found])


def jsonl(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from _records(json.loads(line) for line in lines)


def _records(records: object, at_once: int = 500) -> Iterator[str]:
    held: list[str] = []
    for record in records:  # type: ignore[attr-defined]
        held.append(json.dumps(record, ensure_ascii=False) + "\n")
        if len(held) >= at_once:
            yield "".join(held)
            held.clear()
    yield "".join(held)


READERS = {**by_hand.READERS, "html": html, "xlsx": xlsx, "pdf": pdf, "json": json_file, "jsonl": jsonl}


if __name__ == "__main__":
    by_hand.main(*sys.argv[1:4], READERS)
