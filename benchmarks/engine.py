"""Three steps through each workflow engine, in one run: CPU of a step, growth with many at once, memory, log lines."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks import measure, page
from benchmarks.peers import environments
from benchmarks.peers.engines import CONVENIENT, ENGINES, FLOOR, OURS, WITH_MODEL, Engine
from benchmarks.peers.loggers import LOGGERS, Logger
from benchmarks.peers.process import ROOT, FailedError, PeerProcess

PAGE = ROOT / "docs" / "engine-benchmarks.md"
SC_008 = 0.20
"""How much higher the overhead may be with 100 workflows at once than with one, as a share."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 0.5
    """Of one cell of CPU."""
    levels: tuple[int, int, int] = (1, 100, 1000)
    """How many workflows are under way at once."""
    in_flight: int = 1000
    """How many of them wait in the model when memory is measured."""
    lines: int = 50_000


QUICK = Size(rounds=1, seconds=0.02, levels=(1, 10, 50), in_flight=50, lines=1000)


@dataclass
class Row:
    """What was measured of one engine, or of one logger."""

    peer: Engine | Logger
    cells: dict[str, list[float]] = field(default_factory=dict)
    """Round by round; engines that leave out some rounds leave out the last ones."""
    counts: dict[int, int] = field(default_factory=dict)
    """How many workflows the first round ran at a level; the others run as many."""
    memory: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is a row of this project."""
        return self.peer.name.startswith(OURS)

    def title(self) -> str:
        """The first cell of its lines."""
        pinned = self.peer.distribution
        version = f" {environments.version(self.peer.environment or '', pinned)}" if pinned else ""
        name = f"**{self.peer.name}**" if self.ours else f"{self.peer.name}{version}"
        return f"{name} (**not measured**)" if self.why_not else name

    def middle(self, key: str) -> float | None:
        """The median of a cell; `None` where nothing was measured."""
        values = self.cells.get(key)
        return statistics.median(values) if values else None


def compared(left: Sequence[float] | None, right: Sequence[float] | None, how: Callable[[float, float], float]) -> Any:
    """The median of what `how` makes of two cells, round by round; `None` where one of them is empty."""
    values = [how(a, b) for a, b in zip(left or (), right or (), strict=False)]
    return statistics.median(values) if values else None


def growth(before: float, after: float) -> float:
    """By which share `after` is higher."""
    return after / before - 1 if before > 0 else float("nan")


class Run:
    """Measures the engines one after the other while the others wait.

    Args:
        engines: which ones; plain await is the first.
        size: how much.
        stack: ends the processes and removes what they wrote.
    """

    def __init__(self, engines: Iterable[Engine], size: Size, stack: ExitStack) -> None:
        self.size = size
        self.rows = [Row(engine) for engine in engines]
        self.loggers = [Row(logger) for logger in LOGGERS]
        self._stack = stack
        self._folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))

    def memory(self) -> None:
        """A workflow in flight, each engine in a fresh process."""
        for row in self._usable(self.rows, "memory"):
            assert isinstance(row.peer, Engine)
            try:
                process = self._process("engine", row.peer)
            except FailedError as failed:
                row.why_not = str(failed)
                continue
            try:
                row.memory = process.ask("memory", in_flight=min(self.size.in_flight, row.peer.most))
            except FailedError as failed:
                row.why_not = str(failed)
            finally:
                process.close()

    def speed(self) -> None:
        """CPU and wall of a step: rounds A B C, A B C, at every level."""
        processes = self._processes("engine", self.rows)
        for number in range(self.size.rounds):
            for level in self.size.levels:
                for row in self._usable(self.rows, f"round {number + 1}: {level} at once"):
                    assert isinstance(row.peer, Engine)
                    if level > row.peer.most or number >= row.peer.rounds:
                        continue
                    self._step(row, processes[row.peer.name], level)

    def _step(self, row: Row, process: PeerProcess, level: int) -> None:
        counted = {"count": row.counts[level]} if level in row.counts else {}
        try:
            found = process.ask("speed", at_once=level, seconds=self.size.seconds, **counted)
        except FailedError as failed:
            row.why_not = f"{level} at once: {failed}"
            return
        row.counts[level] = found["count"]
        row.cells.setdefault(f"cpu {level}", []).append(found["cpu"])
        row.cells.setdefault(f"wall {level}", []).append(found["wall"])

    def lines(self) -> None:
        """CPU of a log line, in rounds as well."""
        processes = self._processes("logger", self.loggers)
        for number in range(self.size.rounds):
            for row in self._usable(self.loggers, f"round {number + 1}: log lines"):
                try:
                    found = processes[row.peer.name].ask("lines", lines=self.size.lines)
                except FailedError as failed:
                    row.why_not = str(failed)
                    continue
                row.cells.setdefault("line", []).append(found["us"])

    def _processes(self, kind: str, rows: Sequence[Row]) -> dict[str, PeerProcess]:
        found = {}
        for row in self._usable(rows, f"starting the {kind}s"):
            try:
                process = found[row.peer.name] = self._process(kind, row.peer)
            except FailedError as failed:
                row.why_not = str(failed)
                continue
            self._stack.callback(process.close)
        return found

    def _process(self, kind: str, peer: Engine | Logger) -> PeerProcess:
        name = f"{kind}:{peer.name}"
        return PeerProcess("benchmarks.peers.engine_worker", name, peer.environment, {"TMPDIR": self._folder})

    @staticmethod
    def _usable(rows: Sequence[Row], what: str) -> list[Row]:
        print(f"{what} ...", file=sys.stderr)
        return [row for row in rows if not row.why_not]


class Tables:
    """What is told of a finished run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.levels = run.size.levels
        self._rows = {row.peer.name: row for row in run.rows}
        self._floor = self._rows[FLOOR]

    def text(self, took_s: float) -> str:
        """All tables, with how they were made."""
        one, hundred, thousand = self.levels
        return "\n".join(
            [
                self._how(took_s),
                *self._not_measured(),
                measure.text("What is to be reached", ["by ours", "at most", "measured", ""], self.goals()),
                measure.text(
                    "A step",
                    [
                        "engine",
                        *(f"us CPU @{level}" for level in self.levels),
                        *(f"us wall @{level}" for level in self.levels),
                        f"x plain await @{hundred}",
                    ],
                    [self._step_line(row) for row in self.run.rows],
                ),
                measure.text(
                    "Growth with the number of workflows at once",
                    [
                        "engine",
                        f"CPU {one} -> {hundred}",
                        f"CPU {hundred} -> {thousand}",
                        *(f"us above plain await @{level}" for level in self.levels),
                        f"overhead {one} -> {hundred}",
                        f"of the {SC_008:.0%} that SC-008 allows",
                        f"overhead {hundred} -> {thousand}",
                    ],
                    [self._growth_line(row) for row in self.run.rows],
                ),
                measure.text(
                    "Memory of a workflow in flight",
                    ["engine", "in flight", "kB of Python objects", "kB resident"],
                    [self._memory_line(row) for row in self.run.rows],
                ),
                measure.text(
                    "A JSON log line at INFO",
                    ["logger", "us a line"],
                    [[row.title(), shown(row.middle("line"), "{:.1f}")] for row in self.run.loggers],
                ),
            ]
        )

    def _how(self, took_s: float) -> str:
        return (
            f"{page.machine()}, {took_s:.0f} s in all. Medians of {self.run.size.rounds} rounds in which the engines "
            "take turns; ratios and differences are made within a round, and their medians shown. CPU is that of the "
            "client's process, user and system; @N: N workflows begun together, each in a task of its own. Memory: all "
            "of them wait in the model, in a fresh process. Every answer and every line is compared."
        )

    def _not_measured(self) -> list[str]:
        rows = [row for row in (*self.run.rows, *self.run.loggers) if row.why_not]
        return ["", *(f"* {row.title()}: {' '.join(row.why_not.split())}" for row in rows)] if rows else []

    def _step_line(self, row: Row) -> list[str]:
        hundred = f"cpu {self.levels[1]}"
        times = compared(row.cells.get(hundred), self._floor.cells.get(hundred), lambda own, floor: own / floor)
        cells = [shown(row.middle(f"{kind} {level}"), "{:.1f}") for kind in ("cpu", "wall") for level in self.levels]
        return [row.title(), *cells, shown(times, "{:.1f}")]

    def _growth_line(self, row: Row) -> list[str]:
        one, hundred, thousand = self.levels
        above = [self.overhead(row, level) for level in self.levels]
        first, second = compared(above[0], above[1], growth), compared(above[1], above[2], growth)
        cells = [shown(self.cpu_growth(row, one, hundred), "{:+.0%}")]
        cells.append(shown(self.cpu_growth(row, hundred, thousand), "{:+.0%}"))
        if row is self._floor:
            return [row.title(), *cells, *[""] * 6]
        cells += [shown(statistics.median(values) if values else None, "{:.1f}") for values in above]
        used = None if first is None else max(0.0, first) / SC_008
        cells += [
            shown(first, "{:+.0%}"),
            shown(used, "{:.0%}" if used is None or round(used, 2) <= 1 else "**{:.0%}**"),
        ]
        return [row.title(), *cells, shown(second, "{:+.0%}")]

    def _memory_line(self, row: Row) -> list[str]:
        found = row.memory
        kilobytes = [found[kind] / 1000 if found.get(kind) else None for kind in ("traced", "resident")]
        return [row.title(), shown(found.get("in_flight"), "{:,}"), *(shown(value, "{:.1f}") for value in kilobytes)]

    def overhead(self, row: Row, level: int) -> list[float]:
        """CPU of a step above that of plain await, round by round."""
        pair = (each.cells.get(f"cpu {level}", []) for each in (row, self._floor))
        return [own - floor for own, floor in zip(*pair, strict=False)]

    @staticmethod
    def cpu_growth(row: Row, fewer: int, more: int) -> float | None:
        """By which share a step is dearer with more workflows at once."""
        return compared(row.cells.get(f"cpu {fewer}"), row.cells.get(f"cpu {more}"), growth)

    def goals(self) -> list[list[str]]:
        """What is to be reached, and what has been."""
        one, hundred, thousand = self.levels
        lines = []
        for name in (OURS, WITH_MODEL):
            row = self._rows[name]
            above = [self.overhead(row, level) for level in self.levels]
            traced = row.memory.get("traced")
            kilobytes = traced / 1000 if traced else None
            lines += [
                goal(f"{name}: us CPU a step @{hundred}", 5, row.middle(f"cpu {hundred}"), "{:.1f}"),
                goal(f"{name}: kB of a workflow in flight", 3, kilobytes, "{:.1f}"),
                goal(f"{name}: overhead {one} -> {hundred}", 0, compared(above[0], above[1], growth), "{:+.0%}"),
                goal(
                    f"{name}: overhead {hundred} -> {thousand}", 0.15, compared(above[1], above[2], growth), "{:+.0%}"
                ),
            ]
        plain, convenient = self._rows[OURS].cells, self._rows[CONVENIENT].cells
        times = compared(convenient.get(f"cpu {hundred}"), plain.get(f"cpu {hundred}"), lambda own, kept: own / kept)
        lines.append(
            goal("`workflow.execute_async` beside an engine that is kept (5 % is noise)", 1.05, times, "{:.2f}")
        )
        line = next(row.middle("line") for row in self.run.loggers if row.ours)
        lines.append(goal("us a JSON log line at INFO", 4, line, "{:.1f}"))
        return lines


