"""Retention: the folders of old runs are removed, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fmf.artefacts.files import LEDGER, RECORD
from fmf.artefacts.folder import artefacts_root
from fmf.artefacts.index import keep_in_index
from fmf.artefacts.run_id import is_run_id
from fmf.artefacts.storage import writing
from fmf.errors import ConfigError
from fmf.ledger.hold import LOCK_NAME, Hold, is_alive
from fmf_core.errors import FrameworkError
from fmf_core.logs import get_logger

if TYPE_CHECKING:
    from fmf.config.loader import LoadedConfig

_MARKS: Final = (RECORD, LEDGER, LOCK_NAME)
"""One of these files shows that a folder with the name of a run is one."""
_GOING: Final = ".removed-"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of the runs; each list is sorted from the oldest."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    going_on: list[str] = field(default_factory=list)
    """Runs that would have gone, had nobody been running them."""
    failed: dict[str, str] = field(default_factory=dict)
    """Run to why it could not be removed."""


def prune(root: Path, keep: int, *, spare: str | None = None, dry_run: bool = False) -> Pruned:
    """Remove all but the latest runs under `root`, by their ids; blocks.

    A run is a folder whose name has the form of a run id and that holds `run.yaml`, a ledger, or the lock of a run.
    Nothing else is touched: no other file or folder, no symbolic link, and no run that a process is running. Links
    inside the folder of a run are removed, and what they lead to stays.

    Args:
        root: the folder of all runs.
        keep: how many stay, at least one.
        spare: a run that stays in any case.
        dry_run: only tell what would be removed.

    Raises:
        FrameworkError: the index could not be written.
    """
    if keep < 1:
        raise ValueError(f"keep={keep}: at least one run is kept")
    runs = sorted(_runs(root))
    found = Pruned()
    for run_id in runs[:-keep]:
        if run_id != spare:
            _remove(root, run_id, found, dry_run=dry_run)
    if not dry_run:
        _clear(root, found)
    gone = {*found.removed, *found.going_on, *found.failed}
    found.kept.extend(run_id for run_id in runs if run_id not in gone)
    return found


def keep_last(loaded: LoadedConfig, run_id: str) -> None:
    """Remove what `artefacts_retain_last` does not want kept, now that `run_id` has ended; a failure is only logged."""
    keep = loaded.value.artefacts_retain_last
    if keep is None:
        return
    log = get_logger("fmf.chains")
    try:
        found = prune(artefacts_root(loaded.value.artefacts_dir, loaded.root), keep, spare=run_id)
    except FrameworkError as error:
        log.warning("runs.not_pruned", error=error.message)
        return
    for old, reason in found.failed.items():
        log.warning("runs.not_pruned", run=old, error=reason)


def _remove(root: Path, run_id: str, found: Pruned, *, dry_run: bool) -> None:
    if is_alive(root / run_id):
        found.going_on.append(run_id)
        return
    try:
        if not dry_run:
            with _held(root / run_id):
                _take_away(root, run_id)
    except ConfigError:  # somebody has just taken it up, or there are no locks to see that nobody has
        found.going_on.append(run_id)
    except FrameworkError as error:
        found.failed[run_id] = error.message
    else:
        found.removed.append(run_id)


def _clear(root: Path, found: Pruned) -> None:
    """Take the entries of the removed runs out of the index, then delete their files."""
    going = [entry for entry in _entries(root) if entry.name.startswith(_GOING)]
    if found.removed or going:
        keep_in_index(root, lambda run_id: (root / run_id).exists())
    for left in going:
        shutil.rmtree(left, ignore_errors=True)
        if left.exists():
            found.failed[left.name.removeprefix(_GOING)] = f"parts of it are left in {str(left)!r}"


def _runs(root: Path) -> Iterator[str]:
    for entry in _entries(root):
        if is_run_id(entry.name) and any(_is_file(entry / name) for name in _MARKS):
            yield entry.name


def _entries(root: Path) -> list[Path]:
    """The folders of runs, and those that are going; no links."""
    try:
        with os.scandir(root) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if is_run_id(entry.name.removeprefix(_GOING)) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Let nobody take the run up while its folder goes.

    Raises:
        ConfigError: somebody has it.
    """
    hold = Hold.take(folder)
    try:
        yield
    finally:
        hold.release()


def _take_away(root: Path, run_id: str) -> None:
    """Move the folder out of sight at once, so that nobody ever sees half a run."""
    with writing(root / run_id):
        (root / run_id).rename(root / f"{_GOING}{run_id}")
