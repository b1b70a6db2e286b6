"""The tables of a ledger: what a row says, how it is known to be whole, and what all rows come to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fmf.ledger.checkpoint import Checkpoint
from fmf.ledger.damage import damaged
from fmf.ledger.hold import Confirmed
from fmf_core.sqlite_file import SAFE, Layout

if TYPE_CHECKING:
    import sqlite3

UNDER_WAY, SETTLED, UNKNOWN = 0, 1, 2

_NOTES: Final = "CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID"
# The numbers of both have no gaps, so a row that is missing is noticed.
_REQUESTS: Final = """
CREATE TABLE requests (number INTEGER PRIMARY KEY, ask_id TEXT NOT NULL, reserved INTEGER, spent INTEGER,
assumed INTEGER NOT NULL, state INTEGER NOT NULL, sum INTEGER NOT NULL)
"""
_UNKNOWN: Final = f"CREATE INDEX requests_unknown ON requests (number) WHERE state = {UNKNOWN}"
# Without an index: the keys are hashes, which are written all over one. Whoever looks for answers makes a list of them.
_ANSWERS: Final = """
CREATE TABLE answers (number INTEGER PRIMARY KEY, ask_id TEXT NOT NULL, content_key BLOB NOT NULL, cost INTEGER,
text_sum INTEGER NOT NULL, sum INTEGER NOT NULL)
"""
_TEXTS: Final = "CREATE TABLE texts (number INTEGER PRIMARY KEY, answer BLOB NOT NULL)"
LAYOUT: Final = Layout(
    0x666D666C,
    1,
    (_NOTES, _REQUESTS, _UNKNOWN, _ANSWERS, _TEXTS),
    (*SAFE, "wal_autocheckpoint = 4000"),
)

ADD_REQUEST: Final = "INSERT INTO requests VALUES (?, ?, ?, NULL, 0, 0, ?)"
WERE_UNDER_WAY: Final = "SELECT number, ask_id, reserved FROM requests WHERE state = 0"
SETTLE: Final = "UPDATE requests SET spent = ?, assumed = ?, state = ?, sum = ? WHERE number = ?"
ADD_ANSWER: Final = "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)"
_PUT_NOTE: Final = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)"
_ALL_REQUESTS: Final = "SELECT * FROM requests ORDER BY number"
ADD_TEXT: Final = "INSERT INTO texts VALUES (?, ?)"
_ANSWERS_WITH_TEXTS: Final = (
    "SELECT number, ask_id, content_key, cost, text_sum, sum, answer FROM answers LEFT JOIN texts USING (number) "
)
_KEYS: Final = "SELECT number, ask_id, content_key, cost, text_sum, sum FROM answers ORDER BY number"


class Answer(NamedTuple):
    """What a model answered."""

    ask_id: str
    content_key: bytes
    cost: int | None
    """In whole units of money; `None` where the price is unknown."""
    answer: bytes
    """The response as JSON."""


class UnknownRequest(NamedTuple):
    """A request of which nobody knows what became of it."""

    ask_id: str
    reserved: int | None
    """What it may have cost at most, in whole units of money; `None` where the price is unknown."""


class Sums(NamedTuple):
    """What all requests and answers come to; money is in whole units."""

    requests: int = 0
    answers: int = 0
    spent: int = 0
    assumed: int = 0
    """What was perhaps spent besides."""
    under_way: int = 0
    unknown: int = 0
    """Requests of which nobody knows what became of them."""
    unpriced: int = 0
    """Requests that ended and have no known price."""


class Outcome(NamedTuple):
    """What became of a request; money is in whole units."""

    spent: int | None
    """What it cost; `None` where that is not known."""
    assumed: int = 0
    """What it may have cost besides."""
    state: int = SETTLED


_OPEN: Final = Outcome(None, 0, UNDER_WAY)


def request_sum(number: int, ask_id: str, reserved: int | None, outcome: Outcome = _OPEN) -> int:
    """What a request is checked by."""
    spent, assumed, state = outcome
    return zlib.crc32(f"{number} {ask_id} {reserved} {spent} {assumed} {state}".encode("utf-8", "replace"))


def answer_sum(number: int, ask_id: str, content_key: bytes, cost: int | None, text_sum: int) -> int:
    """What an answer is checked by, beside its text."""
    return zlib.crc32(content_key, zlib.crc32(f"{number} {ask_id} {cost} {text_sum}".encode("utf-8", "replace")))


def put_note(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Keep `value` under `name`, in place of what was there."""
    connection.execute(_PUT_NOTE, (name, value, zlib.crc32(value, zlib.crc32(name.encode()))))


