"""Changes to one SQLite file: those that are made together share a transaction, and each fails for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from fmf_core.group_commit import GroupCommit
from fmf_core.sqlite_file import SqliteFile, fault_of

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")


class _BrokenError(Exception):
    """A change failed in such a way that SQLite took the whole transaction back."""


class Change(Generic[T]):
    """Something to be done in a transaction; it may be together with others, and fails without them.

    Args:
        work: gets the connection.
        undo: takes back what `work` did beside the file, where the transaction is taken back.
        before: called first, in the same thread and outside the transaction; when it raises, nothing is done.
        after: called once it is on the disk.
    """

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], T],
        undo: Callable[[], None] | None = None,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self.undo = undo
        self.before = before
        self.after = after
        self.result: T | None = None
        self.error: Exception | None = None

    def prepare(self) -> bool:
        """Do what comes before the transaction; whether it can be begun."""
        if self.before is not None:
            try:
                self.before()
            except Exception as error:  # noqa: BLE001 - it belongs to who asked for the change
                self.settle(error)
                return False
        return True

    def attempt(self, connection: sqlite3.Connection) -> bool:
        """Do it; whether the transaction is still there."""
        connection.execute("SAVEPOINT change")
        try:
            self.result = self.work(connection)
            self.error = None
        except Exception as error:  # noqa: BLE001 - it belongs to who asked for the change
            self.error = error
            if not connection.in_transaction:
                return False
            connection.execute("ROLLBACK TO change")
            self.take_back()
        connection.execute("RELEASE change")
        return True

    def take_back(self) -> None:
        """Undo what it did beside the file."""
        if self.undo is not None:
            self.undo()

    def settle(self, error: Exception | None = None) -> None:
        """It is on the disk, or never will be."""
        self.error = error or self.error
        if self.error is None and self.after is not None:
            self.after()


class Later(Generic[T]):
    """What a change needs, made in the thread that makes the changes."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.made: T

    def make(self) -> None:
        """Make it, before the transaction."""
        self.made = self._function()


class Writer:
    """Makes changes to `file` in the order in which they are asked for, from any thread and any event loop."""

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        self._group: GroupCommit[Change[Any]] = GroupCommit(self._make, "fmf-runs")

    async def make(self, change: Change[T]) -> T:
        """Make `change`, and return what its work returns once it is on the disk.

        When the awaiting task is cancelled, a change that has not begun is dropped.

        Raises:
            SqliteFileError: the file cannot be used; nothing was changed.
            Exception: what its work raises.
        """
        try:
            await self._group.add(change)
        except BaseException:
            self._group.drop(change)
            raise
        if change.error is not None:
            raise change.error
        return cast("T", change.result)

    async def call(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread that makes the changes."""
        return await self._group.call(function)

    def _make(self, changes: list[Change[Any]]) -> None:
        ready = [change for change in changes if change.prepare()]
        if ready:
            self._commit(ready)

    def _commit(self, changes: list[Change[Any]]) -> None:
        begun: list[Change[Any]] = []
        try:
            with self.file.transaction() as connection:
                for change in changes:
                    begun.append(change)
                    if not change.attempt(connection):
                        raise _BrokenError from change.error  # noqa: TRY301 - nothing of the transaction is left
        except Exception as error:  # noqa: BLE001 - it belongs to who asked for the changes
            for change in begun:
                if change.error is None:
                    change.take_back()
            self._failed(changes, error)
        else:
            for change in changes:
                change.settle(self._told(change.error))

    def _failed(self, changes: list[Change[Any]], error: Exception) -> None:
        if isinstance(error, _BrokenError) and len(changes) > 1:
            # Each has another try, by itself.
            for change in changes:
                self._commit([change])
            return
        told = self._told(changes[0].error if isinstance(error, _BrokenError) else error)
        for change in changes:
            change.settle(told)

    def _told(self, error: Exception | None) -> Exception | None:
        import sqlite3

        if not isinstance(error, sqlite3.Error | OSError):
            return error
        told = fault_of(error, self.file.path)
        told.__cause__ = error
        return told
