"""The runs behind the tables: every cell in fresh processes, contenders taking turns, every output checked."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.documents import contenders
from benchmarks.documents.contenders import BY_HAND, FLOOR, Contender
from benchmarks.documents.corpus import FORMATS, MB, Corpus, File, corpus, to_begin
from benchmarks.documents.measuring import FailedError, Taken, run

Formats = frozenset[str]
ONCE_MB = 500
"""A corpus of so many MB is read in one round only."""
BEGIN_S, CHECKED_MB_S = 1.5, 20
"""About what a process needs to begin, and how many MB of an output are checked a second."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    mixed: tuple[float, ...] = (10, 100)
    """Sizes of the mixed corpus, in MB."""
    format: float = 20
    """Size of the corpus of each single format."""
    limit_s: float = 300.0
    """What would take a peer longer is left out."""

    def about_s(self, who: Sequence[Contender], peers: Sequence[Contender], alone: Sequence[Contender] = ()) -> float:
        """How long it will take when nothing else runs, by the paces of all; `alone` read single formats too."""
        total = BEGIN_S * (2 * len(who) + 6 * len(peers))
        for megabytes in self.mixed:
            runs = 1 + (self.rounds if megabytes < ONCE_MB else 1)
            total += sum(runs * (BEGIN_S + megabytes / each.pace) + megabytes / CHECKED_MB_S for each in who)
            for peer in peers:
                read = megabytes * sum(FORMATS[name].share for name in peer.formats)
                if megabytes == self.mixed[0] or read / peer.pace <= self.limit_s:
                    total += 4 * BEGIN_S + read / peer.pace + read / BY_HAND.pace + 2 * read / CHECKED_MB_S
        if alone:
            one = sum((1 + self.rounds) * (BEGIN_S + self.format / each.pace) for each in alone)
            total += len(FORMATS) * (one + 4 * BEGIN_S + self.format / max((each.pace for each in peers), default=1))
        return total


@dataclass
class Cell:
    """What one contender took for one corpus."""

    bytes: int
    timed: list[Taken] = field(default_factory=list)
    watched: Taken | None = None
    """The run whose memory was looked at, and whose output was checked."""

    @property
    def wall_s(self) -> float:
        """The median."""
        return statistics.median(taken.wall_s for taken in self._runs())

    @property
    def cpu_s(self) -> float:
        """The median."""
        return statistics.median(taken.cpu_s for taken in self._runs())

    @property
    def peak_mb(self) -> float | None:
        """The most memory that was seen."""
        return self.watched.peak_mb if self.watched else None

    def _runs(self) -> list[Taken]:
        return self.timed or ([self.watched] if self.watched else [])


class WrongError(Exception):
    """What must be right is not; the benchmark ends."""


