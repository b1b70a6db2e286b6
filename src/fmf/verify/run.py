"""All checks of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fmf.artefacts.files import RECORD
from fmf.artefacts.history import find_run, read_record
from fmf.chains.run_schema import RunRecord
from fmf.errors import ConfigError
from fmf.ledger.hold import is_alive
from fmf.types import Row
from fmf.verify.answers import Asked, look_at_errors, look_at_items, look_at_outputs
from fmf.verify.books import look_at_ledger
from fmf.verify.check import Check
from fmf.verify.desk import Desk
from fmf.verify.documents import Read, look_at_documents, look_at_pieces
from fmf.verify.record import look_at_artefacts, look_at_counts, look_at_metrics
from fmf_core.errors import Code


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of the checks of a run."""

    run_id: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.ok for check in self.checks)


def verify_run(root: Path, reference: str) -> Verified:
    """Recompute what a run says of itself from its files and its ledger; blocks, and asks nobody.

    Memory does not grow with the run; what must be remembered lies in a temporary file.

    Args:
        root: the folder of all runs.
        reference: a run id, the beginning of one, or `last`.

    Raises:
        ConfigError: there is no such run, its folder is gone, or it is still going on.
    """
    entry = find_run(root, reference)
    run_id = str(entry["run_id"])
    folder = root / run_id
    if not folder.is_dir():
        raise ConfigError(
            f"the folder of run {run_id} is not there", op="runs.verify", code=Code.NOT_FOUND, hint=f"look into {root}"
        )
    if is_alive(folder):
        raise ConfigError(
            f"run {run_id} is still going on",
            op="runs.verify",
            code=Code.CONFLICT,
            hint="verify it when it has ended: until then its files grow",
        )
    record, told = _record(root, entry)
    with Desk(folder, record) as desk:
        return Verified(run_id, (told, *_checks(desk)))


def _checks(desk: Desk) -> list[Check]:
    read, asked = Read(), Asked()
    checks = [look_at_documents(desk, read), look_at_pieces(desk, read), look_at_outputs(desk, asked)]
    checks.append(look_at_items(desk, asked))
    errors, codes = look_at_errors(desk, asked, read.documents["failed"])
    checks += [errors, *look_at_ledger(desk, asked)]
    if desk.record is not None:
        checks.append(look_at_counts(desk, desk.record, read, asked, codes))
        checks.append(look_at_metrics(desk.record, asked))
        checks.append(look_at_artefacts(desk, desk.record))
    desk.lines.told = "whole JSON records"
    return [desk.lines, *checks]


def _record(root: Path, entry: Row) -> tuple[Row | None, Check]:
    """`run.yaml`, where it tells of the run as it is now."""
    check, run_id = Check("record"), str(entry["run_id"])
    try:
        record = read_record(root, run_id)
    except ConfigError as error:
        check.fault(error.message, RECORD)
        return None, check
    if record is None or entry.get("status") == "running":
        check.told = f"the run did not come to its end and has written no {RECORD}: its numbers are not compared"
        return None, check
    try:
        RunRecord.model_validate(record)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            check.fault(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", RECORD)
        return None, check
    check.equal("run_id", record["run_id"], run_id, RECORD)
    check.told = str(record["status"])
    return record, check
