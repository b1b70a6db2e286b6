"""Many spoilt files, read one after the other by the reader of runs; every one must end as a document."""

from __future__ import annotations

import re
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bad_input.case import Outcome, case, ok
from bad_input.mutate import damaged
from bad_input.seeds import SEEDS
from bad_input.trial import Trials

SETTINGS = {"limits": {"max_seconds_per_file": 10, "max_memory_mb": 512}}
OCR = {**SETTINGS, "images": {"ocr": {"enabled": True}}}
PICTURES = frozenset({"png", "jpeg", "gif", "tiff", "bmp", "webp"})
CRASHED = ("the process that read it ended", "took more than", "took more memory", "more memory than")


@dataclass
class Tally:
    """What became of the files of one ending."""

    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    """Files whose reading took its process down, or too long, by their number."""
    faults: list[str] = field(default_factory=list)
    """Promises that were broken, with the number of the file."""


@dataclass
class Report:
    """What became of all files."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    growth_mb: float = 0.0
    """By how much the peak of this process's memory rose, after the first files of every ending."""

    @property
    def faults(self) -> list[str]:
        """All broken promises."""
        return [fault for tally in self.tallies.values() for fault in tally.faults]


def numbered(count: int, first: int = 0, endings: Iterable[str] = ()) -> Iterator[tuple[str, int]]:
    """`count` files, the endings in turn."""
    names = list(endings) or list(SEEDS)
    for number in range(count):
        yield names[number % len(names)], first + number // len(names)


def run(files: Iterable[tuple[str, int]], folder: Path) -> Report:
    """Read each of `files`, made in `folder`; nothing is raised for what is wrong with one."""
    report, trials = Report(), Trials(folder)
    start = None
    for position, (ending, number) in enumerate(files):
        outcome = _outcome(trials, ending, number)
        tally = report.tallies[ending]
        tally.states[outcome.status] += 1
        tally.reasons[grouped(outcome.reason)] += 1
        if any(sign in outcome.reason for sign in CRASHED):
            tally.crashes.append(f"{ending} {number}: {grouped(outcome.reason)}")
        tally.faults += [f"{ending} {number}: {fault}" for fault in outcome.faults]
        if "cannot be read: " in outcome.reason and re.search(
            r"cannot be read: \w+(Error|Exception)\b", outcome.reason
        ):
            tally.faults.append(f"{ending} {number}: unforeseen: {grouped(outcome.reason)}")
        if position == 4 * len(SEEDS):
            start = peak_mb()
    report.growth_mb = 0.0 if start is None else peak_mb() - start
    return report


def _outcome(trials: Trials, ending: str, number: int) -> Outcome:
    settings = OCR if ending in PICTURES else SETTINGS
    data = damaged(ending, number)
    try:
        return trials.outcome_of(case("spoilt", f"a.{ending}", data, ok(), settings=settings))
    except Exception as error:  # a finding, like any other
        return Outcome("raised", f"{type(error).__name__}: {error}", faults=(f"it raised {error!r}",))


def grouped(reason: str) -> str:
    """The reason without what belongs to one file alone."""
    short = re.sub(r"(file|memory)://\S*/", "", reason)
    return re.sub(r"\d[\d,.]*", "N", short)[:160]


def peak_mb() -> float:
    """The most memory that this process has held so far."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
