"""The folder of one run: its files of lines, its `run.yaml`, and its entry in the index."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmf.artefacts.files import RECORD
from fmf.artefacts.index import update_index
from fmf.artefacts.lines import LineWriter
from fmf.artefacts.run_id import new_run_id, timestamp
from fmf.artefacts.storage import write_whole
from fmf.errors import ConfigError
from fmf.types import Row
from fmf_core.errors import Code

_TRIES = 20


class RunFolder:
    """Where one run writes.

    Args:
        root: the folder of all runs.
        run_id: the run; its folder exists and belongs to it alone.
        started_at: when it began.
        kept: how many bytes stay of the files of lines that are there; of all others nothing does.
    """

    def __init__(self, root: Path, run_id: str, started_at: datetime, kept: Mapping[str, int] | None = None) -> None:
        self.root = root
        self.run_id = run_id
        self.started_at = started_at
        self.path = root / run_id
        self._kept = kept or {}
        self._writers: dict[str, LineWriter] = {}

    def lines(self, name: str) -> LineWriter:
        """The writer of the file of JSON lines called `name`; the same one each time."""
        if name not in self._writers:
            self._writers[name] = LineWriter(self.path / name, self._kept.get(name, 0))
        return self._writers[name]

    def sizes(self) -> dict[str, int]:
        """The bytes of every file of lines that the operating system has, by name."""
        return {name: writer.bytes for name, writer in self._writers.items()}

    def counts(self) -> dict[str, int]:
        """The lines that were given to every file of lines, by name; those of an earlier process are counted anew."""
        return {name: writer.count_lines() for name, writer in self._writers.items()}

    def sync(self) -> None:
        """Wait until what the operating system has of the files of lines is on the disk; from any thread.

        Raises:
            FrameworkError: the disk does not take it.
        """
        for writer in list(self._writers.values()):
            writer.sync()

    def announce(self, facts: Mapping[str, Any]) -> None:
        """Say in the index that the run has begun."""
        begun = {"status": "running", "started_at": timestamp(self.started_at), "path": self.run_id}
        update_index(self.root, self.run_id, {**begun, **facts})

    def discard(self) -> None:
        """Take the folder away again: nothing has come of the run."""
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Flush and close every file of lines.

        Raises:
            FrameworkError: one of them could not be written; all are closed nevertheless.
        """
        with ExitStack() as files:
            for writer in self._writers.values():
                files.callback(writer.close)

    def artefacts(self, saved: Mapping[Path, tuple[int, str]] | None = None) -> list[Row]:
        """Path, size and hash of every file of lines, then of the files that the chain `saved`.

        Args:
            saved: path to (bytes, sha256); a path outside the run's folder stays absolute.
        """
        files = {writer.path: (writer.bytes, writer.sha256) for writer in self._writers.values()}
        return [
            {"path": self._shown(path), "bytes": size, "sha256": digest}
            for path, (size, digest) in {**files, **(saved or {})}.items()
        ]

    def finish(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
        """Write `run.yaml` and the run's final entry in the index.

        Args:
            record: the content of `run.yaml`.
            facts: what the index says about the run besides its id.
        """
        import yaml

        text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True, width=120)
        path = self.path / RECORD
        write_whole(path, text.encode("utf-8", "backslashreplace"))
        update_index(self.root, self.run_id, facts)
        return path

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else str(path)


def artefacts_root(artefacts_dir: str, base: Path) -> Path:
    """The folder of all runs; a relative one counts from `base`, the folder of the configuration.

    Raises:
        ConfigError: it is an address that this version cannot write to.
    """
    if "://" in artefacts_dir:
        raise ConfigError(
            f"artefacts_dir {artefacts_dir!r} is not a folder of this machine",
            op="artefacts.open",
            code=Code.UNSUPPORTED,
            hint="this version writes artefacts to folders only: set artefacts_dir to one",
        )
    return (base / Path(artefacts_dir).expanduser()).absolute()


def create_run(root: Path, now: datetime | None = None) -> RunFolder:
    """A fresh folder under `root`, which is created if need be; two runs never get the same one.

    Raises:
        ConfigError: the folder cannot be created.
    """
    started_at = now or datetime.now(UTC)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            run_id = new_run_id(started_at)
            try:
                (root / run_id).mkdir()
            except FileExistsError:
                continue
            return RunFolder(root, run_id, started_at)
    except OSError as error:
        raise ConfigError(
            f"artefacts_dir {str(root)!r} cannot be created: {error.strerror or error}",
            op="artefacts.open",
            hint="set artefacts_dir to a folder that this user may create and write",
        ) from error
    raise ConfigError(
        f"no free run id under {str(root)!r} after {_TRIES} tries", op="artefacts.open", code=Code.CONFLICT
    )


def file_facts(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a file, read in blocks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()
