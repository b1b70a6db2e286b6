"""What is wrong with a ledger, said so that its reader knows what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fmf.artefacts.files import LEDGER
from fmf.errors import ConfigError
from fmf_core.errors import Code, FrameworkError
from fmf_core.sqlite_file import MovedFileError, SqliteFileError

_ANEW: Final = "restore the run's folder from a copy; or begin a new run with --reuse, which asks only what is lost"


def damaged(folder: Path, reason: str) -> ConfigError:
    """The ledger in `folder` is not whole."""
    return ConfigError(
        f"the ledger of run {folder.name!r} is damaged: {reason}",
        op="ledger.open",
        hint=_ANEW,
        fields={"path": str(folder / LEDGER)},
    )


def cannot_open(folder: Path, error: SqliteFileError | OSError) -> ConfigError:
    """The ledger in `folder` cannot be opened or read."""
    code, reason, hint = _facts(error)
    return ConfigError(
        f"the ledger of run {folder.name!r} cannot be used: {reason}",
        op="ledger.open",
        code=code,
        hint=_ANEW if code is Code.INVALID and "damaged" in reason else hint,
        fields={"path": str(folder / LEDGER)},
    )


def cannot_write(folder: Path, error: SqliteFileError | OSError) -> FrameworkError:
    """Something could not be kept in the ledger in `folder`; nothing that waited for it is confirmed."""
    code, reason, hint = _facts(error)
    if isinstance(error, MovedFileError):
        hint = _ANEW
    elif code is Code.UNAVAILABLE:
        hint = f"{hint}; the run can be resumed from what is kept"
    return FrameworkError(
        f"the ledger of run {folder.name!r} could not be written: {reason}",
        op="ledger.write",
        code=code,
        hint=hint,
        fields={"path": str(folder / LEDGER)},
    )


def closed(folder: Path) -> FrameworkError:
    """The ledger in `folder` is closed here: nothing more is kept."""
    return FrameworkError(
        f"the ledger of run {folder.name!r} is closed",
        op="ledger.write",
        code=Code.CONFLICT,
        hint="resume the run; a forked child has none of its parent's ledgers",
    )


def _facts(error: SqliteFileError | OSError) -> tuple[Code, str, str]:
    if isinstance(error, SqliteFileError):
        return error.code, error.message, error.hint
    if isinstance(error, FileNotFoundError):
        return Code.NOT_FOUND, "it is not there", "see whether the run's folder is whole"
    return Code.INVALID, error.strerror or type(error).__name__, "let this user read and write the run's folder"