class Runner:
    """Runs contenders over corpora and keeps what they took.

    Args:
        size: how much.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.cells: dict[tuple[str, str], Cell] = {}
        """By contender and what it read."""
        self.covered: dict[str, Formats] = {}
        """What each contender reads as it should."""
        self.seconds: dict[str, Counter[str]] = {}
        """How long each peer took for the files of each format in the smallest mixed corpus."""
        self.why: dict[str, list[str]] = {}
        """What each contender does not do."""

    def admit(self, peers: Sequence[Contender]) -> list[Contender]:
        """Those of `peers` that can be used; finds out which formats each reads with at least 95 % of the words."""
        found = []
        for peer in peers:
            _tell(f"{peer.name}: which formats")
            try:
                self.covered[peer.name] = self._formats_of(peer)
            except FailedError as failed:
                self._not(peer, str(failed))
                continue
            if self.covered[peer.name]:
                found.append(peer)
        return found

    def _formats_of(self, peer: Contender) -> Formats:
        small = corpus(self.size.mixed[0])
        left = peer.formats
        files = tuple(file for file in small.sample() if file.draft.format in left)
        with _folder() as out:
            run(
                peer.command(small.root, [file.draft.path for file in files], out),
                folder=out,
                limit_s=self.size.limit_s,
                environment=peer.variables(),
            )
            wrong = contenders.faults(peer, small, files, out)
            if wrong.keys() == left:
                self._not(peer, f"no format: {next(iter(wrong.values()))}{_said(out)}")
            else:
                for name, fault in wrong.items():
                    self._not(peer, f"{name}: {fault}{_said(out)}")
        return left - wrong.keys()

    def startable(self, who: Contender) -> bool:
        """Whether its environment is there or can be made."""
        try:
            who.python()
        except FailedError as failed:
            self._not(who, str(failed))
            return False
        return True

    def begin(self, who: Iterable[Contender]) -> None:
        """What it takes each of them to read a few small files of every format."""
        for contender in who:
            _tell(f"{contender.name}: the start")
            self._watched(contender, to_begin(), "start", self._formats(contender))

    def mixed(self, who: Sequence[Contender], peers: Sequence[Contender]) -> None:
        """All sizes of the mixed corpus: `who` in rounds, `peers` in one run each, beside the script by hand."""
        for megabytes in self.size.mixed:
            whole = corpus(megabytes)
            self._in_rounds(who, whole, mixed_name(megabytes))
            for peer in peers:
                self._peer(peer, whole, megabytes)

    def _peer(self, peer: Contender, whole: Corpus, megabytes: float) -> None:
        formats = self._formats(peer)
        before = [size for size in self.size.mixed if size < megabytes]
        known = self.cells.get((peer.name, mixed_name(before[-1]))) if before else None
        size = sum(file.bytes for file in whole.of(formats))
        if before and (known is None or known.wall_s / known.bytes * size > self.size.limit_s):
            return
        try:
            seconds = self._watched(peer, whole, mixed_name(megabytes), formats)
            self.seconds.setdefault(peer.name, seconds)
        except FailedError as failed:
            self._not(peer, f"{megabytes:g} MB: {failed}")
            return
        self._watched(BY_HAND, whole, beside(peer, megabytes), formats)

    def single(self, name: str, who: Sequence[Contender], peers: Sequence[Contender]) -> Contender | None:
        """The corpus of one format: `who` in rounds, then the best of `peers`, which is returned."""
        only: Formats = frozenset({name})
        for contender in who:
            self._watched(contender, to_begin(name), f"start {name}", only)
        self._in_rounds(who, corpus(self.size.format, name), name)
        able = [peer for peer in peers if self.seconds.get(peer.name, {}).get(name)]
        for peer in sorted(able, key=lambda peer: self.seconds[peer.name][name]):
            try:
                self._watched(peer, to_begin(name), f"start {name}", only)
                self._watched(peer, corpus(self.size.format, name), name, only)
            except FailedError as failed:
                self._not(peer, f"{name}: {failed}")
                continue
            return peer
        return None

    def _in_rounds(self, who: Sequence[Contender], whole: Corpus, what: str) -> None:
        for contender in who:
            self._watched(contender, whole, what, self._formats(contender))
        rounds = self.size.rounds if sum(file.bytes for file in whole.files) < ONCE_MB * MB else 1
        for _ in range(rounds):
            for contender in who:
                _tell(f"{contender.name}: {what}")
                files = whole.of(self._formats(contender))
                with _folder() as out:
                    taken = self._run(contender, whole, files, out, memory=False)
                self.cells[contender.name, what].timed.append(taken)

    def _watched(self, who: Contender, whole: Corpus, what: str, formats: Formats) -> Counter[str]:
        """One run with an eye on memory, whose output is checked; gives what a peer says of how long it took."""
        _tell(f"{who.name}: {what}, memory and words")
        files = whole.of(formats)
        with _folder() as out:
            taken = self._run(who, whole, files, out, memory=True)
            wrong = {} if who is FLOOR else contenders.faults(who, whole, files, out)
            said = _said(out)
            seconds = who.seconds(out) if who.others else Counter[str]()
        if wrong:
            raise self._wrong(who, f"{what}: {json.dumps(wrong)}{said}")
        self.cells[who.name, what] = Cell(sum(file.bytes for file in files), [], taken)
        return seconds

    def _run(self, who: Contender, whole: Corpus, files: tuple[File, ...], out: Path, *, memory: bool) -> Taken:
        names = [file.draft.path for file in files]
        limit_s = 4 * self.size.limit_s
        try:
            command = who.command(whole.root, names, out)
            return run(command, folder=out, limit_s=limit_s, environment=who.variables(), memory=memory)
        except FailedError as failed:
            raise self._wrong(who, str(failed)) from failed

    @staticmethod
    def _wrong(who: Contender, what: str) -> Exception:
        """A peer that fails is told of; when we fail, or a script that all are compared with, nothing counts."""
        return FailedError(what) if who.others else WrongError(f"{who.name}: {what}")

    def _formats(self, who: Contender) -> Formats:
        return self.covered.get(who.name, who.formats)

    def _not(self, who: Contender, what: str) -> None:
        self.why.setdefault(who.name, []).append(" ".join(what.split())[:300])


def mixed_name(megabytes: float) -> str:
    """What the cell of a mixed corpus is called."""
    return f"mixed {megabytes:g}"


def beside(peer: Contender, megabytes: float) -> str:
    """What the cell of the script by hand is called that read just what `peer` covers."""
    return f"{mixed_name(megabytes)} as {peer.name}"


def ratio(cells: Sequence[Cell], how: Callable[[Taken], float]) -> float:
    """How many times as long the first took as the second, round by round, and the median of that."""
    first, second = cells
    pairs = list(zip(first.timed, second.timed, strict=False))
    if not pairs:
        assert first.watched
        assert second.watched
        pairs = [(first.watched, second.watched)]
    return statistics.median(how(a) / how(b) for a, b in pairs)


def megabytes_a_second(cell: Cell, start: Cell | None, how: str) -> float:
    """Speed by `wall_s` or `cpu_s`, what `start` took left out."""
    took = getattr(cell, how) - (getattr(start, how) if start else 0.0)
    return (cell.bytes - (start.bytes if start else 0)) / MB / max(took, 1e-3)


def _said(out: Path) -> str:
    """The first error that a peer noted in its output."""
    path = out / "out.jsonl"
    if not path.exists():
        return ""
    with path.open("rb") as lines:
        for line in lines:
            if line.startswith(b'{"source"') and b'"error":' in line[:400] and "error" in (row := json.loads(line)):
                return f" ({row['error'][:160]})"
    return ""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-documents-") as out:
        yield Path(out)


def _tell(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)
