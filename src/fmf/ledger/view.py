"""A ledger that is only looked at: by the run itself, by later runs, and by whoever wants to know what it cost."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fmf.artefacts.files import LEDGER
from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.damage import cannot_open, damaged
from fmf.ledger.tables import LAYOUT, Answer, Rows, Sums, UnknownRequest
from fmf_core.group_commit import GroupCommit
from fmf_core.sqlite_file import SqliteFile, SqliteFileError

if TYPE_CHECKING:
    import sqlite3

K = TypeVar("K")
BUSY_S: Final = 30.0
"""How long another program that has the file locked is waited for, in seconds."""
_PAGE: Final = 1000
_UNKNOWN: Final = "SELECT number, ask_id, reserved FROM requests WHERE state = 2 AND number > ? ORDER BY number LIMIT ?"


_FIND: Final = {
    column: f"WHERE number IN (SELECT number FROM temp.{column}s WHERE key = ?) AND {column} = ? "  # noqa: S608 - names of ours
    "ORDER BY number DESC LIMIT 1"
    for column in ("ask_id", "content_key")
}


class _Lookup(Generic[K]):
    """What one task looks for, and what was found."""

    __slots__ = ("found", "key")

    def __init__(self, key: K) -> None:
        self.key = key
        self.found: Answer | None = None


class LedgerView:
    """The ledger of the run in `folder`, as it is when it is asked; another process may be writing to it.

    All but `find_ask` and `find_content` block.

    Args:
        folder: the run's folder.

    Raises:
        ConfigError: there is no ledger, or it cannot be read, is another run's, or is damaged; so do all methods.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._file = SqliteFile(self.folder / LEDGER, LAYOUT, BUSY_S, read_only=True)
        self._listed: dict[str, sqlite3.Connection] = {}
        self._lookups: GroupCommit[_Lookup[Any]] = GroupCommit(self._look, "fmf-ledger-find")
        # SQLite would take an empty file for a new one, and delete the log beside it.
        if not bytes_of(self.folder):
            raise damaged(self.folder, "it is empty")
        with self._rows() as rows:
            self.facts: Mapping[str, Any] = rows.facts()
            """What the run was begun with."""
            self.known = rows.last_numbers().answers
            """How many answers there were when it was opened."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint."""
        with self._rows() as rows:
            return rows.checkpoint()

    def sums(self) -> Sums:
        """What all requests and answers come to; reads every request."""
        with self._rows() as rows:
            return rows.sums()

    def unknown_requests(self) -> Iterator[UnknownRequest]:
        """The requests of which nobody knows what became of them, read as they are needed."""
        for _, *request in self._pages(lambda connection, last: connection.execute(_UNKNOWN, (last, _PAGE)).fetchall()):
            yield UnknownRequest(*request)

    def answers(self) -> Iterator[Answer]:
        """All answers in the order in which they came, read as they are needed."""
        where = f"WHERE number > ? ORDER BY number LIMIT {_PAGE // 10}"
        for _, answer in self._pages(lambda connection, last: list(Rows(self.folder, connection).answers(where, last))):
            yield answer

    async def find_ask(self, ask_id: str) -> Answer | None:
        """The last answer to the question `ask_id` among those that were there when this was opened.

        Tasks that look for something at the same time share one call of a thread. The first look lists all answers.
        """
        return await self._find(_Lookup(ask_id)) if self.known else None

    async def find_content(self, content_key: bytes) -> Answer | None:
        """The last answer to a question with that content; see `find_ask`."""
        return await self._find(_Lookup(content_key)) if self.known else None

    def check(self) -> None:
        """Look at every byte of it."""
        with self._rows() as rows:
            rows.check()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._listed = {}
        self._file.close()

    async def _find(self, lookup: _Lookup[Any]) -> Answer | None:
        try:
            await self._lookups.add(lookup)
        except BaseException:
            self._lookups.drop(lookup)
            raise
        return lookup.found

    def _look(self, lookups: list[_Lookup[Any]]) -> None:
        with opened(self.folder, self._file) as connection:
            for lookup in lookups:
                column = "ask_id" if isinstance(lookup.key, str) else "content_key"
                if self._listed.get(column) is not connection:
                    self._list(connection, column)
                found = Rows(self.folder, connection).answers(_FIND[column], _short(lookup.key), lookup.key)
                lookup.found = next((answer for _, answer in found), None)

    def _list(self, connection: sqlite3.Connection, column: str) -> None:
        """List the answers that there were when it was opened, in a temporary file that SQLite deletes by itself."""
        rows = itertools.takewhile(lambda row: row[0] <= self.known, Rows(self.folder, connection).keys())
        by_ask = column == "ask_id"
        connection.execute("BEGIN")
        try:
            connection.execute(f"CREATE TEMP TABLE {column}s (key INTEGER, number INTEGER)")
            keys = ((_short(ask_id if by_ask else content), number) for number, ask_id, content in rows)
            connection.executemany(f"INSERT INTO temp.{column}s VALUES (?, ?)", keys)  # noqa: S608 - a name of ours
            connection.execute(f"CREATE INDEX temp.{column}s_by_key ON {column}s (key, number)")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._listed[column] = connection

    def _pages(
        self, page: Callable[[sqlite3.Connection, int], list[tuple[int, *tuple[Any, ...]]]]
    ) -> Iterator[tuple[int, *tuple[Any, ...]]]:
        last = 0
        while True:
            with opened(self.folder, self._file) as connection:
                found = page(connection, last)
            if not found:
                return
            yield from found
            last = found[-1][0]

    @contextmanager
    def _rows(self) -> Iterator[Rows]:
        """The tables, all as they are at one moment."""
        with opened(self.folder, self._file) as connection:
            connection.execute("BEGIN")
            try:
                yield Rows(self.folder, connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _short(key: str | bytes) -> int:
    """Four bytes of a key: enough to find it among a few."""
    return zlib.crc32(key.encode() if isinstance(key, str) else key)


@contextmanager
def opened(folder: Path, file: SqliteFile) -> Iterator[sqlite3.Connection]:
    """The connection of `file`; what is wrong with it is said of the ledger."""
    try:
        with file.statements() as connection:
            yield connection
    except SqliteFileError as error:
        raise cannot_open(folder, error) from error


def bytes_of(folder: Path) -> int:
    """The size of the ledger in `folder`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return (folder / LEDGER).stat().st_size
    except OSError as error:
        raise cannot_open(folder, error) from error
