"""Writes what changes in a ledger: several changes in one transaction, on the disk before any of them is confirmed."""

from __future__ import annotations

import os
import secrets
import zlib
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fmf.artefacts.files import LEDGER
from fmf.ledger.damage import cannot_write, closed
from fmf.ledger.hold import LOCK_NAME, Confirmed, Hold
from fmf.ledger.tables import (
    ADD_ANSWER,
    ADD_REQUEST,
    ADD_TEXT,
    LAYOUT,
    SETTLE,
    UNKNOWN,
    WERE_UNDER_WAY,
    Answer,
    Outcome,
    Rows,
    UnknownRequest,
    answer_sum,
    put_note,
    request_sum,
)
from fmf.ledger.view import BUSY_S
from fmf_core.errors import Code
from fmf_core.sqlite_file import MovedFileError, SqliteFile, SqliteFileError

if TYPE_CHECKING:
    import sqlite3

_HOLDER: Final = "SELECT value FROM notes WHERE name = 'holder'"
_DID_NOT_LEAVE: Final = Outcome(0)


class Request:
    """A request that is to be noted; its number is known once it is on the disk."""

    __slots__ = ("ask_id", "given_up", "number", "reserved")

    def __init__(self, ask_id: str, reserved: int | None) -> None:
        self.ask_id = ask_id
        self.reserved = reserved
        self.number = 0
        self.given_up = False
        """Whether nobody waits for it any more: it will not leave."""


Change = Request | Answer | bytes
"""Something to be kept; bytes are a checkpoint."""


