"""Markdown cut to 800 tokens by our chunker and those of others, in one run: MB a second of CPU, and its growth."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure, page
from benchmarks.documents.drafts import Draft
from benchmarks.documents.formats import WRITERS
from benchmarks.peers import environments
from benchmarks.peers.chunkers import CHUNKERS, OURS, Chunker, named
from benchmarks.peers.process import ROOT, FailedError, PeerProcess

PAGE = ROOT / "docs" / "documents-benchmarks.md"
WORKER = "benchmarks.peers.chunk_worker"
WANTED_MB_S = 60
DOCUMENT_CHARACTERS = 20_000


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    seconds: float = 2.0
    """Of CPU that a chunker may take in a round."""
    documents_mb: float = 15
    one: tuple[float, float] = (1, 10)
    """Sizes of a single document, in MB."""


QUICK = Size(rounds=1, seconds=0.05, documents_mb=0.2, one=(0.02, 0.2))


@dataclass
class Row:
    """What was measured of one chunker."""

    peer: Chunker
    mb_s: list[float] = field(default_factory=list)
    """Over documents of about 20 kB, round by round."""
    chunks_per_mb: float = 0
    one: list[float] = field(default_factory=list)
    """MB a second over single documents, by size."""
    why_not: str = ""

    def cells(self, ours: Sequence[float]) -> list[str]:
        """Its line of the table; ratios are made within a round."""
        pinned = self.peer.distribution
        version = f" {environments.version(self.peer.environment or '', pinned)}" if pinned else ""
        name = f"**{self.peer.name}**" if self.peer.name.startswith(OURS) else f"{self.peer.name}{version}"
        if not self.mb_s:
            return [f"{name} (**not measured**)", self.peer.counts, *["-"] * 6]
        ratio = statistics.median(left / right for left, right in zip(ours, self.mb_s, strict=False))
        middle = f"{statistics.median(self.mb_s):.1f} ({min(self.mb_s):.1f}-{max(self.mb_s):.1f})"
        small, large = (*(f"{value:.1f}" for value in self.one), "-", "-")[:2]
        growth = f"{self.one[0] / self.one[1]:.2f}" if len(self.one) == 2 else "-"
        return [name, self.peer.counts, middle, f"{ratio:.1f}", f"{self.chunks_per_mb:.0f}", small, large, growth]


def main(options: Sequence[str] = ()) -> None:
    """Print the table.

    `--write` puts it into docs/documents-benchmarks.md as well, `--quick` only tries whether everything runs,
    `--only=NAME` leaves out chunkers of others without NAME in their names.
    """
    size = QUICK if "--quick" in options else Size()
    only = next((option.partition("=")[2] for option in options if option.startswith("--only=")), "")
    began = time.perf_counter()
    rows = [Row(peer) for peer in CHUNKERS if peer.environment is None or only in peer.name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.json"
        path.write_text(json.dumps(documents(size.documents_mb, Path(folder))), encoding="utf-8")
        run(rows, size, path)
    text = told(rows, size, time.perf_counter() - began)
    print(text)
    if "--write" in options:
        page.write(PAGE, "chunking", text)
    for row in rows:
        if row.why_not:
            print(f"{row.peer.name} was NOT MEASURED, or not to its end: {row.why_not}", file=sys.stderr)


def documents(megabytes: float, folder: Path) -> list[str]:
    """Markdown files of about 20 kB."""
    found: list[str] = []
    while sum(map(len, found)) < megabytes * 1e6:
        path = folder / "document.md"
        WRITERS["md"](Draft(f"chunking/{len(found)}.md", DOCUMENT_CHARACTERS), path)
        found.append(path.read_text(encoding="utf-8"))
    return found


def run(rows: Sequence[Row], size: Size, path: Path) -> None:
    """Fill the rows; the chunkers take turns."""
    with ExitStack() as stack:
        processes = started(rows, stack)
        for which in range(size.rounds):
            for row in rows:
                # Every round has documents of its own, because some chunkers remember what they have counted before.
                if found := asked(row, processes, path, seconds=size.seconds, first=which, step=size.rounds):
                    row.mb_s.append(found["mb_s"])
                    row.chunks_per_mb = found["chunks_per_mb"]
    for megabytes in size.one:
        with ExitStack() as stack:
            processes = started(rows, stack)
            for row in rows:
                if found := asked(row, processes, path, megabytes=megabytes):
                    row.one.append(found["mb_s"])


def started(rows: Sequence[Row], stack: ExitStack) -> dict[str, PeerProcess]:
    """A process of each chunker that has not failed."""
    processes = {}
    for row in rows:
        if row.why_not:
            continue
        try:
            process = PeerProcess(WORKER, named(row.peer), row.peer.environment)
        except FailedError as error:
            row.why_not = str(error)
            continue
        stack.callback(process.close)
        processes[named(row.peer)] = process
    return processes


def asked(row: Row, processes: Mapping[str, PeerProcess], path: Path, **order: float) -> dict[str, Any]:
    """What its process measures; nothing if it has failed."""
    if row.why_not:
        return {}
    try:
        return processes[named(row.peer)].ask("cut", documents=str(path), **order)
    except FailedError as error:
        row.why_not = str(error)
        return {}


def told(rows: Sequence[Row], size: Size, seconds: float) -> str:
    """The table, with what was measured and where."""
    ours = rows[0].mb_s
    reached = bool(ours) and statistics.median(ours) >= WANTED_MB_S
    head = ["chunker", "counts", "MB/s", "ours is faster by", "chunks a MB"]
    head += [*(f"MB/s, one of {megabytes:g} MB" for megabytes in size.one), "slower by"]
    about = (
        f"{page.machine()}, load {os.getloadavg()[0]:.1f} at the end, {seconds:.0f} s in all. Medians of {size.rounds} "
        "rounds (lowest-highest) in which the chunkers take turns; MB of UTF-8 a second of CPU of one process."
    )
    goal = f"To be reached: {WANTED_MB_S} MB/s with exact tokens: {'reached' if reached else '**not reached**'}."
    return f"{about}\n\n{goal}\n{measure.text('Chunking', head, [row.cells(ours) for row in rows])}"