def goal(title: str, most: float, found: float | None, form: str) -> list[str]:
    """A line of the goals."""
    verdict = "" if found is None else "reached" if found <= most else "**not reached**"
    return [title, form.format(most), shown(found, form), verdict]


def shown(value: float | None, form: str) -> str:
    """A cell; a dash where nothing was measured."""
    return "-" if value is None or value != value else form.format(value)


def main(options: Sequence[str] = ()) -> None:
    """Print the tables.

    `--write` puts them into docs/engine-benchmarks.md as well, `--quick` only tries whether everything runs,
    `--only=NAME` leaves out engines of others without NAME in their names.
    """
    size = QUICK if "--quick" in options else Size()
    only = next((option.partition("=")[2] for option in options if option.startswith("--only=")), "")
    began = time.perf_counter()
    engines = [engine for engine in ENGINES if engine.environment is None or only in engine.name]
    with ExitStack() as stack:
        run = Run(engines, size, stack)
        run.memory()
        run.lines()
        run.speed()
    text = Tables(run).text(time.perf_counter() - began)
    print(text)
    if "--write" in options:
        write(text)
    if any(row.why_not for row in (*run.rows, *run.loggers)):
        print("some engines or loggers were NOT MEASURED; the table says why", file=sys.stderr)


def write(text: str) -> None:
    """Put `text` between its markers in docs/engine-benchmarks.md."""
    page.write(PAGE, "engine", text)
