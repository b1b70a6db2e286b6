"""Who runs a run: a lock that the system takes back when its process dies, and what that process confirmed."""

from __future__ import annotations

import os
import socket
import weakref
import zlib
from pathlib import Path
from time import sleep
from typing import Final, NamedTuple

from fmf.artefacts.run_id import timestamp
from fmf.errors import ConfigError
from fmf.ledger.damage import cannot_open
from fmf_core import file_locks
from fmf_core.errors import Code

LOCK_NAME: Final = ".run.lock"
# Behind all that stands in the file: where locks are binding, what is locked cannot be read.
_PLACE: Final = 2**30
_MOST_BYTES: Final = 4096
_TRIES, _PAUSE_S = 5, 0.01


class Confirmed(NamedTuple):
    """The last numbers that somebody was told are on the disk."""

    requests: int = 0
    answers: int = 0


class Hold:
    """The right to run one run, for as long as this process lives or until it is released.

    Beside the lock, the file says who has it, and what was confirmed: by that, a ledger is known that has lost its end.

    Args:
        file: the locked file.
        confirmed: what the one before confirmed; `None` where that cannot be told.
    """

    def __init__(self, file: file_locks.LockFile, confirmed: Confirmed | None) -> None:
        self.confirmed = confirmed
        self._file = file
        self._closing = weakref.finalize(self, _let_go, file)

    @classmethod
    def take(cls, folder: Path) -> Hold:
        """Take the run in `folder`.

        Raises:
            ConfigError: another process, or this one, is running it; or there can be no lock.
        """
        try:
            file = file_locks.shared(folder / LOCK_NAME)
        except OSError as error:
            raise cannot_open(folder, error) from error
        try:
            # Somebody who only looks whether it is taken has it for a moment.
            taken = file.take(_PLACE)
            for _ in range(_TRIES):
                if taken:
                    break
                sleep(_PAUSE_S)
                taken = file.take(_PLACE)
            text = file.text(_MOST_BYTES)
        except OSError as error:
            file_locks.done_with(file)
            raise cannot_open(folder, error) from error
        if not taken:
            file_locks.done_with(file)
            raise _in_use(folder, text)
        return cls(file, _confirmed(text))

    def sign(self, confirmed: Confirmed) -> None:
        """Say who has it, and what is confirmed so far.

        Raises:
            OSError: there is no room for it.
        """
        who = f"{os.getpid()} {socket.gethostname()} {timestamp()}\n"
        self._file.write(_line(confirmed) + who.encode("utf-8", "replace"), anew=True)

    def confirm(self, confirmed: Confirmed) -> None:
        """Note what is on the disk by now; it need not be there itself.

        Raises:
            OSError: it could not be written.
        """
        self._file.write(_line(confirmed))

    def release(self) -> None:
        """Let others run it."""
        self._closing()


def is_alive(folder: Path) -> bool:
    """Whether some process is running the run in `folder` right now; false where that cannot be looked at."""
    path = folder / LOCK_NAME
    if not path.exists():
        return False
    try:
        file = file_locks.shared(path)
    except OSError:
        return False
    try:
        return file.is_taken(_PLACE)
    finally:
        file_locks.done_with(file)


def _let_go(file: file_locks.LockFile) -> None:
    file.free(_PLACE)
    file_locks.done_with(file)


def _line(confirmed: Confirmed) -> bytes:
    """Always as long, so that a new one takes the place of the old one."""
    facts = b"%020d %020d" % confirmed
    return b"%s %08x\n" % (facts, zlib.crc32(facts))


def _confirmed(text: bytes) -> Confirmed | None:
    facts, _, check = text.partition(b"\n")[0].rpartition(b" ")
    if check != b"%08x" % zlib.crc32(facts):
        return None
    requests, answers = facts.split()
    return Confirmed(int(requests), int(answers))


def _in_use(folder: Path, text: bytes) -> ConfigError:
    said = text.decode("utf-8", "replace").splitlines()
    words = said[1].split() if len(said) > 1 else []
    pid, host, since = words if len(words) == 3 else ("?", "?", "?")
    own = ", this very one" if pid == str(os.getpid()) else ""
    return ConfigError(
        f"run {folder.name!r} is being run by process {pid}{own} on {host} since {since}",
        op="ledger.open",
        code=Code.CONFLICT,
        hint="wait until it has ended, or end that process; then resume the run",
        fields={"pid": pid, "host": host, "since": since},
    )
