"""`fmf process`: documents into chunks."""

from __future__ import annotations

import click

from fmf.cli.descriptors import room_for_calls
from fmf.cli.session import Session, command


@command("process", help="Turn documents into chunks: docs.jsonl and chunks.jsonl in a folder of their own.")
@click.option("--connector", metavar="NAME", required=True, help="Where the documents come from.")
@click.option("--select", metavar="GLOB", multiple=True, help="Only paths that match; may be given several times.")
@click.option("--changed-since", metavar="RUN_ID", help="Read only what is new or changed since that run; or `last`.")
def process(session: Session, connector: str, select: tuple[str, ...], changed_since: str | None) -> int:
    """Read documents and tell what came of it."""
    from fmf.chains.process import ProcessRun
    from fmf.cli.progress import watching
    from fmf.cli.signals import stopping
    from fmf.cli.telling import tell

    session.warn_of_planned()
    session.begin()
    room_for_calls(1)  # nothing is asked, one document is open at a time
    reading = ProcessRun(session.loaded, session.secrets, connector, select, changed_since)
    with stopping(reading.stop, said=session.interactive), watching(reading.tally, shown=session.interactive):
        report = reading.execute()
    documents = report.tally.documents
    lines = [
        f"run_id={report.run_id}",
        f"run_dir={report.run_dir}",
        f"docs={documents.ok}",
        f"chunks={report.tally.chunks}",
        f"skipped={documents.skipped}",
        f"failed={documents.failed}",
    ]
    if changed_since is not None:
        lines += [f"unchanged={report.tally.unchanged}", f"vanished={report.record['inputs']['vanished']}"]
    return tell(session, report, lines)
