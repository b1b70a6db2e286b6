"""The index of all runs under one folder: read by anyone, changed by one process at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fmf.artefacts.files import INDEX
from fmf.artefacts.run_id import is_run_id
from fmf.artefacts.storage import write_whole, writing
from fmf.errors import ConfigError
from fmf.types import Row
from fmf_core.errors import Code

_LOCK_NAME = ".index.lock"
_LOCK_WAIT_S = 30.0
SCHEMA_VERSION = 1


def read_index(root: Path) -> list[Row]:
    """Every run that the index knows, oldest first; folders of runs that it lost are found again.

    A damaged index is no reason to lose sight of the runs: their folders are listed instead.
    """
    entries = {entry["run_id"]: entry for entry in _stored(root / INDEX)}
    with suppress(OSError):
        for folder in root.iterdir():
            if folder.name not in entries and is_run_id(folder.name) and folder.is_dir():
                entries[folder.name] = {"run_id": folder.name, "status": "unknown", "path": folder.name}
    return [entries[run_id] for run_id in sorted(entries)]


def update_index(root: Path, run_id: str, facts: Mapping[str, Any]) -> None:
    """Merge `facts` into the entry of `run_id`, whatever other processes write at the same time.

    Raises:
        FrameworkError: the index could not be written, or another process keeps it locked.
    """
    with _locked(root / _LOCK_NAME):
        entries = {entry["run_id"]: entry for entry in _stored(root / INDEX)}
        entries[run_id] = {**entries.get(run_id, {}), "run_id": run_id, **facts}
        _store(root, entries)


def keep_in_index(root: Path, wanted: Callable[[str], bool]) -> None:
    """Drop the entries of all runs but those whose id is `wanted`; raises as `update_index`."""
    with _locked(root / _LOCK_NAME):
        _store(root, {entry["run_id"]: entry for entry in _stored(root / INDEX) if wanted(entry["run_id"])})


def _store(root: Path, entries: Mapping[str, Row]) -> None:
    content = {"schema_version": SCHEMA_VERSION, "runs": [entries[name] for name in sorted(entries)]}
    write_whole(root / INDEX, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def _stored(path: Path) -> list[Row]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    runs = content.get("runs") if isinstance(content, dict) else None
    entries = runs if isinstance(runs, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("run_id"), str)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # a system without fcntl: the lock is the existence of a second file
        with _exclusive_file(path.with_suffix(".held")):
            yield
        return
    with writing(path), path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def _exclusive_file(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"the index of runs stayed locked by {str(path)!r} for {_LOCK_WAIT_S:.0f} s",
                    op="artefacts.index",
                    code=Code.CONFLICT,
                    hint="delete that file when no other run is going on",
                ) from None
            time.sleep(0.02)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
