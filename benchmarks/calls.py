"""Model calls through each client, in one run: CPU, throughput, streams, memory, and what each wrapper costs."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks import measure, page
from benchmarks.peers import environments
from benchmarks.peers.clients import CLIENTS, OURS, Client
from benchmarks.peers.process import ROOT, FailedError, PeerProcess
from benchmarks.server import Server

PAGE = ROOT / "docs" / "benchmarks.md"
LEVELS = (1, 64, 512)
HOLDS = (500, 2000)
LATENCY_MS = 200


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    seconds: float = 0.5
    """Of one cell of CPU."""
    hold_s: float = 8.0
    """Of one cell of throughput."""
    memory_calls: int = 100_000


QUICK = Size(rounds=1, seconds=0.05, hold_s=0.6, memory_calls=2000)


class Worker(PeerProcess):
    """A client in a process of its own."""

    def __init__(self, client: Client) -> None:
        super().__init__("benchmarks.peers.worker", client.name, client.environment)

    def ask(self, do: str, url: str, **order: Any) -> dict[str, Any]:
        """What the client's process measures with the server at `url`; raises `FailedError`."""
        return super().ask(do, url=url, **order)


@dataclass
class Row:
    """What was measured of one client."""

    client: Client
    cells: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """How many calls the first round made for a cell; the others make as many."""
    server_busy: list[float] = field(default_factory=list)
    """The server's share of one core, in every measurement."""
    why_not: str = ""

    def shown(self) -> list[str]:
        """The cells of the table."""
        pinned = self.client.distribution
        version = f" {environments.version(self.client.environment or '', pinned)}" if pinned else ""
        name = f"**{self.client.name}**" if self.client.name == OURS else f"{self.client.name}{version}"
        cells = [self._cell(f"calls {level}", "{:.0f}") for level in LEVELS]
        cells += [self._cell(f"hold {level}", "{:.0%}") for level in HOLDS]
        cells.append(self._cell("events", "{:.1f}"))
        cells.append(f"{max(self.server_busy):.0%}" if self.server_busy else "-")
        if self.why_not:
            name += f" (**not measured**: {self.why_not.replace('|', '/')})"
        return [name, *cells]

    def _cell(self, key: str, form: str) -> str:
        values = self.cells.get(key)
        return form.format(statistics.median(values)) if values else "-"


