"""Durable runs in an SQLite file: for any number of threads, event loops and processes at once."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final, TypeVar

from fmf_core import file_locks as locks
from fmf_core.forks import in_forked_child
from fmf_core.portal import in_thread
from fmf_core.sqlite_file import SAFE, Layout, MovedFileError, SqliteFile, SqliteFileError
from generative_ai_workflow.durable.identity import check_identity
from generative_ai_workflow.durable.listing import Listing, stored_runs
from generative_ai_workflow.durable.records import dump_result, dump_step, load_result, load_step
from generative_ai_workflow.durable.store import KeptRun, RunIdentity, StoredRun
from generative_ai_workflow.durable.values import refuse_secrets, text_of, value_from
from generative_ai_workflow.durable.writer import Change, Later, Writer
from generative_ai_workflow.exceptions import Code, ConfigurationError, WorkflowError
from generative_ai_workflow.state import StepResult, WorkflowResult, WorkflowStatus

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")
BUSY_S: Final = 30.0
"""How long another process that is writing to the file is waited for, in seconds."""

# A number is never used again: it is also the run's lock, which somebody may still have.
_RUNS: Final = """
CREATE TABLE IF NOT EXISTS runs
(number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL,
fingerprint TEXT NOT NULL, status TEXT NOT NULL, pid INTEGER NOT NULL, begun REAL NOT NULL, ended REAL,
reason TEXT, input TEXT NOT NULL, result TEXT)
"""
_RUNS_BY_STATUS: Final = "CREATE INDEX IF NOT EXISTS runs_by_status ON runs (status, workflow)"
_STEP_RECORDS: Final = """
CREATE TABLE IF NOT EXISTS steps
(number INTEGER PRIMARY KEY, run INTEGER NOT NULL, name TEXT NOT NULL, kept REAL NOT NULL, record TEXT NOT NULL,
UNIQUE (run, name))
"""
_LAYOUT: Final = Layout(0x666D6672, 2, (_RUNS, _RUNS_BY_STATUS, _STEP_RECORDS), (*SAFE, "secure_delete = ON"))
_FIND: Final = "SELECT number, workflow, fingerprint, status, pid, input, result FROM runs WHERE run_id = ?"
_BEGIN: Final = (
    "INSERT INTO runs (run_id, workflow, fingerprint, status, pid, begun, input) VALUES (?, ?, ?, 'running', ?, ?, ?)"
)
_BEGIN_AGAIN: Final = (
    "UPDATE runs SET status = 'running', pid = ?, ended = NULL, reason = NULL, result = NULL WHERE number = ?"
)
# With the id as well: should somebody have put another file in its place, the number may be another run's.
_KEEP: Final = (
    "INSERT OR REPLACE INTO steps (run, name, kept, record) "
    "SELECT number, ?, ?, ? FROM runs WHERE number = ? AND run_id = ?"
)
_STEPS: Final = "SELECT name, record FROM steps WHERE run = ? ORDER BY number"
_END: Final = "UPDATE runs SET status = ?, ended = ?, reason = ?, result = ? WHERE number = ? AND run_id = ?"
_ENDED: Final = "SELECT number FROM runs WHERE status != 'running' AND ended <= ?"


class _Begun:
    """A run that was begun here, and its lock."""

    __slots__ = ("_guard", "abandoned", "file", "number", "run_id")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.number = 0
        self.file: locks.LockFile | None = None
        self.abandoned = False
        """Whether nobody waits any more for it to be begun."""
        self._guard = threading.Lock()

    def take(self, file: locks.LockFile, number: int) -> bool:
        if not file.take(number):
            return False
        self.number, self.file = number, file
        return True

    @property
    def held(self) -> bool:
        """Whether it still has its lock; in a transaction, for whoever takes it up next has to wait for that."""
        return self.file is not None

    @property
    def place(self) -> tuple[int, str]:
        return self.number, self.run_id

    def free(self) -> None:
        with self._guard:
            file, self.file = self.file, None
            if file is not None:
                file.free(self.number)


class SQLiteRunStore:
    """Keeps runs in one file, which only its owner may read.

    The file is opened with the first use, and made when it is not there; beside it stand SQLite's own two and one of
    locks, `PATH-lock`. Runs that keep something at the same time wait for the disk together. One run is run by one
    process at a time; when that dies, the system gives the run free at once. Inputs and outputs are kept as they are,
    so the file is as confidential as they are; a known secret in them is refused.

    It is no place for a network drive: neither SQLite's log nor locks are sure to work there.

    Args:
        path: the file, in a folder that is there; `~` is the home folder.
        busy_s: how long another process that is writing is waited for, in seconds.

    Raises:
        ConfigurationError: `busy_s` is not above 0.
    """

    def __init__(self, path: str | Path, *, busy_s: float = BUSY_S) -> None:
        if not busy_s > 0:
            raise ConfigurationError(f"busy_s must be above 0 seconds, got {busy_s!r}", op="store.open")
        # The same file under two names would have two files of locks.
        self.path = Path(os.path.realpath(Path(path).expanduser()))
        self._file = SqliteFile(self.path, _LAYOUT, busy_s)
        self._writer = Writer(self._file)
        self._renew()
        in_forked_child(self._abandon)

    def _renew(self) -> None:
        self._begun: dict[str, _Begun] = {}
        self._locks: locks.LockFile | None = None
        self._closing: weakref.finalize[..., SQLiteRunStore] | None = None

    async def begin(self, run: RunIdentity) -> KeptRun:
        """Begin `run`, or take up what is kept of it; see `RunStore.begin`.

        A run that has completed is given as it is, and needs no end. One that ended otherwise is begun again.
        """
        names = [run.run_id, run.workflow, run.fingerprint]
        refuse_secrets("\n".join(names), names, what="the name of the run or of its workflow", op="store.begin")
        begun = _Begun(run.run_id)
        text = Later(partial(text_of, run.input_data, what="the input", op="store.begin"))
        change = Change(
            partial(self._begin, run, text, begun),
            before=text.make,
            undo=begun.free,
            after=partial(self._note, begun),
        )
        try:
            rows, ended = await self._made(change, "begin")
            if rows or ended is not None:
                return await in_thread(_loaded, rows, ended)
            return KeptRun.trusted(steps={}, result=None)
        except BaseException:
            begun.abandoned = True
            self._drop(begun)
            raise

    async def keep(self, run_id: str, name: str, result: StepResult) -> None:
        """Keep the record of a finished step; see `RunStore.keep`. A later one of the same name takes its place."""
        begun = self._known(run_id, "keep")
        record = Later(partial(dump_step, name, result))

        def keep(connection: sqlite3.Connection) -> None:
            if not begun.held or not connection.execute(_KEEP, (name, time(), record.made, *begun.place)).rowcount:
                raise _not_begun(run_id, "keep")

        await self._made(Change(keep, before=record.make), "keep")

    async def end(self, run_id: str, result: WorkflowResult) -> None:
        """Keep the end of a run and leave it; see `RunStore.end`."""
        if not result.status.terminal:
            raise WorkflowError(
                f"run {run_id!r} cannot end as {result.status}",
                op="store.end",
                code=Code.INVALID,
                hint="leave it, and it can be taken up again",
            )
        begun = self._known(run_id, "end")
        dumped = Later(partial(dump_result, result))

        def end(connection: sqlite3.Connection) -> None:
            kept = dict(connection.execute(_STEPS, (begun.number,)).fetchall())
            facts = (result.status.value, time(), result.error, dumped.made.text(kept), *begun.place)
            if not begun.held or not connection.execute(_END, facts).rowcount:
                raise _not_begun(run_id, "end")

        await self._made(Change(end, before=dumped.make, after=partial(self._drop, begun)), "end")

    async def leave(self, run_id: str) -> None:
        """Let others take the run up as far as it is kept; nothing happens where it is not begun here."""
        begun = self._begun.get(run_id)
        if begun is not None:
            self._drop(begun)

    async def runs(
        self, workflow: str | None = None, status: str | Iterable[str] | None = None
    ) -> AsyncIterator[StoredRun]:
        """The runs that are kept, read as they are needed, by status, then workflow, the oldest first.

        See `RunStore.runs`. A run that ends meanwhile may be given under both statuses, or under neither.
        """
        listing = Listing(workflow, status)
        while not listing.is_over:
            look = partial(listing.page, is_taken=self._is_run)
            rows = await self._made(Change(look), "runs")
            listing.turn(rows)
            for run in await in_thread(stored_runs, rows):
                yield run

    async def forget(self, run_id: str) -> bool:
        """Forget a run and all that is kept of it; whether there was one. See `RunStore.forget`."""
        own = _Begun(run_id)

        def forget(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_FIND, (run_id,)).fetchone()
            if row is None:
                return False
            if not own.take(self._lock_file(), row[0]):
                raise _in_use(run_id, row[4], "forget")
            _delete(connection, [(row[0],)])
            return True

        found = await self._made(Change(forget, undo=own.free, after=own.free), "forget")
        await self._writer.call(self._file.tidy)
        return found

    async def forget_ended(self, older_than_s: float = 0.0) -> int:
        """Forget the runs that ended at least so many seconds ago, however they ended; how many there were."""

        def forget(connection: sqlite3.Connection) -> int:
            numbers = connection.execute(_ENDED, (time() - older_than_s,)).fetchall()
            _delete(connection, numbers)
            return len(numbers)

        count = await self._made(Change(forget), "forget")
        await self._writer.call(self._file.tidy)
        return count

    async def close(self) -> None:
        """Leave all runs and close the file; the next use opens it again."""
        await self._writer.call(self._close)

    def _begin(
        self, run: RunIdentity, text: Later[str], begun: _Begun, connection: sqlite3.Connection
    ) -> tuple[list[tuple[str, str]], str | None]:
        row = connection.execute(_FIND, (run.run_id,)).fetchone()
        if row is None:
            facts = (run.run_id, run.workflow, run.fingerprint, os.getpid(), time(), text.made)
            number = connection.execute(_BEGIN, facts).lastrowid
            if number is None or not begun.take(self._lock_file(), number):
                raise _in_use(run.run_id, None, "begin")
            return [], None
        number, workflow, fingerprint, status, pid, input_text, ended = row
        check_identity(_identity(run.run_id, workflow, fingerprint, input_text), run)
        if status != WorkflowStatus.COMPLETED:
            if not begun.take(self._lock_file(), number):
                raise _in_use(run.run_id, pid, "begin")
            connection.execute(_BEGIN_AGAIN, (os.getpid(), number))
        return connection.execute(_STEPS, (number,)).fetchall(), ended

    def _note(self, begun: _Begun) -> None:
        if begun.file is not None:
            self._begun[begun.run_id] = begun
        if begun.abandoned:
            self._drop(begun)

    def _drop(self, begun: _Begun) -> None:
        if self._begun.get(begun.run_id) is begun:
            del self._begun[begun.run_id]
        begun.free()

    def _known(self, run_id: str, verb: str) -> _Begun:
        begun = self._begun.get(run_id)
        if begun is None:
            raise _not_begun(run_id, verb)
        return begun

    def _lock_file(self) -> locks.LockFile:
        if self._locks is None:
            self._locks = locks.shared(Path(f"{self.path}-lock"))
            self._closing = weakref.finalize(self, _let_go, self._locks, self._begun)
        return self._locks

    def _is_run(self, number: int) -> bool:
        return self._lock_file().is_taken(number)

    def _close(self) -> None:
        closing = self._closing
        self._renew()
        if closing is not None:
            closing()
        self._file.close()

    def _abandon(self) -> None:
        """Begin anew in a forked child: the runs and their locks are the parent's."""
        if self._closing is not None:
            self._closing.detach()
        self._renew()

    async def _made(self, change: Change[T], verb: str) -> T:
        try:
            return await self._writer.make(change)
        except SqliteFileError as error:
            if isinstance(error, MovedFileError):
                await self.close()
            raise WorkflowError(
                f"the run store {self.path} cannot be used: {error.message}",
                op=f"store.{verb}",
                code=error.code,
                hint=error.hint,
                fields={"path": str(self.path)},
            ) from error


