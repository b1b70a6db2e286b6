"""SQLite files of ours: their owner's alone, known by their format, and left to the parent after a fork."""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, NamedTuple

from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import Lock

if TYPE_CHECKING:
    import sqlite3

_PAUSE_S: Final = 0.02
# Closing a file drops every lock that its process has on it, SQLite's too: so an existing one is never opened but by
# SQLite, and a new one is not given to it before it is closed.
_making = Lock()
_FORK_WAIT_S: Final = 10.0
"""How long a fork waits for the transactions of other threads, in seconds."""


class SqliteFileError(FrameworkError):
    """The file cannot be used; the message says only why."""

    default_code = Code.UNAVAILABLE


class BusyFileError(SqliteFileError):
    """Another process was writing to the file for as long as it was waited for."""


class MovedFileError(SqliteFileError):
    """The file was deleted or replaced while it was open."""


class Layout(NamedTuple):
    """What is in a file, how it is told from the files of others, and how it is used."""

    application_id: int
    version: int
    """Of the tables and of what stands in them; a file with another one is refused."""
    statements: tuple[str, ...]
    """Make the tables."""
    pragmas: tuple[str, ...] = ()
    """Settings of every connection."""


SAFE: Final = ("synchronous = FULL", "fullfsync = ON")
"""With these, what has committed outlives a power failure; on macOS a plain sync stops at the disk's own memory."""


class _Forks:
    """What keeps the files of a process whole when it forks.

    SQLite remembers the locks of its process, and a forked child remembers those of its parent, which it has not: what
    both then write may be lost. So the child closes the connections of its parent before it opens its own, which does
    nothing to the parent's. That takes connections that no thread was using when the process was forked.
    """

    def __init__(self) -> None:
        self.files: weakref.WeakSet[SqliteFile] = weakref.WeakSet()
        self.inherited: list[tuple[int, sqlite3.Connection]] = []
        self.torn: list[tuple[int, sqlite3.Connection]] = []
        """Those that another thread was using: nothing can be done with them, nor with their files."""
        self._paused = threading.local()

    def settle(self, path: Path) -> None:
        """Make ready for opening `path`."""
        import sqlite3

        while self.inherited:
            with suppress(sqlite3.Error):
                self.inherited.pop()[1].close()
        if self.torn and path.exists() and path.stat().st_ino in {inode for inode, _ in self.torn}:
            raise SqliteFileError(
                "this process was forked while another thread was writing to it",
                hint="fork before the file is used, or start the process in another way (spawn)",
            )

    def before(self) -> None:
        until = monotonic() + _FORK_WAIT_S
        files = sorted(self.files, key=id)  # one order for all, so that two forks at a time do not wait for each other
        self._paused.files = [file for file in files if file.pause(max(0.0, until - monotonic()))]

    def in_parent(self) -> None:
        for file in self._paused.files:
            file.go_on()
        self._paused.files = []

    def in_child(self) -> None:
        paused, self._paused.files = self._paused.files, []
        for file in list(self.files):
            file.leave_to_the_parent(paused=file in paused)


_forks = _Forks()
if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.in_parent, after_in_child=_forks.in_child)