class Run:
    """Measures the clients one after the other while the others wait.

    Args:
        clients: which ones.
        size: how much.
        stack: ends the processes.
    """

    def __init__(self, clients: Sequence[Client], size: Size, stack: ExitStack) -> None:
        self.size = size
        self.rows = [Row(client) for client in clients]
        self._workers: dict[str, Worker] = {}
        self._servers = {0: Server(0), LATENCY_MS: Server(LATENCY_MS)}
        self._urls = {latency: stack.enter_context(server) for latency, server in self._servers.items()}
        for row in self.rows:
            try:
                worker = self._workers[row.client.name] = Worker(row.client)
                stack.callback(worker.close)
            except FailedError as failed:
                row.why_not = str(failed)

    def clients(self) -> list[Row]:
        """The table of all clients: rounds A B C, A B C."""
        for number in range(self.size.rounds):
            for level in LEVELS:
                self._each(f"round {number + 1}", "calls", f"calls {level}", at_once=level, seconds=self.size.seconds)
            self._each(f"round {number + 1}", "events", "events", seconds=self.size.seconds)
        for level in HOLDS:
            self._each("once", "hold", f"hold {level}", LATENCY_MS, at_once=level, seconds=self.size.hold_s)
        return self.rows

    def layers(self) -> list[list[str]]:
        """What each wrapper costs."""
        found = self._workers[OURS].ask("layers", self._urls[0], seconds=self.size.seconds, rounds=self.size.rounds)
        rows = []
        for row in found["layers"]:
            if row["stack_us"] is None:
                rows.append([f"+ `{row['layer']}`", "-", "nothing to do here", "-"])
            elif row["layer"] == "vendor":
                rows.append(["the vendor's model alone", "", f"{row['stack_us']:.0f}", ""])
            else:
                standard = "yes" if row["standard"] else "no"
                rows.append([f"+ `{row['layer']}`", standard, f"{row['stack_us']:.0f}", f"{row['own_us']:.1f}"])
        return rows

    def memory(self) -> list[str]:
        """How much memory many calls leave behind."""
        found = self._workers[OURS].ask("memory", self._urls[0], calls=self.size.memory_calls)
        growth = (found["after_mb"] - found["before_mb"]) * 1e6 / found["calls"]
        cells = [f"{found['calls']:,}", f"{found['before_mb']:.1f}", f"{found['after_mb']:.1f}", f"{growth:.1f}"]
        return [f"**{OURS}**", *cells]

    def _each(self, when: str, do: str, cell: str, latency: int = 0, **order: Any) -> None:
        print(f"{when}: {cell} ...", file=sys.stderr)
        for row in self.rows:
            if row.why_not:
                continue
            before = self._servers[latency].cpu_s()
            started = time.perf_counter()
            counted = {"count": row.counts[cell]} if cell in row.counts else {}
            try:
                found = self._workers[row.client.name].ask(do, self._urls[latency], **order, **counted)
            except FailedError as failed:
                row.why_not = f"{cell}: {failed}"
                continue
            wall_s, after = time.perf_counter() - started, self._servers[latency].cpu_s()
            if before is not None and after is not None:
                row.server_busy.append((after - before) / wall_s)
            if do != "hold":
                row.counts[cell] = found["calls"]
            ideal = order["at_once"] * 1000 / LATENCY_MS if do == "hold" else 0
            row.cells.setdefault(cell, []).append(found["per_s"] / ideal if do == "hold" else found["us"])


def main(options: Sequence[str] = ()) -> None:
    """Print the tables.

    `--write` puts them into docs/benchmarks.md as well, `--quick` only tries whether everything runs, `--only=NAME`
    leaves out clients without NAME in their names (ours always runs).
    """
    size = QUICK if "--quick" in options else Size()
    only = next((option.partition("=")[2] for option in options if option.startswith("--only=")), "")
    began = time.perf_counter()
    with ExitStack() as stack:
        run = Run([client for client in CLIENTS if client.name == OURS or only in client.name], size, stack)
        layers, memory, rows = run.layers(), run.memory(), run.clients()
    text = _told(rows, layers, memory, size, time.perf_counter() - began)
    print(text)
    if "--write" in options:
        write(text)
    if any(row.why_not for row in rows):
        print("some clients were NOT MEASURED; the table says why", file=sys.stderr)


def _told(rows: list[Row], layers: list[list[str]], memory: list[str], size: Size, took_s: float) -> str:
    head = ["client", *(f"us a call @{level}" for level in LEVELS), *(f"of the ideal @{level}" for level in HOLDS)]
    head += ["us a streamed event", "server busy"]
    reach = ["*to be reached by ours*", "", "150", "", "90%", "60%", "6", ""]
    how = (
        f"{page.machine()}, {took_s:.0f} s in all. Medians of {size.rounds} rounds in which the clients take turns; "
        "CPU is that of the client's process, user and system; @N: N calls under way. The ideal is N calls in "
        f"{LATENCY_MS} ms, held for {size.hold_s:g} s. `server busy` is the largest share of a core that the server "
        "needed: near 100% it would be the server that is measured. Every client is as it comes, its retries off, and "
        "every answer is compared."
    )
    parts = [
        how,
        measure.text("Clients", head, [*(row.shown() for row in rows), reach]),
        measure.text("Memory", ["client", "calls", "MB before", "MB after", "bytes a call"], [memory]),
        measure.text(
            "What it costs to switch a wrapper on",
            ["wrapper", "on by default", "us an HTTP call @64, with all above", "us of its own"],
            layers,
        ),
    ]
    return "\n".join(parts)


def write(text: str) -> None:
    """Put `text` between its markers in docs/benchmarks.md."""
    page.write(PAGE, "calls", text)