def _loaded(rows: Sequence[tuple[str, str]], ended: str | None) -> KeptRun:
    steps = {name: load_step(name, record) for name, record in rows}
    return KeptRun.trusted(steps=steps, result=None if ended is None else load_result(ended, steps))


def _identity(run_id: str, workflow: str, fingerprint: str, text: str) -> RunIdentity:
    return RunIdentity.trusted(run_id=run_id, workflow=workflow, fingerprint=fingerprint, input_data=value_from(text))


def _let_go(file: locks.LockFile, begun: dict[str, _Begun]) -> None:
    for run in list(begun.values()):
        run.free()
    begun.clear()
    locks.done_with(file)


def _delete(connection: sqlite3.Connection, numbers: list[tuple[int]]) -> None:
    connection.executemany("DELETE FROM steps WHERE run = ?", numbers)
    connection.executemany("DELETE FROM runs WHERE number = ?", numbers)


def _in_use(run_id: str, pid: int | None, verb: str) -> WorkflowError:
    who = "another process" if pid is None else f"process {pid}" + (", this very one" if pid == os.getpid() else "")
    return WorkflowError(
        f"run {run_id!r} is being run by {who}",
        op=f"store.{verb}",
        code=Code.CONFLICT,
        hint="wait until it has ended, or end that process; a run that is new needs an id of its own",
        fields={"pid": pid},
    )


def _not_begun(run_id: str, verb: str) -> WorkflowError:
    return WorkflowError(
        f"run {run_id!r} is not begun here, or was left or ended meanwhile",
        op=f"store.{verb}",
        code=Code.CONFLICT,
        hint="begin it first; a forked child has none of its parent's runs",
    )
