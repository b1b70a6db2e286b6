"""Locks that a process holds for as long as it lives: the bytes of a file, given back by the system when it dies."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from fmf_core.forks import Lock, in_forked_child

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class LockFile:
    """A file of which each byte is a lock, free or taken by one process, whatever stands in it.

    A forked child has none of its parent's locks. All who use one path in a process share one of these: the system
    takes a process's locks back when it closes the file once.

    Args:
        path: the file; made when it is not there, for its owner alone.

    Raises:
        OSError: it can be neither opened nor made.
    """

    def __init__(self, path: Path) -> None:
        self.users = 0
        self._path = path
        self._taken: set[int] = set()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, number: int) -> bool:
        """Take lock `number`; false where it is taken, by this process or another one.

        Raises:
            OSError: there are no locks here, or the file is no more the one that others look at.
        """
        with _guard():
            if self._path.stat().st_ino != os.fstat(self._file).st_ino:
                raise FileNotFoundError(errno.ENOENT, "it was replaced while it was in use", str(self._path))
            if number in self._taken or not _lock(self._file, number):
                return False
            self._taken.add(number)
            return True

    def free(self, number: int) -> None:
        """Give lock `number` back."""
        with _guard():
            if number in self._taken:
                self._taken.discard(number)
                _unlock(self._file, number)

    def is_taken(self, number: int) -> bool:
        """Whether anybody has lock `number` right now; whoever tries to take it in this moment may be turned away."""
        with _guard():
            if number in self._taken:
                return True
            if not _lock(self._file, number):
                return True
            _unlock(self._file, number)
            return False

    def text(self, most_bytes: int) -> bytes:
        """The beginning of what stands in the file."""
        with _guard():
            os.lseek(self._file, 0, os.SEEK_SET)
            return os.read(self._file, most_bytes)

    def write(self, text: bytes, *, anew: bool = False) -> None:
        """Put `text` at the beginning of the file: in place of all that stands there, or of as many bytes.

        Raises:
            OSError: there is no room for it.
        """
        with _guard():
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text)
            if anew:
                os.ftruncate(self._file, len(text))

    def close(self) -> None:
        """Close the file, which gives all locks back."""
        self._taken.clear()
        os.close(self._file)


_guard = Lock(reentrant=True)
_files: dict[str, LockFile] = {}


def shared(path: Path) -> LockFile:
    """The locks of the file at `path`, to be given back by `done_with`."""
    key = os.path.realpath(path)
    with _guard():
        found = _files.get(key)
        if found is None:
            found = _files[key] = LockFile(path)
        found.users += 1
        return found


def done_with(file: LockFile) -> None:
    """One user fewer; the last one closes the file."""
    with _guard():
        file.users -= 1
        for key, known in list(_files.items()):
            if known is file and file.users <= 0:
                del _files[key]
                file.close()


def _leave_to_the_parent() -> None:
    """Forget all of it in a forked child: it has the files, but none of the locks."""
    for file in _files.values():
        file.close()
    _files.clear()


in_forked_child(_leave_to_the_parent)

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, number: int) -> bool:
        os.lseek(file, number, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _unlock(file: int, number: int) -> None:
        os.lseek(file, number, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int, number: int) -> bool:
        # Not flock: its locks go along with a forked child, and outlive the process that took them.
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _unlock(file: int, number: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, number)
