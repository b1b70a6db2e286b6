"""How a command that made a run tells of it: its result on stdout, the summary and what ended it on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fmf.cli.output import emit_json, emit_lines, escape, note, warn
from fmf.cli.streams import tell as write_line
from fmf.cli.summary import machine_result, notice_lines, summary_lines

if TYPE_CHECKING:
    from fmf.chains.ending import RunReport
    from fmf.cli.session import Session


def tell(session: Session, report: RunReport, lines: Sequence[str]) -> int:
    """Write what a run came to and give its exit status.

    Args:
        session: the options of the command.
        report: the run.
        lines: the result for stdout, unless --json was asked for.
    """
    for line in notice_lines(report):
        warn(line)
    if session.json_logs:
        from fmf_core.logs import get_logger

        facts = {key: report.record[key] for key in ("counts", "metrics", "errors")}
        get_logger("fmf.cli").info(
            "run.ended", run_id=report.run_id, run_dir=str(report.run_dir), status=report.status, **facts
        )
    else:
        for line in summary_lines(report):
            note(line)
    if report.error is not None:
        _tell_error(session, report)
    if session.json:
        emit_json(machine_result(report))
    else:
        emit_lines(lines)
    return report.exit_status


def _tell_error(session: Session, report: RunReport) -> None:
    from fmf_core.redact import redact

    error = report.error
    if error is None:
        return
    if session.json_logs:
        from fmf_core.logs import get_logger

        get_logger("fmf.cli").error("command.failed", message=error.message, code=str(error.code), hint=error.hint)
        return
    write_line(escape(f"error: {redact(error.message)}"))
    if error.hint:
        write_line(escape(f"hint: {redact(error.hint)}"))