class Writer:
    """Writes the ledger of the run in `folder`, for as long as the run is held; all but `settle` from one thread.

    Args:
        folder: the run's folder.
        hold: the right to run it.
    """

    def __init__(self, folder: Path, hold: Hold) -> None:
        self.last = Confirmed()
        """The last numbers that are on the disk."""
        self.under_way: dict[int, Request] = {}
        """The requests that are not settled, by number."""
        self._folder = folder
        self._hold = hold
        self._file = SqliteFile(folder / LEDGER, LAYOUT, BUSY_S)
        self._inode = 0
        self._holder = secrets.token_bytes(16)
        self._settled: deque[tuple[int, Request, Outcome]] = deque()
        self._is_closed = False

    def begin(self, facts: bytes) -> None:
        """Make the file.

        Raises:
            SqliteFileError: it cannot be made.
        """
        with self._file.transaction() as connection:
            put_note(connection, "run", self._folder.name.encode("utf-8", "replace"))
            put_note(connection, "facts", facts)
            put_note(connection, "holder", self._holder)
        # Out of the log: from now on, a file in which nothing stands is a damaged one.
        self._file.tidy()
        for folder in (self._folder, self._folder.parent):
            _sync(folder)
        self._taken(Confirmed())

    def take_over(self, last: Confirmed) -> list[UnknownRequest]:
        """Take up a file with those `last` numbers; the requests that were under way, which are unknown by now.

        Raises:
            SqliteFileError: it cannot be written.
        """
        unknown = []
        with self._file.transaction() as connection:
            put_note(connection, "holder", self._holder)
            for number, ask_id, reserved in connection.execute(WERE_UNDER_WAY).fetchall():
                outcome = Outcome(None, reserved or 0, UNKNOWN)
                connection.execute(SETTLE, (*outcome, request_sum(number, ask_id, reserved, outcome), number))
                unknown.append(UnknownRequest(ask_id, reserved))
        self._taken(last)
        return unknown

    def settle(self, number: int, outcome: Outcome) -> bool:
        """Note what became of a request, to be written with the next commit; false where it is not under way."""
        request = self.under_way.pop(number, None)
        if request is not None:
            self._settled.append((number, request, outcome))
        return request is not None

    def give_up(self, request: Request) -> None:
        """Settle a request that nobody waited for, if it is there by now."""
        request.given_up = True
        self.settle(request.number, _DID_NOT_LEAVE)

    def commit(self, changes: list[Change]) -> None:
        """Write `changes`, and all that is settled before them.

        Raises:
            FrameworkError: nothing is confirmed; the next commit tries again what is settled.
        """
        if self._is_closed:
            raise closed(self._folder)
        settled: list[tuple[int, Request, Outcome]] = []
        with suppress(IndexError):
            while True:
                settled.append(self._settled.popleft())
        try:
            if not self._file.is_open:
                self._reopen()
            with self._file.transaction() as connection:
                self._see_whose(connection)
                last, requests = self._write(connection, changes)
                if settled:
                    rows = [(*how, request_sum(n, r.ask_id, r.reserved, how), n) for n, r, how in settled]
                    connection.executemany(SETTLE, rows)
        except BaseException as error:
            self._settled.extendleft(reversed(settled))
            if isinstance(error, SqliteFileError | OSError):
                raise cannot_write(self._folder, error) from error
            raise
        self._confirm(last, requests)

    def close(self) -> None:
        """Write what is settled, and close the file.

        Raises:
            FrameworkError: it could not be written; the file is closed nevertheless.
        """
        try:
            if self._settled:
                self.commit([])
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is; nothing is written any more, for it may be another process's by now."""
        self._is_closed = True
        self._file.close()

    def _taken(self, last: Confirmed) -> None:
        self.last = last
        self._inode = self._file.path.stat().st_ino
        self._hold.sign(last)

    def _write(self, connection: sqlite3.Connection, changes: list[Change]) -> tuple[Confirmed, dict[int, Request]]:
        asked, answered = self.last
        requests: dict[int, Request] = {}
        answers, texts = [], []
        for change in changes:
            if isinstance(change, Request):
                asked += 1
                requests[asked] = change
            elif isinstance(change, Answer):
                answered += 1
                ask_id, content_key, cost, text = change
                text_sum = zlib.crc32(text)
                check = answer_sum(answered, ask_id, content_key, cost, text_sum)
                answers.append((answered, ask_id, content_key, cost, text_sum, check))
                texts.append((answered, text))
            else:
                put_note(connection, "checkpoint", change)
        if requests:
            rows = [(n, r.ask_id, r.reserved, request_sum(n, r.ask_id, r.reserved)) for n, r in requests.items()]
            connection.executemany(ADD_REQUEST, rows)
        if answers:
            connection.executemany(ADD_ANSWER, answers)
            connection.executemany(ADD_TEXT, texts)
        return Confirmed(asked, answered), requests

    def _confirm(self, last: Confirmed, requests: Mapping[int, Request]) -> None:
        self.last = last
        with suppress(OSError):  # what was noted before holds as well
            self._hold.confirm(last)
        for number, request in requests.items():
            self.under_way[number] = request
            request.number = number
            # Whoever gives it up says so first, and looks at its number then: one of the two sees the other.
            if request.given_up:
                self.give_up(request)

    def _reopen(self) -> None:
        """Open the file again after a failure; never another one, or one made anew."""
        try:
            inode = self._file.path.stat().st_ino
        except FileNotFoundError:
            inode = 0
        if inode != self._inode:
            raise MovedFileError("it was deleted or replaced while the run was going on")
        with self._file.statements() as connection:
            # What could not be confirmed may be there all the same.
            self.last = Rows(self._folder, connection).last_numbers()

    def _see_whose(self, connection: sqlite3.Connection) -> None:
        """A lock is lost when somebody deletes its file: then another process may have taken the run up."""
        row = connection.execute(_HOLDER).fetchone()
        if row is None or row[0] != self._holder:
            raise SqliteFileError(
                "another process has taken the run up",
                code=Code.CONFLICT,
                hint=f"never delete {LOCK_NAME} of a run that is going on",
            )


def _sync(folder: Path) -> None:
    """Bring the names in `folder` to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