class Rows:
    """Reads the tables of the run in `folder`; whatever is not whole raises a `ConfigError` that says so."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection

    def note(self, name: str) -> bytes | None:
        """What was kept under `name`."""
        row = self._connection.execute("SELECT value, sum FROM notes WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or zlib.crc32(row[0], zlib.crc32(name.encode())) != row[1]:
            raise damaged(self._folder, f"its note {name!r} was changed")
        return row[0]

    def facts(self) -> Mapping[str, Any]:
        """The facts with which the run was begun."""
        import orjson

        name, facts = self.note("run"), self.note("facts")
        if name is None or facts is None:
            raise damaged(self._folder, "nothing stands in it")
        if name.decode("utf-8", "replace") != self._folder.name:
            raise damaged(self._folder, f"it is the ledger of run {name.decode('utf-8', 'replace')!r}")
        found: Mapping[str, Any] = orjson.loads(facts)
        return found

    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint."""
        text = self.note("checkpoint")
        try:
            return None if text is None else Checkpoint.load(text)
        except ValueError as error:
            raise damaged(self._folder, f"its checkpoint cannot be read: {error}") from error

    def last_numbers(self) -> Confirmed:
        """The last number of each table."""
        tables = ("requests", "answers")
        return Confirmed(*(self._one(f"SELECT coalesce(max(number), 0) FROM {table}") for table in tables))  # noqa: S608 - names of ours

    def sums(self) -> Sums:
        """What all rows come to."""
        counts = [0, 0, 0]
        requests = spent = assumed = unpriced = 0
        for requests, ask_id, reserved, *rest, found in self._connection.execute(_ALL_REQUESTS):
            outcome = Outcome(*rest)
            if request_sum(requests, ask_id, reserved, outcome) != found:
                raise damaged(self._folder, f"its request {requests} was changed")
            spent += outcome.spent or 0
            assumed += outcome.assumed
            counts[outcome.state] += 1
            unpriced += outcome.state == SETTLED and outcome.spent is None
        answers = self.last_numbers().answers
        # The texts are not counted, which would read them all: each is looked at when it is asked for.
        for table, last, how in (
            ("requests", requests, "count(*)"),
            ("answers", answers, "count(*)"),
            ("texts", answers, "coalesce(max(number), 0)"),
        ):
            if (count := self._one(f"SELECT {how} FROM {table}")) != last:  # noqa: S608 - names of ours
                raise damaged(self._folder, f"of its {last} {table}, {count} are there")
        return Sums(requests, answers, spent, assumed, counts[UNDER_WAY], counts[UNKNOWN], unpriced)

    def keys(self) -> Iterator[tuple[int, str, bytes]]:
        """Of every answer its number, its question, and the key of its content."""
        number = count = 0
        for number, ask_id, content_key, cost, text_sum, found in self._connection.execute(_KEYS):
            if answer_sum(number, ask_id, content_key, cost, text_sum) != found:
                raise damaged(self._folder, f"its answer {number} was changed")
            count += 1
            yield number, ask_id, content_key
        if count != number:
            raise damaged(self._folder, f"of its {number} answers, {count} are there")

    def answers(self, where: str, *values: object) -> Iterator[tuple[int, Answer]]:
        """Answers with their numbers; `where` is a piece of SQL behind the table."""
        found = self._connection.execute(_ANSWERS_WITH_TEXTS + where, values)
        for number, ask_id, content_key, cost, text_sum, check, text in found:
            answer = Answer(ask_id, content_key, cost, text or b"")
            whole = answer_sum(number, ask_id, content_key, cost, text_sum) == check
            if not whole or zlib.crc32(answer.answer) != text_sum:
                raise damaged(self._folder, f"its answer {number} was changed")
            yield number, answer

    def check(self) -> None:
        """Look at every byte of it."""
        told = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if told != "ok":
            raise damaged(self._folder, told)
        self.facts()
        self.checkpoint()
        self.sums()
        for _ in self.answers("ORDER BY number"):
            pass

    def _one(self, question: str) -> int:
        return int(self._connection.execute(question).fetchone()[0])
