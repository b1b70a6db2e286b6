"""What a verification has at hand: the run's folder, and tables on the disk for what is too much to remember."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from fmf.types import Row
from fmf.verify.check import Check

_TABLES: Final = """
CREATE TABLE docs (doc_id TEXT PRIMARY KEY, line INTEGER, status TEXT, begin INTEGER, hash TEXT) WITHOUT ROWID;
CREATE TABLE resources (resource_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE pieces (key TEXT PRIMARY KEY, begin INTEGER) WITHOUT ROWID;
CREATE TABLE records (record_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE subjects (subject TEXT PRIMARY KEY, steps INTEGER, failed INTEGER, answers INTEGER) WITHOUT ROWID;
"""


@dataclass
class Desk:
    """Everything that checks share; memory stays flat, whatever the size of the run.

    Args:
        folder: the run's folder.
        record: `run.yaml`; `None` where the run has written none that holds.
    """

    folder: Path
    record: Mapping[str, Any] | None
    broken_off: bool = False
    """Whether an error or an interrupt ended the run on the spot: its files may be ahead of what it counted."""
    lines: Check = field(default_factory=lambda: Check("lines"))
    """Whether all files of lines are made of whole JSON records."""

    def __post_init__(self) -> None:
        self._files: dict[str, IO[bytes]] = {}
        self._last: tuple[tuple[str, int], Row] = (("", 0), {})
        self._scratch = tempfile.TemporaryDirectory(prefix="fmf-verify-")
        self.tables = sqlite3.connect(Path(self._scratch.name) / "tables.sqlite", isolation_level=None)
        self.tables.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000;")
        self.tables.executescript(_TABLES + "BEGIN;")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self.tables.close()
        self._scratch.cleanup()

    def has(self, name: str) -> bool:
        """Whether there is a file of that name in the folder, and no link."""
        path = self.folder / name
        return path.is_file() and not path.is_symlink()

    def rows(self, name: str, *, again: bool = False) -> Iterator[tuple[str, int, Row]]:
        """Where each record of a file stands, at which byte it begins, and the record; none where there is no file.

        Args:
            name: the file.
            again: whether its faults were told before.
        """
        import orjson

        if not self.has(name):
            return
        begin = 0
        with (self.folder / name).open("rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{name}:{number}"
                try:
                    row = orjson.loads(line)
                except ValueError as error:
                    row = None
                    torn = not line.endswith(b"\n") and self.record is None
                    if not (torn or again):  # a killed process may leave half a line: it is cut off when it goes on
                        self.lines.fault(f"damaged: {error}", where)
                else:
                    if not (isinstance(row, dict) or again):
                        self.lines.fault("no record", where)
                if isinstance(row, dict):
                    yield where, begin, row
                begin += len(line)

    def row_at(self, name: str, begin: int) -> Row:
        """The record of a file that begins at a byte."""
        import orjson

        if self._last[0] != (name, begin):  # several steps in a row are about the same
            if name not in self._files:
                self._files[name] = (self.folder / name).open("rb")
            self._files[name].seek(begin)
            self._last = ((name, begin), orjson.loads(self._files[name].readline()))
        return self._last[1]

    def one(self, question: str, *values: object) -> Any:
        """The first row that fits; `None` where none does."""
        return self.tables.execute(question, values).fetchone()

    def add(self, table: str, *values: object) -> bool:
        """Add a row; false where its key was there before."""
        places = ", ".join("?" * len(values))
        statement = f"INSERT OR IGNORE INTO {table} VALUES ({places})"  # noqa: S608 - a name of ours
        return self.tables.execute(statement, values).rowcount == 1
