"""What a run is begun with, and where a process takes it up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmf.artefacts.files import CHUNKS, DOCS, ROWS
from fmf.artefacts.folder import RunFolder
from fmf.artefacts.lines import raw_lines, row_of
from fmf.chains.changes import processing_hash
from fmf.chains.position import BEGINNING, Position
from fmf.ledger.run_ledger import RunLedger
from fmf.types import Document, ResourceRef, Row

if TYPE_CHECKING:
    from fmf.chains.prepared import Prepared
    from fmf.chains.unfinished import Unfinished
    from fmf.ledger.checkpoint import Checkpoint
    from fmf.ledger.view import LedgerView


def facts_of(prepared: Prepared) -> Row:
    """What decides the items and answers of a run, and where its chain is found."""
    since, sample = prepared.since, prepared.sample
    return {
        "chain_path": str(prepared.chain.path.absolute()) if prepared.chain.path else None,
        "chain_hash": prepared.chain.hash,
        "prompts": [f"{prompt.ref} {prompt.content_hash}" for prompt in prepared.plan.prompts],
        "processing_hash": processing_hash(prepared.loaded.value.processing),
        "connector": prepared.connector.name,
        "select": list(prepared.select),
        "limit": prepared.limit,
        "sample": sample and [sample.size, sample.seed],
        "changed_since": since.run_id if since else None,
        "provider": prepared.provider,
        "model": prepared.model_name,
        "identity": prepared.identity,
    }


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that this process runs: its folder, its ledger, and where it stands."""

    folder: RunFolder
    ledger: RunLedger
    position: Position = BEGINNING
    tally: Mapping[str, Any] | None = None
    """What an earlier process has counted."""
    last_id: str | None = None
    """The last resource that is not read again."""
    others: Sequence[LedgerView] = ()
    """The ledgers of the runs whose answers are used again."""

    def behind(self, refs: Iterable[ResourceRef | Document]) -> Iterator[ResourceRef | Document]:
        """Those of `refs`, sorted by id, that were not read before."""
        if self.last_id is None:
            return iter(refs)
        last = self.last_id
        return (ref for ref in refs if (ref.resource_id if isinstance(ref, Document) else ref.id) > last)


def take_up(unfinished: Unfinished) -> Opened:
    """Take an unfinished run over; blocks.

    Raises:
        ConfigError: another process runs it, or its ledger is damaged.
        FrameworkError: its files are shorter than its ledger says.
    """
    path = unfinished.root / unfinished.run_id
    ledger = RunLedger.resume(path)
    try:
        started_at = datetime.fromisoformat(unfinished.facts["started_at"])
        kept: Checkpoint | None = ledger.checkpoint
        if kept is None:
            return Opened(RunFolder(unfinished.root, unfinished.run_id, started_at), ledger)
        position = Position(**kept.position)
        sizes = {**kept.bytes_of, DOCS: position.docs_read, **dict.fromkeys((CHUNKS, ROWS), position.pieces_read)}
        folder = RunFolder(unfinished.root, unfinished.run_id, started_at, sizes)
        folder.lines(DOCS)  # cuts it, and sees that all of it is there
        return Opened(folder, ledger, position, kept.tally, _last_id(path / DOCS, position.docs_read))
    except BaseException:
        ledger.abandon()
        raise


def _last_id(path: Path, size: int) -> str | None:
    """The id in the last line of the first `size` bytes of `path`, which is found from behind."""
    if not size:
        return None
    begin, step = size, 1 << 16
    with path.open("rb") as file:
        while begin:
            begin = max(0, begin - step)
            step *= 2
            file.seek(begin)
            block = file.read(size - begin - 1)
            cut = block.rfind(b"\n")
            if cut >= 0 or not begin:
                _, line = next(raw_lines(path, begin + cut + 1))
                return str(row_of(line, path)["resource_id"])
    return None
