"""`fmf run`: a chain over documents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.descriptors import room_for_calls
from fmf.cli.output import note, warn
from fmf.cli.session import Session, command

if TYPE_CHECKING:
    from fmf.chains.ending import RunReport
    from fmf.chains.prepared import Prepared, RunOptions
    from fmf.chains.run import ChainRun


@command("run", help="Run a chain: read documents, ask the model about each item, write the answers as records.")
@click.option("--chain", metavar="FILE", help="The chain file.  [default: run.chain_config of fmf.yaml]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take the first N items (chunks, or documents where inputs.mode is documents) and read no further.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take N items spread evenly over all documents; the same ones each time.",
)
@click.option("--sample-seed", type=int, default=0, metavar="N", help="Draw another sample.")
@click.option(
    "--concurrency", type=click.IntRange(1, 1024), metavar="N", help="Calls at once.  [default: the chain's, or 8]"
)
@click.option("--changed-since", metavar="RUN_ID", help="Take only what is new or changed since that run; or `last`.")
@click.option("--resume", metavar="RUN_ID", help="Go on with a run that did not come to its end; or `last`.")
@click.option("--reuse", metavar="RUN_ID", help="Take the answers that run has instead of asking again; or `all`.")
@click.option(
    "--max-cost", type=click.FloatRange(min=0), metavar="USD", help="The most that all calls of the run may cost."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be asked, and what it would cost; nobody is asked.")
@click.option("--allow-unpriced", is_flag=True, help="Count models without a known price as free.")
def run(session: Session, chain: str | None, **given: Any) -> int:
    """Run a chain and tell what came of it."""
    from fmf.chains.prepare import chain_path, prepare
    from fmf.chains.prepared import RunOptions
    from fmf.chains.run import ChainRun
    from fmf.cli.progress import watching
    from fmf.cli.signals import stopping
    from fmf.cli.telling import tell

    session.warn_of_planned()
    session.begin()
    given["max_cost_usd"] = given.pop("max_cost")
    options = RunOptions(**given)
    if options.limit is not None and options.sample is not None:
        raise click.UsageError("--limit cannot stand beside --sample: one takes the first items, the other some of all")
    if options.sample_seed and options.sample is None:
        raise click.UsageError("--sample-seed needs --sample N")
    if options.resume is not None:
        _refuse_beside_resume(options)
    path = None if options.resume is not None and chain is None else chain_path(session.loaded, chain)
    prepared = prepare(session.loaded, session.secrets, path, options)
    if options.dry_run:
        return _planned(session, prepared)
    room = room_for_calls(prepared.concurrency)
    if room < prepared.concurrency:
        warn(f"the process may open few files (ulimit -n): {room} calls at once instead of {prepared.concurrency}")
        prepared = replace(prepared, options=replace(options, concurrency=room))
    chain_run = ChainRun(prepared)
    with (
        stopping(chain_run.stop, said=session.interactive),
        watching(chain_run.tally, shown=session.interactive, total=options.limit or options.sample),
    ):
        report = _executed(chain_run)
    lines = [f"run_id={report.run_id}", f"run_dir={report.run_dir}", f"status={report.status}"]
    return tell(session, report, lines)


def _planned(session: Session, prepared: Prepared) -> int:
    from fmf.chains.dry_run import dry_run
    from fmf.cli.plan import tell_plan

    return tell_plan(session, dry_run(prepared))


def _refuse_beside_resume(options: RunOptions) -> None:
    for name in ("limit", "sample", "changed_since"):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} cannot stand beside --resume: it is what the run was begun with")


def _executed(chain_run: ChainRun) -> RunReport:
    """The run to its end; a second interrupt, which ends it at once, still says where its artefacts are."""
    try:
        return chain_run.execute()
    except KeyboardInterrupt:
        if chain_run.folder is not None:
            note(f"broken off; what was done lies in {chain_run.folder.path}")
        raise
