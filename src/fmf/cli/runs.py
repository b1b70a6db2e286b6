"""`fmf runs`: past runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.output import emit_json, emit_lines, emit_text, note, table, warn
from fmf.cli.session import Group, Session

if TYPE_CHECKING:
    from pathlib import Path

runs = Group("runs", help="Look at past runs, verify them, remove old ones.")

_COLUMNS = ("run", "status", "connector", "chain", "started", "ok", "failed")


@runs.command("ls")
def ls(session: Session) -> None:
    """List all runs, newest first: id, status, connector, chain, start, items that are ok and that failed."""
    from fmf.artefacts.history import list_runs

    root = _root(session)
    entries = [_as_it_is(root, entry) for entry in list_runs(root)]
    if session.json:
        emit_json({"artefacts_dir": str(root), "runs": entries})
        return
    table(_COLUMNS, [_cells(entry) for entry in entries])
    if not entries:
        note(f"no run is recorded under {root}")


@runs.command("show")
@click.argument("run_id")
def show(session: Session, run_id: str) -> None:
    """Show the record of one run; RUN_ID may be cut short, and `last` is the latest run."""
    from fmf.artefacts.files import LEDGER, RECORD
    from fmf.artefacts.history import find_run, read_record

    root = _root(session)
    entry = _as_it_is(root, find_run(root, run_id))
    record = read_record(root, entry["run_id"])
    path = root / entry["run_id"]
    if session.json:
        emit_json({**(record or entry), "run_dir": str(path)})
    elif record is None:
        emit_text("\n".join(f"{key}: {value}" for key, value in entry.items()))
        note(f"the run has written no {RECORD}: it is still going on, or was ended from outside")
        if entry["status"] == "interrupted" and (path / LEDGER).exists():
            note(f"go on with it: fmf run --resume {entry['run_id']}")
    else:
        emit_text((path / RECORD).read_text(encoding="utf-8"), end="")
        note(f"in {path}")


@runs.command("verify")
@click.argument("run_id")
def verify(session: Session, run_id: str) -> int:
    """Recompute from its files and its ledger what a run says of itself; a line for each check.

    RUN_ID may be cut short, and `last` is the latest run. Exit status 1 says that something is wrong.
    """
    from fmf.errors import DONE, UNEXPECTED
    from fmf.verify.run import verify_run

    found = verify_run(_root(session), run_id)
    if session.json:
        emit_json({"run_id": found.run_id, "ok": found.ok, "checks": [check.as_row() for check in found.checks]})
    else:
        emit_lines(line for check in found.checks for line in check.lines())
    return DONE if found.ok else UNEXPECTED


@runs.command("prune")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="How many runs stay.  [default: artefacts_retain_last]"
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
def prune(session: Session, keep: int | None, dry_run: bool) -> int:
    """Remove the folders of all but the latest runs; a run that is going on stays, and so does anything else."""
    from fmf.chains.retention import prune as prune_runs
    from fmf.errors import DONE, UNEXPECTED

    wanted = keep or session.config.artefacts_retain_last
    if wanted is None:
        raise click.UsageError("say how many runs stay: --keep N, or artefacts_retain_last in fmf.yaml")
    pruned = prune_runs(_root(session), wanted, dry_run=dry_run)
    if session.json:
        emit_json({"dry_run": dry_run, **asdict(pruned)})
    else:
        emit_lines(f"{'would be removed' if dry_run else 'removed'} {run_id}" for run_id in pruned.removed)
    for run_id in pruned.going_on:
        note(f"run {run_id} is going on and stays")
    for run_id, reason in pruned.failed.items():
        warn(f"run {run_id} could not be removed: {reason}")
    return UNEXPECTED if pruned.failed else DONE


def _as_it_is(root: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a run, which was interrupted where it says that it is going on and no process runs it."""
    from fmf.ledger.hold import LOCK_NAME, is_alive

    folder = root / entry["run_id"]
    if entry["status"] == "running" and (folder / LOCK_NAME).exists() and not is_alive(folder):
        return {**entry, "status": "interrupted"}
    return entry


def _root(session: Session) -> Path:
    from fmf.artefacts.folder import artefacts_root

    return artefacts_root(session.config.artefacts_dir, session.root)


def _cells(entry: dict[str, Any]) -> tuple[Any, ...]:
    items = entry.get("items")
    items = items if isinstance(items, dict) else {}
    known = ("run_id", "status", "connector", "chain", "started_at")
    return (*(entry.get(key) for key in known), items.get("ok"), items.get("failed"))
