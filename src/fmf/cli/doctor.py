"""`fmf doctor`: whether everything that the configuration needs is there."""

from __future__ import annotations

from dataclasses import asdict

from fmf.cli.output import emit_json, note, table
from fmf.cli.session import Session, command


@command("doctor")
def doctor(session: Session) -> int | None:
    """Say what is installed, configured and reachable; exit 0 only when all that is needed is well."""
    from fmf.cli.checks import checks
    from fmf_core.redact import redact

    found = list(checks(session))
    failed = [check for check in found if check.state == "failed"]
    if session.json:
        emit_json({"ok": not failed, "checks": [{**asdict(check), "detail": redact(check.detail)} for check in found]})
    else:
        table(("check", "state", "detail"), [(check.name, check.state, redact(check.detail)) for check in found])
        for check in failed:
            if check.hint:
                note(f"{check.name}: {check.hint}")
    return failed[0].exit_status or 1 if failed else None
