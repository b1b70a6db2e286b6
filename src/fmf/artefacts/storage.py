"""Writing to disk so that a file is either whole or the old one, and a full disk says so in words."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fmf_core.errors import Code, FrameworkError

_ADVICE = {
    errno.ENOSPC: (Code.UNAVAILABLE, "free space on that disk, or choose another artefacts_dir"),
    errno.EDQUOT: (Code.UNAVAILABLE, "the quota of that disk is used up: free space, or choose another artefacts_dir"),
    errno.EACCES: (Code.INVALID, "allow this user to write there, or choose another artefacts_dir"),
    errno.EPERM: (Code.INVALID, "allow this user to write there, or choose another artefacts_dir"),
    errno.EROFS: (Code.INVALID, "that disk is read-only: choose another artefacts_dir"),
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while `path` is written into an error that says what to do.

    Raises:
        FrameworkError: the disk is full, read-only, or refuses this user.
    """
    try:
        yield
    except OSError as error:
        code, hint = _ADVICE.get(error.errno or 0, (Code.INTERNAL, "look at that path; the run's other files are kept"))
        reason = error.strerror or type(error).__name__
        raise FrameworkError(
            f"{str(path)!r} could not be written: {reason}", op="artefacts.write", code=code, hint=hint
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes `path` when the block ends well, so that no reader ever sees half of it.

    Raises:
        FrameworkError: it could not be written; an older file of that name is unchanged.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp keeps others out; an artefact is as readable as any file that this user creates.
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` at once; raises as `whole_file`."""
    with whole_file(path) as file:
        file.write(content)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