class SqliteFile:
    """One file with one connection, opened when it is first used; for one thread at a time.

    It is made with the first use, in a folder that is there, readable by its owner alone. A forked child opens it anew.

    Args:
        path: the file.
        layout: what is in it.
        busy_s: how long another process that is writing is waited for, in seconds.
        read_only: nothing is made or changed; another process may be writing meanwhile.
    """

    def __init__(self, path: Path, layout: Layout, busy_s: float, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.layout = layout
        self.busy_s = busy_s
        self._in_use = threading.RLock()
        self._renew()
        _forks.files.add(self)

    def _renew(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._closing: weakref.finalize[..., SqliteFile] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the file has been opened, and not closed since."""
        return self._connection is not None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for changes that are made together or not at all; nobody else writes meanwhile.

        Raises:
            SqliteFileError: the file cannot be used, or it is full; nothing was changed.
        """
        with self.statements() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def statements(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements each of which stands for itself.

        Raises:
            SqliteFileError: the file cannot be used, or is another one than the one that was opened.
        """
        import sqlite3

        try:
            with self._in_use:
                connection = self._connection or self._open()
                if not self._is_in_place():
                    self.close()
                    raise MovedFileError(
                        "it was deleted or replaced while it was open",
                        hint="delete it only when nobody uses it; it is made anew now",
                    )
                yield connection
        except (sqlite3.Error, OSError) as error:
            told = fault_of(error, self.path)
            if not isinstance(told, BusyFileError):
                self.close()
            raise told from error

    def tidy(self) -> None:
        """Take what was deleted out of the log beside the file too, unless somebody reads it right now."""
        import sqlite3

        with self._in_use, suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._in_use:
            closing = self._closing
            self._renew()
            if closing is not None:
                closing()

    def pause(self, limit_s: float) -> bool:
        """Wait until no other thread uses the file, and keep it from them; false where that takes too long."""
        return self._in_use.acquire(timeout=limit_s)

    def go_on(self) -> None:
        """Let other threads use the file again."""
        self._in_use.release()

    def leave_to_the_parent(self, *, paused: bool) -> None:
        """Begin anew in a forked child."""
        if self._closing is not None:
            self._closing.detach()
        if self._connection is not None:
            (_forks.inherited if paused else _forks.torn).append((self._inode, self._connection))
        self._in_use = threading.RLock()
        self._renew()

    def _is_in_place(self) -> bool:
        # What is written to a file without a name is gone when it is closed.
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        with _making():
            _forks.settle(self.path)
            if not self.read_only:
                _make(self.path)
            # It must be there by now: SQLite would make it as readable as the umask allows.
            address = f"{self.path.absolute().as_uri()}?{self._way()}"
            connection = sqlite3.connect(
                address, uri=True, timeout=self.busy_s, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._inode = self.path.stat().st_ino
        self._closing = weakref.finalize(self, connection.close)
        return connection

    def _way(self) -> str:
        if not self.read_only:
            return "mode=rw"
        # Even to read, SQLite makes files beside it. Where it may not, and there is no log, the file cannot change.
        is_still = not Path(f"{self.path}-wal").exists() and not os.access(self.path.parent, os.W_OK)
        return "mode=ro&immutable=1" if is_still else "mode=ro"

    def _prepare(self, connection: sqlite3.Connection) -> None:
        ready = self._is_ready(connection)
        if self.read_only:
            if not ready:
                raise SqliteFileError("it is empty", code=Code.INVALID, hint="restore it from a copy")
            return
        keep_from_others(self.path)
        self._use_a_log(connection)
        for pragma in self.layout.pragmas:
            connection.execute(f"PRAGMA {pragma}")
        if ready:
            return
        connection.execute("BEGIN IMMEDIATE")
        for statement in self.layout.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {self.layout.application_id}")
        connection.execute(f"PRAGMA user_version = {self.layout.version}")
        connection.execute("COMMIT")

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there; refuses the files of others."""
        # One look at all three: another process may be making the file right now.
        connection.execute("BEGIN")
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("COMMIT")
        if tables and owner != self.layout.application_id:
            raise SqliteFileError("it holds the tables of another program", code=Code.INVALID, hint=_ANOTHER)
        if tables and version != self.layout.version:
            raise SqliteFileError(
                f"its format is {version}, and this version knows {self.layout.version}",
                code=Code.UNSUPPORTED,
                hint="use the version that wrote it, or another path",
            )
        return bool(tables)

    def _use_a_log(self, connection: sqlite3.Connection) -> None:
        """Switch to a write-ahead log; where another process does so right now, SQLite does not wait by itself."""
        import sqlite3

        until = monotonic() + self.busy_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > until:
                    raise
                sleep(_PAUSE_S)
            else:
                return


def keep_from_others(path: Path) -> None:
    """Take a file, and those that SQLite keeps beside it, from everybody but its owner."""
    for beside in ("", "-wal", "-shm"):
        found = Path(f"{path}{beside}")
        with suppress(OSError):  # it is not there, or somebody else's
            mode = stat.S_IMODE(found.stat().st_mode)
            if mode & ~stat.S_IRWXU:
                found.chmod(mode & stat.S_IRWXU)


def _make(path: Path) -> None:
    if path.is_dir():
        raise SqliteFileError("it is a folder", code=Code.INVALID, hint="give the path of a file")
    if not path.parent.is_dir():
        raise SqliteFileError(
            f"there is no folder {path.parent}", code=Code.NOT_FOUND, hint="make the folder first, or correct the path"
        )
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


_ANOTHER: Final = "give another path; the file was not touched"


def fault_of(error: Exception, path: Path) -> SqliteFileError:
    """What is wrong with the file, and what to do."""
    import sqlite3

    number = getattr(error, "sqlite_errorcode", 0) & 0xFF
    told: dict[int, tuple[str, Code, str]] = {
        sqlite3.SQLITE_NOTADB: ("it is no SQLite database", Code.INVALID, _ANOTHER),
        sqlite3.SQLITE_CORRUPT: ("it is damaged", Code.INVALID, "restore it from a copy, or give another path"),
        sqlite3.SQLITE_FULL: ("the disk is full", Code.UNAVAILABLE, "make room, and try again"),
        sqlite3.SQLITE_READONLY: ("it may only be read", Code.INVALID, f"let this user write to {path} and its folder"),
        sqlite3.SQLITE_CANTOPEN: (
            "it cannot be opened",
            Code.INVALID,
            f"let this user read and write {path} and make files in its folder",
        ),
    }
    if number in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        hint = "try again, or end what holds the file"
        return BusyFileError("it is locked: another process has been writing to it all the time", hint=hint)
    if number in told:
        reason, code, hint = told[number]
        return SqliteFileError(reason, code=code, hint=hint)
    if isinstance(error, PermissionError):
        return SqliteFileError("it may not be made", code=Code.INVALID, hint=f"let this user write to {path.parent}")
    return SqliteFileError(f"{type(error).__name__}: {error}", hint="see whether its disk is there and has room")
