"""Past runs: found by id, by the beginning of an id, or as the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fmf.artefacts.files import RECORD
from fmf.artefacts.index import read_index
from fmf.errors import ConfigError
from fmf.types import Row
from fmf_core.errors import Code

_SHOWN = 5


def list_runs(root: Path) -> list[Row]:
    """The index entry of every run under `root`, newest first; none when the folder does not exist."""
    return read_index(root)[::-1]


def find_run(root: Path, reference: str, fits: Callable[[Row], bool] | None = None, wanted: str = "run") -> Row:
    """The index entry of one run.

    Args:
        root: the folder of all runs.
        reference: a run id, the beginning of exactly one, or `last`.
        fits: which runs `last` may mean; the latest of all where that is not given.
        wanted: what such a run is called in the error when there is none.

    Raises:
        ConfigError: no run or several fit; the hint names the latest ones.
    """
    runs = list_runs(root)
    latest = ", ".join(entry["run_id"] for entry in runs[:_SHOWN])
    if reference == "last" and (last := next(filter(fits, runs) if fits else iter(runs), None)):
        return last
    fitting = [entry for entry in runs if entry["run_id"].startswith(reference)] if reference else []
    exact = [entry for entry in fitting if entry["run_id"] == reference]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        names = ", ".join(entry["run_id"] for entry in fitting[:_SHOWN])
        raise ConfigError(
            f"{len(fitting)} runs begin with {reference!r}: {names}",
            op="runs.find",
            code=Code.CONFLICT,
            hint="give more of the run id",
        )
    missing = f"run {reference!r}" if reference != "last" else wanted
    raise ConfigError(
        f"there is no {missing} under {str(root)!r}",
        op="runs.find",
        code=Code.NOT_FOUND,
        hint=f"the latest runs: {latest}" if runs else "no run is recorded there yet",
    )


def read_record(root: Path, run_id: str) -> Row | None:
    """The content of a run's `run.yaml`; `None` when the run has not written one.

    Raises:
        ConfigError: the file is not what a run writes.
    """
    from fmf_core.yaml_text import load_yaml_file

    path = root / run_id / RECORD
    if not path.exists():
        return None
    data = load_yaml_file(path).data
    if not _is_record(data):
        raise ConfigError(
            f"{str(path)!r} is not the record of a run, or is damaged",
            op="runs.read",
            hint="restore the file, or leave that run alone",
        )
    record: Row = data
    return record


def _is_record(data: object) -> bool:
    """Whether what others look up in a record can be looked up."""
    if not isinstance(data, dict) or not isinstance(data.get("status"), str):
        return False
    inputs, artefacts = data.get("inputs") or {}, data.get("artefacts") or []
    return (
        all(isinstance(part, dict) for part in (inputs, data.get("chain") or {}))
        and isinstance(inputs.get("select") or [], list)
        and isinstance(artefacts, list)
        and all(isinstance(file, dict) and isinstance(file.get("bytes"), int) for file in artefacts)
    )
