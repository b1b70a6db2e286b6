"""The end of a run, however it comes: its line in `errors.jsonl`, closed files, `run.yaml` and the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fmf.artefacts.files import ERRORS
from fmf.artefacts.folder import RunFolder
from fmf.chains.conservation import check_sums
from fmf.chains.records import Stage, run_error_row
from fmf.chains.run_yaml import RunEnd
from fmf.chains.stop import Stop, StopReason
from fmf.chains.tally import Tally
from fmf.chains.verdict import Status, verdict
from fmf.errors import ConnectorError, ProcessingError, exit_status
from fmf.types import Row
from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import redact
from fmf_core.starved import MORE_MEMORY, wants_memory


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended and what it left."""

    run_id: str
    run_dir: Path
    status: Status
    exit_status: int
    record: Row
    """The content of `run.yaml`."""
    tally: Tally
    saved: tuple[Path, ...] = ()
    """What the chain saved."""
    error: FrameworkError | None = None
    """What ended the run, when it was no failure of a document or an item."""


@dataclass(slots=True)
class Ending:
    """Ends a run so that its folder tells how; everything here blocks.

    Args:
        folder: the run's folder.
        tally: what became of documents, items and steps.
        stop: says whether the run was to stop before its end.
        record: makes the content of `run.yaml`.
    """

    folder: RunFolder
    tally: Tally
    stop: Stop
    record: Callable[[RunEnd], Row]
    item_steps: Sequence[str] = ()
    """The steps that run once per item, in order."""
    stage: Stage = "read"
    """What the run is doing; a fault of the program itself is recorded as having happened there."""
    saved: dict[Path, tuple[int, str]] = field(default_factory=dict)
    """What the chain saved so far: path to (bytes, sha256)."""

    def after(self, error: Exception | None) -> RunReport:
        """End a run that came to its end, or that `error` ended.

        Anything but a `FrameworkError` becomes one with the code INTERNAL, so that it is recorded and reported too.
        """
        known = error if error is None or isinstance(error, FrameworkError) else _internal(error)
        if known is not None:
            self._note(known, self.stage if known is not error else stage_of(known))
            return self._finish(known)
        try:
            check_sums(self.folder, self.tally)
        except FrameworkError as unequal:
            self._note(unequal, "save")
            known = unequal
        return self._finish(known)

    def broken_off(self, reason: StopReason) -> None:
        """End a run that has no time left: what is there is closed and recorded, with `reason` if nothing came before.

        For use where an exception such as `KeyboardInterrupt` is about to be raised on.
        """
        self.stop.request(reason)
        cut = self.tally.break_off(self.item_steps)
        if cut:
            self._note(_cut_off(cut), "infer")
        self._finish(None)

    def _note(self, error: FrameworkError, stage: Stage) -> None:
        row = run_error_row(self.folder.run_id, stage, error)
        self.tally.count_problem(row, exit_status(error))
        with suppress(FrameworkError):  # the disk may be full: that is then what ended the run
            self.folder.lines(ERRORS).write(row)

    def _finish(self, error: FrameworkError | None) -> RunReport:
        folder = self.folder
        try:
            folder.close()
        except FrameworkError as failure:
            error = error or failure
        status, exit_code = verdict(self.tally, self.stop.reason, error)
        record = self.record(RunEnd(status, self.tally, folder, self.saved))
        facts: Row = {"status": status, "ended_at": record["ended_at"]}
        if record["chain"] is not None:
            facts["items"] = record["counts"]["items"]
        try:
            folder.finish(record, facts)
        except FrameworkError as failure:
            error = error or failure
            status, exit_code = "failed", exit_status(error)
        return RunReport(folder.run_id, folder.path, status, exit_code, record, self.tally, tuple(self.saved), error)


def stage_of(error: FrameworkError) -> Stage:
    """Where a run was that `error` ended."""
    if isinstance(error, ConnectorError):
        return "connect"
    return "read" if isinstance(error, ProcessingError) else "save"


def _cut_off(count: int) -> FrameworkError:
    return FrameworkError(
        f"{count} {'item was' if count == 1 else 'items were'} under way when the run was broken off: whether their "
        "calls were answered, and billed, is not known",
        op="run.stop",
        code=Code.CANCELLED,
        hint="interrupt once and wait: calls in flight may then finish within inference.cancel_grace_s",
    )


def _internal(error: Exception) -> FrameworkError:
    starved = wants_memory(error)
    fault = "this is a fault of the program or of an extension, not of your documents: please report it"
    wrapped = FrameworkError(
        f"the run broke off with an unexpected {type(error).__name__}: {redact(str(error))}",
        op="run.execute",
        code=Code.UNAVAILABLE if starved else Code.INTERNAL,
        hint=MORE_MEMORY if starved else fault,
    )
    wrapped.__cause__ = error
    return wrapped
