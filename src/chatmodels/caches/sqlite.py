"""Answers kept in an SQLite file, for later runs and for several processes at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from chatmodels.caches.memory import check_bounds
from chatmodels.types import ChatResponse
from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import in_forked_child
from fmf_core.portal import OwnThreads
from fmf_core.sqlite_file import BusyFileError, Layout, SqliteFile, SqliteFileError

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "answers.sqlite"
BUSY_S = 1.0
"""How long a file that another process is writing to is waited for; a model waits for its answer meanwhile."""
LOCKED_S = 1.0
"""How long a file that stayed locked is not tried again: whoever stands in line must not wait for it in turn."""
PRUNE_EVERY = 256
"""After how many new answers the bounds are looked at."""
ROOM = 0.9
"""The share of the bounds that is left after pruning, so that it is not needed again at once."""
STALE_USE_S = 3600.0
"""How old the note of an answer's last use may get: a write with every look would be dear."""

_TABLE = """
CREATE TABLE IF NOT EXISTS answers
(key TEXT PRIMARY KEY, bytes INTEGER NOT NULL, made REAL NOT NULL, used REAL NOT NULL, answer TEXT NOT NULL)
"""
# It also holds what pruning adds up, so that no answer is read for it.
_INDEX = "CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used, bytes)"
_LAYOUT = Layout(0x666D6643, 1, (_TABLE, _INDEX), ("synchronous = NORMAL",))
_KEEP = "INSERT OR REPLACE INTO answers (key, bytes, made, used, answer) VALUES (?, ?, ?, ?, ?)"
_OLDEST = "SELECT key, bytes FROM answers ORDER BY used LIMIT 1000"


class SqliteCache:
    """Keeps answers in one file, which only its owner may read; those unused for the longest time make room.

    The file is opened with the first call, and made with its folders when it is not there. It may be deleted whenever
    no process uses it.

    Args:
        path: a folder, which gets a file `answers.sqlite`, or a file that ends in `.sqlite`, `.sqlite3` or `.db`.
        max_entries: how many answers are kept, roughly.
        max_bytes: how large all kept answers together may be, roughly; the file is a little larger.
        max_age_s: seconds after which an answer is no longer given; `None` keeps it until it makes room.
        clock: the time in seconds since 1970.

    Raises:
        ConfigurationError: a bound is not above 0.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_entries: int = 1_000_000,
        max_bytes: int = 2_000_000_000,
        max_age_s: float | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        check_bounds(max_entries=max_entries, max_bytes=max_bytes, max_age_s=max_age_s)
        given = Path(path).expanduser()
        is_file = given.is_file() or (given.suffix in (".sqlite", ".sqlite3", ".db") and not given.is_dir())
        self.path = given if is_file else given / FILE_NAME
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self._clock = clock
        # One is enough for one file, and keeps shared threads free when the disk hangs.
        self._threads = OwnThreads(1, "fmf-cache")
        self._prune_every = min(PRUNE_EVERY, max(1, max_entries // 10))
        self._file = SqliteFile(self.path, _LAYOUT, BUSY_S)
        self._renew()
        in_forked_child(self._renew)

    async def get(self, key: str) -> ChatResponse | None:
        """The answer that was put under `key`, by whichever process.

        Raises:
            FrameworkError: the file cannot be used.
        """
        text = await self._threads.start(self._get, key)
        try:
            return None if text is None else ChatResponse.model_validate_json(text)
        except ValueError:
            return None  # damaged, or written by a version that knows more: the next answer replaces it

    async def put(self, key: str, response: ChatResponse) -> None:
        """Keep `response` under `key`.

        Raises:
            FrameworkError: the file cannot be used.
        """
        try:
            text = response.model_dump_json(exclude_defaults=True)
        except ValueError:
            return  # half a character, which no JSON can hold
        await self._threads.start(self._put, key, text)

    async def close(self) -> None:
        """Close the file; the next call opens it again."""
        await self._threads.start(self._close)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._puts = 0
        self._locked_until = 0.0

    def _get(self, key: str) -> str | None:
        with self._usable(), self._file.statements() as connection:
            row = connection.execute("SELECT answer, made, used FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            answer, made, used = row
            now = self._clock()
            if self.max_age_s is not None and now - made > self.max_age_s:
                connection.execute("DELETE FROM answers WHERE key = ? AND made = ?", (key, made))
                return None
            if now - used > STALE_USE_S:
                connection.execute("UPDATE answers SET used = ? WHERE key = ?", (now, key))
            return str(answer)

    def _put(self, key: str, answer: str) -> None:
        with self._usable(), self._file.transaction() as connection:
            now = self._clock()
            connection.execute(_KEEP, (key, len(answer.encode()), now, now, answer))
            self._puts += 1
            if self._puts % self._prune_every == 0:
                self._prune(connection, now)

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete what is too old, and then the longest unused answers until there is room."""
        if self.max_age_s is not None:
            connection.execute("DELETE FROM answers WHERE made < ?", (now - self.max_age_s,))
        count, size = connection.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM answers").fetchone()
        if count <= self.max_entries and size <= self.max_bytes:
            return
        while count > self.max_entries * ROOM or size > self.max_bytes * ROOM:
            rows = connection.execute(_OLDEST).fetchall()
            if not rows:
                return
            gone = []
            for key, taken in rows:
                if count <= self.max_entries * ROOM and size <= self.max_bytes * ROOM:
                    break
                gone.append((key,))
                count -= 1
                size -= taken
            connection.executemany("DELETE FROM answers WHERE key = ?", gone)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """The file for one user at a time, its folder made; what is wrong with it becomes our error."""
        if monotonic() < self._locked_until:
            raise _unusable(self.path, "it was locked a moment ago")
        try:
            with self._lock:
                if not self._file.is_open:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                yield
        except (SqliteFileError, OSError) as error:
            if isinstance(error, BusyFileError):
                self._locked_until = monotonic() + LOCKED_S
            reason = error.message if isinstance(error, SqliteFileError) else f"{type(error).__name__}: {error}"
            raise _unusable(self.path, reason) from error

    def _close(self) -> None:
        with self._lock:
            self._file.close()


def _unusable(path: Path, reason: str) -> FrameworkError:
    return FrameworkError(
        f"the response cache {path} cannot be used: {reason}",
        op="cache.open",
        code=Code.UNAVAILABLE,
        hint="close what else uses the file, or delete it; the model answers meanwhile",
        fields={"path": str(path)},
    )
