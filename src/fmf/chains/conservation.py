"""Nothing is lost: at the end of a run, what was handed out must be what came out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fmf.artefacts.files import CHUNKS, DOCS, ERRORS, OUTPUTS, ROWS
from fmf.artefacts.folder import RunFolder
from fmf.chains.tally import Tally
from fmf_core.errors import Code, FrameworkError

OP: Final = "run.sums"


def check_sums(folder: RunFolder, tally: Tally) -> None:
    """Compare what a run that came to its end has counted with what it was given and what it wrote.

    Only numbers are compared, which costs nothing; `fmf runs verify` compares the records themselves.

    Raises:
        FrameworkError: the sums do not add up; names them all.
    """
    wrong = list(_wrong(folder, tally))
    if wrong:
        raise FrameworkError(
            f"the sums of the run do not add up: {'; '.join(wrong)}",
            op=OP,
            code=Code.INTERNAL,
            hint="this is a fault of the program or of an extension, or somebody else wrote to the run's folder: look "
            f"with: fmf runs verify {folder.run_id}; and please report it",
        )


def _wrong(folder: RunFolder, tally: Tally) -> Iterator[str]:
    written = folder.counts()
    items, steps = tally.items, sum(count.ok + count.failed + count.skipped for count in tally.steps.values())
    if tally.items_read != items.total + tally.deferred:
        yield (
            f"{tally.items_read} items were handed out, {items.ok} are ok, {items.failed} failed, {items.skipped} "
            f"skipped, {tally.deferred} deferred"
        )
    pieces = [written[name] for name in (CHUNKS, ROWS) if name in written]
    for name, lines, counted, what in (
        (DOCS, written.get(DOCS), tally.documents.total, "documents"),
        (CHUNKS if CHUNKS in written else ROWS, sum(pieces) if pieces else None, tally.chunks, "chunks or rows"),
        (OUTPUTS, written.get(OUTPUTS), steps, "executions of steps"),
        (ERRORS, written.get(ERRORS), tally.failures, "failures"),
    ):
        if lines is not None and lines != counted:
            yield f"{name} has {lines} lines, and {counted} {what} were counted"
