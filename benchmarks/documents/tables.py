"""What is told of documents: mixed corpora, single formats, growth with cores, and what is to be reached."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import measure, page
from benchmarks.documents.contenders import (
    BY_HAND,
    BY_HAND_MARKDOWN,
    BY_HAND_USUAL,
    FLOOR,
    PEERS,
    Contender,
    Ours,
    ours,
)
from benchmarks.documents.corpus import FORMATS, corpus
from benchmarks.documents.rounds import (
    Cell,
    Runner,
    Size,
    WrongError,
    beside,
    megabytes_a_second,
    mixed_name,
    ratio,
)
from benchmarks.peers.process import ROOT

PAGE = ROOT / "docs" / "documents-benchmarks.md"
QUICK = Size(rounds=1, mixed=(0.5, 1), format=0.3, limit_s=60)
PER_CORE, GROWTH_MB = 1.5, 60
"""What is to be reached: times the script by hand with the fastest libraries, with one worker; MB above the start."""
SCRIPTS = (FLOOR, BY_HAND, BY_HAND_MARKDOWN, BY_HAND_USUAL)
HANDS = {"fastest": BY_HAND, "usual": BY_HAND_USUAL}
"""The scripts that all are compared with."""


def main(options: Sequence[str] = ()) -> None:
    """Print the tables.

    `--write` puts them into docs/documents-benchmarks.md as well, `--full` adds the mixed corpus of 1 GB, `--quick`
    only tries whether everything runs, `--mb=10,100` sets the sizes of the mixed corpus, `--rounds=1` how often it is
    read after the look at memory, `--limit=300` how many seconds a peer may take for one corpus, `--only=NAME,NAME`
    leaves out peers without one of these in their names, `--no-formats` leaves out the table of single formats.
    """
    size, peers, formats = chosen(options)
    own = ours()
    about_s = size.about_s([*SCRIPTS, *own], peers, [BY_HAND, own[0]] if formats else [])
    print(
        f"about {about_s / 60:.1f} minutes when nothing else runs; a corpus that is not there is made first",
        file=sys.stderr,
    )
    began = time.perf_counter()
    runner = Runner(size)
    try:
        tables = measured(runner, peers, formats)
    except WrongError as wrong:
        raise SystemExit(f"NOTHING IS TOLD, for something is wrong: {wrong}") from wrong
    text = tables.text(time.perf_counter() - began)
    print(text)
    if "--write" in options:
        page.write(PAGE, "documents", text)


def chosen(options: Sequence[str]) -> tuple[Size, list[Contender], bool]:
    """How much, which peers, and whether single formats are read, by the options of the command."""
    size = QUICK if "--quick" in options else Size()
    if "--full" in options:
        size = replace(size, mixed=(*size.mixed, 1000))
    values = dict(option[2:].split("=", 1) for option in options if "=" in option)
    try:
        if "mb" in values:
            size = replace(size, mixed=tuple(sorted(float(word) for word in values["mb"].split(","))))
        size = replace(size, rounds=int(values.get("rounds", size.rounds)))
        size = replace(size, limit_s=float(values.get("limit", size.limit_s)))
    except ValueError as error:
        raise SystemExit(f"--mb=10,100, --rounds=3 and --limit=300 take numbers: {error}") from error
    only = values.get("only", "").lower().split(",")
    peers = [peer for peer in PEERS if any(word in peer.name.lower() for word in only)]
    return size, peers, "--no-formats" not in options


def measured(runner: Runner, peers: Sequence[Contender], formats: bool) -> Tables:
    """Run everything."""
    own = ours()
    usable = runner.admit(peers)
    who = [*filter(runner.startable, SCRIPTS), *own]
    runner.begin([*who, *usable])
    runner.mixed(who, usable)
    best: dict[str, Contender | None] = {}
    for name in FORMATS if formats else ():
        best[name] = runner.single(name, [BY_HAND, own[0]], usable)
    return Tables(runner, own, usable, best)


class Tables:
    """What is told of a finished run.

    Args:
        runner: has run.
        own: our rows.
        peers: those of others that could be used.
        best: the best peer of each format.
    """

    def __init__(
        self, runner: Runner, own: Sequence[Ours], peers: Sequence[Contender], best: dict[str, Contender | None]
    ) -> None:
        self.runner = runner
        self.own = own
        self.peers = peers
        self.best = best
        self.sizes = runner.size.mixed

    def text(self, took_s: float) -> str:
        """All tables, with how they were made."""
        parts = [
            self._how(took_s),
            *self._not_covered(),
            measure.text("What is to be reached", ["by ours", "wanted", "measured", ""], self.goals()),
            measure.text("A mixed corpus: speed", self._speed_head(), list(map(self._speed_line, self._all()))),
            measure.text("A mixed corpus: memory", self._memory_head(), list(map(self._memory_line, self._all()))),
        ]
        if len(self.own) > 1:
            head = ["`fmf process`", "MB/s", "MB/s of CPU", "x one worker", *(f"x by hand, {hand}" for hand in HANDS)]
            parts.append(measure.text(f"Growth with cores, {self.sizes[-1]:g} MB", head, self._cores()))
        if self.best:
            head = ["format", "files", "chars a byte", "ours", "by hand, fastest", "best of the others", ""]
            head += ["ours, peak MB", "by hand, fastest, peak MB", "the other, peak MB"]
            title = f"One format at a time: MB/s of {self.runner.size.format:g} MB, the start left out"
            parts.append(measure.text(title, head, list(map(self._format_line, self.best))))
        return "\n".join(parts)

    def _how(self, took_s: float) -> str:
        mixed = corpus(self.sizes[-1])
        largest = max(mixed.files, key=lambda file: file.bytes)
        return (
            f"{page.machine()}, {took_s:.0f} s in all. The mixed corpus of {self.sizes[-1]:g} MB has "
            f"{len(mixed.files):,} files, the largest of {largest.bytes / 1e6:.1f} MB. Every figure is of a whole "
            "fresh process with all that it starts, from its first instruction to its last: medians of "
            f"{self.runner.size.rounds} rounds in which the rows take turns, ratios made within a round; those of "
            "other projects are of one run each, beside the first script by hand over the same files. Memory is "
            "seen in a run of its own, as what all processes hold together, shared pages counted once; the start is "
            "the same command over 36 small files. Every output is checked: no file may be missing, and in two "
            "files of each format 95 % of the words must be found."
        )

    def _not_covered(self) -> list[str]:
        lines = [f"* {name}: not counted: {'; '.join(why)}" for name, why in self.runner.why.items()]
        return ["", *lines] if lines else []

    def _all(self) -> list[Contender]:
        return [*SCRIPTS, *self.own, *self.peers]

    def _cell(self, who: Contender, what: str) -> Cell | None:
        return self.runner.cells.get((who.name, what))

    def _speed_head(self) -> list[str]:
        largest = f"@{self.sizes[-1]:g}"
        return [
            "reader",
            "formats",
            *(f"MB/s @{size:g}" for size in self.sizes),
            *(f"MB/s of CPU @{size:g}" for size in self.sizes),
            *(f"x by hand, {hand}{how} {largest}" for hand in HANDS for how in ("", ", CPU")),
        ]

    def _speed_line(self, who: Contender) -> list[str]:
        covered = self.runner.covered.get(who.name, who.formats)
        cells = [self._cell(who, mixed_name(size)) for size in self.sizes]
        line = [who.title(), f"{len(covered)} of {len(FORMATS)}"]
        for how in ("wall_s", "cpu_s"):
            line += [shown(cell and megabytes_a_second(cell, None, how), "{:.2f}") for cell in cells]
        times = [self.times(who, how, hand) for hand in HANDS.values() for how in ("wall_s", "cpu_s")]
        return [*line, *(shown(value, "{:.2f}") for value in times)]

    def times(self, who: Contender, how: str, by_hand: Contender) -> float | None:
        """How many times as quick as a script by hand over the same files, for the largest corpus that was read."""
        for size in reversed(self.sizes):
            cell = self._cell(who, mixed_name(size))
            hand = self._cell(by_hand, beside(who, size)) or self._cell(by_hand, mixed_name(size))
            if cell and hand and cell.bytes == hand.bytes and who is not FLOOR:
                return ratio((hand, cell), lambda taken: getattr(taken, how))
        return None

    def _memory_head(self) -> list[str]:
        sizes = [f"@{size:g}" for size in self.sizes]
        return [
            "reader",
            "peak MB at the start",
            *(f"peak MB {at}" for at in sizes),
            *(f"MB above {at}" for at in sizes),
        ]

    def _memory_line(self, who: Contender) -> list[str]:
        start = self._cell(who, "start")
        peaks = [cell and cell.peak_mb for cell in [start, *(self._cell(who, mixed_name(s)) for s in self.sizes)]]
        above = [self.growth_mb(who, size) for size in self.sizes]
        return [who.title(), *(shown(value, "{:.0f}") for value in (*peaks, *above))]

    def growth_mb(self, who: Contender, size: float) -> float | None:
        """Peak memory above that of the start."""
        start, cell = self._cell(who, "start"), self._cell(who, mixed_name(size))
        if not (start and cell and start.peak_mb and cell.peak_mb):
            return None
        return cell.peak_mb - start.peak_mb

    def _cores(self) -> list[list[str]]:
        what = mixed_name(self.sizes[-1])
        one = self._cell(self.own[0], what)
        lines = []
        for who in self.own:
            cell = self._cell(who, what)
            assert one
            assert cell
            lines.append(
                [
                    f"{who.workers} worker{'s' if who.workers != 1 else ''}",
                    f"{megabytes_a_second(cell, None, 'wall_s'):.1f}",
                    f"{megabytes_a_second(cell, None, 'cpu_s'):.1f}",
                    f"{ratio((one, cell), lambda taken: taken.wall_s):.2f}",
                    *(shown(self.times(who, "wall_s", hand), "{:.2f}") for hand in HANDS.values()),
                ]
            )
        return lines

    def _format_line(self, name: str) -> list[str]:
        files = corpus(self.runner.size.format, name).files
        best = self.best[name]
        chars = sum(file.draft.chars for file in files) / sum(file.bytes for file in files)
        who = [self.own[0], BY_HAND, *([best] if best else [])]
        speeds = []
        for each in who:
            cell, start = self._cell(each, name), self._cell(each, f"start {name}")
            speeds.append(shown(cell and megabytes_a_second(cell, start, "wall_s"), "{:.1f}"))
        peaks = [shown((cell := self._cell(each, name)) and cell.peak_mb, "{:.0f}") for each in who]
        if not best:
            speeds.append("-"), peaks.append("-")
        return [name, f"{len(files):,}", f"{chars:.2f}", *speeds, best.title() if best else "", *peaks]

    def goals(self) -> list[list[str]]:
        """What is to be reached, and what has been."""
        lines = []
        largest = f"{self.sizes[-1]:g} MB"
        for how, what in (("wall_s", "speed"), ("cpu_s", "CPU")):
            for hand in HANDS.values():
                times = self.times(self.own[0], how, hand)
                title = f"{self.own[0].name}: times {hand.name}, {what}, {largest}"
                if hand is BY_HAND:
                    lines.append(goal(title, f"{PER_CORE}", times, "{:.2f}", reached=(times or 0) >= PER_CORE))
                else:
                    lines.append([title, "shown only", shown(times, "{:.2f}"), ""])
        if len(self.own) > 1:
            what = mixed_name(self.sizes[-1])
            cells = [self._cell(who, what) for who in (self.own[0], self.own[-1])]
            assert all(cells)
            grown = ratio([cell for cell in cells if cell], lambda taken: taken.wall_s)
            title = f"{self.own[-1].workers} workers: times one, {os.cpu_count()} cores"
            lines.append(goal(title, "> 1", grown, "{:.2f}", reached=grown > 1))
        for who in self.own:
            for size in self.sizes:
                grown_mb = self.growth_mb(who, size)
                title = f"{who.name}: MB above the start, {size:g} MB"
                reached = grown_mb is not None and grown_mb <= GROWTH_MB
                lines.append(goal(title, f"at most {GROWTH_MB}", grown_mb, "{:.0f}", reached=reached))
        return lines


def goal(title: str, wanted: str, found: float | None, form: str, *, reached: bool) -> list[str]:
    """A line of the goals."""
    verdict = "" if found is None else "reached" if reached else "**not reached**"
    return [title, wanted, shown(found, form), verdict]


def shown(value: float | None, form: str) -> str:
    """A cell; a dash where nothing was measured."""
    return "-" if value is None else form.format(value)
