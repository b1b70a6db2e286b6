"""`fmf keys`: whether the secrets can be resolved."""

from __future__ import annotations

import click

from fmf.cli.output import emit_json, emit_lines, note
from fmf.cli.session import Group, Session

keys = Group("keys", help="Test the secrets.")


@keys.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def test(session: Session, names: tuple[str, ...]) -> int | None:
    """Resolve secrets by logical name, and show which are there; never their values.

    Without names: all that the configuration maps, or, with the provider env, all in the .env file.
    """
    from fmf.auth.base import SecretNotFoundError
    from fmf.errors import AuthError, exit_status

    wanted = list(dict.fromkeys(names)) or session.secrets.names()
    missing: dict[str, SecretNotFoundError] = {}
    for name in wanted:
        try:
            session.secrets.resolve(name)
        except SecretNotFoundError as error:
            missing[name] = error
    if session.json:
        emit_json({"secrets": [{"name": name, "ok": name not in missing} for name in wanted]})
    else:
        emit_lines(f"{name} MISSING" if name in missing else f"{name}=**** OK" for name in wanted)
    if not wanted:
        note("no secrets are mapped, and none were named")
    for reason in missing.values():
        note(f"{reason.message}\nhint: {reason.hint}")
    return exit_status(AuthError("missing")) if missing else None
