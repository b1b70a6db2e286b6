"""`fmf connect`: what the sources of documents hold."""

from __future__ import annotations

import click

from fmf.cli.output import emit_json, emit_lines, note
from fmf.cli.session import Group, Session

connect = Group("connect", help="Look into the sources of documents.")


@connect.command("ls")
@click.argument("connector")
@click.option("--select", metavar="GLOB", multiple=True, help="Only paths that match; may be given several times.")
def ls(session: Session, connector: str, select: tuple[str, ...]) -> int | None:
    """List the resources of CONNECTOR, sorted: id, tab, address.

    Hidden files are listed only when a pattern names them.
    """
    from fmf.config.lookup import connector_named
    from fmf.connectors.base import build_connector, notices_of, retries_of
    from fmf.errors import NothingMatchedError, exit_status
    from fmf_core.redact import blank_known, blank_values

    source = build_connector(connector_named(session.config, connector), root=session.root, secrets=session.secrets)
    refs = source.list(select)
    count = 0
    if session.json:
        resources = [
            {"id": ref.id, "uri": ref.uri, "name": ref.name, "size": ref.size, "modified_at": ref.modified_at}
            for ref in refs
        ]
        count = len(resources)
        emit_json({"connector": connector, "resources": blank_values(resources), "retries": retries_of(source)})
    else:
        for count, ref in enumerate(refs, start=1):  # noqa: B007 - the number is the result
            emit_lines([(blank_known(ref.id), blank_known(ref.uri))])
    for reason, number in notices_of(source).items():
        note(f"{number} left out: {reason}")
    if again := retries_of(source):
        note(f"{again} {'request was' if again == 1 else 'requests were'} made again")
    if not count:
        note(f"nothing in connector {connector!r} matches {', '.join(select) or 'its patterns'}")
        return exit_status(NothingMatchedError("nothing"))
    return None
