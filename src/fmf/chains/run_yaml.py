"""The content of `run.yaml`: what a run was, with what it worked, and what came of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fmf.artefacts.folder import RunFolder
from fmf.artefacts.run_id import timestamp
from fmf.chains.budget import told_of
from fmf.chains.changes import processing_hash
from fmf.chains.tally import Tally
from fmf.connectors.base import notices_of, retries_of
from fmf.types import Row
from fmf_core.redact import redact_value

if TYPE_CHECKING:
    from fmf.chains.changes import Since
    from fmf.chains.prepared import Prepared
    from fmf.config.loader import LoadedConfig
    from fmf.connectors.base import DataConnector
    from fmf.ledger.run_ledger import RunLedger

SCHEMA_VERSION = 1
UNREAD = "pages of PDFs that have no text but pictures, while processing.images.ocr.enabled is off"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What is known of a run at its end."""

    status: str
    tally: Tally
    folder: RunFolder
    saved: Mapping[Path, tuple[int, str]] = field(default_factory=dict)
    """What the chain saved: path to (bytes, sha256)."""


def record_of(prepared: Prepared, ledger: RunLedger, end: RunEnd) -> Row:
    """The record of the run of a chain."""
    chain = prepared.chain
    end.tally.source_retries = retries_of(prepared.connector)
    path = str(chain.path) if chain.path else None
    source, sample = source_of(prepared.connector, prepared.select, prepared.since), prepared.sample
    if sample is not None:
        source |= {"sample": {"items": sample.size, "seed": sample.seed}}
    record = _record(
        prepared.loaded,
        end,
        chain={"name": prepared.plan.chain, "path": path, "hash": chain.hash},
        source=source,
        model={"name": prepared.provider, "model": prepared.model_name},
        prompts=[
            {"id": prompt.id, "version": prompt.version, "content_hash": prompt.content_hash}
            for prompt in prepared.plan.prompts
        ],
    )
    return {**record, "resumed": end.tally.resumed, "ledger": told_of(ledger, prepared.options.max_cost_usd)}


def process_record_of(
    loaded: LoadedConfig, end: RunEnd, connector: DataConnector, select: Sequence[str], since: Since | None
) -> Row:
    """The record of a run that reads and asks nothing."""
    end.tally.source_retries = retries_of(connector)
    return _record(loaded, end, chain=None, source=source_of(connector, select, since), model=None, prompts=[])


def source_of(connector: DataConnector, select: Sequence[str], since: Since | None = None) -> Row:
    """Where the input came from, and by reason what the listing left out; the latter is known once all was listed."""
    source: Row = {"connector": connector.name, "select": list(select)}
    if since is not None:
        source |= {"changed_since": since.run_id, "vanished": since.vanished}
    notices = [{"reason": reason, "count": count} for reason, count in notices_of(connector).items()]
    return {**source, "notices": notices} if notices else source


def _with_unread(source: Row, pages: int) -> Row:
    """The input with a notice of the pages that are in documents, but not in their texts."""
    if not pages:
        return source
    return {**source, "notices": [*source.get("notices", ()), {"reason": UNREAD, "count": pages}]}


def _record(
    loaded: LoadedConfig, end: RunEnd, *, chain: Row | None, source: Row, model: Row | None, prompts: list[Row]
) -> Row:
    from fmf import __version__

    ended_at = datetime.now(UTC)
    folder, tally = end.folder, end.tally
    record: Row = {
        "schema_version": SCHEMA_VERSION,
        "run_id": folder.run_id,
        "status": end.status,
        "started_at": timestamp(folder.started_at),
        "ended_at": timestamp(ended_at),
        "profile": loaded.profile,
        "config_hash": loaded.config_hash,
        "processing_hash": processing_hash(loaded.value.processing),
        "chain": chain,
        "versions": {"fmf": __version__, "python": platform.python_version()},
        "inputs": {
            **_with_unread(source, tally.unread_pages),
            **({"unchanged": tally.unchanged} if "changed_since" in source else {}),
            "documents": tally.documents.total,
            "bytes": tally.bytes,
        },
        "provider": model,
        "prompts_used": prompts,
        "counts": tally.counts(),
        "metrics": tally.metrics(max(0.0, (ended_at - folder.started_at).total_seconds() * 1000)),
        "errors": tally.errors(),
        "exports": [],
        "artefacts": folder.artefacts(end.saved),
    }
    redacted: Row = redact_value(record)
    return redacted
